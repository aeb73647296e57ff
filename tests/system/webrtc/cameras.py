"""Chromium with microphone and cameras over NG, and the plain peer at the other end: every m-line has ports of its own
there. What comes in by RTP goes back, under SSRCs of the peer's and without header extensions, so that the browser
decodes its own picture; RTCP says what the peer has heard."""

from __future__ import annotations

import json
import re
import selectors
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.system import lab as labs
from tests.system.webrtc.chromium import Chromium

SCRIPT = Path(__file__).with_name("cameras.js")
HELD = {"a=inactive": "a=inactive", "a=recvonly": "a=sendonly", "a=sendonly": "a=recvonly"}  # our answers
NUMBERS = {"audio": 0, "video": 96}  # of our offers
CODECS = {"audio": "PCMU", "video": "VP8"}
SR, RR, PSFB, PLI = 200, 201, 206, 1


class Page:
    """An RTCPeerConnection of a page, with one microphone and some cameras."""

    def __init__(self, browser: Chromium, policy: str = "balanced", cameras: int = 1) -> None:
        self.browser = browser
        browser.run(SCRIPT.read_text())
        browser.run(f"opened({json.dumps(policy)}, {cameras})")

    def offer(self) -> str:
        return str(self.browser.run('described("offer")'))

    def answer(self, sdp: str) -> str:
        self.accept(sdp, "offer")
        return str(self.browser.run('described("answer")'))

    def accept(self, sdp: str, kind: str = "answer") -> None:
        self.browser.run(f"told({json.dumps(kind)}, {json.dumps(sdp)})")

    def turn(self, at: int, direction: str) -> None:
        """Direction of an m-line; "": it ends."""
        how = f"direction = {json.dumps(direction)}" if direction else "stop()"
        self.browser.run(f"pc.getTransceivers()[{at}].{how}")

    def add_camera(self) -> None:
        self.browser.run("another()")

    def counted(self) -> dict[str, Any]:
        found: dict[str, Any] = self.browser.run("counted()")
        return found

    def connected(self) -> bool:
        return "connected" in self.browser.run("states")

    def close(self) -> None:
        self.browser.run("pc.close()")


@dataclass
class Line:
    """One m-line of the peer."""

    kind: str
    port: int
    ssrc: int
    rtp: socket.socket = field(repr=False)
    rtcp: socket.socket = field(repr=False)
    number: int = 0  # payload type
    to: tuple[str, int] | None = None
    to_rtcp: tuple[str, int] | None = None
    types: set[int] = field(default_factory=set)  # payload types that came
    ssrcs: set[int] = field(default_factory=set)
    packets: int = 0
    extended: int = 0  # packets with a header extension
    reports: set[int] = field(default_factory=set)  # SSRCs of sender reports that came
    about: set[int] = field(default_factory=set)  # SSRCs that reports and feedback speak of
    keyframes: int = 0  # requests (PLI) that came
    asking: bool = False  # to send one


