"""A datagram that arrives at another worker than its flow's goes there through a ring, counted on both sides."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace

import pytest

from kernels.control.commands import ExportStream, ImportStream, InstallFlow
from kernels.control.layout import WorkerState
from kernels.control.mailbox import DROPS
from kernels.control.worker import Worker
from kernels.port.udp import UdpPort
from tests.kernels.rig import (
    ALICE,
    BOB,
    MALLORY,
    LocalTeam,
    balanced,
    bridge,
    endpoint,
    master_key,
    rtp,
    secure_bridge,
    session,
)

RING = 64  # records of a hand-off ring


@pytest.fixture
def team() -> LocalTeam:
    """A plain call of worker 0; sockets 0 (Alice) and 1 (Bob)."""
    made = LocalTeam()
    assert made.do(0, *bridge()) == [0, 0]
    return made


def arrive(team: LocalTeam, worker: int, *datagrams: bytes) -> None:
    for data in datagrams:
        team.ports[worker].inject(0, data, *ALICE)


def accounted(team: LocalTeam) -> bool:
    """Row of the issue: received = forwarded + punted + handed over + drops + interrupted, per worker; and no packet
    vanishes between them."""
    all_counters = [team.counters(worker) for worker in range(len(team.workers))]
    handed = sum(counters.get("handed_over", 0) for counters in all_counters)
    taken = sum(counters.get("taken_over", 0) for counters in all_counters)
    return handed == taken and all(balanced(counters, DROPS) for counters in all_counters)


@pytest.mark.malformed
def test_byte_exact_and_counted(team: LocalTeam) -> None:
    """Every length that a datagram may have; source and order are kept."""
    packets = [rtp(number, os.urandom(number * 41 % 1980)) for number in range(200)]
    sent = []
    for start in range(0, len(packets), 50):
        arrive(team, 1, *packets[start : start + 50])
        team.turn(1, 0)
        sent += team.ports[0].collect()
    assert sent == [(1, packet, BOB) for packet in packets]
    assert team.counters(1) | {"turns": 0, "busy_ns": 0, "work_ns": 0, "received_octets": 0} == {
        "received": 200, "handed_over": 200, "turns": 0, "busy_ns": 0, "work_ns": 0, "received_octets": 0,
    }  # fmt: skip
    assert (team.counters(0)["received"], team.counters(0)["taken_over"], team.counters(0)["forwarded"]) == (200,) * 3
    assert accounted(team)


def test_the_source_rule_sees_the_real_source(team: LocalTeam) -> None:
    team.ports[1].inject(0, rtp(1), *MALLORY)
    team.turn(1, 0)
    assert team.counters(0)["source"] == 1


def test_a_secure_packet_is_opened_by_its_owner() -> None:
    """In the owner's own frame: room for the tag is there, the context is only in one worker."""
    team = LocalTeam()
    assert team.do(0, *secure_bridge()) == [0] * 4
    phone_out, phone_in = session(master_key(0), True), session(master_key(1), False)
    sealed = phone_out.protect_rtp(rtp(7))
    assert isinstance(sealed, bytes)
    team.ports[1].inject(1, sealed, *BOB)
    arrive(team, 1, rtp(8))
    team.turn(1, 0)
    back, out = team.ports[0].collect()
    assert back == (0, rtp(7), ALICE)
    assert (out[0], phone_in.unprotect_rtp(out[1])) == (1, rtp(8))


def test_a_full_ring_is_a_named_drop(team: LocalTeam) -> None:
    arrive(team, 1, *(rtp(number) for number in range(RING + 10)))
    team.turn(1, 1, 0, 0)
    assert team.counters(1)["handoff_full"] == 10
    assert team.counters(0)["forwarded"] == RING
    assert accounted(team)
    arrive(team, 1, rtp(100))
    team.turn(1, 0)
    assert team.counters(0)["forwarded"] == RING + 1


def test_an_unknown_socket_is_no_hand_off(team: LocalTeam) -> None:
    team.ports[1].inject(99, rtp(1), *ALICE)
    team.turn(1, 0)
    assert team.counters(1)["no_flow"] == 1


def test_only_the_sleeper_is_rung(team: LocalTeam) -> None:
    """Awake: no system call. Asleep: once, however many packets come."""
    arrive(team, 1, rtp(1))
    team.turn(1)
    with pytest.raises(BlockingIOError):
        os.eventfd_read(team.doorbells[0])
    team.turn(0)
    team.poke(asleep(team, 0), b"\x01")
    arrive(team, 1, rtp(2), rtp(3))
    team.turn(1)
    arrive(team, 1, rtp(4))
    team.turn(1)
    assert os.eventfd_read(team.doorbells[0]) == 1
    assert team.peek(asleep(team, 0)) == b"\x00"


def asleep(team: LocalTeam, worker: int) -> int:
    """Where a worker says that it sleeps ."""
    return team.mailboxes[worker].regions()["asleep"]


