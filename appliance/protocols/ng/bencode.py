"""Bencode as NG speaks it: unsorted keys, repeated keys (Kamailio may repeat a word), octets that are no text.

Own, because the packages at hand either refuse unsorted keys or recurse without a bound on what a stranger sends.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from appliance.protocols.ng.value import Value

MAX_DEPTH = 16  # the deepest message of the protocol (sdp-attr) needs 5
MAX_ITEMS = 4_096  # strings, numbers and containers in one message; 10,000 took more than 10 ms

_DICTIONARY, _LIST, _NUMBER, _END, _ZERO = b"dlie0"
_MOST_DIGITS = 9  # of a string's length
_INTEGER = re.compile(rb"i(-?[0-9]{1,19})e")


class BencodeError(ValueError):
    """Not one complete value within the bounds."""


def decode(data: bytes) -> Value:
    """The one value that `data` is. Octet strings become str (UTF-8, surrogateescape). Of a repeated key the first
    value counts. BencodeError and nothing else."""
    reader = _Reader(data)
    try:
        value, end = reader.value(0, MAX_DEPTH)
    except IndexError:
        raise BencodeError("truncated") from None
    if end != len(data):
        raise BencodeError("data behind the value")
    return value


class _Reader:
    """Each method gives what begins at an offset, and the offset behind it. IndexError: the data ends before."""

    __slots__ = ("_data", "_items")

    def __init__(self, data: bytes) -> None:
        self._data, self._items = data, 0

    def value(self, at: int, depth: int) -> tuple[Value, int]:
        self._items += 1
        if not depth or self._items > MAX_ITEMS:
            raise BencodeError("nested too deeply or too many items")
        first = self._data[at]
        if first == _DICTIONARY:
            return self._dictionary(at + 1, depth - 1)
        if first == _LIST:
            return self._list(at + 1, depth - 1)
        if first == _NUMBER:
            found = _INTEGER.match(self._data, at)
            if found is None:
                raise BencodeError("broken integer")
            return int(found[1]), found.end()
        return self._string(at)

    def _list(self, at: int, depth: int) -> tuple[list[Value], int]:
        data, values = self._data, []
        while data[at] != _END:
            value, at = self.value(at, depth)
            values.append(value)
        return values, at + 1

    def _dictionary(self, at: int, depth: int) -> tuple[dict[str, Value], int]:
        data = self._data
        values: dict[str, Value] = {}
        while data[at] != _END:
            key, at = self._string(at)
            value, at = self.value(at, depth)
            values.setdefault(key, value)
        return values, at + 1

    def _string(self, at: int) -> tuple[str, int]:
        data = self._data
        colon = data.find(b":", at, at + _MOST_DIGITS + 1)
        length = data[at:colon]
        if colon < 0 or not length.isdigit() or (length[0] == _ZERO and len(length) > 1):
            raise BencodeError("a value was expected")
        end = colon + 1 + int(length)
        if end > len(data):
            raise BencodeError("truncated string")
        return data[colon + 1 : end].decode("utf-8", "surrogateescape"), end


def encode(value: Value) -> bytes:
    """Keys in the order they stand. Bencode knows neither booleans, fractions nor null: 1/0, the decimal text, left
    out."""
    pieces: list[bytes] = []
    _encode(value, pieces)
    return b"".join(pieces)


def _encode(value: Value, pieces: list[bytes]) -> None:
    """By the exact type where it is an ordinary one: the reply to a `delete` has some two hundred values, and to ask
    for an abstract class is dear."""
    kind = type(value)
    if kind is str:
        octets = value.encode("utf-8", "surrogateescape")  # type: ignore[union-attr]
        pieces.append(b"%d:%b" % (len(octets), octets))
    elif kind is int:
        pieces.append(b"i%de" % value)  # type: ignore[str-format]
    elif kind is dict:
        _encode_items(value, pieces)  # type: ignore[arg-type]
    elif kind is list:
        _encode_list(value, pieces)  # type: ignore[arg-type]
    elif isinstance(value, str):
        _encode(str(value), pieces)
    elif isinstance(value, int):
        _encode(int(value), pieces)
    elif isinstance(value, Mapping):
        _encode_items(value, pieces)
    elif isinstance(value, Sequence):
        _encode_list(value, pieces)
    else:
        _encode("" if value is None else repr(value), pieces)


def _encode_items(value: Mapping[str, Value], pieces: list[bytes]) -> None:
    pieces.append(b"d")
    for key, item in value.items():
        if item is not None:
            pieces.append(_key(key))
            _encode(item, pieces)
    pieces.append(b"e")


def _encode_list(value: Sequence[Value], pieces: list[bytes]) -> None:
    pieces.append(b"l")
    for item in value:
        if item is not None:
            _encode(item, pieces)
    pieces.append(b"e")


@lru_cache(maxsize=1024)
def _key(key: str) -> bytes:
    octets = key.encode("utf-8", "surrogateescape")
    return b"%d:%b" % (len(octets), octets)
