"""The wildcard under workers in this process: both families, foreign ports, oversize, checksums, errors, moves."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernels.control.arena import Arena, footprint
from kernels.control.commands import InstallFlow
from kernels.control.mailbox import DROPS, Mailbox
from kernels.control.sockets import divide
from kernels.control.worker import Worker
from kernels.port.steering import Steering, Wildcard, busy_ports
from kernels.port.udp import UdpPort
from tests.kernels.rig import balanced, drain, endpoint, rtp

pytestmark = pytest.mark.system
PORT = 22600


class Rig:
    """One worker with `pairs` bridges on 127.0.0.1 or ::1, a phone behind each leg."""

    def __init__(self, address: str, pairs: int) -> None:
        self.address, count = address, 2 * pairs
        self.steering = Steering([address], [[range(PORT, PORT + count)]])
        self.phones = [endpoint(address) for _ in range(count)]
        memory = os.memfd_create("test")
        os.ftruncate(memory, footprint(1, pairs, count))
        self.arena = Arena(memory)
        self.arena.format(1, pairs, count)
        port = UdpPort([], os.eventfd(0, os.EFD_NONBLOCK), range(0), self.steering.wildcard(0))
        self.worker, self.mailbox = Worker(self.arena, 0, port), Mailbox(self.arena, 0)
        for n, phone in enumerate(self.phones):
            self.install(n, phone.getsockname()[:2])

    def install(self, n: int, remote: tuple[str, int]) -> None:
        self.mailbox.submit(InstallFlow(n, "x", n, True, True, remote, n ^ 1, n ^ 1, latching="off"), n)
        self.worker.turn()

    def send(self, n: int, data: bytes) -> None:
        self.phones[n].sendto(data, (self.address, PORT + n))


@pytest.fixture(params=["127.0.0.1", "::1"])
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    yield str(request.param)


@pytest.fixture
def rig(address: str) -> Iterator[Rig]:
    made = Rig(address, 20)
    yield made
    made.steering.close()


def test_many_ports_keep_order_content_and_source(rig: Rig) -> None:
    """Odd and even lengths arrive at a normal socket, which checks the UDP checksum, from the right port."""
    for n in range(40):
        for i in range(25):
            rig.send(n, rtp(i, bytes([n, 255]) * i + b"x" * (n % 2)))
    for _ in range(60):
        rig.worker.turn()
    for n, phone in enumerate(rig.phones):
        source = phone.recvfrom(2000, socket.MSG_PEEK)[1][:2]
        assert source == (rig.address, PORT + n)
        p = n ^ 1
        assert drain(phone, 0.01) == [rtp(i, bytes([p, 255]) * i + b"x" * (p % 2)) for i in range(25)]
    assert rig.mailbox.counters()["forwarded"] == 1000
    assert balanced(rig.mailbox.counters(), DROPS)


def test_datagrams_that_do_not_fit(rig: Rig) -> None:
    for size in (2000, 2001, 9000, 0):
        rig.send(0, rtp(1, bytes(9000))[:size])
    rig.worker.turn()
    assert [len(data) for data in drain(rig.phones[1], 0.05)] == [2000]
    counters = rig.mailbox.counters()
    assert (counters["too_long"], counters["too_short"], counters["received"]) == (2, 1, 4)


def test_an_icmp_error_hurts_nobody_else(rig: Rig) -> None:
    """A phone whose port is closed (ICMP port unreachable): all the others get everything."""
    rig.phones[1].close()
    for i in range(10):
        rig.send(0, rtp(i))
        rig.send(2, rtp(i))
        rig.worker.turn()
    assert drain(rig.phones[3], 0.05) == [rtp(i) for i in range(10)]
    assert rig.mailbox.counters()["send"] == 0


def test_a_port_of_another_program_stays_its_own(address: str) -> None:
    """It was bound before: the wildcard knows it as busy, and what is sent there reaches its owner."""
    owner = endpoint(address, PORT + 3)
    rig = Rig(address, 4)
    try:
        assert rig.steering.busy == {0: {PORT + 3}}
        rig.send(3, b"for the owner")
        rig.send(2, rtp(1))
        rig.worker.turn()
        assert drain(owner, 0.05) == [b"for the owner"]
        assert rig.mailbox.counters()["received"] == 1
    finally:
        rig.steering.close()
        owner.close()


def test_nothing_is_left_when_it_is_closed(address: str) -> None:
    """Ports are free, packets go to whoever binds them."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    Steering([address], [[range(PORT, PORT + 8)]]).close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert busy_ports(address, PORT, 8) == set()
    with endpoint(address, PORT) as owner:
        owner.sendto(b"self", owner.getsockname())
        assert owner.recv(10) == b"self"