class TwoLines:
    """`kinds`: of its m-lines, in their order."""

    def __init__(self, role: str, kinds: tuple[str, ...], port: int = 24100) -> None:
        self.lines = [self._line(role, kind, port + 2 * at, 0x5EED00 + at) for at, kind in enumerate(kinds)]
        self._address, self._stop = labs.ADDRESS[role], False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @staticmethod
    def _line(role: str, kind: str, port: int, ssrc: int) -> Line:
        made = []
        for number in (port, port + 1):
            one = labs.inside(role, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            one.bind((labs.ADDRESS[role], number))
            one.setblocking(False)
            made.append(one)
        return Line(kind, port, ssrc, made[0], made[1])

    # ---------------------------------------------------------------- SDP

    def offer(self) -> str:
        return self._sdp([text for line in self.lines for text in self._section(line, NUMBERS[line.kind])])

    def answer(self, offer: str, *, refused: tuple[int, ...] = ()) -> str:
        """The first format with our codec in every m-line."""
        lines = []
        for at, (line, section) in enumerate(zip(self.lines, re.split(r"(?m)^(?=m=)", offer)[1:], strict=False)):
            found = re.search(rf"a=rtpmap:(\d+) {CODECS[line.kind]}/", section)
            if found is None or at in refused or section.split()[1] == "0":
                lines.append(f"m={line.kind} 0 RTP/AVPF 0")
            else:
                held = [f"a={way}" for way in ("inactive", "recvonly", "sendonly") if f"a={way}" in section]
                lines += self._section(line, int(found[1])) + [HELD[one] for one in held]
        self.hear(offer)
        return self._sdp(lines)

    def hear(self, sdp: str) -> None:
        """Where our media goes."""
        for line, section in zip(self.lines, re.split(r"(?m)^(?=m=)", sdp)[1:], strict=False):
            port = int(section.split()[1])
            host = re.search(r"(?m)^c=IN IP4 (\S+)", section) or re.search(r"(?m)^c=IN IP4 (\S+)", sdp)
            rtcp = re.search(r"a=rtcp:(\d+)", section)
            line.to = (host[1], port) if port else None  # type: ignore[index]
            line.to_rtcp = (host[1], int(rtcp[1]) if rtcp else port + 1) if port else None  # type: ignore[index]

    def _section(self, line: Line, number: int) -> list[str]:
        line.number = number
        clock = 8000 if line.kind == "audio" else 90000
        feedback = [f"a=rtcp-fb:{number} nack pli"] if line.kind == "video" else []
        codec = f"a=rtpmap:{number} {CODECS[line.kind]}/{clock}"
        return [f"m={line.kind} {line.port} RTP/AVPF {number}", codec, *feedback]

    def _sdp(self, lines: list[str]) -> str:
        head = ["v=0", f"o=- 1 1 IN IP4 {self._address}", "s=-", f"c=IN IP4 {self._address}", "t=0 0"]
        return "\r\n".join([*head, *lines, ""])

    # ---------------------------------------------------------------- media

    def forget(self) -> None:
        """What was heard by now."""
        for line in self.lines:
            line.packets = line.extended = line.keyframes = 0
            for seen in (line.types, line.ssrcs, line.reports, line.about):
                seen.clear()

    def close(self) -> None:
        self._stop = True
        self._thread.join(5)
        for line in self.lines:
            line.rtp.close()
            line.rtcp.close()

    def _run(self) -> None:
        selector = selectors.DefaultSelector()
        for line in self.lines:
            selector.register(line.rtp, selectors.EVENT_READ, (line, False))
            selector.register(line.rtcp, selectors.EVENT_READ, (line, True))
        next_report = time.monotonic() + 0.3
        while not self._stop:
            for key, _ in selector.select(0.05):
                line, rtcp = key.data
                data = key.fileobj.recv(2048)  # type: ignore[union-attr]
                (self._take_rtcp if rtcp else self._take_rtp)(line, data)
            if time.monotonic() > next_report:
                next_report += 0.3
                for line in self.lines:
                    self._report(line)
        selector.close()

    def _take_rtp(self, line: Line, data: bytes) -> None:
        line.packets += 1
        line.types.add(data[1] & 0x7F)
        line.ssrcs.add(int.from_bytes(data[8:12]))
        body = 12 + 4 * (data[0] & 15)
        if data[0] & 0x10:
            line.extended += 1
            body += 4 + 4 * int.from_bytes(data[body + 2 : body + 4])
        if line.to and line.number == data[1] & 0x7F:
            line.rtp.sendto(b"\x80" + data[1:8] + line.ssrc.to_bytes(4) + data[body:], line.to)

    def _take_rtcp(self, line: Line, data: bytes) -> None:
        while len(data) >= 8:
            length, kind, form = 4 + 4 * int.from_bytes(data[2:4]), data[1], data[0] & 31
            if kind == SR:
                line.reports.add(int.from_bytes(data[4:8]))
            if kind in (SR, RR):
                first = 28 if kind == SR else 8
                line.about.update(int.from_bytes(data[at : at + 4]) for at in range(first, first + 24 * form, 24))
            if kind == PSFB and form == PLI:
                line.keyframes += 1
                line.asking = True  # what we send is the browser's own picture
                line.about.add(int.from_bytes(data[8:12]))
            data = data[length:]

    def _report(self, line: Line) -> None:
        """A receiver report, with a request for a keyframe where one is wanted."""
        heard = next(iter(line.ssrcs), None)
        if not line.to_rtcp or heard is None:
            return
        block = heard.to_bytes(4) + bytes(20)
        data = struct.pack("!BBHI", 0x81, RR, 7, line.ssrc) + block
        if line.asking:
            line.asking = False
            data += struct.pack("!BBHII", 0x80 | PLI, PSFB, 2, line.ssrc, heard)
        line.rtcp.sendto(data, line.to_rtcp)
