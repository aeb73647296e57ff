"""Workers over kernel sockets that are killed at any moment: the books stay exact (row B05; faults F2, F20)."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import time
from collections.abc import Iterator

import pytest

from kernels.control.arena import Arena, footprint
from kernels.control.commands import InstallFlow
from kernels.control.mailbox import DROPS, Mailbox
from kernels.control.sockets import open_socket
from kernels.control.worker import Worker
from kernels.port.steering import Steering
from kernels.port.udp import UdpPort, keep
from tests.kernels.rig import balanced, endpoint, rtp

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]
PORT, PAIRS, KILLS = 46300, 4, 150
TOLD = 100  # single reads ask for losses only now and then
HOST = "127.0.0.1"


class Rig:
    """One place for workers; flows to phones that nobody reads."""

    def __init__(self, wildcard: bool) -> None:
        count = 2 * PAIRS
        self.steering = Steering([HOST], [[range(PORT, PORT + count)]]) if wildcard else None
        self.fds = [] if wildcard else [open_socket(HOST, PORT + n) for n in range(count)]
        memory = os.memfd_create("test")
        os.ftruncate(memory, footprint(1, PAIRS, count))
        self.arena = Arena(memory)
        self.arena.format(1, PAIRS, count)
        self.doorbell = os.eventfd(0, os.EFD_NONBLOCK)
        (self.kept,) = keep(1, count)
        self.mailbox = Mailbox(self.arena, 0)
        self.sink = endpoint()
        for n in range(count):
            flow = InstallFlow(n, "x", n, True, True, self.sink.getsockname(), n ^ 1, n ^ 1, latching="once")
            self.mailbox.submit(flow, n)

    def worker(self) -> Worker:
        """The next one, in this process."""
        wildcard = self.steering.wildcard(0) if self.steering is not None else None
        port = UdpPort([*self.fds], self.doorbell, None if self.fds else range(0), wildcard, self.kept)
        return Worker(self.arena, 0, port)

    def start(self) -> int:
        """The next one, in a process of its own; its pid."""
        pid = os.fork()
        if pid == 0:
            with contextlib.suppress(BaseException):
                self.worker().run()
            os._exit(1)
        return pid

    def counters(self) -> dict[str, int]:
        """When a last worker has read all there was, and then `TOLD` more of each port: with those the kernel tells of
        losses before them."""
        worker = self.worker()
        self._settle(worker)
        with endpoint() as phone:
            for number in range(TOLD * 2 * PAIRS):
                phone.sendto(rtp(1), (HOST, PORT + number % (2 * PAIRS)))
        self._settle(worker)
        return self.mailbox.counters()

    def _settle(self, worker: Worker) -> None:
        before = -1
        while (now := self.mailbox.counters()["received"]) != before:
            before = now
            for _ in range(200):
                worker.turn()

    def close(self) -> None:
        if self.steering is not None:
            self.steering.close()
        for fd in self.fds:
            os.close(fd)


@pytest.fixture(params=[False, True], ids=["sockets", "wildcard"])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    made = Rig(request.param)
    yield made
    made.close()


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


@pytest.mark.row("B05")
def test_what_a_killed_worker_had_in_hand_is_named(rig: Rig) -> None:
    """150 workers are killed under load, many of them in the middle of recvmmsg or before they had counted: whatever
    was sent to us was received, or lost in a queue that overflowed, and what was in hand is `interrupted`."""
    chance = random.Random(1)
    phones = [endpoint() for _ in range(2 * PAIRS)]
    for phone in phones:
        phone.connect((HOST, PORT + phones.index(phone)))
    packet, sent = rtp(1), 0
    for _ in range(KILLS):
        pid = rig.start()
        until = time.monotonic() + 0.003 + 0.01 * chance.random()
        while time.monotonic() < until:
            for phone in phones:
                for _ in range(chance.choice((1, 1, 9))):
                    phone.send(packet)
                    sent += 1
        kill(pid)
    counters = rig.counters()
    assert counters["received"] + counters["overflows"] == sent + TOLD * 2 * PAIRS
    assert counters["interrupted"] > KILLS / 10
    assert balanced(counters, DROPS)


def test_losses_are_counted_once(rig: Rig) -> None:
    """The kernel tells a running number of each socket's losses; a successor goes on from what was counted."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.connect((HOST, PORT))
        sent = 0
        for _ in range(3):
            for _ in range(30_000):
                phone.send(b"\x80" * 1000)
            sent += 30_000
            pid = rig.start()
            before = -1
            while (now := rig.mailbox.counters()["received"]) != before:
                before = now
                time.sleep(0.05)
            kill(pid)
        counters = rig.counters()
    assert counters["overflows"] > 1000
    assert counters["received"] + counters["overflows"] == sent + TOLD * 2 * PAIRS
