"""A stream moves from worker to worker, turn by turn: everything it knows goes along, nothing is used twice."""

from __future__ import annotations

import pytest

from kernels.control.commands import InstallCrypto, InstallFlow, MasterKeyBytes, RemoveCrypto, RemoveFlow
from kernels.control.mailbox import DROPS
from kernels.srtp.session import Session
from tests.kernels.rig import (
    ALICE,
    BOB,
    CM128,
    LocalTeam,
    balanced,
    discard,
    export,
    master_key,
    rtcp,
    rtp,
    secure_bridge,
    session,
    take,
)

NEW = ("198.51.100.8", 9)  # where Bob went


class Phones:
    """Alice plain, Bob secure; what leaves the gateway is checked for reused indices by Bob's replay window."""

    def __init__(self, team: LocalTeam) -> None:
        self.team = team
        self.bob_out, self.bob_in = session(master_key(0), True), session(master_key(1), False)
        self.sealed: list[bytes] = []

    def talk(self, worker: int, number: int) -> None:
        """One packet each way by way of `worker`, byte-exact."""
        data = self.bob_out.protect_rtp(rtp(number))
        assert isinstance(data, bytes)
        self.team.ports[worker].inject(0, rtp(number), *ALICE)
        self.team.ports[worker].inject(1, data, *NEW)
        self.team.turn(worker)
        (to_bob, to_alice) = sorted(self.team.ports[worker].collect(), key=lambda sent: -sent[0])
        assert self.bob_in.unprotect_rtp(to_bob[1]) == rtp(number)
        assert to_alice == (0, rtp(number), ALICE)
        self.sealed.append(to_bob[1])


@pytest.fixture
def team() -> LocalTeam:
    made = LocalTeam()
    assert made.do(0, *secure_bridge()) == [0] * 4
    return made


def moved(team: LocalTeam, source: int, to: int, move: int, first: tuple[int, int] = (0, 0)) -> None:
    assert team.do(source, export(move, to, first=first[0])) == [0]
    assert team.do(to, take(move, first=first[1])) == [0]
    assert team.do(to, discard(move)) == [0]


def test_there_and_back_many_times(team: LocalTeam) -> None:
    """ROC wraps on the way; learnt address, counters, replay state and SRTCP index go along."""
    phones, slots = Phones(team), [0, 0]
    old = phones.bob_out.protect_rtp(rtp(65500))
    assert isinstance(old, bytes)
    for number in range(65501, 65521):
        phones.talk(0, number)
    for turn in range(60):
        source, to = turn % 2, 1 - turn % 2
        slots[to] = (turn * 2) % 12
        moved(team, source, to, 1000 + turn, (slots[source], slots[to]))
        phones.talk(to, 65521 + turn)
    status = team.mailboxes[0].flow(slots[0], lambda number: ("memory", number))
    assert (status.packets_in, status.packets_out, status.lost, status.ssrc_changes) == (80, 80, 0, 0)
    bob = team.mailboxes[0].flow(slots[0] + 1, lambda number: ("memory", number))
    assert (bob.current, bob.learnt, bob.port) == (NEW, True, 1)
    crypto = team.mailboxes[0].crypto(slots[0] + 1)
    assert (crypto.streams[0].roc, crypto.streams[0].rtp_newest) == (1, 65580)
    assert (crypto.packets, crypto.rtp_packets) == (80, 80)
    assert (team.mailboxes[1].flows(), team.mailboxes[1].cryptos()) == ([], [])
    team.ports[0].inject(1, old, *NEW)  # late by 80, inside the window, not seen: passes once, wherever the window went
    team.ports[0].inject(1, old, *NEW)
    team.turn(0)
    assert len(team.ports[0].collect()) == 1
    assert team.counters(0)["replay"] == 1
    assert len(set(phones.sealed)) == 80


