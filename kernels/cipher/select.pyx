# cython: language_level=3
"""Selection of the cipher back end, once at start: the first of the table that passes its known answers.

A new back end is one row of `_TABLE` (fastest first).
"""
from kernels.cipher.openssl cimport openssl_backend
from kernels.cipher.selftest cimport selftest_passes

cdef enum:
    BACKENDS = 1

cdef const Backend *_TABLE[BACKENDS]
_TABLE[0] = openssl_backend()

cdef const Backend *_selected = NULL


cdef const Backend *backend_selected() noexcept nogil:
    return _selected


def names() -> tuple[str, ...]:
    """Back ends of this build, fastest first."""
    return tuple([(<bytes>_TABLE[i].name).decode() for i in range(BACKENDS)])


def passes(name: str) -> bool:
    """Run the known-answer self-test of one back end. ValueError: no such back end."""
    return bool(selftest_passes(backend_named(name)))


def select(name: str = "auto") -> str:
    """Choose for this process (before the engines attach) and say which one it is.

    "auto" takes the first that passes. ValueError: unknown name; RuntimeError: self-test failed, nothing is selected.
    """
    global _selected
    candidates = names() if name == "auto" else (name,)
    _selected = NULL
    for candidate in candidates:
        if selftest_passes(backend_named(candidate)):
            _selected = backend_named(candidate)
            return candidate
    raise RuntimeError(f"cipher back end fails its self-test: {', '.join(candidates)}")


def selected() -> str | None:
    """Name of the back end in use, None when there is none."""
    return None if _selected == NULL else (<bytes>_selected.name).decode()


cdef const Backend *backend_named(str name) except NULL:
    for i in range(BACKENDS):
        if (<bytes>_TABLE[i].name).decode() == name:
            return _TABLE[i]
    raise ValueError(f"no cipher back end {name!r}")


try:
    select()
except RuntimeError:        # nothing is selected: engine_attach answers EOPNOTSUPP, select() says why
    pass