def test_the_receivers_own_port_is_no_way_in(rig: Rig) -> None:
    """A local program that writes to the receiver's loopback port: dropped by name."""
    with socket.socket(fileno=os.dup(rig.steering.wildcard(0).receivers[0])) as receiver:
        rig.phones[0].sendto(rtp(1), receiver.getsockname())
    rig.worker.turn()
    assert rig.mailbox.counters()["no_flow"] == 1
    assert balanced(rig.mailbox.counters(), DROPS)


def test_the_receivers_own_port_is_no_way_into_a_flow_of_that_number() -> None:
    """Its number lies in the media range, where a call of another address lives: the address decides."""
    ports = range(*map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()))
    steering = Steering(["127.0.0.9"], [[ports]])
    memory = os.memfd_create("test")
    os.ftruncate(memory, footprint(1, 1, len(ports)))
    arena = Arena(memory)
    arena.format(1, 1, len(ports))
    wildcard = steering.wildcard(0)
    worker = Worker(arena, 0, UdpPort([], os.eventfd(0, os.EFD_NONBLOCK), range(0), wildcard))
    mailbox = Mailbox(arena, 0)
    with socket.socket(fileno=os.dup(wildcard.receivers[0])) as receiver, endpoint("127.0.0.1") as phone:
        host, port = receiver.getsockname()
        mailbox.submit(
            InstallFlow(0, "x", port, True, True, phone.getsockname(), 0, 0, latching="off"), port - ports.start
        )
        worker.turn()
        for local in (host, "127.0.0.9"):
            phone.sendto(rtp(1), (local, port))
            worker.turn()
    counters = mailbox.counters()
    assert (counters["no_flow"], counters["forwarded"]) == (1, 1) and balanced(counters, DROPS)
    steering.close()


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_each_worker_gets_its_ports(workers: int) -> None:
    """Several addresses, each with ports of its own, several workers: the entry of every port leads to the right
    receiver."""
    addresses = ["127.0.0.1", "127.0.0.2", "::1"]
    ranges = [divide(PORT + 40 * n, PORT + 40 * n + 29 - 10 * n, workers) for n in range(len(addresses))]
    steering = Steering(addresses, ranges)
    try:
        for worker in range(workers):
            for index, address in enumerate(addresses):
                ports = ranges[index][worker]
                with endpoint(address) as phone:
                    for port in ports:
                        phone.sendto(str(port).encode(), (address, port))
                got = _drained(steering.wildcard(worker), index)
                assert got == [str(port).encode() for port in ports]
    finally:
        steering.close()


def _drained(wildcard: Wildcard, index: int) -> list[bytes]:
    with socket.socket(fileno=os.dup(wildcard.receivers[index])) as receiver:
        found = []
        while True:
            try:
                found.append(receiver.recv(100, socket.MSG_DONTWAIT))
            except BlockingIOError:
                return found


def test_refused_by_the_kernel() -> None:
    """An address of the other family, and one that no route leads to: counted, the rest goes out."""
    rig = Rig("127.0.0.1", 2)
    try:
        rig.install(1, ("::1", 9))
        rig.install(3, ("255.255.255.255", 9))
        for i in range(3):
            for n in (0, 1, 2):
                rig.send(n, rtp(i))
        rig.worker.turn()
        assert rig.mailbox.counters()["send"] == 6
        assert balanced(rig.mailbox.counters(), DROPS)
    finally:
        rig.steering.close()


LONG = """
from tests.kernels.port.test_wildcard import Rig, drain, rtp
rig = Rig("{address}", 20)
for i in range(3):
    for n in (0, 2, 34):  # 2 and 34 leave by ports 3 and 35: the same spare place
        rig.send(n, rtp(i, bytes([n]) * 1800))
        rig.send(n, rtp(i, b"short"))
    rig.worker.turn()
for n in (0, 2, 34):
    got = drain(rig.phones[n + 1], 0.05)
    want = [data for i in range(3) for data in (rtp(i, bytes([n]) * 1800), rtp(i, b"short"))]
    assert sorted(got) == sorted(want), (n, [len(data) for data in got])
counters = rig.mailbox.counters()
assert (counters["send"], counters["forwarded"]) == (0, 18), counters
print("all came")
"""


def test_longer_than_the_path_takes(address: str) -> None:
    """EMSGSIZE from the raw sender: a socket bound to the port sends it in fragments; short ones are not disturbed,
    what arrives for that port still comes to the receiver, and sockets that share a spare's place take turns."""
    setup = "ip link set lo mtu 1280 && ip link set lo up && exec $0 -c \"$1\""
    command = ["unshare", "--net", "sh", "-c", setup, sys.executable, LONG.format(address=address)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "all came\n", done.stderr
