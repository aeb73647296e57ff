"""rtpengine's NG control protocol, the envelope: `cookie SP body`, body bencode or JSON, the answer in the same format.

Bodies are dictionaries of str, int, list and dict. Octet strings become str by UTF-8 with surrogateescape, so every octet
survives; `text()` and `octets()` convert.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

Value: TypeAlias = "str | int | float | bool | None | list[Value] | dict[str, Value]"


class Format(StrEnum):
    BENCODE = "bencode"
    JSON = "json"


class Malformed(Exception):
    """Not an NG message. `reason` is rtpengine's wording; `cookie` is empty when there is nobody to answer."""

    def __init__(self, reason: str, cookie: bytes = b"", format: Format = Format.BENCODE) -> None:
        super().__init__(reason)
        self.reason, self.cookie, self.format = reason, cookie, format


@dataclass(frozen=True, slots=True)
class Message:
    """One request or reply."""

    cookie: bytes
    body: dict[str, Value]
    format: Format


def decode(datagram: bytes) -> Message:
    """Malformed and nothing else."""
    raise NotImplementedError


def encode(message: Message) -> bytes:
    raise NotImplementedError


def reply(request: Message, body: Mapping[str, Value]) -> bytes:
    """`body` as the answer to `request`: same cookie, same format."""
    raise NotImplementedError


def error(request: Message | Malformed, reason: str = "") -> bytes:
    """`result: error` with `error-reason`, as the answer to `request`; b"" when there is no cookie to answer to."""
    raise NotImplementedError


def octets(value: Value) -> bytes:
    """The octets of a string value (an SDP, a Call-ID) as they came."""
    raise NotImplementedError


def text(data: bytes) -> str:
    """Octets as a string value."""
    raise NotImplementedError
