"""aiortc as one end of a call and a plain RTP endpoint as the other; both say and check G.711 octet by octet.

Octets are mu-law codes without 0x7F, the second zero: coding what was decoded gives them back.
"""

from __future__ import annotations

import asyncio
import fractions
import random
import socket
import struct
import threading
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

import numpy as np
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame

from kernels.load.namespace import entered
from tests.system import lab as labs

T = TypeVar("T")
PCMU, CODES = 0, 160  # payload type; codes in 20 ms
_ALL = np.arange(256, dtype=np.uint8)
_INVERTED = ~_ALL
_SIZE = ((2 * (_INVERTED & 15).astype(int) + 33) << (_INVERTED >> 4 & 7)) - 33
DECODED = (np.where(_INVERTED & 0x80, -_SIZE, _SIZE) * 4).astype(np.int16)  # of each code (G.711 table 2a), 16 bit
CODED = {int(value): code for code, value in enumerate(DECODED)}


def codes(seconds: float, seed: int) -> bytes:
    """What nobody else says."""
    source = random.Random(seed)
    return bytes(source.choice([code for code in range(256) if code != 0x7F]) for _ in range(int(seconds * 8000)))


class Microphone(MediaStreamTrack):
    """Says these codes, then silence."""

    kind = "audio"

    def __init__(self, said: bytes) -> None:
        super().__init__()
        self.said, self._at, self._began = said, 0, 0.0

    async def recv(self) -> AudioFrame:
        self._began = self._began or time.monotonic()
        await asyncio.sleep(max(0.0, self._began + self._at / 8000 - time.monotonic()))
        part = self.said[self._at : self._at + CODES].ljust(CODES, b"\xff")
        frame = AudioFrame.from_ndarray(DECODED[np.frombuffer(part, np.uint8)].reshape(1, -1), "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 8000, self._at, fractions.Fraction(1, 8000)
        self._at += CODES
        return frame


class AiortcPhone:
    """An RTCPeerConnection in the namespace of `role`, on an event loop of its own."""

    def __init__(self, role: str, said: bytes) -> None:
        self.heard = bytearray()
        self._loop = asyncio.new_event_loop()
        self._role = role
        self._thread = threading.Thread(target=self._run, name="aiortc", daemon=True)
        self._thread.start()
        self.connection = self.do(self._made(said))

    def do(self, work: Coroutine[Any, Any, T], patience: float = 20.0) -> T:
        """Result of a coroutine of its loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(patience)

    def offer(self) -> str:
        return self.do(self._described(self.connection.createOffer))

    def answer(self, sdp: str) -> str:
        self.accept(sdp, "offer")
        return self.do(self._described(self.connection.createAnswer))

    def accept(self, sdp: str, kind: str = "answer") -> None:
        self.do(self.connection.setRemoteDescription(RTCSessionDescription(sdp, kind)))

    def close(self) -> None:
        self.do(self.connection.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def _run(self) -> None:
        with entered(f"/run/netns/{labs.name(self._role)}"):
            self._loop.run_forever()

    async def _made(self, said: bytes) -> RTCPeerConnection:
        connection = RTCPeerConnection()
        connection.addTrack(Microphone(said))
        connection.on("track", lambda track: asyncio.ensure_future(self._listen(track)))
        return connection

    async def _described(self, make: Any) -> str:
        await self.connection.setLocalDescription(await make())
        sdp: str = self.connection.localDescription.sdp
        return sdp

    async def _listen(self, track: MediaStreamTrack) -> None:
        try:
            while True:
                frame = await track.recv()
                self.heard += bytes(CODED[int(value)] for value in frame.to_ndarray()[0])
        except MediaStreamError:
            return


class PlainPhone:
    """RTP with PCMU from one socket in the namespace of `role`; what comes is kept in the order of its numbers."""

    def __init__(self, role: str, said: bytes, port: int = 24000) -> None:
        self.said, self._packets, self._stop = said, {}, False  # type: dict[int, bytes]
        self._socket = labs.inside(role, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self._socket.bind((labs.ADDRESS[role], port))
        self._socket.settimeout(0.1)
        self.sdp = (
            f"v=0\r\no=- 1 1 IN IP4 {labs.ADDRESS[role]}\r\ns=-\r\nc=IN IP4 {labs.ADDRESS[role]}\r\nt=0 0\r\n"
            f"m=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
        )
        self._threads = [threading.Thread(target=self._listen, daemon=True)]
        self._threads[0].start()

    def talk(self, to: tuple[str, int]) -> None:
        self._threads.append(threading.Thread(target=self._say, args=(to,), daemon=True))
        self._threads[-1].start()

    def heard(self) -> bytes:
        return b"".join(payload for _, payload in sorted(self._packets.items()))

    def close(self) -> None:
        self._stop = True
        for thread in self._threads:
            thread.join(5)
        self._socket.close()

    def _say(self, to: tuple[str, int]) -> None:
        began = time.monotonic()
        for number, at in enumerate(range(0, len(self.said), CODES)):
            time.sleep(max(0.0, began + at / 8000 - time.monotonic()))
            if self._stop:
                return
            header = struct.pack("!BBHII", 0x80, PCMU | (0x80 if number == 0 else 0), number, at, 0x5EED)
            self._socket.sendto(header + self.said[at : at + CODES], to)

    def _listen(self) -> None:
        while not self._stop:
            try:
                packet = self._socket.recv(2048)
            except TimeoutError:
                continue
            if len(packet) > 12 and packet[0] == 0x80 and packet[1] & 0x7F == PCMU:
                self._packets[int.from_bytes(packet[2:4])] = packet[12:]
