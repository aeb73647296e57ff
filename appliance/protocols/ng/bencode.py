"""Bencode as NG speaks it: unsorted keys, repeated keys (Kamailio may repeat a word), octets that are no text.

Own, because the packages at hand either refuse unsorted keys or recurse without a bound on what a stranger sends.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from appliance.protocols.ng.value import Value

MAX_DEPTH = 16  # the deepest message of the protocol (sdp-attr) needs 5
MAX_ITEMS = 4_096  # strings, numbers and containers in one message; 10,000 took more than 10 ms

_LENGTH = re.compile(rb"(0|[1-9][0-9]{0,8}):")
_INTEGER = re.compile(rb"i(-?[0-9]{1,19})e")


class BencodeError(ValueError):
    """Not one complete value within the bounds."""


def decode(data: bytes) -> Value:
    """The one value that `data` is. Octet strings become str (UTF-8, surrogateescape). Of a repeated key the first
    value counts. BencodeError and nothing else."""
    reader = _Reader(data)
    value = reader.value(MAX_DEPTH)
    if reader.at != len(data):
        raise BencodeError("data behind the value")
    return value


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at, self.items = data, 0, 0

    def value(self, depth: int) -> Value:
        self.items += 1
        if depth == 0 or self.items > MAX_ITEMS:
            raise BencodeError("nested too deeply or too many items")
        first = self.data[self.at : self.at + 1]
        if first == b"d":
            return self._dictionary(depth)
        if first == b"l":
            self.at += 1
            values: list[Value] = []
            while not self._end():
                values.append(self.value(depth - 1))
            return values
        if first == b"i":
            found = _INTEGER.match(self.data, self.at)
            if found is None:
                raise BencodeError("broken integer")
            self.at = found.end()
            return int(found[1])
        return self._string()

    def _dictionary(self, depth: int) -> dict[str, Value]:
        self.at += 1
        values: dict[str, Value] = {}
        while not self._end():
            key = self._string()
            values.setdefault(key, self.value(depth - 1))
        return values

    def _string(self) -> str:
        found = _LENGTH.match(self.data, self.at)
        if found is None:
            raise BencodeError("a value was expected")
        start = found.end()
        self.at = start + int(found[1])
        if self.at > len(self.data):
            raise BencodeError("truncated string")
        return self.data[start : self.at].decode("utf-8", "surrogateescape")

    def _end(self) -> bool:
        if self.data[self.at : self.at + 1] != b"e":
            return False
        self.at += 1
        return True


def encode(value: Value) -> bytes:
    """Keys in the order they stand. Bencode knows neither booleans, fractions nor null: 1/0, the decimal text, left
    out."""
    pieces: list[bytes] = []
    _encode(value, pieces)
    return b"".join(pieces)


def _encode(value: Value, pieces: list[bytes]) -> None:
    if isinstance(value, str):
        octets = value.encode("utf-8", "surrogateescape")
        pieces += (b"%d:" % len(octets), octets)
    elif isinstance(value, int):
        pieces.append(b"i%de" % value)
    elif isinstance(value, Mapping):
        pieces.append(b"d")
        for key, item in value.items():
            if item is not None:
                _encode(key, pieces)
                _encode(item, pieces)
        pieces.append(b"e")
    elif isinstance(value, Sequence):
        pieces.append(b"l")
        for item in value:
            if item is not None:
                _encode(item, pieces)
        pieces.append(b"e")
    else:
        _encode("" if value is None else repr(value), pieces)
