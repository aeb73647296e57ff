"""A plain source on its way to a secure leg (security-and-faults A1, A2, B5): it may begin anew under the same SSRC,
and a packet that a stranger sends in its name does not silence it. No index is used twice whatever happens."""

from __future__ import annotations

import random

import pytest

from kernels.control.mailbox import DROPS
from kernels.srtp.session import Session
from tests.kernels.rig import (
    ALICE,
    BOB,
    LocalPlane,
    LocalTeam,
    balanced,
    export,
    master_key,
    rtp,
    secure_bridge,
    session,
    take,
)
from tests.kernels.rig import bridge as plain_bridge

pytestmark = pytest.mark.malformed
Bridge = tuple[LocalPlane, Session]
SEED = 20261125


def bridge() -> Bridge:
    """Alice plain, Bob secure, and what Bob opens with."""
    plane = LocalPlane()
    plane.do(*secure_bridge())
    return plane, session(master_key(1), False)


def through(made: Bridge, *numbers: int) -> list[tuple[int, bytes]]:
    """(sequence number, payload) of what Bob can open when Alice sends these numbers."""
    plane, phone = made
    heard = []
    for _, data, _ in plane.send(0, *[rtp(number, number.to_bytes(8)) for number in numbers]):
        opened = phone.unprotect_rtp(data)
        assert isinstance(opened, bytes), "a receiver that follows RFC 3711 appendix A cannot open it"
        heard.append((int.from_bytes(opened[2:4]), opened[12:]))
    return heard


def numbers(heard: list[tuple[int, bytes]]) -> list[int]:
    return [number for number, _ in heard]


@pytest.mark.parametrize(("last", "first"), [(30_000, 29_000), (30_000, 0), (60_000, 59_800), (70_000, 66_000)])
def test_a_source_that_begins_anew_is_heard_again(last: int, first: int) -> None:
    """A2, issue notes: one packet on probation, then everything; receivers see no gap and no other rollover counter."""
    made = bridge()
    assert numbers(through(made, *range(last - 50, last + 1))) == [n & 0xFFFF for n in range(last - 50, last + 1)]
    assert through(made, first) == []
    heard = through(made, *range(first + 1, first + 200))
    assert numbers(heard) == [n & 0xFFFF for n in range(last + 1, last + 200)]
    assert [payload for _, payload in heard] == [n.to_bytes(8) for n in range(first + 1, first + 200)]
    assert made[0].counters()["probation"] == 1
    assert balanced(made[0].counters(), DROPS)


@pytest.mark.parametrize("distance", [3_001, 10_000, 30_000, 40_000, 65_000])
def test_one_forged_packet_moves_nothing(distance: int) -> None:
    """A1: a packet with the source's address and SSRC, far ahead or behind: dropped, the source is heard throughout."""
    made = bridge()
    through(made, *range(1_000, 1_100))
    assert through(made, 1_099 + distance) == []
    assert numbers(through(made, *range(1_100, 1_200))) == list(range(1_100, 1_200))
    assert through(made, 1_199 + distance) == []
    assert made[0].counters()["probation"] == 2


def test_two_forged_packets_in_a_row_cost_one_packet() -> None:
    """A2: who gets past probation pushes the index ahead; the source is back after one packet, under new indices."""
    made = bridge()
    through(made, *range(1_000, 1_100))
    assert numbers(through(made, 31_000, 31_001)) == [31_001]
    heard = through(made, *range(1_100, 1_200))
    assert [payload for _, payload in heard] == [n.to_bytes(8) for n in range(1_101, 1_200)]
    assert numbers(heard) == list(range(31_002, 31_002 + 99))


@pytest.mark.parametrize("loss", [1, 100, 2_999])
def test_loss_is_no_jump(loss: int) -> None:
    """RFC 3550 A.1: MAX_DROPOUT packets may be missing; the first one after them passes."""
    made = bridge()
    through(made, 500)
    assert numbers(through(made, 501 + loss)) == [501 + loss]


def test_late_packets_within_the_window_pass_and_no_section_begins() -> None:
    """F21: reordering is none of probation's business."""
    made = bridge()
    order = list(range(2_000, 2_400))
    chance = random.Random(SEED)
    for at in range(0, 400, 40):
        block = order[at : at + 40]
        chance.shuffle(block)
        order[at : at + 40] = block
    assert numbers(through(made, *order)) == order
    assert "probation" not in made[0].counters()


def test_a_secure_source_is_never_on_probation() -> None:
    """B3: what authenticates needs no second packet: a burst loss of 2^14 loses nothing more."""
    plane = LocalPlane()
    plane.do(*secure_bridge())
    phone = session(master_key(0), True)
    packets = [rtp(n) for n in (1, 2, 2 + 2**14, 3 + 2**14)]
    got = plane.send(1, *[bytes(phone.protect_rtp(packet)) for packet in packets], source=BOB)  # type: ignore[arg-type]
    assert [data for _, data, _ in got] == packets
    assert "probation" not in plane.counters()


def test_two_plain_legs_know_no_probation() -> None:
    """Nothing is sealed, so nothing can be blocked: octets pass as they came."""
    plane = LocalPlane()
    plane.do(*plain_bridge())
    packets = [rtp(n) for n in (1, 20_000, 5, 40_000)]
    assert [data for _, data, _ in plane.send(0, *packets)] == packets


def test_no_index_is_ever_used_twice() -> None:
    """B5: random walks with restarts, jumps, forged packets and new workers: what leaves has rising or fresh indices,
    and equal indices never cover different packets."""
    chance = random.Random(SEED)
    plane, phone = bridge()
    seen: dict[tuple[int, int], bytes] = {}
    at, roc, newest = 1_000, 0, 0
    for step in range(4_000):
        what = chance.random()
        if what < 0.01:
            at = chance.randrange(65_536)
        elif what < 0.012:
            plane.start()
        at = (at + 1) & 0xFFFF
        sent = chance.randrange(65_536) if 0.02 < what < 0.04 else at
        for _, data, _ in plane.send(0, rtp(sent, step.to_bytes(8))):
            number = int.from_bytes(data[2:4])
            if seen and number < newest - 0x8000:
                roc += 1
            newest = number
            assert seen.setdefault((roc, number), data) == data
            assert isinstance(phone.unprotect_rtp(data), bytes)
    assert len(seen) > 3_000


def test_a_shifted_source_moves_with_its_call() -> None:
    """B4: what is added to the numbers of a source goes to the next worker with the context."""
    team = LocalTeam()
    team.do(0, *secure_bridge())
    phone = session(master_key(1), False)

    def heard(worker: int, *sent: int) -> list[int]:
        for number in sent:
            team.ports[worker].inject(0, rtp(number), *ALICE)
        team.turn()
        opened = [phone.unprotect_rtp(data) for _, data, _ in team.ports[worker].collect()]
        assert all(isinstance(data, bytes) for data in opened)
        return [int.from_bytes(data[2:4]) for data in opened if isinstance(data, bytes)]

    assert heard(0, 9_000, 9_001) == [9_000, 9_001]
    assert heard(0, 100, 101, 102) == [9_002, 9_003]
    assert team.do(0, export(5, 1)) == [0]
    assert team.do(1, take(5)) == [0]
    assert heard(1, 103, 104) == [9_004, 9_005]
