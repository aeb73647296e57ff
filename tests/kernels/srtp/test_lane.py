"""The short way of the common packet (kernels/srtp/lane.pxd) and the long way are one: same octets, verdicts, counts.

Two ends of each kind get the same traffic in batches where the ways alternate: first packets, CSRCs, extensions, SRTCP,
MKI, several SSRCs and their eviction, wraps, jumps, duplicates, forgeries, lifetimes (A02..A05, A07, A08, A14, A17)."""

from __future__ import annotations

import mmap

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.protocols.srtp.suites import SUITES as ALL
from appliance.protocols.srtp.suites import Suite
from kernels.srtp.kdf import session_key
from kernels.srtp.session import Session
from kernels.wire.packet import Drop
from tests.kernels.srtp.oracle import rtcp, rtp
from tests.kernels.srtp.suites import CM, SUITES, all_octets, keys
from tests.kernels.srtp.test_against_reference import Setting, agreements, fates, packets
from tests.kernels.srtp.test_against_reference import rtcp as plain_rtcp
from tests.kernels.srtp.test_against_reference import rtp as plain_rtp

pytestmark = pytest.mark.malformed

Datagram = tuple[bytes, bool]
NANOSECONDS = 10**9


class Ways:
    """One end twice: its packets take the short way where they may, and never."""

    def __init__(self, setting: Setting, *, send: bool) -> None:
        self.short, self.long = (setting.engine(send=send, lane=lane) for lane in (True, False))

    def take(self, batch: list[Datagram]) -> list[bytes | Drop]:
        got = self.short.mixed(batch)
        assert got == self.long.mixed(batch)
        assert self.short.status() == self.long.status()
        return got

    def wait(self, seconds: int) -> None:
        for one in (self.short, self.long):
            one.now_ns += seconds * NANOSECONDS

    def install(self, setting: Setting, key: int) -> None:
        for one in (self.short, self.long):
            one.install(*setting.secret(key), mki=setting.mki(key), rtp_lifetime=setting.rtp_lifetime,
                        rtcp_lifetime=setting.rtcp_lifetime)  # fmt: skip


