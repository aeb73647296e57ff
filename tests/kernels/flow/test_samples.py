"""What a worker keeps of datagrams that failed: as received, few, never the conversation, and not longer than the flow
(rows A03, A04; security-and-faults A8, A9, H4; peers 2 #16)."""

from __future__ import annotations

import os
from typing import Any

import pytest

from kernels.control.commands import InstallCrypto, InstallFlow, MasterKeyBytes, RemoveFlow
from kernels.srtp.session import Session
from tests.kernels.rig import (
    ALICE,
    BOB,
    CM128,
    MALLORY,
    LocalPlane,
    LocalTeam,
    bridge,
    export,
    master_key,
    rtcp,
    rtp,
    secure_bridge,
    session,
    take,
)  # fmt: skip
from tests.kernels.srtp.suites import AUTHENTICATED

pytestmark = pytest.mark.malformed

HEADER, RTP_FIXED, RTCP_FIXED = 32, 12, 8


def kept(plane: LocalPlane, *slots: int) -> list[Any]:
    return plane.mailbox.samples(slots or range(32))


@pytest.mark.usefixtures("every_cipher")
@pytest.mark.parametrize("suite", AUTHENTICATED)
@pytest.mark.parametrize("good", [0, 63])
def test_ciphertext_as_received(suite: str, good: int) -> None:
    """A03: a forged packet is kept with exactly the octets that came, whichever back end judged it, alone and in a
    batch of good ones that it decrypts in place at the same time."""
    transform = AUTHENTICATED[suite]
    key, salt = os.urandom(transform.key_octets), os.urandom(transform.salt_octets)
    plane = LocalPlane()
    a, _ = bridge()
    secured = InstallFlow(1, "memory", 1, True, True, BOB, 0, 0, receive=0, secure=True, latching="authenticated")
    assert plane.do(InstallCrypto(0, transform, MasterKeyBytes(key, salt), False), a, secured) == [0, 0, 0]
    phone = Session(transform, key, salt, send=True)
    packets: list[bytes] = [phone.protect_rtp(rtp(n, os.urandom(20 + n))) for n in range(good)]  # type: ignore[misc]
    sealed = phone.protect_rtp(rtp(200, os.urandom(160)))
    assert isinstance(sealed, bytes)
    forged = sealed[:-1] + bytes([sealed[-1] ^ 1])
    assert len(plane.send(1, *packets, forged, source=BOB)) == good
    (sample,) = kept(plane)
    assert (sample.data, sample.length) == (forged, len(forged))
    assert (sample.flow, sample.drop, sample.kind, sample.source) == (1, "auth_fail", "rtp", BOB)
    assert sample.received_ns > 0


@pytest.mark.usefixtures("every_cipher")
@pytest.mark.parametrize("suite", AUTHENTICATED)
@pytest.mark.parametrize("other", ["AES_CM_128_HMAC_SHA1_80", "AEAD_AES_256_GCM", "NULL_HMAC_SHA1_32"])
def test_ciphertext_as_received_after_every_context(suite: str, other: str) -> None:
    """C13: while a re-key overlaps, a packet is tried under both contexts; what neither takes is kept as it came."""
    plane = LocalPlane()
    a, _ = bridge()
    secured = InstallFlow(1, "memory", 1, True, True, BOB, 0, 0, receive=0, secure=True, latching="authenticated")
    keys = {
        name: MasterKeyBytes(os.urandom(AUTHENTICATED[name].key_octets), os.urandom(AUTHENTICATED[name].salt_octets))
        for name in {suite, other}
    }
    assert plane.do(
        InstallCrypto(1, AUTHENTICATED[other], keys[other], False),
        InstallCrypto(0, AUTHENTICATED[suite], keys[suite], False, also=1), a, secured,
    ) == [0] * 4  # fmt: skip
    before = Session(AUTHENTICATED[other], keys[other].key, keys[other].salt, send=True)
    packets = [before.protect_rtp(rtp(n, os.urandom(160))) for n in range(20)]
    forged = rtp(500, os.urandom(190))
    assert len(plane.send(1, *[p for p in packets if isinstance(p, bytes)], forged, source=BOB)) == 20
    (sample,) = kept(plane)
    assert (sample.data, sample.drop) == (forged, "auth_fail")


