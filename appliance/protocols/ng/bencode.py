"""Bencode as NG speaks it: unsorted keys, repeated keys (Kamailio may repeat a word), octets that are no text.

Own, because the packages at hand either refuse unsorted keys or recurse without a bound on what a stranger sends.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
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
            if key not in values:
                values[key] = value
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
    pieces: list[str] = []
    _encode(value, pieces.append)
    return "".join(pieces).encode("utf-8", "surrogateescape")


def _encode(value: Value, add: Callable[[str], None]) -> None:
    """By the exact type where it is an ordinary one: the reply to a `delete` has some two hundred values, and to ask
    for an abstract class is dear."""
    kind = type(value)
    if kind is str:
        add(_text(value))  # type: ignore[arg-type]
    elif kind is dict:
        _encode_items(value, add)  # type: ignore[arg-type]
    elif kind is list:
        _encode_list(value, add)  # type: ignore[arg-type]
    elif isinstance(value, str):
        add(_text(str(value)))
    elif isinstance(value, int):
        add(f"i{int(value)}e")
    elif isinstance(value, Mapping):
        _encode_items(value, add)
    elif isinstance(value, Sequence):
        _encode_list(value, add)
    else:
        add(_text("" if value is None else repr(value)))


def _encode_items(value: Mapping[str, Value], add: Callable[[str], None]) -> None:
    add("d")
    for key, item in value.items():
        kind = type(item)
        if kind is int:
            add(f"{_key(key)}i{item}e")
        elif kind is str and item.isascii():  # type: ignore[union-attr]
            add(f"{_key(key)}{len(item)}:{item}")  # type: ignore[arg-type]
        elif item is not None:
            add(_key(key))
            _encode(item, add)
    add("e")


def _encode_list(value: Sequence[Value], add: Callable[[str], None]) -> None:
    add("l")
    for item in value:
        if item is not None:
            _encode(item, add)
    add("e")


def _text(value: str) -> str:
    return f"{len(value) if value.isascii() else len(value.encode('utf-8', 'surrogateescape'))}:{value}"


_key = lru_cache(maxsize=1024)(_text)