def impaired(sealed: list[tuple[bytes | Drop, bool]], fate: list[tuple[str, int]]) -> list[Datagram]:
    """What arrives of a batch, in order of arrival."""
    out: list[tuple[int, Datagram]] = []
    for place, ((packet, control), (what, where)) in enumerate(zip(sealed, fate, strict=True)):
        if isinstance(packet, Drop) or what == "lose":
            continue
        if what == "flip":
            bit = where % (8 * len(packet))
            packet = packet[: bit // 8] + bytes([packet[bit // 8] ^ 1 << bit % 8]) + packet[bit // 8 + 1 :]
        if what == "cut":
            packet = packet[: max(0, len(packet) - where)]
        out.append((place + (where if what == "late" else 0), (packet, control)))
        if what == "twice":
            out.append((place + where, (packet, control)))
    return [datagram for _, datagram in sorted(out, key=lambda one: one[0])]


@pytest.mark.parametrize("suite", ALL, ids=lambda suite: suite.name)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_both_ways_are_one(suite: Suite, data: st.DataObject) -> None:
    setting = data.draw(agreements(suite))
    sender, receiver = Ways(setting, send=True), Ways(setting, send=False)
    sequences: dict[int, int] = {}
    for _ in range(data.draw(st.integers(1, 5))):
        steps = data.draw(st.lists(st.tuples(packets, fates), min_size=1, max_size=64))
        batch: list[Datagram] = []
        for (kind, ssrc, step, octets, shape), _ in steps:
            if kind == "rtp":
                sequences[ssrc] = (sequences.get(ssrc, 65500) + step) & 0xFFFF
                batch.append((plain_rtp(ssrc, sequences[ssrc], octets, shape), False))
            else:
                batch.append((plain_rtcp(ssrc, octets // 4 * 4, shape), True))
        sealed = list(zip(sender.take(batch), (control for _, control in batch), strict=True))
        receiver.take(impaired(sealed, [fate for _, fate in steps]))
        receiver.wait(data.draw(st.sampled_from([0, 0, 70])))
        if data.draw(st.sampled_from([False, False, False, True])):
            again = data.draw(st.integers(0, 1))
            sender.install(setting, again)
            receiver.install(setting, again)


@pytest.mark.parametrize("name", SUITES)
def test_common_traffic_takes_the_short_way(name: str) -> None:
    """Else the property above would compare the long way with itself. F8 never does: its IV is of another kind."""
    sender, receiver = (Session(SUITES[name], *keys(SUITES[name]), send=send) for send in (True, False))
    for end in (sender, receiver):
        assert not end.in_lane
    plain = [rtp(n, first=first, rest=rest) for n, (first, rest) in enumerate(SHAPES * 8)]
    assert all_octets(receiver.unprotect_rtp_many(all_octets(sender.protect_rtp_many(plain)))) == plain
    assert [end.in_lane for end in (sender, receiver)] == [SUITES[name].cipher != "AES_F8"] * 2


SHAPES = [(0x80, b""), (0x82, b"csrccsrc"), (0x90, b"\xbe\xde\0\1abcd"), (0x91, b"csrc\xbe\xde\0\0")]


@pytest.mark.parametrize("options", [{"mki": b"\1"}, {"kdr_log2": 16}, {"plain_rtp": True}], ids=str)
def test_what_never_takes_the_short_way(options: dict[str, object]) -> None:
    sender = Session(CM, *keys(CM), send=True, **options)  # type: ignore[arg-type]
    all_octets(sender.protect_rtp_many([rtp(n) for n in range(8)]))
    assert not sender.in_lane


def test_copies_in_one_batch_by_the_short_way() -> None:
    """A04, A7: all three of a packet are on their way when the first is accepted; exactly one passes."""
    sender, receiver = (Session(CM, *keys(CM), send=send) for send in (True, False))
    sealed = all_octets(sender.protect_rtp_many([rtp(n) for n in range(6)]))
    receiver.unprotect_rtp_many(sealed[:2])
    assert receiver.in_lane
    got = receiver.unprotect_rtp_many([sealed[n] for n in (2, 3, 3, 2, 4, 3, 5)])
    assert [isinstance(one, bytes) for one in got] == [True, True, False, False, True, False, True]


def test_sender_never_uses_an_index_twice_by_the_short_way() -> None:
    """RFC 3711 section 9.1: the same number again, in the same batch and in the next."""
    sender = Session(CM, *keys(CM), send=True)
    all_octets(sender.protect_rtp_many([rtp(n) for n in range(3)]))
    assert sender.in_lane
    got = sender.protect_rtp_many([rtp(3), rtp(3, payload=b"other"), rtp(4), rtp(2)])
    assert [one for one in got if isinstance(one, Drop)] == [Drop.DROP_TX_REPLAY] * 2
    assert sender.protect_rtp(rtp(4)) == Drop.DROP_TX_REPLAY


@pytest.mark.parametrize("limit", [1, 5, 40, 4097, 5000])
def test_lifetime_ends_at_the_very_packet(limit: int) -> None:
    """A17: credits are taken in advance and never more than the key has."""
    sender = Session(CM, *keys(CM), send=True, rtp_lifetime=limit)
    got = sender.protect_rtp_many([rtp(n) for n in range(limit + 20)])
    assert [isinstance(one, bytes) for one in got] == [True] * limit + [False] * 20
    assert got[-1] == Drop.DROP_KEY_EXPIRED
    status = sender.status()
    assert status is not None
    assert (status.packets, status.rtp_packets) == (limit, limit)


def test_rtcp_lifetime_ends_the_short_way_too() -> None:
    """A17: whichever occurs first, with a credit in hand."""
    sender = Session(CM, *keys(CM), send=True, rtcp_lifetime=2)
    all_octets(sender.protect_rtp_many([rtp(n) for n in range(4)]))
    assert sender.in_lane
    verdicts = sender.mixed([(rtp(4), False), (rtcp(), True), (rtp(5), False), (rtcp(), True), (rtp(6), False)])
    assert [isinstance(one, bytes) for one in verdicts] == [True, True, True, True, False]
    assert verdicts[-1] == Drop.DROP_KEY_EXPIRED


def test_a_replaced_owner_never_makes_a_key_younger() -> None:
    """A08, A17: the credit in hand is forfeit, and that is at most a sixteenth of what was left."""
    sender = Session(CM, *keys(CM), send=True, rtp_lifetime=1600)
    all_octets(sender.protect_rtp_many([rtp(n) for n in range(50)]))
    before = sender.status()
    sender.reattach()
    after = sender.status()
    assert before is not None
    assert after is not None
    assert before.rtp_packets == 50
    assert 50 <= after.rtp_packets <= 50 + 1600 // 16
    assert isinstance(sender.protect_rtp(rtp(50)), bytes)
    assert isinstance(sender.protect_rtp(rtp(51)), bytes)
    assert sender.in_lane


def test_salt_of_the_lane_goes_with_the_key() -> None:
    """A06: the copy that IVs are built from is wiped by removal, and by another key's installation."""
    memory = memoryview(mmap.mmap(-1, Session.footprint()))
    key, salt = keys(CM)
    sender = Session(CM, key, salt, send=True, memory=memory)
    derived = session_key(key, salt, 2, 14)
    assert bytes(memory).count(derived) == 2  # the session keys' own, the lane's
    sender.install(*keys(CM, 2))
    assert derived not in bytes(memory)
    sender.remove()
    assert session_key(*keys(CM, 2), 2, 14) not in bytes(memory)
    assert sender.protect_rtp(rtp(3)) == Drop.DROP_NOT_KEYED
