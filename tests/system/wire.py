"""What goes over a wire of the lab, captured with tshark and read back as RTP payload."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np

from tests.system import lab as labs
from tests.system.sound import Sound

RTP_HEADER = 12  # octets; the phones of these tests send neither CSRCs nor extensions
PCMU = 0


def available() -> bool:
    return shutil.which("tshark") is not None


class Wire:
    """The cable between `role` and the gateway, from now until `stop`."""

    def __init__(self, lab: labs.Lab, role: str) -> None:
        self._role, self._file = role, Path(lab.directory / f"wire-{role}.pcap")
        self._log = lab.directory / f"wire-{role}.log"
        self._process = lab.start(role, ["tshark", "-q", "-i", "gw", "-f", "udp", "-F", "pcap", "-w", str(self._file)],
                                  self._log.name)  # fmt: skip
        labs.wait_for(lambda: "Capturing on" in self._log.read_text(), 15, self._log.read_text)

    def stop(self) -> None:
        labs.end(self._process)

    def payloads(self, sender: str) -> list[bytes]:
        """Payloads of the RTP packets (type PCMU) that `sender` sent, in order; with SRTP, ciphertext and tag."""
        return [packet[RTP_HEADER:] for packet in self._packets(sender) if packet[1] & 0x7F == PCMU]

    def types(self, sender: str) -> list[int]:
        """Payload types of the RTP packets that `sender` sent, in order."""
        kinds = (packet[1] & 0x7F for packet in self._packets(sender))
        return [kind for kind in kinds if not 64 <= kind < 96]  # those are RTCP

    def _packets(self, sender: str) -> list[bytes]:
        fields = ["-T", "fields", "-e", "udp.payload"]
        words = ["tshark", "-r", str(self._file), "-Y", f"ip.src == {sender} && udp", *fields]
        done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=30)
        packets = [bytes.fromhex(line.replace(":", "")) for line in done.stdout.split()]
        return [packet for packet in packets if packet[0] == 0x80]


def pcmu(payloads: list[bytes]) -> Sound:
    """G.711 mu-law (20 ms, 160 samples a packet) as sound."""
    codes = ~np.frombuffer(b"".join(payload[:160] for payload in payloads), np.uint8)
    exponent, mantissa = (codes >> 4 & 7).astype(int), (codes & 15).astype(int)
    size = ((2 * mantissa + 33) << exponent) - 33
    return np.where(codes & 0x80, -size, size) / 8159
