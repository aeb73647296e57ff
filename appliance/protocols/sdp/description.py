"""An SDP (RFC 8866) as the lines it came in: nothing is normalised, so what is not changed is written back octet for
octet.

A `Description` belongs to whoever parsed it and may be changed in place; it shares nothing with other descriptions.
Text is UTF-8 with surrogateescape, so octets of any other encoding survive too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from appliance.protocols.sdp.fields import Connection, MediaLine

SECRETS = ("crypto:", "key-mgmt:", "ice-pwd:")  # attributes whose values are never shown


class Line(NamedTuple):
    """`type=value` and the line end as it was ("\\r\\n", "\\n"; "" at the end of a text without one). A blank line
    has type ""."""

    type: str
    value: str
    end: str

    def __str__(self) -> str:
        return f"{self.type}={self.value}{self.end}" if self.type else self.end

    def __repr__(self) -> str:
        for secret in SECRETS:
            if self.type == "a" and self.value.startswith(secret):
                return f"Line(a={secret}***)"
        return "Line(k=***)" if self.type == "k" else f"Line({self.type}={self.value})"


def attribute_name(value: str) -> str:
    """The name of an `a=` line's value."""
    return value.partition(":")[0]


@dataclass(slots=True)
class Section:
    """The session part, or one m-line with the lines below it. `number` is the line number of the first line, from
    1. Lines are changed by the methods alone."""

    lines: list[Line]
    number: int
    end: str = "\r\n"  # line end of lines that are added
    _named: dict[str, list[str]] | None = field(default=None, init=False, repr=False, compare=False)

    def value(self, type: str) -> str | None:
        """Value of the first line of this type."""
        for line in self.lines:
            if line.type == type:
                return line.value
        return None

    def set_value(self, type: str, value: str) -> bool:
        """Replace the value of the first line of this type; False when there is none."""
        self._named = None
        for at, line in enumerate(self.lines):
            if line.type == type:
                self.lines[at] = Line(type, value, line.end)
                return True
        return False

    def attribute(self, name: str) -> str | None:
        """Value of the first attribute of this name: "" for a flag (`a=rtcp-mux`), None when absent."""
        values = self.attributes(name)
        return values[0] if values else None

    def attributes(self, name: str) -> Sequence[str]:
        """Values of every attribute of this name, in order."""
        return self._attributes().get(name) or []

    def has(self, name: str) -> bool:
        """True when the attribute is there, with a value or without."""
        return name in self._attributes()

    def _attributes(self) -> dict[str, list[str]]:
        """By name: a negotiation asks for some thirty. Found once, and again after a change."""
        if self._named is None:
            self._named = {}
            for type, value, _ in self.lines:
                if type == "a":
                    name, _, rest = value.partition(":")
                    self._named.setdefault(name, []).append(rest)
        return self._named

    def remove(self, *names: str) -> None:
        """Take every attribute of these names out."""
        self._named = None
        self.lines = [line for line in self.lines if line.type != "a" or attribute_name(line.value) not in names]

    def add(self, name: str, value: str = "") -> None:
        """Append an attribute."""
        self._named = None
        if self.lines and not self.lines[-1].end:
            self.lines[-1] = self.lines[-1]._replace(end=self.end)
        self.lines.append(Line("a", f"{name}:{value}" if value else name, self.end))

    @property
    def connection(self) -> Connection | None:
        """The c= line of this section. InvalidSdp when it cannot be read."""
        for at, line in enumerate(self.lines):
            if line.type == "c":
                return Connection.parse(line.value, self.number + at)
        return None

    def set_connection(self, connection: Connection) -> None:
        """Replace the c= line, or put one where RFC 8866 section 5 wants it: after m=/s=, i=, u=, e=, p=."""
        if self.set_value("c", str(connection)):
            return
        at = 0
        while at < len(self.lines) and self.lines[at].type in "vosmiuep":
            at += 1
        self.lines.insert(at, Line("c", str(connection), self.end))

    def __str__(self) -> str:
        return "".join(map(str, self.lines))


@dataclass(slots=True)
class Media(Section):
    """One m-line with its lines. Change `media` through `set_media`, so that the text follows."""

    media: MediaLine = field(kw_only=True)

    def set_media(self, media: MediaLine) -> None:
        """Rewrite the m-line."""
        self.media = media
        self.set_value("m", str(media))


@dataclass(slots=True)
class Description:
    """A whole SDP: the session part and its m-lines in order."""

    session: Section
    media: list[Media]

    def connection(self, media: Media) -> Connection | None:
        """The address that holds for this m-line: its own c= line, else the session's."""
        return media.connection or self.session.connection

    def attribute(self, media: Media, name: str) -> str | None:
        """An attribute of the m-line, else of the session part (those that are inherited, RFC 8866 section 5.13)."""
        value = media.attribute(name)
        return self.session.attribute(name) if value is None else value

    def serialise(self) -> bytes:
        """The octets: identical to what was parsed, but for what was changed."""
        text = str(self.session) + "".join(map(str, self.media))
        return text.encode("utf-8", "surrogateescape")
