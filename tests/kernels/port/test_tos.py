"""The TOS / traffic class octet of what leaves, as the receiving kernel reports it (IP_RECVTOS, IPV6_RECVTCLASS)."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterator

import pytest

from kernels.control.arena import Arena, footprint
from kernels.control.commands import InstallFlow
from kernels.control.mailbox import Mailbox
from kernels.control.sockets import open_socket
from kernels.control.worker import Worker
from kernels.port.steering import Steering
from kernels.port.udp import UdpPort
from tests.kernels.rig import endpoint, rtp

PORT = 41500
EF, AF41 = 0xB8, 0x88  # RFC 3246, RFC 2597: DSCP in the upper six bits
IPV6_RECVTCLASS, IPV6_TCLASS = 66, 67


class Rig:
    """Two bridged ports; the phones behind them ask for the TOS octet of what they get."""

    def __init__(self, address: str, port: UdpPort, tos: tuple[int, int]) -> None:
        self.address = address
        self.phones = [endpoint(address), endpoint(address)]
        for phone in self.phones:
            if ":" in address:
                phone.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVTCLASS, 1)
            else:
                phone.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
        memory = os.memfd_create("test")
        os.ftruncate(memory, footprint(1, 1, 2))
        arena = Arena(memory)
        arena.format(1, 1, 2)
        self.worker, self.mailbox = Worker(arena, 0, port), Mailbox(arena, 0)
        self.install(tos)

    def install(self, tos: tuple[int, int]) -> None:
        for n, phone in enumerate(self.phones):
            remote = phone.getsockname()[:2]
            flow = InstallFlow(n, "x", n, True, True, remote, n ^ 1, n ^ 1, latching="off", tos=tos[n])
            self.mailbox.submit(flow, n)
            self.worker.turn()

    def marks(self, receiver: int, *lengths: int) -> set[int]:
        """Packets of these lengths to one phone; the octets they came with."""
        for i, length in enumerate(lengths):
            self.phones[receiver ^ 1].sendto(rtp(i, bytes(length)), (self.address, PORT + (receiver ^ 1)))
        for _ in lengths:
            self.worker.turn(1)
        found = []
        for _ in lengths:
            _, control, _, _ = self.phones[receiver].recvmsg(2000, 64)
            found += [data[0] for _, kind, data in control if kind in (socket.IP_TOS, IPV6_TCLASS)]
        assert len(found) == len(lengths)
        return set(found)


@contextlib.contextmanager
def by_sockets(address: str, tos: tuple[int, int]) -> Iterator[Rig]:
    fds = [open_socket(address, PORT + n) for n in range(2)]
    yield Rig(address, UdpPort([*fds], os.eventfd(0, os.EFD_NONBLOCK)), tos)
    for fd in fds:
        os.close(fd)


@contextlib.contextmanager
def by_wildcard(address: str, tos: tuple[int, int]) -> Iterator[Rig]:
    steering = Steering([address], [[range(PORT, PORT + 2)]])
    yield Rig(address, UdpPort([], os.eventfd(0, os.EFD_NONBLOCK), range(0), steering.wildcard(0)), tos)
    steering.close()


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_kernel_sockets(address: str) -> None:
    """peers 1.2 TOS: per leg; one packet, bursts of equal ones (UDP_SEGMENT) and unequal ones; off at once."""
    with by_sockets(address, (EF, AF41)) as rig:
        assert rig.marks(0, 100) == {EF}
        assert rig.marks(1, *[100] * 40) == {AF41}
        assert rig.marks(0, *range(20, 300, 7)) == {EF}
        rig.install((0, AF41))
        assert rig.marks(0, *[100] * 30) == {0}
        assert rig.marks(0, *range(20, 300, 7)) == {0}
        assert rig.marks(1, 100, 200, 100) == {AF41}


@pytest.mark.system
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_wildcard(address: str) -> None:
    """peers 1.2 TOS: in the header that we write."""
    with by_wildcard(address, (EF, AF41)) as rig:
        assert rig.marks(0, *[100] * 5) == {EF}
        assert rig.marks(1, 20, 300) == {AF41}
        rig.install((0, 0))
        assert rig.marks(0, *[100] * 5) == {0}


def test_injected_datagrams_are_marked_too() -> None:
    """A handshake on a media port has the octet of its leg."""
    with by_sockets("127.0.0.1", (EF, 0)) as rig:
        rig.mailbox.inject(0, b"\x16 a handshake", *rig.phones[0].getsockname()[:2])
        rig.worker.turn()
        data, control, _, _ = rig.phones[0].recvmsg(2000, 64)
        assert data == b"\x16 a handshake"
        assert [struct.unpack("B", mark[:1])[0] for _, _, mark in control] == [EF]
