"""POSIX extended regular expressions as the C library has them: what Kamailio's permissions module compares with.

Python's `re` is another language (leftmost-longest, [[:alpha:]], no \\d), so a verdict of ours would differ from
Kamailio's in the very cases that matter.
"""

from __future__ import annotations

import ctypes
import weakref
from functools import lru_cache

_EXTENDED, _ICASE, _NOSUB = 1, 2, 8  # regex.h; the same in glibc and musl
_ROOM = 512  # octets for a regex_t, far above what any C library needs (glibc: 64)
LONGEST = 4096

_libc = ctypes.CDLL(None, use_errno=False)
_libc.regcomp.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int)
_libc.regexec.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_int)
_libc.regerror.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t)
_libc.regerror.restype = ctypes.c_size_t
_libc.regfree.argtypes = (ctypes.c_void_p,)


class PosixRegex:
    """One compiled expression; case counts only when asked. ValueError: the C library does not take it."""

    def __init__(self, text: str, *, ignore_case: bool = True) -> None:
        if len(text) > LONGEST or "\0" in text:
            raise ValueError("expression too long, or with a NUL in it")
        self._compiled = ctypes.create_string_buffer(_ROOM)
        flags = _EXTENDED | _NOSUB | (_ICASE if ignore_case else 0)
        code = _libc.regcomp(self._compiled, text.encode(), flags)
        if code:
            words = ctypes.create_string_buffer(200)
            _libc.regerror(code, self._compiled, words, len(words))
            raise ValueError(words.value.decode("utf-8", "replace"))
        weakref.finalize(self, _libc.regfree, self._compiled)

    def search(self, text: str) -> bool:
        """Whether the expression is found anywhere in `text`."""
        return bool(_libc.regexec(self._compiled, text.encode().partition(b"\0")[0], 0, None, 0) == 0)


@lru_cache(maxsize=4096)
def compiled(text: str, *, ignore_case: bool = True) -> PosixRegex:
    return PosixRegex(text, ignore_case=ignore_case)
