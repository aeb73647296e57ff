"""ClientHellos from forged sources, each another one: `python -m tests.system.spoofed_hellos GATEWAY PORT COUNT RATE`
(raw socket: root, in a namespace of the tests). Says how many were sent, and in how many seconds."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import sys
import time
from ipaddress import IPv4Address

from tests.system.dtls_attacker import RANDOM, client_hello

SOURCES = IPv4Address("198.18.0.0")  # RFC 2544's own network, 2^17 addresses
BURST = 100  # a veth end queues 256


class Part(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("base", ctypes.c_void_p), ("octets", ctypes.c_size_t))


class Message(ctypes.Structure):
    """struct mmsghdr."""

    _fields_ = (
        ("name", ctypes.c_void_p), ("name_octets", ctypes.c_uint32), ("parts", ctypes.c_void_p),
        ("part_count", ctypes.c_size_t), ("control", ctypes.c_void_p), ("control_octets", ctypes.c_size_t),
        ("flags", ctypes.c_int), ("pad", ctypes.c_int), ("sent", ctypes.c_uint32), ("tail", ctypes.c_uint32),
    )  # fmt: skip


def datagrams(gateway: str, port: int, count: int) -> tuple[bytearray, int]:
    """IPv4 datagrams one after the other, and how long each is."""
    hello = bytearray(client_hello())
    octets = 28 + len(hello)
    out = bytearray()
    to = socket.inet_aton(gateway)
    for number in range(count):
        source = (int(SOURCES) + number % (1 << 17)).to_bytes(4, "big")
        hello[RANDOM] = os.urandom(32)
        out += struct.pack("!BBHHHBBH", 0x45, 0, octets, 0, 0x4000, 64, socket.IPPROTO_UDP, 0) + source + to
        out += struct.pack("!HHHH", 1024 + number % 60000, port, 8 + len(hello), 0) + hello
    return out, octets


def main(gateway: str, port: int, count: int, rate: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    data, octets = datagrams(gateway, port, count)
    base = ctypes.addressof(ctypes.c_char.from_buffer(data))
    name = ctypes.create_string_buffer(struct.pack("=H2s4s8x", socket.AF_INET, bytes(2), socket.inet_aton(gateway)))
    parts = (Part * count)(*(Part(base + number * octets, octets) for number in range(count)))
    messages = (Message * count)()
    for number, message in enumerate(messages):
        message.name, message.name_octets = ctypes.addressof(name), 16
        message.parts, message.part_count = ctypes.addressof(parts[number]), 1
    sent, size = 0, ctypes.sizeof(Message)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as wire:
        wire.setsockopt(socket.SOL_SOCKET, 32, 1 << 24)  # SO_SNDBUFFORCE
        print("ready", flush=True)
        sys.stdin.readline()
        start = time.monotonic()
        while sent < count:
            burst = min(BURST, count - sent)
            if int((time.monotonic() - start) * rate) - sent < burst:
                time.sleep(0.0005)
                continue
            got = libc.sendmmsg(wire.fileno(), ctypes.c_void_p(ctypes.addressof(messages) + sent * size), burst, 0)
            if got < 0:
                raise OSError(ctypes.get_errno(), "sendmmsg")
            sent += got
        print(sent, time.monotonic() - start, flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], *map(int, sys.argv[2:])))