def test_srtcp_index_goes_on(team: LocalTeam) -> None:
    phones = Phones(team)
    for worker in (0, 1):
        team.ports[worker].inject(0, rtcp(), *ALICE)
        team.turn(worker)
        ((_, data, _),) = team.ports[worker].collect()
        assert phones.bob_in.unprotect_rtcp(data) == rtcp()
        assert int.from_bytes(data[-14:-10]) & 0x7FFFFFFF == worker + 1
        if worker == 0:
            moved(team, 0, 1, 5)


def test_several_keys_lifetimes_and_sources_go_along() -> None:
    """MKI: both keys, which one sends, what of their lifetimes is used; and every SSRC's own index."""
    team = LocalTeam()
    first, second = master_key(1, b"\x01"), MasterKeyBytes(master_key(2).key, master_key(2).salt, b"\x02", 5)
    install, flows = secure_bridge()[1], secure_bridge()[2:]
    assert isinstance(install, InstallCrypto)
    from kernels.control.commands import AddKey, SelectKey

    sender = InstallCrypto(1, CM128, first, True)
    assert team.do(0, InstallCrypto(0, CM128, master_key(0), False), sender, AddKey(1, second)) == [0] * 3
    assert team.do(0, SelectKey(1, b"\x02"), *flows) == [0] * 3
    far = Session(CM128, second.key, second.salt, send=False, mki=second.mki)
    for number, ssrc in ((1, 7), (1, 8), (2, 7)):
        team.ports[0].inject(0, rtp(number, ssrc=ssrc), *ALICE)
    team.turn(0)
    assert all(isinstance(far.unprotect_rtp(data), bytes) for _, data, _ in team.ports[0].collect())
    moved(team, 0, 1, 77)
    crypto = team.mailboxes[1].crypto(1)
    assert (crypto.keys, crypto.mki, crypto.rtp_packets, crypto.rtp_lifetime) == (2, b"\x02", 3, 5)
    assert {stream.ssrc: stream.rtp_newest for stream in crypto.streams} == {7: 2, 8: 1}
    for number in (3, 4, 5):
        team.ports[1].inject(0, rtp(number, ssrc=7), *ALICE)
    team.turn(1)
    assert [far.unprotect_rtp(data) for _, data, _ in team.ports[1].collect()] == [rtp(3, ssrc=7), rtp(4, ssrc=7)]
    assert team.counters(1)["key_expired"] == 1


def test_between_the_two_nobody_can_send(team: LocalTeam) -> None:
    """A's contexts are wiped before B's exist; what arrives waits, and is forwarded once B has them."""
    phones = Phones(team)
    phones.talk(0, 1)
    assert team.do(0, export(9, 1)) == [0]
    assert (team.mailboxes[0].flows(), team.mailboxes[0].cryptos()) == ([], [])
    assert team.mailboxes[1].cryptos() == []
    assert team.arena.transfers()[0] == ("full", 9)
    assert team.holds(master_key(1).key)  # in the record, and nowhere else
    team.ports[0].inject(0, rtp(2), *ALICE)
    team.turn(0, 1, 1)
    assert team.ports[1].collect() == []
    assert team.do(1, take(9)) == [0]
    team.turn(1)
    ((_, data, _),) = team.ports[1].collect()
    assert phones.bob_in.unprotect_rtp(data) == rtp(2)
    assert team.arena.transfers()[0] == ("taken", 9)
    team.do(1, RemoveFlow(0), RemoveFlow(1), RemoveCrypto(0), RemoveCrypto(1))
    assert not team.holds(master_key(1).key)
    assert all(balanced(team.counters(worker), DROPS) for worker in (0, 1))


