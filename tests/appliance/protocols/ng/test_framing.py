"""NG messages out of a TCP stream: no delimiter but the end of the value, as with rtpengine."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.protocols.ng import bencode
from appliance.protocols.ng.codec import MAX_MESSAGE
from appliance.protocols.ng.framing import Framer, Unframed

PING, OTHER = b"1 d7:command4:pinge", b'2 {"command":"ping","x":["}{\\"",{}]}'


def test_messages_one_behind_the_other() -> None:
    """What Debian's rtpengine was seen to take: no separator, a line end, a message in pieces; JSON besides."""
    assert Framer().feed(PING + PING + b"\r\n" + OTHER + b"\n" + PING) == [PING, PING, OTHER, PING]
    framer = Framer()
    assert framer.feed(PING[:9]) == [] and framer.pending == 9
    assert framer.feed(PING[9:] + b"3") == [PING] and framer.pending == 1


VALUES = st.recursive(
    st.text(max_size=8) | st.integers(-(10**9), 10**9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
BODIES = st.dictionaries(st.text(max_size=5), VALUES, max_size=4)


@given(st.lists(st.tuples(BODIES, st.booleans()), max_size=4), st.lists(st.integers(1, 40), max_size=60))
def test_any_messages_in_any_pieces(bodies: list[tuple[dict[str, object], bool]], pieces: list[int]) -> None:
    messages = [
        b"c%d " % at + (bencode.encode(body) if binary else json.dumps(body).encode())  # type: ignore[arg-type]
        for at, (body, binary) in enumerate(bodies)
    ]
    stream, framer, found = b"".join(messages), Framer(), []
    for length in [*pieces, len(stream) + 1]:
        found += framer.feed(stream[:length])
        stream = stream[length:]
    assert found == messages


@pytest.mark.parametrize(
    "stream",
    [
        b"rubbish" * 40, b"1 rubbish", b"1 i3e", b"1 d" + b"l" * 100, b"1 d99999999:", b"1 dx", b"1 d3", b"1 d-1:ae",
        b"1 d" + b"1" * 30, b"1 di" + b"1" * 40, b"1 {" + b" " * MAX_MESSAGE,
        b"1 d7:command131000:" + b"x" * MAX_MESSAGE,
    ],
)  # fmt: skip
def test_hopeless_streams(stream: bytes) -> None:
    """Bounded in memory: refused, or waiting with what has come so far (the connection's patience ends that)."""
    framer = Framer()
    with contextlib.suppress(Unframed):
        assert framer.feed(stream) == [] and framer.pending < 300


@given(st.binary(max_size=400))
def test_fuzz(stream: bytes) -> None:
    """Unframed and nothing else."""
    framer = Framer()
    with contextlib.suppress(Unframed):
        for at in range(0, len(stream), 7):
            framer.feed(stream[at : at + 7])