def test_decrypted_packets_leave_their_header_only() -> None:
    """A packet that verified and was refused afterwards has been decrypted in place: its payload is conversation."""
    plane = LocalPlane()
    assert plane.do(*secure_bridge(may_send=False)) == [0] * 4
    phone = session(master_key(0), True)
    secret = os.urandom(160)
    sealed = phone.protect_rtp(rtp(1, secret))
    assert isinstance(sealed, bytes)
    plane.send(1, sealed, sealed, source=BOB)  # held, and the copy is a replay that verified in the same batch
    clear = Session(CM128, master_key(0).key, master_key(0).salt, send=True, plain_rtcp=True)
    report = clear.protect_rtcp(rtcp())
    assert isinstance(report, bytes)
    plane.send(1, report, source=BOB)
    assert {(s.drop, len(s.data)) for s in kept(plane)} == {("replay", RTP_FIXED), ("encryption_flag", RTCP_FIXED)}
    assert plane.flow(1).drops == {"direction": 1, "replay": 1, "encryption_flag": 1}
    assert secret[:8] not in os.pread(plane.fd, plane.arena.octets, 0)


def test_conversation_of_plain_legs_stays_out() -> None:
    """Of a datagram on a plain leg 32 octets, header and the first 20 of payload at most."""
    plane = LocalPlane()
    assert plane.do(*bridge()) == [0, 0]
    voice = os.urandom(160)
    plane.send(0, rtp(1, voice), source=MALLORY)
    (sample,) = kept(plane)
    assert (sample.data, sample.length, sample.source) == (rtp(1, voice)[:HEADER], 172, MALLORY)
    assert (sample.drop, sample.flow) == ("source", 0)
    assert voice[20:] not in os.pread(plane.fd, plane.arena.octets, 0)


def test_secure_leg_without_keys_and_wrong_kinds() -> None:
    """not_keyed, unknown_kind, too_short: whole on a secure leg."""
    plane = LocalPlane()
    a, b = bridge(secure=True, rtcp=False)
    assert plane.do(a, b) == [0, 0]
    noise = b"\x60" + bytes(40)
    plane.send(0, rtp(1), rtcp(), noise, b"\x80")
    found = {(s.drop, s.kind): s.data for s in kept(plane)}
    assert found == {
        ("not_keyed", "rtp"): rtp(1), ("unknown_kind", "rtcp"): rtcp(), ("unknown_kind", "unknown"): noise,
        ("too_short", "unknown"): b"\x80",
    }  # fmt: skip


def test_good_packets_leave_nothing() -> None:
    plane = LocalPlane()
    assert plane.do(*secure_bridge()) == [0] * 4
    phone = session(master_key(0), True)
    sealed = [phone.protect_rtp(rtp(n)) for n in range(300)]
    assert len(plane.send(1, *sealed, source=BOB)) == 300  # type: ignore[arg-type]
    assert len(plane.send(0, *[rtp(n) for n in range(300)])) == 300
    assert kept(plane) == []


def test_a_flood_takes_two_places_and_few_copies() -> None:
    """A8: the newest two of a reason; of 20,000 forged packets fewer than a hundred are copied."""
    plane = LocalPlane()
    assert plane.do(*secure_bridge()) == [0] * 4
    plane.send(1, *[rtp(n, bytes([n & 255]) * 40) for n in range(20_000)], source=BOB)
    assert plane.flow(1).drops["auth_fail"] == 20_000
    found = kept(plane)
    assert [s.drop for s in found] == ["auth_fail", "auth_fail"]
    numbers = [int.from_bytes(s.data[2:4]) + 1 for s in found]
    assert numbers == [19_712, 19_968]  # the last multiples of 256


