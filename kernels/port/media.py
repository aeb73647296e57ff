"""The XDP program as the holder drives it: local addresses, rings, banned sources, counters (bpf/media.bpf.c)."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Collection

from kernels.port import program as bpf
from kernels.port.banned import BannedSources, Network
from kernels.port.objects import read_object
from kernels.port.xsk import LONGEST

COUNTERS = ("to_ring", "passed_no_ring", "banned", "passed")
FIRST = bytes(4)


class MediaProgram:
    """One loaded program for all devices, with room for `rings` sockets. OSError."""

    def __init__(self, rings: int) -> None:
        self._object = bpf.Program(read_object("media"), "media", {"xsks": max(1, rings)})
        self.fd = self._object.program("media")
        self.id = bpf.program_id(self.fd)
        self._banned = BannedSources(self._object)
        self._write_settings()

    def set_local(
        self,
        ifindex: int,
        address: str,
        ports: range,
        vlans: tuple[int, ...],
        rings: int,
        queues: int,
        foreign: Collection[int] = (),
    ) -> None:
        """Datagrams to these ports of an address, arriving on queue q of a device, go to ring `rings + q`; those to
        `foreign` ports (other programs') to the kernel."""
        outer, inner = (*vlans, 0, 0)[:2]
        for port in foreign:
            bpf.update(self._object.map("foreign"), struct.pack("16sI", mapped(address), port), bytes(4))
        key = struct.pack("I16s", ifindex, mapped(address))
        value = struct.pack("HHHHIII", ports.start, ports.stop - 1, outer, inner, rings, queues, len(foreign))
        bpf.update(self._object.map("locals"), key, value)

    def set_ring(self, index: int, socket: int) -> None:
        """Who takes what is sent to ring `index`; the entry goes when the socket is closed."""
        bpf.update(self._object.map("xsks"), struct.pack("I", index), struct.pack("i", socket))

    def ban(self, network: Network) -> None:
        """Drop what comes from there. OSError: full (ENOSPC)."""
        self._banned.add(network)
        if len(self._banned) == 1:
            self._write_settings()

    def unban(self, network: Network) -> None:
        """Absent is no error."""
        self._banned.remove(network)
        if not self._banned:
            self._write_settings()

    def dropped(self, network: Network) -> int:
        """Frames of one banned network."""
        return self._banned.dropped(network)

    def total(self) -> int:
        """Frames of all, also of those who are free again."""
        return bpf.total(self._object.map("counters"), COUNTERS.index("banned"))

    def bans(self) -> dict[Network, int]:
        """Banned sources and how many frames of theirs were dropped."""
        return {network: self._banned.dropped(network) for network in self._banned}

    def counters(self) -> dict[str, int]:
        """Frames by verdict, over all CPUs."""
        return {name: bpf.total(self._object.map("counters"), i) for i, name in enumerate(COUNTERS)}

    def attach(self, ifindex: int, native: bool) -> int:
        """A link's descriptor; the program goes when it is closed, also by the holder's death. OSError."""
        return bpf.attach(self.fd, ifindex, bpf.XDP, bpf.NATIVE if native else bpf.GENERIC)

    def run(self, frame: bytes, ifindex: int, queue: int = 0) -> int:
        """What it would do with a frame (XDP_*)."""
        return bpf.run(self.fd, frame, ifindex, queue)[0]

    def close(self) -> None:
        """The links are the caller's."""
        self._object.close()

    def _write_settings(self) -> None:
        bpf.update(self._object.map("settings"), FIRST, struct.pack("II", LONGEST, len(self._banned)))


def mapped(address: str) -> bytes:
    """16 octets, IPv4 as ::ffff:a.b.c.d."""
    packed = ipaddress.ip_address(address).packed
    return packed if len(packed) == 16 else bytes(10) + b"\xff\xff" + packed
