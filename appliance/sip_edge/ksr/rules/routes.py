"""Routes: where calls go that do not simply follow their trunk's destination (row P11)."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.!~*'()+")
_NUMBER = re.compile(r"^\+?[0-9*#().-]*[().-][0-9*#().-]*$")
_NO_SEPARATORS = str.maketrans("", "", "().-")


@dataclass(frozen=True)
class Route:
    """One row of [[routes]]; empty conditions hold for everything."""

    name: str
    from_trunk: str = ""
    method: str = ""
    prefix: str = ""
    pattern: str = ""
    group: str = ""
    strip: int = 0
    prepend: str = ""
    deny: bool = False
    destination: str = ""  # SIP URI, set:N, registrar, trunk:NAME, empty: the caller's trunk says

    def matches(self, trunk: str, method: str, user: str) -> bool:
        return (
            self.from_trunk in ("", trunk)
            and self.method in ("", method)
            and any(self._holds(one) for one in spellings(user))
        )

    def _holds(self, user: str) -> bool:
        return user.startswith(self.prefix) and (not self.pattern or re.fullmatch(self.pattern, user) is not None)

    def rewritten(self, user: str) -> str:
        """The user part as it goes on: digits are counted in the barest spelling that the conditions hold for. Its
        parameters go on too."""
        number, separator, parameters = user.partition(";")
        if self.strip or self.prepend:
            number = next((one for one in reversed(spellings(user)) if self._holds(one)), number)
        return self.prepend + number[self.strip :] + separator + parameters


def plain(user: str) -> str:
    """A user part without needless escapes: %30%30 is another way to write 00 (RFC 3261 section 19.1.4), and no way
    round a rule."""
    return _ESCAPE.sub(lambda found: _unescaped(found[0]), user)


def spellings(user: str) -> tuple[str, ...]:
    """A user part without parameters, and where it is a telephone number with visual separators (RFC 3966 section
    5.1.1) the same without them: 0-0.49 may be dialled as 0049."""
    number = plain(user).partition(";")[0]
    return (number, number.translate(_NO_SEPARATORS)) if _NUMBER.match(number) else (number,)


def first(routes: tuple[Route, ...], trunk: str, method: str, user: str) -> Route | None:
    """The first route whose conditions all hold."""
    return next((one for one in routes if one.matches(trunk, method, user)), None)


def _unescaped(escape: str) -> str:
    character = chr(int(escape[1:], 16))
    return character if character in _PLAIN else escape
