"""Bencode of strangers: bounded, tolerant where Kamailio is, never another exception."""

from __future__ import annotations

import contextlib
from types import MappingProxyType

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
        (b"i-0e", 0),
        (b"i9999999999999999999e", 10**19 - 1),  # 19 digits: more than 63 bits
        (b"i-9999999999999999999e", 1 - 10**19),
    ],
)
def test_values(data: bytes, value: Value) -> None:
    assert decode(data) == value


@pytest.mark.parametrize(
    "data",
    [
        b"", b"d", b"d1:a", b"d1:ae", b"di1e1:ae", b"l", b"i1", b"ie", b"i-e", b"i1.5e", b"5:abcd", b"01:a",
        b"-1:a", b"99999999999:a", b"999999999:a", b"0000000001:a", b"00:", b":", b"+1:a", b" 1:a", b"1_0:aaaaaaaaaa",
        b"i--1e", b"i+1e", b"i 1e", b"i1_0e", b"i10000000000000000000e", b"i1", b"i-", b"i", b"d1:a1", b"d0:",
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


def test_what_is_written_may_be_any_mapping_or_sequence() -> None:
    class Word(str):
        pass

    value = MappingProxyType({Word("k"): (Word("\u00e9"), 2**70, "\udcff")})
    assert encode(value) == b"d1:kl2:\xc3\xa9i%de1:\xffee" % 2**70


def test_what_has_no_end_is_not_written() -> None:
    value: list[Value] = []
    value.append(value)
    with pytest.raises(RecursionError):
        encode(value)


def test_what_bencode_cannot_say() -> None:
    assert encode({"a": None, "b": True, "c": 1.5, "d": [None, False]}) == b"d1:bi1e1:c3:1.51:dli0eee"
