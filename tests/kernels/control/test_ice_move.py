"""A stream with an ICE leg moves between workers: validated sources, the pair and its consent go along."""

from __future__ import annotations

import pytest

from kernels.control.commands import DiscardTransfer, RemoveFlow
from kernels.control.mailbox import DROPS
from kernels.control.status import FlowStatus
from tests.kernels.checks import OUR_PASSWORD, check, legs, make_older, read
from tests.kernels.rig import ALICE, BOB, LocalTeam, balanced, discard, export, master_key, rtp, session, take

RELAY = ("192.0.2.99", 50000)


@pytest.fixture
def team() -> LocalTeam:
    """Alice's pair is nominated, another source of hers is valid."""
    made = LocalTeam()
    assert made.do(0, *legs()) == [0] * 5
    assert answered(made, 0, check(nominate=True))
    assert answered(made, 0, check(), RELAY)
    return made


def answered(team: LocalTeam, worker: int, data: bytes, source: tuple[str, int] = ALICE) -> bool:
    team.ports[worker].inject(0, data, *source)
    team.turn(worker)
    sent = team.ports[worker].collect()
    return [(by, read(answer)[0], to) for by, answer, to in sent] == [(0, 0x0101, source)]


def heard(team: LocalTeam, worker: int, number: int) -> list[tuple[str, int]]:
    """Where what Bob sends goes."""
    team.ports[worker].inject(1, rtp(number), *BOB)
    team.turn(worker)
    return [to for by, _, to in team.ports[worker].collect() if by == 0]


def status(team: LocalTeam, worker: int, slot: int) -> FlowStatus:
    return team.mailboxes[worker].flow(slot, lambda number: ("memory", number))


def moved(team: LocalTeam, source: int, to: int, move: int, first: tuple[int, int]) -> None:
    assert team.do(source, export(move, to, first=first[0])) == [0]
    assert team.do(to, take(move, first=first[1]), discard(move)) == [0, 0]


@pytest.mark.row("ICE-4", "ICE-7")
def test_there_and_back(team: LocalTeam) -> None:
    before = status(team, 0, 0).ice
    moved(team, 0, 1, 11, (0, 4))
    after = status(team, 1, 4)
    assert (after.ice, after.current, after.dtls) == (before, ALICE, True)
    assert heard(team, 1, 1) == [ALICE]
    phone = session(master_key(0), True)
    data = phone.protect_rtp(rtp(1))
    assert isinstance(data, bytes)
    team.ports[1].inject(0, data, *RELAY)
    team.turn(1)
    assert team.ports[1].collect() == [(1, rtp(1), BOB)]
    assert answered(team, 1, check())
    moved(team, 1, 0, 12, (4, 0))
    assert answered(team, 0, check(nominate=True, priority=0x7E7F1EFF), RELAY)
    assert heard(team, 0, 2) == [RELAY]
    assert all(balanced(team.counters(worker), DROPS) for worker in (0, 1))


@pytest.mark.row("ICE-8", "D12")
def test_consent_does_not_begin_anew(team: LocalTeam) -> None:
    make_older(team, team.mailboxes[0].regions()["ices"], 29.5)
    moved(team, 0, 1, 21, (0, 0))
    assert heard(team, 1, 1) == [ALICE]
    make_older(team, team.mailboxes[1].regions()["ices"], 1)
    assert heard(team, 1, 2) == []


def test_key_states_are_wiped(team: LocalTeam) -> None:
    """What checks are signed with is at one place at a time, and nowhere after the call."""
    at = team.mailboxes[0].regions()["ices"] + 52
    state = team.peek(at, 40)
    assert any(state)
    moved(team, 0, 1, 31, (0, 0))
    assert team.peek(at, 40) == bytes(40)
    assert team.holds(state)
    team.do(1, RemoveFlow(0), DiscardTransfer(0, 31))
    assert not team.holds(state)
    assert not team.holds(OUR_PASSWORD.encode())


def test_a_worker_that_dies_on_the_way(team: LocalTeam) -> None:
    """Export done, then both workers are replaced; the import is done by the new one."""
    assert team.do(0, export(41, 1)) == [0]
    team.restart(0)
    team.restart(1)
    assert team.do(1, take(41)) == [0]
    assert heard(team, 1, 1) == [ALICE]
    team.restart(1)
    assert answered(team, 1, check())
    assert heard(team, 1, 2) == [ALICE]
