"""TCP connections of banned sources: found and ended through the kernel's sock_diag (inet_diag.h). What drops packets
before a socket is looked up never sees these."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import struct
from collections.abc import Callable, Collection, Iterator

NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, SOCK_DESTROY = 4, 20, 21
NLM_REQUEST, NLM_ACK, NLM_DUMP, NLMSG_ERROR, NLMSG_DONE = 1, 4, 0x300, 2, 3
STATES = sum(1 << state for state in (1, 3, 4, 5, 8, 9))  # all that have a peer and are not over (tcp_states.h)
ID = struct.Struct("!2s2s16s16s12s")  # inet_diag_sockid: ports, addresses, interface and cookie
HEADER = struct.Struct("=IHHII")
RECEIVE = 1 << 16

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def close_connections(banned: Callable[[Address], bool], ports: Collection[int]) -> int:
    """End (RST) every TCP connection to one of our `ports` whose peer is banned; how many. OSError: not permitted
    (CAP_NET_ADMIN), or a kernel without CONFIG_INET_DIAG_DESTROY (EOPNOTSUPP)."""
    closed = 0
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_SOCK_DIAG) as link:
        link.settimeout(2)
        for family in (socket.AF_INET, socket.AF_INET6):
            found = [key for key, peer, port in _connections(link, family) if port in ports and banned(peer)]
            closed += sum(_destroy(link, family, key) for key in found)
    return closed


def _connections(link: socket.socket, family: int) -> Iterator[tuple[bytes, Address, int]]:
    """(kernel's key, peer, our port) of every connection."""
    link.send(_request(SOCK_DIAG_BY_FAMILY, NLM_REQUEST | NLM_DUMP, family, bytes(ID.size)))
    while True:
        data = link.recv(RECEIVE)
        while len(data) >= HEADER.size:
            octets, kind = HEADER.unpack_from(data)[:2]
            if kind == NLMSG_DONE:
                return
            if kind == NLMSG_ERROR:
                _raise(data)
            key = data[HEADER.size + 4 : HEADER.size + 4 + ID.size]
            own, _, _, peer, _ = ID.unpack(key)
            yield key, _address(peer, family), int.from_bytes(own)
            data = data[-(-octets // 4) * 4 :]


def _destroy(link: socket.socket, family: int, key: bytes) -> int:
    """1: ended; 0: it was gone already."""
    link.send(_request(SOCK_DESTROY, NLM_REQUEST | NLM_ACK, family, key))
    error = _error(link.recv(RECEIVE))
    if error and error != errno.ENOENT:
        raise OSError(error, f"connections cannot be ended: {os.strerror(error)}")
    return int(not error)


def _request(kind: int, flags: int, family: int, key: bytes) -> bytes:
    body = struct.pack("=BBxxI", family, socket.IPPROTO_TCP, STATES) + key
    return HEADER.pack(HEADER.size + len(body), kind, flags, 0, 0) + body


def _address(octets: bytes, family: int) -> Address:
    if family == socket.AF_INET:
        return ipaddress.IPv4Address(octets[:4])
    address = ipaddress.IPv6Address(octets)
    return address.ipv4_mapped or address


def _error(message: bytes) -> int:
    return -int(struct.unpack_from("=i", message, HEADER.size)[0])


def _raise(message: bytes) -> None:
    error = _error(message)
    raise OSError(error, f"connections cannot be listed: {os.strerror(error)}")
