"""Which network device owns a local address: asked of the kernel through a route socket, no threads, no library."""

from __future__ import annotations

import array
import fcntl
import ipaddress
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

RTM_GETLINK, RTM_GETADDR, NLM_REQUEST_DUMP, NLMSG_ERROR, NLMSG_DONE = 18, 22, 0x301, 2, 3
IFLA_IFNAME, IFLA_LINK, IFLA_LINKINFO, IFLA_INFO_KIND, IFLA_INFO_DATA, IFLA_VLAN_ID = 3, 5, 18, 1, 2, 1
IFA_ADDRESS, IFA_LOCAL = 1, 2
IFF_UP, IFF_LOOPBACK, IFF_RUNNING = 0x1, 0x8, 0x40
SIOCGIFFLAGS, SIOCETHTOOL, ETHTOOL_GCHANNELS = 0x8913, 0x8946, 0x3C
GROUP_LINK = 1


@dataclass(frozen=True, slots=True)
class Device:
    """A device whose rings we may use, and the VLAN tags that frames to the address carry on it."""

    name: str
    ifindex: int
    queues: int
    vlans: tuple[int, ...] = ()  # outer first


@dataclass(frozen=True, slots=True)
class _Link:
    index: int
    name: str
    flags: int
    parent: int
    kind: str
    vlan: int


def find_device(address: str) -> Device:
    """The device of a local address; of a VLAN's its parent. OSError with the reason when rings cannot serve it."""
    links = {link.index: link for link in _links()}
    wanted = ipaddress.ip_address(address).packed
    index = next((index for index, found in _addresses() if found == wanted), 0)
    if index not in links:
        raise OSError(f"{address} is on no device")
    link = links[index]
    vlans: list[int] = []
    while link.kind == "vlan" and link.parent in links and len(vlans) < 2:
        vlans.insert(0, link.vlan)
        link = links[link.parent]
    if link.flags & IFF_LOOPBACK:
        raise OSError(f"{address} is on the loopback device")
    return Device(link.name, link.index, queue_count(link.name), tuple(vlans))


def local_addresses() -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """Every address of this network namespace, on whatever device. OSError."""
    return [ipaddress.ip_address(octets) for _, octets in _addresses() if len(octets) in (4, 16)]


def running(device: str) -> bool:
    """Is the link up with a carrier? OSError when the device is gone."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        answer = fcntl.ioctl(probe, SIOCGIFFLAGS, struct.pack("16sH22x", device.encode(), 0))
    flags = struct.unpack_from("H", answer, 16)[0]
    return bool(flags & IFF_UP and flags & IFF_RUNNING)


def queue_count(device: str) -> int:
    """Receive queues in use (ETHTOOL_GCHANNELS); 1 where the driver does not say."""
    channels = array.array("I", [ETHTOOL_GCHANNELS, *([0] * 8)])
    request = struct.pack("16sP16x", device.encode(), channels.buffer_info()[0])
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            fcntl.ioctl(probe, SIOCETHTOOL, request)
    except OSError:
        return 1
    return max(1, channels[5] + channels[8])  # rx_count, combined_count


def link_events() -> socket.socket:
    """A socket that is readable whenever a link changed; reading it empties it."""
    events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
    events.bind((0, GROUP_LINK))
    return events


def _links() -> Iterator[_Link]:
    for body in _dump(RTM_GETLINK, struct.pack("BxHiII", 0, 0, 0, 0, 0)):
        index, flags = struct.unpack_from("iI", body, 4)
        found = dict(_attributes(body, 16))
        info = dict(_attributes(found.get(IFLA_LINKINFO, b""), 0))
        kind = info.get(IFLA_INFO_KIND, b"").rstrip(b"\0").decode()
        data = dict(_attributes(info.get(IFLA_INFO_DATA, b""), 0)) if kind == "vlan" else {}
        parent = int.from_bytes(found.get(IFLA_LINK, b""), "little")
        vlan = int.from_bytes(data.get(IFLA_VLAN_ID, b""), "little")
        yield _Link(index, found[IFLA_IFNAME].rstrip(b"\0").decode(), flags, parent, kind, vlan)


def _addresses() -> Iterator[tuple[int, bytes]]:
    for body in _dump(RTM_GETADDR, struct.pack("BxxxI", 0, 0)):
        found = dict(_attributes(body, 8))
        yield struct.unpack_from("I", body, 4)[0], found.get(IFA_LOCAL, found.get(IFA_ADDRESS, b""))


def _dump(kind: int, body: bytes) -> Iterator[bytes]:
    """Bodies of the answers to one dump request."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
        netlink.settimeout(2)
        netlink.send(struct.pack("IHHII", 16 + len(body), kind, NLM_REQUEST_DUMP, 1, 0) + body)
        while True:
            data = netlink.recv(1 << 16)
            while len(data) >= 16:
                length, answer = struct.unpack_from("IH", data)
                if answer == NLMSG_DONE:
                    return
                if answer == NLMSG_ERROR or length < 16:
                    raise OSError("the kernel does not list its devices")
                yield data[16:length]
                data = data[(length + 3) & ~3 :]


def _attributes(data: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("HH", data, at)
        if length < 4:
            return
        yield kind & 0x3FFF, data[at + 4 : at + length]
        at += (length + 3) & ~3
