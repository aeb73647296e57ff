"""The udp port under a worker in this process: bursts, order, grouping, truncation."""

from __future__ import annotations

import os
import time

import pytest

from kernels.control.arena import Arena, footprint
from kernels.control.commands import InstallFlow, Reply
from kernels.control.mailbox import DROPS, Mailbox
from kernels.control.sockets import open_socket
from kernels.control.worker import Worker
from kernels.port.udp import UdpPort
from tests.kernels.rig import balanced, drain, endpoint, rtp

PORT = 22300


class Rig:
    """Sockets PORT.. of 127.0.0.1, one phone behind each even one, bridged in pairs."""

    def __init__(self, pairs: int) -> None:
        self.fds = [open_socket("127.0.0.1", PORT + n) for n in range(2 * pairs)]
        self.phones = [endpoint() for _ in self.fds]
        memory = os.memfd_create("test")
        os.ftruncate(memory, footprint(1, pairs, len(self.fds)))
        self.arena = Arena(memory)
        self.arena.format(1, pairs, len(self.fds))
        self.doorbell = os.eventfd(0, os.EFD_NONBLOCK)
        self.worker = Worker(self.arena, 0, UdpPort([*self.fds], self.doorbell))
        self.mailbox = Mailbox(self.arena, 0)
        for n, phone in enumerate(self.phones):
            self.mailbox.submit(InstallFlow(n, "x", n, True, True, phone.getsockname(), n ^ 1, n ^ 1), n)
        while len(self.replies()) < len(self.fds):
            self.worker.turn()

    def replies(self) -> list[Reply]:
        if not hasattr(self, "_replies"):
            self._replies: list[Reply] = []
        self.mailbox.take(self._replies)  # type: ignore[arg-type]
        return self._replies

    def close(self) -> None:
        for fd in self.fds:
            os.close(fd)


def test_bursts_keep_order_and_content() -> None:
    """More datagrams than a batch, on many sockets and deep on one: all arrive, in order, from the right port."""
    rig = Rig(20)
    for n, phone in enumerate(rig.phones):
        for i in range(25):
            phone.sendto(rtp(i, bytes([n]) * (i + 1)), ("127.0.0.1", PORT + n))
    for _ in range(60):
        rig.worker.turn()
    for n, phone in enumerate(rig.phones):
        assert drain(phone, 0.01) == [rtp(i, bytes([n ^ 1]) * (i + 1)) for i in range(25)]
    counters = rig.mailbox.counters()
    assert counters["forwarded"] == 40 * 25
    assert balanced(counters, DROPS)
    rig.close()


def test_one_socket_is_read_deep() -> None:
    """Few sockets ready: several datagrams a system call, several turns for a long queue; sent as one chain."""
    rig = Rig(1)
    for i in range(100):
        rig.phones[0].sendto(rtp(i), ("127.0.0.1", PORT))
    turns = 0
    while rig.mailbox.counters()["forwarded"] < 100:
        rig.worker.turn()
        turns += 1
        assert turns < 50
    assert turns <= 100 / 8 + 2
    assert drain(rig.phones[1], 0.05) == [rtp(i) for i in range(100)]
    rig.close()


def test_datagrams_that_do_not_fit_and_empty_ones() -> None:
    rig = Rig(1)
    for size in (2000, 2001, 9000, 0):
        rig.phones[0].sendto(rtp(1, bytes(9000))[:size], ("127.0.0.1", PORT))
    rig.worker.turn()
    assert [len(data) for data in drain(rig.phones[1], 0.05)] == [2000]
    counters = rig.mailbox.counters()
    assert (counters["too_long"], counters["too_short"], counters["received"]) == (2, 1, 4)
    rig.close()


def test_refused_by_the_kernel() -> None:
    """An address that no route leads to: counted, the rest of the chain goes out."""
    rig = Rig(1)
    rig.mailbox.submit(InstallFlow(1, "x", 1, True, True, ("255.255.255.255", 9), 0, 0), 1)
    rig.worker.turn()
    for i in range(3):
        rig.phones[0].sendto(rtp(i), ("127.0.0.1", PORT))
    rig.worker.turn()
    assert rig.mailbox.counters()["send"] == 3
    assert balanced(rig.mailbox.counters(), DROPS)
    rig.close()


@pytest.mark.timeout(20)
def test_doorbell_wakes_the_worker() -> None:
    """Each ring once, though nobody reads it: then the worker sleeps again."""
    rig = Rig(1)
    for _ in range(3):
        os.eventfd_write(rig.doorbell, 1)
        rig.worker.turn(60_000)
        begun = time.monotonic()
        rig.worker.turn(50)
        assert time.monotonic() - begun > 0.04
    rig.close()
