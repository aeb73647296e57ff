"""Bencode of strangers: bounded, tolerant where Kamailio is, never another exception."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.protocols.ng.bencode import MAX_DEPTH, BencodeError, decode, encode
from appliance.protocols.ng.value import Value

TEXT = st.binary(max_size=20).map(lambda octets: octets.decode("utf-8", "surrogateescape"))
VALUES: st.SearchStrategy[Value] = st.recursive(
    TEXT | st.integers(-(10**18), 10**18),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"d7:command4:pinge", {"command": "ping"}),
        (b"d1:z1:1 1:a1:2e".replace(b" ", b""), {"z": "1", "a": "2"}),  # unsorted
        (b"d1:ai1e1:ai2ee", {"a": 1}),  # repeated: the first counts
        (b"l4:spami-7e0:e", ["spam", -7, ""]),
        (b"2:\xff\xfe", "\udcff\udcfe"),
        (b"de", {}),
        (b"i007e", 7),
    ],
)
def test_values(data: bytes, value: Value) -> None:
    assert decode(data) == value


@pytest.mark.parametrize(
    "data",
    [
        b"", b"d", b"d1:a", b"d1:ae", b"di1e1:ae", b"l", b"i1", b"ie", b"i-e", b"i1.5e", b"5:abcd", b"01:a",
        b"-1:a", b"99999999999:a",
        b"dee", b"4:spam4:spam", b"l" * (MAX_DEPTH + 1) + b"e" * (MAX_DEPTH + 1), b"l" * 100_000,
        b"l" + b"le" * 20_000 + b"e",
        b"i" + b"9" * 5000 + b"e", b"x",
    ],
    ids=lambda data: repr(data[:20]),
)  # fmt: skip
def test_refused(data: bytes) -> None:
    with pytest.raises(BencodeError):
        decode(data)


@given(VALUES)
def test_round_trip(value: Value) -> None:
    assert decode(encode(value)) == value


@given(VALUES, st.integers(1, 50))
def test_every_truncation_is_refused(value: Value, cut: int) -> None:
    data = encode(value)
    with pytest.raises(BencodeError):
        decode(data[: -min(cut, len(data))])


@given(st.binary(max_size=60), VALUES)
def test_fuzz(data: bytes, value: Value) -> None:
    for octets in (data, b"d" + data, encode(value) + data, encode(value)[:20] + data):
        with contextlib.suppress(BencodeError):
            decode(octets)


def test_what_bencode_cannot_say() -> None:
    assert encode({"a": None, "b": True, "c": 1.5, "d": [None, False]}) == b"d1:bi1e1:c3:1.51:dli0eee"
