"""Routes: where calls go that do not simply follow their trunk's destination (row P11)."""

from __future__ import annotations

import re
from dataclasses import dataclass


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
            and user.startswith(self.prefix)
            and (not self.pattern or re.fullmatch(self.pattern, user) is not None)
        )

    def rewritten(self, user: str) -> str:
        return self.prepend + user[self.strip :]


def first(routes: tuple[Route, ...], trunk: str, method: str, user: str) -> Route | None:
    """The first route whose conditions all hold."""
    return next((one for one in routes if one.matches(trunk, method, user)), None)