def test_packets_wait_for_a_flow_that_is_on_its_way(team: LocalTeam) -> None:
    """Home says worker 1 is about to take the socket: what arrives anywhere waits in its rings, in order."""
    team.home(0, 1, moving=True)
    arrive(team, 0, rtp(1), rtp(2))
    team.turn(0, 1, 1)
    assert team.counters(1).get("taken_over", 0) == 0
    team.ports[0].inject(2, rtp(3), *ALICE)
    team.home(2, 1)
    team.turn(0, 1)
    assert team.counters(1)["no_flow"] == 1  # those behind go past
    team.home(2, 0)
    team.home(0, 0)  # it never went
    team.turn(1, 0)
    assert team.ports[0].collect() == [(1, rtp(1), BOB), (1, rtp(2), BOB)]
    assert (team.counters(1)["taken_over"], team.counters(1)["handed_over"]) == (3, 2)
    assert accounted(team)


def test_waiting_ends(team: LocalTeam) -> None:
    team.home(0, 1, moving=True)
    arrive(team, 1, rtp(1))  # at the worker that is to have it: it waits in its own ring
    team.turn(1)
    assert team.counters(1)["handed_over"] == 1
    assert team.counters(1).get("taken_over", 0) == 0
    time.sleep(0.25)  # longer than HANDOFF_WAIT_NS
    team.turn(1)
    assert team.counters(1)["handoff_late"] == 1
    assert accounted(team)


@pytest.mark.parametrize("victim", [0, 1])
def test_a_death_in_between_loses_no_account(team: LocalTeam, victim: int) -> None:
    """The ring keeps what the dead one had not taken."""
    arrive(team, 1, rtp(1), rtp(2), rtp(3))
    team.turn(1)
    team.restart(victim)
    team.turn(0)
    assert team.ports[0].collect() == [(1, rtp(number), BOB) for number in (1, 2, 3)]
    assert accounted(team)


def test_ring_positions_correct_the_counters(team: LocalTeam) -> None:
    """Worker 0 died between taking and counting: two packets were in flight, and are interrupted."""
    arrive(team, 1, rtp(1), rtp(2), rtp(3))
    team.turn(1)
    tail = team.mailboxes[0].regions()["taken_1"]
    team.poke(tail, (2).to_bytes(4, "little"))
    team.restart(0)
    team.turn(0)
    assert team.ports[0].collect() == [(1, rtp(3), BOB)]
    expected = {"received": 3, "taken_over": 3, "interrupted": 2, "forwarded": 1}
    assert {name: team.counters(0)[name] for name in expected} == expected
    assert accounted(team)


def test_a_full_lobby_keeps_the_rest_in_the_ring() -> None:
    """300 packets for a flow that is on its way: 256 in the lobby, the others in the ring; none lost, in order."""
    team = LocalTeam()
    team.do(0, *bridge())
    team.do(0, ExportStream(0, 7, 1, (0, 1, None, None), (None,) * 4))
    for start in range(0, 300, 50):
        arrive(team, 0, *(rtp(number) for number in range(start, start + 50)))
        team.turn(0, 1)
    assert team.counters(1).get("received", 0) == 0
    assert team.do(1, ImportStream(0, 7, (0, 1, None, None), (None,) * 4)) == [0]
    for _ in range(6):
        team.turn(1)
    assert team.ports[1].collect() == [(1, rtp(number), BOB) for number in range(300)]
    assert accounted(team)


def test_who_dies_with_a_full_lobby_loses_it_and_says_so(team: LocalTeam) -> None:
    team.home(0, 1, moving=True)
    arrive(team, 0, rtp(1), rtp(2))
    team.turn(0, 1)
    team.restart(1)
    team.turn(1)
    assert team.counters(1)["interrupted"] == 2
    assert accounted(team)


def test_a_worker_that_really_sleeps() -> None:
    """Two workers in threads over kernel sockets; worker 1 reads what is worker 0's. All of it arrives, byte for byte,
    though worker 0 sleeps between packets."""
    team = LocalTeam()
    sockets = [endpoint() for _ in range(2)]
    bob = endpoint()
    fds = [sockets[0].fileno(), sockets[1].fileno(), *[-1] * 30]
    ports = [UdpPort(fds, team.doorbells[0], range(0)), UdpPort(fds, team.doorbells[1], None)]
    team.workers = [Worker(team.arena, i, port, doorbells=team.doorbells) for i, port in enumerate(ports)]
    alice = endpoint()
    flows = [flow for flow in bridge() if isinstance(flow, InstallFlow)]
    flows = [replace(flows[0], remote=alice.getsockname()), replace(flows[1], remote=bob.getsockname())]
    assert team.do(0, *flows) == [0, 0]
    threads = [threading.Thread(target=worker.run) for worker in team.workers]
    for thread in threads:
        thread.start()
    try:
        for number in range(200):
            data = rtp(number, os.urandom(number))
            alice.sendto(data, sockets[0].getsockname())
            assert bob.recv(2000) == data
            time.sleep(0.002 * (number % 8 == 0))
    finally:
        for i, doorbell in enumerate(team.doorbells):
            team.arena.set_wanted(i, WorkerState.STATE_HALT)
            os.eventfd_write(doorbell, 1)
        for thread in threads:
            thread.join(5)
    assert (team.counters(1)["handed_over"], team.counters(0)["forwarded"]) == (200, 200)
    assert accounted(team)
