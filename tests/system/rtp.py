"""A few RTP packets between raw sockets: who hears whom, and where."""

from __future__ import annotations

import re
import secrets
import socket
import struct

from tests.system.lab import wait_for


class Ear:
    """An RTP port at `address`:`port` that talks and listens; every payload that it sends is its own word."""

    def __init__(self, address: str, port: int) -> None:
        self.link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.link.bind((address, port))
        self.link.setblocking(False)
        self.word = secrets.token_hex(8).encode()
        self._sequence, self._ssrc = 1, secrets.randbits(31)
        self._heard: set[bytes] = set()

    def close(self) -> None:
        self.link.close()

    def talk(self, body: str) -> None:
        """One packet to where `body`, an SDP that this side was given, says."""
        host, port = place(body)
        packet = struct.pack("!BBHII", 0x80, 0, self._sequence, 160 * self._sequence, self._ssrc) + self.word
        self._sequence += 1
        self.link.sendto(packet, (host, port))

    def heard(self) -> set[bytes]:
        """Words of everybody who was heard so far."""
        while True:
            try:
                self._heard.add(self.link.recv(2048)[12:])
            except BlockingIOError:
                return self._heard

    def hears(self, other: Ear, body: str) -> bool:
        """Whether `other`, told `body`, is heard here; it goes on talking until it is."""

        def again() -> bool:
            other.talk(body)
            return other.word in self.heard()

        return wait_for(again, 5, "no media")


def place(body: str) -> tuple[str, int]:
    """Address and port of the first stream."""
    port = re.search(r"^m=audio (\d+)", body, re.MULTILINE)
    host = re.search(r"^c=IN IP4 (\S+)", body, re.MULTILINE)
    assert port is not None
    assert host is not None
    return host[1], int(port[1])
