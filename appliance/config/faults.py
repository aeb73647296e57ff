"""A mistake in the configuration, and the error that carries all of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    ERROR = "error"  # the gateway does not start
    WARNING = "warning"  # it starts, and somebody should know


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value was written. `line` 0: not a line of a file (environment, command line, built-in default)."""

    source: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}" if self.line else self.source


BUILT_IN = Place("built-in default")


@dataclass(frozen=True, slots=True)
class Fault:
    """One mistake: where, which key ("trunks[0].interface"), what is wrong, and what to do about it."""

    place: Place
    key: str
    message: str
    hint: str = ""
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        subject = f"{self.key}: " if self.key else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.place}: {self.severity}: {subject}{self.message}{hint}"


class ConfigError(Exception):
    """The configuration cannot be used; `faults` are all mistakes found, in the order of the files."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = tuple(faults)
