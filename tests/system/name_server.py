"""A name server for one name, where this machine's resolver asks: in a namespace of a test's own."""

from __future__ import annotations

import re
import socket
import struct
import subprocess
import threading
from pathlib import Path

A, INTERNET = 1, 1


class NameServer:
    """`name` is at the IPv4 address `at`; there is no other. Made on a thread that is in the namespace."""

    def __init__(self, name: str, at: str) -> None:
        where = re.search(r"^nameserver\s+([\d.]+)", Path("/etc/resolv.conf").read_text(), re.MULTILINE)
        asked = where[1] if where else "127.0.0.1"
        words = ["ip", "address", "add", f"{asked}/32", "dev", "lo"]
        subprocess.run(words, check=False, capture_output=True, timeout=10)  # 127.0.0.1 is there already
        self._name, self._at = b"".join(bytes([len(one)]) + one.encode() for one in name.split(".")) + b"\0", at
        self._link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._link.bind((asked, 53))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """The thread ends with the next question, or with the test run."""
        self._link.close()

    def _serve(self) -> None:
        while True:
            try:
                asked, whom = self._link.recvfrom(512)
            except OSError:
                return
            self._link.sendto(self._answer(asked), whom)

    def _answer(self, asked: bytes) -> bytes:
        """RFC 1035 section 4.1: the question again, and the address where it is asked for."""
        end = asked.index(b"\0", 12) + 5
        ours = asked[12 : end - 4].lower() == self._name
        found = ours and struct.unpack("!HH", asked[end - 4 : end]) == (A, INTERNET)
        head = asked[:2] + struct.pack("!HHHHH", 0x8580 if ours else 0x8583, 1, int(found), 0, 0)
        address = struct.pack("!HHHIH4s", 0xC00C, A, INTERNET, 60, 4, socket.inet_aton(self._at)) if found else b""
        return head + asked[12:end] + address