@pytest.mark.parametrize("dies", ["before export", "after export", "before import", "after import"])
def test_a_worker_dies_around_a_command(team: LocalTeam, dies: str) -> None:
    """The command is still in the ring: the next worker does it again, and nothing changes by doing it twice."""
    phones = Phones(team)
    for number in range(65530, 65540):
        phones.talk(0, number)
    team.mailboxes[0].submit(export(9, 1))
    if dies == "before export":
        team.restart(0)
    team.turn(0)
    if dies == "after export":
        team.restart(0)
        team.mailboxes[0].submit(export(9, 1))  # as a control process repeats it that saw no reply
        team.turn(0)
    team.mailboxes[1].submit(take(9))
    if dies == "before import":
        team.restart(1)
    team.turn(1)
    phones.talk(1, 65540)
    if dies == "after import":
        team.restart(1)
        team.mailboxes[1].submit(take(9))
        team.mailboxes[0].submit(export(9, 1))
        team.turn(0, 1)
    phones.talk(1, 65541)
    assert team.do(1, discard(9)) == [0]
    phones.talk(1, 65542)
    assert team.arena.transfers()[0] == ("empty", 0)


def test_torn_export_is_done_again(team: LocalTeam) -> None:
    """A died while it filled the record: nothing was given away yet."""
    phones = Phones(team)
    phones.talk(0, 1)
    assert team.do(0, export(9, 1)) == [0]
    assert team.do(0, take(9)) == [0]  # back to A, as control does when B cannot take it
    phones.talk(0, 2)
    assert team.do(0, export(10, 1)) == ["EBUSY"]
    assert team.do(0, discard(9), export(10, 1)) == [0, 0]
    assert team.do(1, take(9)) == ["ENOENT"]
    assert team.do(1, take(10)) == [0]
    phones.talk(1, 3)


def test_refusals_change_nothing(team: LocalTeam) -> None:
    phones = Phones(team)
    assert team.do(0, export(1, 7)) == ["EINVAL"]
    assert team.do(0, export(1, 1, record=32)) == ["EINVAL"]
    assert team.do(0, export(1, 1, first=4)) == ["ENOENT"]
    phones.talk(0, 1)
    assert team.do(0, export(1, 1)) == [0]
    other = [command for command in secure_bridge() if isinstance(command, InstallFlow)]
    assert team.do(1, InstallFlow(0, "memory", 20, True, True)) == [0]
    assert team.do(1, take(1)) == ["EADDRINUSE"]
    assert team.do(1, take(1, first=4)) == [0]
    phones.talk(1, 2)
    assert team.do(0, other[0]) == ["EADDRINUSE"]  # worker 1 serves that socket now


def test_no_room_at_the_other_worker() -> None:
    """Its pools are empty: nothing half-made stays there, the call goes back and continues."""
    team = LocalTeam(calls=1)  # four cryptos, six keys, eight SSRCs
    assert team.do(0, *secure_bridge()) == [0] * 4
    phones = Phones(team)
    phones.talk(0, 1)
    from kernels.control.commands import AddKey

    hoard = InstallCrypto(2, CM128, master_key(20, b"\x00"), True)
    assert team.do(1, hoard, *(AddKey(2, master_key(20 + i, bytes([i]))) for i in range(1, 5))) == [0] * 5
    assert team.do(0, export(3, 1)) == [0]
    assert team.do(1, take(3)) == ["ENOSPC"]
    assert team.mailboxes[1].cryptos() == [2]
    assert team.do(0, take(3)) == [0]
    phones.talk(0, 2)
    assert BOB


def test_the_end_of_a_moved_call_gives_its_sockets_back(team: LocalTeam) -> None:
    moved(team, 0, 1, 4)
    assert (team.arena.home(0), team.arena.home(1)) == (1, 1)
    team.do(1, RemoveFlow(0), RemoveFlow(1), RemoveCrypto(0), RemoveCrypto(1))
    assert (team.arena.home(0), team.arena.home(1)) == (0, 0)
    assert team.do(0, *secure_bridge()) == [0] * 4


def test_a_call_that_ends_on_its_way(team: LocalTeam) -> None:
    team.do(0, export(4, 1))
    assert team.do(0, discard(4)) == [0]
    assert (team.arena.home(0), team.arena.transfers()[0]) == (0, ("empty", 0))
    assert not team.holds(master_key(1).key)
    assert team.do(1, take(4)) == ["ENOENT"]
