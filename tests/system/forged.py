"""SIP over UDP from addresses that are not ours (raw sockets: root), IPv4 and IPv6; nothing comes back to us."""

from __future__ import annotations

import secrets
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

Source = IPv4Address | IPv6Address

SIP_PORT, HOPS = 5060, 64


def request(source: Source, method: str) -> bytes:
    """A well-formed request outside any dialog."""
    host = f"[{source}]" if source.version == 6 else str(source)
    tag = ";tag=x" if method in ("BYE", "ACK") else ""
    return (
        f"{method} sip:1000@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {host}:5060;branch=z9hG4bK{secrets.token_hex(6)}\r\n"
        f"Max-Forwards: 70\r\nFrom: <sip:a@{host}>;tag=1\r\nTo: <sip:1000@127.0.0.1>{tag}\r\n"
        f"Call-ID: {secrets.token_hex(6)}\r\nCSeq: 1 {method}\r\nContact: <sip:a@{host}>\r\nContent-Length: 0\r\n\r\n"
    ).encode()


def datagram(source: Source, target: Source, port: int, body: bytes) -> bytes:
    """IP and UDP headers (RFC 791, RFC 8200, RFC 768) and `body`. The kernel fills in IPv4's checksum, and UDP over
    IPv4 needs none; over IPv6 it does."""
    length = 8 + len(body)
    udp = struct.pack("!HHHH", SIP_PORT, port, length, 0) + body
    if source.version == 4:
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0, HOPS, socket.IPPROTO_UDP, 0)
        return head + source.packed + target.packed + udp
    ends = source.packed + target.packed
    udp = udp[:6] + struct.pack("!H", _checksum(ends + struct.pack("!II", length, socket.IPPROTO_UDP) + udp)) + udp[8:]
    return struct.pack("!IHBB", 6 << 28, length, socket.IPPROTO_UDP, HOPS) + ends + udp


def _checksum(data: bytes) -> int:
    """RFC 1071; 0 stands for "none" in UDP and is sent as 0xFFFF."""
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF or 0xFFFF


@dataclass(frozen=True)
class Forger:
    """Sends to one UDP port of this host, on 127.0.0.1 and ::1."""

    port: int
    v4: socket.socket
    v6: socket.socket

    def send(self, source: Source, method: str = "OPTIONS") -> None:
        body = request(source, method)
        if source.version == 4:
            self.v4.sendto(datagram(source, IPv4Address("127.0.0.1"), self.port, body), ("127.0.0.1", 0))
        else:
            self.v6.sendto(datagram(source, IPv6Address("::1"), self.port, body), ("::1", 0))


@contextmanager
def forger(port: int) -> Iterator[Forger]:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as v4,
        socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW) as v6,
    ):
        yield Forger(port, v4, v6)
