"""The wildcard: one receiver and one raw sender per worker and local address instead of a socket for each port.

Opened by the holder while it is privileged (CAP_BPF, CAP_NET_ADMIN, CAP_NET_RAW); workers inherit descriptors and the
mapped steering table, and need no privilege. The descriptors here keep the BPF program attached to the network
namespace: when the last process that has them ends, it is gone.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import mmap
import os
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kernels.port.objects import read_object

STRIDE = 8  # octets of an entry of the steering table
BUFFER = 8 * 1024 * 1024  # octets a receiver may queue: it stands for all ports of a worker
SO_RCVBUFFORCE, SO_SNDBUFFORCE, SO_RXQ_OVFL = 33, 32, 40  # not in Python's socket module
IP_RECVORIGDSTADDR, IPV6_RECVORIGDSTADDR = 20, 74
MOST_ADDRESSES = 32
LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


@dataclass(frozen=True, slots=True)
class Wildcard:
    """One worker's part. Descriptors by interface; `steering` is shared by all."""

    worker: int
    workers: int
    ports: tuple[tuple[int, int], ...]  # by interface: first port, ports of one worker
    addresses: tuple[str, ...]
    receivers: tuple[int, ...]
    senders: tuple[int, ...]
    steering: mmap.mmap


class Steering:
    """Everything that is open for the wildcard of all workers. `busy`: interface index -> ports of other programs.

    OSError, with what failed: no privilege, no such address, not built (kernels.port.objects.NotBuilt).
    """

    def __init__(self, addresses: Sequence[str], ranges: Sequence[Sequence[range]]) -> None:
        """`ranges`: of each address, the ports of each worker."""
        if not 0 < len(addresses) <= MOST_ADDRESSES:
            raise OSError(errno.E2BIG, f"a wildcard has 1 to {MOST_ADDRESSES} addresses")
        self._addresses, self._ranges, self._workers = tuple(addresses), tuple(ranges), len(ranges[0])
        self._stride = max(_span(shares) for shares in ranges)
        self.busy = {
            index: busy_ports(address, ranges[index][0].start, _span(ranges[index]))
            for index, address in enumerate(addresses)
        }
        with contextlib.ExitStack() as opened:
            pairs = [(address, opened) for _ in range(self._workers) for address in addresses]
            self._receivers = [open_receiver(*pair) for pair in pairs]
            self._senders = [open_sender(*pair) for pair in pairs]
            self._steer(opened)
            self._opened = opened.pop_all()

    def wildcard(self, worker: int) -> Wildcard:
        """What worker `worker` gives to its port."""
        width = len(self._addresses)
        part = slice(worker * width, (worker + 1) * width)
        return Wildcard(
            worker, self._workers, tuple((shares[0].start, len(shares[0])) for shares in self._ranges), self._addresses,
            tuple(self._receivers[part]), tuple(self._senders[part]), self._table,
        )  # fmt: skip

    def close(self) -> None:
        """Give everything back; the program leaves the namespace."""
        self._opened.close()

    def _steer(self, opened: contextlib.ExitStack) -> None:
        data = read_object("sk_lookup")
        from kernels.port.program import SK_LOOKUP, Program, attach, update

        entries = len(self._addresses) * self._stride
        program = Program(data, "sk_lookup", {"ports": entries, "receivers": len(self._receivers)})
        opened.callback(program.close)
        for key, receiver in enumerate(self._receivers):
            update(program.map("receivers"), struct.pack("=I", key), struct.pack("=Q", receiver))
        for index, address in enumerate(self._addresses):
            shares = self._ranges[index]
            local = struct.pack("=III", index, shares[0].start, _span(shares))
            update(program.map("locals"), mapped(address), local)
        self._table = mmap.mmap(program.map("ports"), STRIDE * entries)
        self._fill()
        first = min(shares[0].start for shares in self._ranges)
        last = max(shares[-1].stop for shares in self._ranges)
        settings = struct.pack("=IIII", first, last - first, self._stride, len(self._addresses))
        update(program.map("settings"), bytes(4), settings)  # last: until now nothing is steered
        with Path("/proc/self/ns/net").open("rb") as namespace:
            opened.callback(os.close, attach(program.program("steer"), namespace.fileno(), SK_LOOKUP))

    def _fill(self) -> None:
        for index, shares in enumerate(self._ranges):
            for worker, ports in enumerate(shares):
                for port in ports:
                    owner = 0 if port in self.busy[index] else worker + 1
                    place = STRIDE * (index * self._stride + port - shares[0].start)
                    self._table[place : place + STRIDE] = struct.pack("=Q", owner)


def _span(shares: Sequence[range]) -> int:
    """Ports of all workers; each has as many as the others."""
    return sum(map(len, shares))


def mapped(address: str) -> bytes:
    """16 octets; IPv4 as ::ffff:a.b.c.d."""
    found = ipaddress.ip_address(address)
    return found.packed if found.version == 6 else bytes(10) + b"\xff\xff" + found.packed


def family_of(address: str) -> socket.AddressFamily:
    """Of a literal address."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def busy_ports(address: str, first: int, span: int) -> set[int]:
    """Ports that another program holds, found by binding each for a moment. OSError: the address is not ours."""
    busy = set()
    for port in range(first, first + span):
        with socket.socket(family_of(address), socket.SOCK_DGRAM) as probe:
            if probe.family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                busy.add(port)
    return busy


def open_receiver(address: str, opened: contextlib.ExitStack) -> int:
    """A socket that is bound to loopback, for what is steered to it comes whatever its own name; its descriptor."""
    family = family_of(address)
    made = opened.enter_context(socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK))
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, 1)
    else:
        made.setsockopt(socket.IPPROTO_IP, IP_RECVORIGDSTADDR, 1)
    enlarge(made, SO_RCVBUFFORCE, socket.SO_RCVBUF)
    made.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
    made.bind((LOOPBACK[family], 0))
    return made.fileno()


def open_sender(address: str, opened: contextlib.ExitStack) -> int:
    """A raw socket that takes whole packets (both families: IPPROTO_RAW) and receives nothing; its descriptor."""
    made = opened.enter_context(
        socket.socket(family_of(address), socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.IPPROTO_RAW)
    )
    enlarge(made, SO_SNDBUFFORCE, socket.SO_SNDBUF)
    made.bind((address, 0))
    return made.fileno()


def enlarge(made: socket.socket, forced: int, asked: int, octets: int = BUFFER) -> None:
    """As large a buffer as we may have: beyond the system's limit only with CAP_NET_ADMIN."""
    try:
        made.setsockopt(socket.SOL_SOCKET, forced, octets)
    except PermissionError:
        made.setsockopt(socket.SOL_SOCKET, asked, octets)
