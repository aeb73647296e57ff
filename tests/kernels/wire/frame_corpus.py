"""Frames for the reader (kernels/wire/frame.pxd) and the XDP program, and what is right to do with each.

Built octet by octet from the RFCs, with checksums of its own: nothing of the code under test is used.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

HERE4, FAR4 = "192.0.2.1", "192.0.2.2"
HERE6, FAR6 = "2001:db8::1", "2001:db8::2"
PORT = 30_002  # a media port; those of the corpus are 30000 to 30099
DATA = bytes(range(172))
MACS = bytes.fromhex("020000000001020000000002")


@dataclass(frozen=True)
class Row:
    """`ring`: the XDP program is to redirect it (no tags expected); `reads`: the reader gives DATA, else this drop."""

    name: str
    frame: bytes
    ring: bool
    reads: bool | str


def ones(data: bytes) -> int:
    """Internet checksum, RFC 1071 section 1."""
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def udp(source: str, destination: str, data: bytes = DATA, port: int = PORT, **wrong: int) -> bytes:
    """`length`, `checksum` replace the right ones; "partial" leaves the pseudo header's sum, as a local sender does."""
    length = wrong.get("length", 8 + len(data))
    pseudo = ipaddress.ip_address(source).packed + ipaddress.ip_address(destination).packed + struct.pack(
        "!HH", 17, 8 + len(data)
    )  # fmt: skip
    header = struct.pack("!HHHH", 4000, port, 8 + len(data), 0)
    right = (~ones(pseudo + header + data) & 0xFFFF) or 0xFFFF
    checksum = ones(pseudo) if wrong.get("partial") else wrong.get("checksum", right)
    return struct.pack("!HHHH", 4000, port, length, checksum) + data


