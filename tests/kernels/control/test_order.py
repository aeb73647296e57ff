"""Commands and injected datagrams go down by two rings and are carried out in one order: the control process's."""

from __future__ import annotations

import os
import random

import pytest

from kernels.control.commands import Command, Reply
from kernels.control.commands import InstallFlow as Install
from kernels.control.commands import RemoveFlow as Remove
from kernels.control.errors import RingFull
from tests.kernels.rig import ALICE, BOB, LocalPlane

pytestmark = pytest.mark.row("D03", "DTLS-4")
ALERT = b"\x15\xfe\xfd an alert"


def flow(slot: int) -> Install:
    return Install(slot, "memory", slot, True, True, ALICE, dtls=True)


class Down:
    """The control process's side; `wanted` is what must leave: (socket, data)."""

    def __init__(self, plane: LocalPlane) -> None:
        self.plane, self.flows = plane, set[int]()
        self.wanted: list[tuple[int, bytes]] = []
        self.failed = 0

    def submit(self, command: Command) -> None:
        self.plane.mailbox.submit(command, command.port if isinstance(command, Install) else None)
        if isinstance(command, Install):
            self.flows.add(command.slot)
        elif isinstance(command, Remove):
            self.flows.discard(command.slot)

    def inject(self, slot: int, data: bytes) -> None:
        self.plane.mailbox.inject(slot, data, *BOB)
        if slot in self.flows:
            self.wanted.append((slot, data))
        else:
            self.failed += 1

    def settle(self) -> None:
        for _ in range(300):
            self.plane.worker.turn()
        self.plane.mailbox.take([])


def test_an_alert_leaves_before_its_port_goes() -> None:
    plane = LocalPlane()
    assert plane.do(flow(0)) == [0]
    down = Down(plane)
    down.flows = {0}
    down.inject(0, ALERT)
    down.submit(Remove(0))
    plane.worker.turn()
    assert plane.port.collect() == [(0, ALERT, BOB)]
    assert plane.mailbox.flows() == []


def test_a_datagram_waits_for_all_commands_before_it() -> None:
    """More than are carried out in a turn: it does not overtake the one that makes its flow."""
    plane = LocalPlane()
    down = Down(plane)
    for slot in range(12):
        down.submit(flow(slot))
    down.inject(11, ALERT)
    plane.worker.turn()
    assert plane.port.collect() == []
    plane.worker.turn()
    assert plane.port.collect() == [(11, ALERT, BOB)]


@pytest.mark.parametrize("seed", range(20))
def test_any_order_is_kept(seed: int) -> None:
    """Flows come and go with datagrams in between, the worker takes them whenever it likes or is replaced, the rings
    run full: what leaves is what an observer of the control process expects, in its order."""
    chance = random.Random(seed)
    plane = LocalPlane()
    down = Down(plane)
    sent: list[tuple[int, bytes]] = []
    for number in range(1500):
        slot = chance.randrange(3)
        try:
            match chance.randrange(5):
                case 0:
                    down.submit(flow(slot))
                case 1:
                    down.submit(Remove(slot))
                case _:
                    down.inject(slot, ALERT + b"%d" % number)
        except RingFull:
            plane.worker.turn()
        if not chance.randrange(40):
            for _ in range(chance.randrange(8)):
                plane.worker.turn()
            plane.mailbox.take([])
        if not chance.randrange(300):
            sent += [(at, data) for at, data, _ in plane.port.collect()]
            plane.start()
    down.settle()
    sent += [(at, data) for at, data, _ in plane.port.collect()]
    assert sent == down.wanted
    counters = plane.counters()
    assert (counters["injected"], counters.get("inject_failed", 0)) == (len(down.wanted), down.failed)


def test_positions_that_wrap() -> None:
    """Ring positions are modulo 2^32."""
    plane = LocalPlane()
    assert plane.do(flow(0)) == [0]
    head = plane.mailbox.regions()["injects"]
    for position in (head, head + 64):  # head and tail of the ring
        os.pwrite(plane.fd, (2**32 - 2).to_bytes(4, "little"), position)
    down = Down(plane)
    down.flows = {0}
    for number in range(5):
        down.inject(0, ALERT + b"%d" % number)
        down.submit(Remove(0))
        down.submit(flow(0))
        plane.worker.turn()
    down.settle()
    assert [(at, data) for at, data, _ in plane.port.collect()] == down.wanted


def test_replies_that_nobody_reads_hold_both() -> None:
    """Commands wait for room to reply, and so does what comes after them; both go on when there is room."""
    plane = LocalPlane()
    down = Down(plane)
    for number in range(3):
        for _ in range(1000 if number < 2 else 60):
            down.submit(Remove(5))
        for _ in range(130):
            plane.worker.turn()
    down.submit(flow(0))
    down.inject(0, ALERT)
    for _ in range(5):
        plane.worker.turn()
    assert plane.port.collect() == []
    replies: list[Reply] = []
    plane.mailbox.take(replies)  # type: ignore[arg-type]
    assert len(replies) == 2048
    down.settle()
    assert plane.port.collect() == [(0, ALERT, BOB)]
