"""Index and window against a small model: rows A04, A14, B1, B3, SR-2, SR-4."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.srtp.session import Session
from kernels.wire.packet import Drop
from tests.kernels.srtp.oracle import rtcp, rtp, seal_rtcp, seal_rtp
from tests.kernels.srtp.suites import CM, keys

pytestmark = [pytest.mark.malformed, pytest.mark.usefixtures("every_cipher")]

KEY, SALT = keys(CM)
START = 3 << 16 | 0x8000
WINDOWS = [64, 128, 1024]


class Model:
    """The receiver of RFC 3711 section 3.3 with authentic packets, plus our resync one turn further (row A14)."""

    def __init__(self, window: int) -> None:
        self.window = window
        self.newest: int | None = None
        self.seen: set[int] = set()

    def receive(self, true: int) -> Drop:
        guess = true & 0xFFFF
        if self.newest is None:
            guess |= START >> 16 << 16
        else:
            guess |= (self.newest >> 16) + self._turn(self.newest, guess) << 16
        for index in (guess, guess + 0x10000):
            verdict = self._ask(index)
            if verdict is Drop.DROP_NONE and index == true:
                self.seen.add(index)
                self.newest = max(index, self.newest if self.newest is not None else index)
                return Drop.DROP_NONE
            if index == guess:
                first = verdict or Drop.DROP_AUTH_FAIL
        return first

    @staticmethod
    def _turn(newest: int, sequence: int) -> int:
        gap = sequence - (newest & 0xFFFF)
        return -1 if gap > 0x8000 else 1 if gap < -0x8000 else 0

    def _ask(self, index: int) -> Drop:
        if self.newest is None or index > self.newest:
            return Drop.DROP_NONE
        if self.newest - index >= self.window or index < 0:
            return Drop.DROP_REPLAY_OLD
        return Drop.DROP_REPLAY if index in self.seen else Drop.DROP_NONE


CACHE: dict[int, bytes] = {}


def sealed(index: int) -> bytes:
    if index not in CACHE:
        CACHE[index] = seal_rtp(CM, KEY, SALT, rtp(index & 0xFFFF), index >> 16)
    return CACHE[index]


def check(window: int, indices: list[int], batch: int) -> None:
    receiver = Session(CM, KEY, SALT, send=False, window=window, initial_roc=START >> 16)
    model = Model(window)
    got = []
    for start in range(0, len(indices), batch):
        got += receiver.unprotect_rtp_many([sealed(index) for index in indices[start : start + batch]])
    wanted = [model.receive(index) for index in indices]
    assert [Drop.DROP_NONE if isinstance(one, bytes) else one for one in got] == wanted
    status = receiver.status()
    assert status is not None
    assert status.packets == wanted.count(Drop.DROP_NONE)
    assert [ssrc.rtp_newest for ssrc in status.ssrcs] == ([] if model.newest is None else [model.newest])


OFFSETS = [-0x8000, -0x7FFF, *range(-130, 131, 13), -1, 1, 63, 64, 127, 128, 0x7FFF, 0x8000]


@pytest.mark.parametrize("window", WINDOWS)
def test_short_sequences(window: int) -> None:
    """B1: every pair of offsets, then random ones of length 6, singly and in one batch."""
    for first, second in itertools.product(OFFSETS, repeat=2):
        check(window, [START, START + first, START + second, START + first], 1)
    chance = random.Random(window)
    for _ in range(500):
        indices = [START + chance.choice(OFFSETS) for _ in range(6)]
        check(window, indices, 6)
        check(window, indices, 1)


@settings(max_examples=150, deadline=None)
@given(
    window=st.sampled_from(WINDOWS),
    batch=st.sampled_from([1, 7, 64]),
    steps=st.lists(
        st.one_of(st.integers(-140, 140), st.integers(-1100, 1100), st.sampled_from([-0x8000, 0x7FFF, 0x8000, 0x4001])),
        max_size=150,
    ),
)
def test_walks(window: int, batch: int, steps: list[int]) -> None:
    """B1, A14: a walk of the index, as a batch and singly: batches must not change any verdict."""
    index, indices = START, [START]
    for step in steps:
        index = max(index + step, START - 0x8000)
        indices.append(index)
    check(window, indices, batch)


@pytest.mark.parametrize("window", WINDOWS)
def test_every_late_packet_of_the_window(window: int) -> None:
    """A04: reordered within the window passes once, beyond it never."""
    receiver = Session(CM, KEY, SALT, send=False, window=window, initial_roc=START >> 16)
    assert isinstance(receiver.unprotect_rtp(sealed(START)), bytes)
    assert isinstance(receiver.unprotect_rtp(sealed(START + 1500)), bytes)
    for back in range(1, window):
        assert isinstance(receiver.unprotect_rtp(sealed(START + 1500 - back)), bytes)
    for back in range(window):
        assert receiver.unprotect_rtp(sealed(START + 1500 - back)) == Drop.DROP_REPLAY
    assert receiver.unprotect_rtp(sealed(START + 1500 - window)) == Drop.DROP_REPLAY_OLD
    status = receiver.status()
    assert status is not None
    assert status.drops == {"replay": window, "replay_old": 1}


def test_rtcp_window_is_its_own() -> None:
    """SR-4, SR-13: SRTCP has its own window; index 0 and 1 are both good first ones."""
    for first in (0, 1):
        receiver = Session(CM, KEY, SALT, send=False, window=64)
        packets = [
            seal_rtcp(CM, KEY, SALT, rtcp(), index) for index in (first, first + 1, first + 70, first + 7, first + 6)
        ]
        verdicts = [receiver.unprotect_rtcp(packet) for packet in packets]
        assert verdicts == [rtcp(), rtcp(), rtcp(), rtcp(), Drop.DROP_REPLAY_OLD]
        assert receiver.unprotect_rtcp(packets[2]) == Drop.DROP_REPLAY
        assert isinstance(receiver.unprotect_rtp(seal_rtp(CM, KEY, SALT, rtp(1))), bytes)


def test_two_copies_in_one_batch() -> None:
    """A04, A7: exactly one passes, the first; also of an SSRC not seen before."""
    for initial in ([], [sealed(START)]):
        receiver = Session(CM, KEY, SALT, send=False, initial_roc=START >> 16)
        receiver.unprotect_rtp_many(initial)
        got = receiver.unprotect_rtp_many([sealed(START + 1)] * 3 + [sealed(START + 2)])
        assert [isinstance(one, bytes) for one in got] == [True, False, False, True]
        assert got[1:3] == [Drop.DROP_REPLAY] * 2


def test_replay_flood_has_no_effect() -> None:
    """A7: 1,000 packets, each again ten times."""
    receiver = Session(CM, KEY, SALT, send=False, initial_roc=START >> 16)
    packets = [sealed(START + n) for n in range(1000)]
    assert all(isinstance(one, bytes) for one in receiver.unprotect_rtp_many(packets))
    assert not any(isinstance(one, bytes) for one in receiver.unprotect_rtp_many(packets * 10))
    assert isinstance(receiver.unprotect_rtp(sealed(START + 1000)), bytes)