def ipv4(payload: bytes, options: bytes = b"", **wrong: int) -> bytes:
    first = 0x40 | (5 + len(options) // 4) if "first" not in wrong else wrong["first"]
    total = wrong.get("total", 20 + len(options) + len(payload))
    addresses = ipaddress.ip_address(FAR4).packed + ipaddress.ip_address(wrong.get("to", HERE4)).packed
    header = struct.pack(
        "!BBHHHBBH", first, 0, total, 1, wrong.get("fragment", 0x4000), 64, wrong.get("proto", 17), 0
    ) + addresses + options  # fmt: skip
    checksum = wrong.get("sum", ~ones(header) & 0xFFFF)
    return header[:10] + struct.pack("!H", checksum) + header[12:] + payload


def ipv6(payload: bytes, **wrong: int) -> bytes:
    length = wrong.get("length", len(payload))
    header = struct.pack("!IHBB", wrong.get("first", 0x60000000), length, wrong.get("next", 17), 64)
    return header + ipaddress.ip_address(FAR6).packed + ipaddress.ip_address(HERE6).packed + payload


def ethernet(packet: bytes, *vlans: int, kind: int | None = None) -> bytes:
    kind = kind if kind is not None else 0x0800 if packet[:1] and packet[0] >> 4 == 4 else 0x86DD
    tags = b"".join(
        struct.pack("!HH", 0x88A8 if number == 0 and len(vlans) > 1 else 0x8100, vlan)
        for number, vlan in enumerate(vlans)
    )
    return MACS + tags + struct.pack("!H", kind) + packet


def good(family: int, *vlans: int) -> bytes:
    packet = ipv4(udp(FAR4, HERE4)) if family == 4 else ipv6(udp(FAR6, HERE6))
    return ethernet(packet, *vlans)


def rows() -> list[Row]:
    """Everything but the cuts."""
    u4, u6 = udp(FAR4, HERE4), udp(FAR6, HERE6)
    fragment_header = bytes([17, 0, 0, 1, 0, 0, 0, 1])
    return [
        Row("plain v4", good(4), True, True),
        Row("plain v6", good(6), True, True),
        Row("padding behind", good(4) + bytes(30), True, True),
        Row("one tag", good(4, 100), False, True),
        Row("two tags", good(6, 100, 200), False, True),
        Row("three tags", good(4, 1, 2, 3), False, "DROP_FRAME"),
        Row("partial checksum", ethernet(ipv4(udp(FAR4, HERE4, partial=1))), True, True),
        Row("partial checksum v6", ethernet(ipv6(udp(FAR6, HERE6, partial=1))), True, True),
        Row("no checksum", ethernet(ipv4(udp(FAR4, HERE4, checksum=0))), True, True),
        Row("no checksum v6", ethernet(ipv6(udp(FAR6, HERE6, checksum=0))), True, "DROP_CHECKSUM"),
        Row("wrong checksum", ethernet(ipv4(udp(FAR4, HERE4, checksum=0x1234))), True, "DROP_CHECKSUM"),
        Row("wrong checksum v6", ethernet(ipv6(udp(FAR6, HERE6, checksum=0x1234))), True, "DROP_CHECKSUM"),
        Row("wrong header sum", ethernet(ipv4(u4, sum=0x1234)), True, "DROP_CHECKSUM"),
        Row("options", ethernet(ipv4(u4, options=b"\x01\x01\x01\x00")), False, "DROP_FRAME"),
        Row("header too short", ethernet(ipv4(u4, first=0x44)), False, "DROP_FRAME"),
        Row("version 5", ethernet(ipv4(u4, first=0x55), kind=0x0800), False, "DROP_FRAME"),
        Row("first fragment", ethernet(ipv4(u4, fragment=0x2000)), False, "DROP_FRAME"),
        Row("last fragment", ethernet(ipv4(u4, fragment=0x0010)), False, "DROP_FRAME"),
        Row("fragment v6", ethernet(ipv6(fragment_header + u6, next=44)), False, "DROP_FRAME"),
        Row("hop-by-hop v6", ethernet(ipv6(bytes([17, 0, 1, 4, 0, 0, 0, 0]) + u6, next=0)), False, "DROP_FRAME"),
        Row("TCP", ethernet(ipv4(u4, proto=6)), False, "DROP_FRAME"),
        Row("TCP v6", ethernet(ipv6(u6, next=6)), False, "DROP_FRAME"),
        Row("ARP", ethernet(bytes(28), kind=0x0806), False, "DROP_FRAME"),
        Row("total beyond the frame", ethernet(ipv4(u4, total=20 + len(u4) + 1)), False, "DROP_FRAME"),
        Row("total 65535", ethernet(ipv4(u4, total=0xFFFF)), False, "DROP_FRAME"),
        Row("total under the header", ethernet(ipv4(u4, total=19)), False, "DROP_FRAME"),
        Row("total without UDP", ethernet(ipv4(u4, total=27)), False, "DROP_FRAME"),
        Row("payload beyond the frame", ethernet(ipv6(u6, length=len(u6) + 1)), False, "DROP_FRAME"),
        Row("payload without UDP", ethernet(ipv6(u6, length=7)), False, "DROP_FRAME"),
        Row("UDP beyond IP", ethernet(ipv4(udp(FAR4, HERE4, length=8 + len(DATA) + 1))), False, "DROP_FRAME"),
        Row("UDP 65535", ethernet(ipv4(udp(FAR4, HERE4, length=0xFFFF))), False, "DROP_FRAME"),
        Row("UDP under its header", ethernet(ipv4(udp(FAR4, HERE4, length=7))), False, "DROP_FRAME"),
        Row("UDP 0", ethernet(ipv6(udp(FAR6, HERE6, length=0))), False, "DROP_FRAME"),
        Row("foreign port", ethernet(ipv4(udp(FAR4, HERE4, port=5060))), False, True),
        Row("jumbo", ethernet(ipv4(udp(FAR4, HERE4, bytes(4000)))), False, True),
    ]
