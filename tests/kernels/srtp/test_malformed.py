"""Open and seal in frames that end (or begin) where memory does: rows A10, A11, B9. A read past the datagram or a write
past the capacity faults here without any sanitizer; `make test-asan` sees the other end as well."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from kernels.srtp.session import Session
from kernels.wire.packet import Drop
from tests.kernels.guarded import INPUTS, SEED, Exact, Guarded, damaged, lies, noise
from tests.kernels.srtp.oracle import rtcp, rtp
from tests.kernels.srtp.suites import SUITES, keys, octets

pytestmark = [pytest.mark.malformed, pytest.mark.usefixtures("every_cipher")]
EVERY = pytest.mark.parametrize("name", SUITES)
MOST_TRAILER = 20 + 4 + 128
MKIS = (b"", b"\7", bytes(range(128)))


def session(name: str, send: bool, **options: Any) -> Session:
    return Session(SUITES[name], *keys(SUITES[name]), send=send, **options)


def trailer(name: str, mki: bytes, rtcp_too: bool) -> int:
    """Octets that protection adds."""
    transform = SUITES[name]
    return len(mki) + (transform.rtcp_tag + 4 if rtcp_too else transform.rtp_tag)


@pytest.mark.parametrize("mki", MKIS, ids=len)
@EVERY
def test_open_every_length(name: str, mki: bytes) -> None:
    """A10: 0..200 octets of lies. Nothing is believed, and with a tag no state appears."""
    receiver, guarded, chance = session(name, False, mki=mki), Guarded(), random.Random(SEED)
    for length in range(1, 201):
        for data, control in itertools.product(itertools.islice(lies(length, chance), 0, None, 5), (False, True)):
            verdict = receiver.in_place(guarded.tail(data), length, rtcp=control)
            if control or SUITES[name].rtp_tag:
                assert isinstance(verdict, Drop)
            with Exact(data) as view:
                receiver.in_place(view, length, rtcp=control)
    status = receiver.status()
    assert status is not None
    if SUITES[name].rtp_tag:
        assert (status.packets, status.streams) == (0, 0)


@pytest.mark.parametrize("mki", MKIS, ids=len)
@EVERY
def test_seal_every_length(name: str, mki: bytes) -> None:
    """A10: lies of 0..200 octets with every interesting amount of room: what is sealed grew by its trailer exactly,
    what does not fit is refused and stays as it was."""
    guarded, chance = Guarded(), random.Random(SEED)
    for length in range(1, 201):
        sender = session(name, True, mki=mki, ssrc_limit=256)
        hostile = itertools.islice(lies(length, chance), length % 3, None, 5)
        for data, control in itertools.product(hostile, (False, True)):
            more = trailer(name, mki, control)
            for slack in {0, max(0, more - 1), more, MOST_TRAILER}:
                view = guarded.tail(data, slack)
                verdict = sender.in_place(view, length, rtcp=control)
                if isinstance(verdict, Drop):
                    assert bytes(view[:length]) == data
                else:
                    assert slack >= more
                    assert verdict == length + more
            with Exact(data, more) as exact:
                sender.in_place(exact, length, rtcp=control)


@pytest.mark.parametrize("control", [False, True], ids=["rtp", "rtcp"])
@EVERY
def test_seal_does_not_read_behind_the_datagram(name: str, control: bool) -> None:
    """What lies in the frame behind the datagram (an older one, somebody's plaintext) has no influence, nor leaves."""
    plain = rtcp() if control else rtp(7)
    results = []
    for filler in (b"\x00", b"\xff", b"\x5a"):
        frame = bytearray(plain + filler * MOST_TRAILER)
        length = session(name, True, mki=b"\1\2").in_place(frame, len(plain), rtcp=control)
        assert not isinstance(length, Drop)
        assert frame[length:] == filler * (len(plain) + MOST_TRAILER - length)
        results.append(bytes(frame[:length]))
    assert len(set(results)) == 1


@pytest.mark.parametrize("mki", MKIS, ids=len)
@EVERY
def test_truncated_and_turned(name: str, mki: bytes) -> None:
    """A03, B9: a real packet cut at every length, then damaged at random; the packet itself passes afterwards."""
    sender, receiver, guarded = session(name, True, mki=mki), session(name, False, mki=mki), Guarded()
    for control in (False, True):
        plain = rtcp() if control else rtp(7, first=0x91, rest=b"\0\0\0\1\xbe\xde\0\1abcd", payload=b"a payload")
        protect = sender.protect_rtcp if control else sender.protect_rtp
        packet = octets(protect(plain))
        hostile = [packet[:length] for length in range(1, len(packet))]
        hostile += [data for data in damaged(packet, 500) if data != packet]
        checked = control or SUITES[name].rtp_tag
        for data in hostile if checked else hostile[: len(packet) - 1]:
            verdict = receiver.in_place(guarded.tail(data), len(data), rtcp=control)
            assert isinstance(verdict, Drop) or not checked
        if checked:
            view = guarded.tail(packet)
            length = receiver.in_place(view, len(packet), rtcp=control)
            assert not isinstance(length, Drop)
            assert bytes(view[:length]) == plain


def test_noise_through_every_suite() -> None:
    """10^5 seeded datagrams over all suites and both protocols, opened and sealed."""
    guarded, chance = Guarded(), random.Random(SEED)
    pairs = [(session(name, False, mki=mki), session(name, True, mki=mki)) for name in SUITES for mki in MKIS[:2]]
    for data in noise(INPUTS):
        receiver, sender = chance.choice(pairs)
        control = chance.random() < 0.5
        receiver.in_place(guarded.tail(data), len(data), rtcp=control)
        slack = chance.randrange(MOST_TRAILER)
        verdict = sender.in_place(guarded.tail(data, slack), len(data), rtcp=control)
        assert isinstance(verdict, Drop) or verdict <= len(data) + slack


@EVERY
def test_longest_frame(name: str) -> None:
    """Around the frame's own size: the back end's scratch memory is no longer than that."""
    guarded = Guarded(3 * 4096)
    for length in (1999, 2000, 2175, 2176, 2239, 2240, 2241, 4000, 12000):
        packet = rtp(length & 0xFF, ssrc=length, payload=bytes(length - 12))
        receiver, sender = session(name, False), session(name, True)
        assert isinstance(sender.in_place(guarded.tail(packet, 30), length), Drop) is (length > 2240)
        if length > 2240 or SUITES[name].rtp_tag:
            assert isinstance(receiver.in_place(guarded.tail(packet), length), Drop)
