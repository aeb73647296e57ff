"""All media sockets, opened once by the holder and inherited by the workers: one per port, or a wildcard
(kernels.port.steering) for all of them.

Socket number: `worker * sockets per worker + interface_index * share + (port - first port of the worker there)`. Each
interface has its range, of which each worker has its part; `share` is the largest of these parts.
"""

from __future__ import annotations

import contextlib
import errno
import resource
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from kernels.control.configuration import Configuration, Interface
from kernels.port.steering import SO_RCVBUFFORCE, SO_RXQ_OVFL, Steering, Wildcard, enlarge

SPARE_DESCRIPTORS = 128  # for everything that is no media socket
BUFFER = 256 * 1024  # octets each way: 20 ms of a 100 Mbit/s video burst; the kernel may grant less
UNBOUND = -1


@dataclass(slots=True)
class MediaSockets:
    """The open sockets: per worker, by socket number; -1 where another program holds the port."""

    interfaces: tuple[Interface, ...]
    ranges: tuple[tuple[range, ...], ...]  # by interface: ports of each worker
    fds: list[list[int]] = field(default_factory=list)
    busy: dict[str, list[int]] = field(default_factory=dict)
    shrunk: str = ""  # why there are fewer ports than configured
    steering: Steering | None = None  # then there are no descriptors by port
    why: str = ""  # this kind

    @property
    def share(self) -> int:
        """Socket numbers of one worker on one interface."""
        return max(len(shares[0]) for shares in self.ranges)

    @property
    def kind(self) -> str:
        """As the configuration's `port` names it."""
        return "udp-wildcard" if self.steering else "udp-sockets"

    @property
    def count(self) -> int:
        """Ports of all interfaces together."""
        return sum(len(ports) for shares in self.ranges for ports in shares)

    def wildcard(self, worker: int) -> Wildcard | None:
        """What the worker's port needs instead of descriptors by number; None: it needs those."""
        return self.steering.wildcard(worker) if self.steering else None

    def describe(self) -> dict[str, dict[str, object]]:
        """For the control process: interface -> address, ranges, busy ports."""
        return {
            interface.name: {
                "address": interface.address,
                "ports": [[ports.start, ports.stop] for ports in shares],
                "busy": self.busy.get(interface.name, []),
            }
            for interface, shares in zip(self.interfaces, self.ranges, strict=True)
        }


def divide(first: int, last: int, workers: int) -> tuple[range, ...]:
    """Contiguous shares of equal, even size, each from an even port on (RTP even, RTCP odd: RFC 3550 section 11)."""
    first += first % 2
    share = (last + 1 - first) // workers // 2 * 2
    return tuple(range(first + i * share, first + (i + 1) * share) for i in range(workers))


def raise_descriptor_limit(wanted: int) -> int:
    """Ask for `wanted` descriptors; what was granted."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = int(Path("/proc/sys/fs/nr_open").read_text())
    for limits in ((max(soft, wanted), max(hard, wanted)), (min(hard, max(soft, wanted)), hard)):
        with contextlib.suppress(ValueError, OSError):
            if max(limits) <= max(most, hard):
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
                break
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def open_media(configuration: Configuration) -> MediaSockets:
    """What `port` asks for, or a socket per port with the reason. A choice left to us is a socket per port as long as
    there are descriptors enough (the order of packets then survives a move of their call), else a wildcard.
    OSError when an address is not ours."""
    wanted = configuration.port
    if wanted == "udp-sockets" or (wanted != "udp-wildcard" and descriptors_suffice(configuration)):
        why = "a socket for each port"
    else:
        try:
            return open_wildcard(configuration)
        except OSError as error:
            why = f"a socket for each port: no wildcard: {error}"
    media = open_sockets(configuration)
    media.why = why
    return media


def descriptors_suffice(configuration: Configuration) -> bool:
    """Whether every port of every interface can have one."""
    wanted = _count(_divided(configuration)) + SPARE_DESCRIPTORS
    return raise_descriptor_limit(wanted) >= wanted


def _divided(configuration: Configuration, most: int = 65536) -> tuple[tuple[range, ...], ...]:
    """By interface, of whose ports at most the first `most` are taken: what each worker has."""
    return tuple(
        divide(first, min(last, first + first % 2 + most - 1), len(configuration.cores))
        for first, last in (interface.ports for interface in configuration.interfaces)
    )


def _count(ranges: Iterable[Iterable[range]]) -> int:
    return sum(len(ports) for shares in ranges for ports in shares)


def open_wildcard(configuration: Configuration) -> MediaSockets:
    """Every port of every interface behind one receiver for each worker and interface. OSError: not possible here."""
    interfaces = configuration.interfaces
    ranges = _divided(configuration)
    steering = Steering([one.address for one in interfaces], ranges)
    busy = {interfaces[index].name: sorted(ports) for index, ports in steering.busy.items() if ports}
    why = "a BPF program steers the media ports to one socket for each worker and interface"
    return MediaSockets(interfaces, ranges, [[] for _ in configuration.cores], busy, "", steering, why)


def open_sockets(configuration: Configuration) -> MediaSockets:
    """Open every port of every interface, as far as the descriptor limit goes. OSError when an address is not ours."""
    interfaces, ranges, shrunk = configuration.interfaces, _divided(configuration), ""
    wanted = _count(ranges)
    room = raise_descriptor_limit(wanted + SPARE_DESCRIPTORS) - SPARE_DESCRIPTORS
    if wanted > room:
        ranges = _divided(configuration, room // len(interfaces))
        shrunk = f"descriptor limit: {_count(ranges)} ports instead of {wanted}"
    media = MediaSockets(interfaces, ranges, [[] for _ in configuration.cores], {}, shrunk)
    for worker, fds in enumerate(media.fds):
        for interface, shares in zip(interfaces, ranges, strict=True):
            opened = [_open_or_note(interface, port, media.busy) for port in shares[worker]]
            fds += opened + [UNBOUND] * (media.share - len(opened))
    return media


def _open_or_note(interface: Interface, port: int, busy: dict[str, list[int]]) -> int:
    try:
        return open_socket(interface.address, port)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        busy.setdefault(interface.name, []).append(port)
        return UNBOUND


def open_socket(address: str, port: int) -> int:
    """One bound, non-blocking UDP socket; its descriptor."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as opened:
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        enlarge(opened, SO_RCVBUFFORCE, socket.SO_RCVBUF, BUFFER)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        opened.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
        opened.bind((address, port))
        return opened.detach()