def test_no_call_takes_the_places_of_others() -> None:
    """One flow that fails in every way has 8 places at most; the other flow's two samples stay."""
    plane = LocalPlane(calls=40)
    a, b = bridge(secure=True, latching="off")
    quiet = InstallFlow(2, "memory", 2, True, True, ALICE, None, None, latching="off")
    assert plane.do(a, b, quiet) == [0, 0, 0]
    plane.send(2, rtp(7), source=MALLORY)
    for n in range(3000):
        plane.send(0, rtp(n), b"\x80", b"\x60" + bytes(20), source=ALICE)
        plane.send(0, rtp(n), source=MALLORY)
    assert [s.drop for s in kept(plane, 2)] == ["source"]
    assert 4 <= len(kept(plane, 0)) <= 8


def test_many_flows_share_64_places() -> None:
    """16 flows with six samples each: the oldest give way, the last flow has all of its own."""
    plane = LocalPlane()
    for n in range(16):
        flow = InstallFlow(n, "memory", n, True, True, ALICE, None, None, secure=True, latching="off")
        assert plane.do(flow) == [0]
        plane.send(n, *[rtp(1), b"\x80", b"\x60" + bytes(20)] * 2, source=ALICE)
    assert [len(kept(plane, n)) for n in range(16)] == [0] * 5 + [4] + [6] * 10


def test_removed_flow_leaves_nothing() -> None:
    """H4: wiped with the flow; the slot's next user sees nothing of it."""
    plane = LocalPlane()
    assert plane.do(*secure_bridge()) == [0] * 4
    forged = rtp(1, os.urandom(100))
    plane.send(1, forged, source=BOB)
    assert forged[20:] in os.pread(plane.fd, plane.arena.octets, 0)
    assert plane.do(RemoveFlow(1)) == [0]
    assert kept(plane) == []
    assert forged[20:] not in os.pread(plane.fd, plane.arena.octets, 0)


def test_moved_flow_leaves_nothing() -> None:
    """A move ends the flow at the old worker: what it kept is wiped there."""
    team = LocalTeam()
    assert team.do(0, *secure_bridge()) == [0] * 4
    forged = rtp(1, os.urandom(100))
    team.ports[0].inject(1, forged, *BOB)
    team.turn(0)
    assert len(team.mailboxes[0].samples(range(4))) == 1
    assert team.do(0, export(7, 1)) == [0] and team.do(1, take(7)) == [0]
    assert team.mailboxes[0].samples(range(4)) == [] == team.mailboxes[1].samples(range(4))
    assert not team.holds(forged[20:])


def test_the_next_worker_finds_them() -> None:
    """The arena outlives the worker."""
    plane = LocalPlane()
    assert plane.do(*secure_bridge()) == [0] * 4
    plane.send(1, rtp(1), source=BOB)
    before = kept(plane)
    plane.start()
    plane.worker.turn()
    assert kept(plane) == before and len(before) == 1


def test_half_written_sample_is_wiped_by_the_next_worker() -> None:
    """F2: the worker died while it wrote; nobody reads that sample, and the next one empties it."""
    plane = LocalPlane()
    assert plane.do(*secure_bridge()) == [0] * 4
    forged = rtp(1, os.urandom(100))
    plane.send(1, forged, source=BOB)
    everything = os.pread(plane.fd, plane.arena.octets, 0)
    start = everything.index(forged) - 48
    sequence = int.from_bytes(everything[start : start + 4], "little")
    assert sequence % 2 == 0
    os.pwrite(plane.fd, (sequence + 1).to_bytes(4, "little"), start)
    assert kept(plane) == []
    plane.start()
    assert kept(plane) == []
    assert forged[20:] not in os.pread(plane.fd, plane.arena.octets, 0)


def test_never_shown_in_a_repr() -> None:
    plane = LocalPlane()
    assert plane.do(*secure_bridge()) == [0] * 4
    plane.send(1, rtp(1, b"conversation" * 10), source=BOB)
    assert "conversation" not in repr(kept(plane))
