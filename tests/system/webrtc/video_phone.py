"""A video telephone on plain RTP with a media stack of its own: GStreamer's RTP session, VP8 both ways, in a namespace
of the lab. A relay before it counts what passes and loses some of the RTP."""

from __future__ import annotations

import os
import random
import re
import selectors
import shutil
import socket
import subprocess
import threading
from collections import Counter
from dataclasses import dataclass, field

from tests.system import lab as labs

NUMBER, RTX_NUMBER = 96, 97
PICTURE = 64  # octets of a decoded picture, shrunk to 8 x 8 grey ones
ANNOUNCED, OWN, LOSS_SEED = 24200, 24210, 20261126
SR, RR, RTPFB, PSFB = 200, 201, 205, 206
NACK, PLI = (RTPFB, 1), (PSFB, 1)


def available() -> str:
    """Why there is no such telephone here; empty when there is one."""
    return "" if shutil.which("gst-launch-1.0") else "not installed: gstreamer1.0-tools"


@dataclass(frozen=True)
class Block:
    """Of a report (RFC 3550 section 6.4.1)."""

    fraction: int
    lost: int
    highest: int
    jitter: int
    last: int
    delay: int


@dataclass
class Seen:
    """What passed the relay in one direction."""

    rtp: int = 0
    lost: int = 0
    types: set[int] = field(default_factory=set)
    ssrcs: set[int] = field(default_factory=set)
    newest: int = -1  # sequence number of the newest one of the picture's SSRC
    missing: set[int] = field(default_factory=set)  # those of it that were lost
    parts: Counter[tuple[int, int]] = field(default_factory=Counter)  # RTCP: (packet type, format of feedback)
    nacked: set[int] = field(default_factory=set)
    blocks: list[Block] = field(default_factory=list)  # of reports on the picture


class VideoPhone:
    """`proto`: of its m-line, which speaks of `feedback` (PLI; NACK where there is `rtx`, RFC 4588) or not. Set at any
    time: `loss`, which part of what comes and goes is lost; `shift`, by how much its sequence numbers are lower."""

    def __init__(self, role: str, proto: str, *, feedback: bool = True, rtx: bool = False) -> None:
        self.role, self.proto, self.feedback, self.rtx = role, proto, feedback, rtx
        self.address = labs.ADDRESS[role]
        self.loss, self.shift = 0.0, 0
        self.arrived, self.sent = Seen(), Seen()  # from the gateway, from the telephone
        self._chance = random.Random(LOSS_SEED)
        self._to: dict[bool, tuple[str, int]] = {}
        self._number, self._rtx_number = NUMBER, RTX_NUMBER
        self._picture: dict[bool, int] = {}  # SSRC of the picture, each way
        self._pictures = 0
        self._stop = False
        self._process: subprocess.Popen[bytes] | None = None
        self._sockets = [self._socket(ANNOUNCED + at) for at in (0, 1)]
        self._threads = [threading.Thread(target=self._relay, daemon=True)]
        self._threads[0].start()

    @property
    def pictures(self) -> int:
        """Decoded by now."""
        return self._pictures // PICTURE

    # ---------------------------------------------------------------- SDP

    def offer(self) -> str:
        return self._sdp([self._section(NUMBER, RTX_NUMBER)])

    def answer(self, offer: str) -> str:
        """The first VP8 of the first video m-line, in our profile; the others are refused."""
        sections, taken = [], False
        for section in re.split(r"(?m)^(?=m=)", offer)[1:]:
            found = re.search(r"a=rtpmap:(\d+) VP8/90000", section)
            if found is None or taken:
                kind, _, proto, number = section.split()[:4]
                sections.append(f"{kind} 0 {proto} {number}\r\n")
                continue
            taken = True
            number = int(found[1])
            again = re.search(rf"a=fmtp:(\d+) apt={number}\b", section)
            self.rtx = self.rtx and again is not None
            sections.append(self._section(number, int(again[1]) if again else RTX_NUMBER))
            self._hear(section, offer)
        self._start()
        return self._sdp(sections)

    def accept(self, answer: str) -> None:
        section = next(one for one in re.split(r"(?m)^(?=m=)", answer) if one.startswith("m=video"))
        self.rtx = self.rtx and "apt=" in section
        self._hear(section, answer)
        self._start()

    def _hear(self, section: str, sdp: str) -> None:
        port = int(section.split()[1])
        host = re.search(r"(?m)^c=IN IP4 (\S+)", section) or re.search(r"(?m)^c=IN IP4 (\S+)", sdp)
        rtcp = re.search(r"a=rtcp:(\d+)", section)
        assert host is not None
        self._to = {False: (host[1], port), True: (host[1], int(rtcp[1]) if rtcp else port + 1)}

    def _section(self, number: int, again: int) -> str:
        self._number, self._rtx_number = number, again
        numbers = [str(number), *([str(again)] if self.rtx else [])]
        lines = [f"m=video {ANNOUNCED} {self.proto} {' '.join(numbers)}", f"a=rtpmap:{number} VP8/90000"]
        if self.feedback:
            lines += [f"a=rtcp-fb:{number} nack pli", f"a=rtcp-fb:{number} ccm fir"]
        if self.rtx:
            lines += [f"a=rtcp-fb:{number} nack", f"a=rtpmap:{again} rtx/90000", f"a=fmtp:{again} apt={number}"]
        return "".join(f"{line}\r\n" for line in lines)

    def _sdp(self, sections: list[str]) -> str:
        head = ["v=0", f"o=- 1 1 IN IP4 {self.address}", "s=-", f"c=IN IP4 {self.address}", "t=0 0"]
        return "".join(f"{line}\r\n" for line in head) + "".join(sections)

    # ---------------------------------------------------------------- media

    def _start(self) -> None:
        again = f'payload-type-map="application/x-rtp-pt-map,{self._number}=(uint){self._rtx_number}"'
        caps = "application/x-rtp,media=(string)video,clock-rate=(int)90000,encoding-name=(string)VP8"
        caps += f",payload=(int){self._number}"
        if self.feedback:
            caps += ",rtcp-fb-nack-pli=(boolean)true,rtcp-fb-ccm-fir=(boolean)true"
        more = f" rtprtxreceive {again} !" if self.rtx else ""
        pipeline = (
            f"rtpsession name=s rtp-profile={'avpf' if self.feedback else 'avp'} "
            "videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=15/1 ! "
            "vp8enc deadline=1 keyframe-max-dist=100000 error-resilient=default target-bitrate=300000 ! "
            f"rtpvp8pay pt={self._number} mtu=500 picture-id-mode=15-bit ! "
            + (f"rtprtxsend {again} max-size-time=2000 ! " if self.rtx else "")
            + "s.send_rtp_sink "
            f"s.send_rtp_src ! udpsink host={self.address} port={OWN + 2} bind-port={OWN} sync=false async=false "
            f"s.send_rtcp_src ! udpsink host={self.address} port={OWN + 3} sync=false async=false "
            f'udpsrc address={self.address} port={OWN + 4} caps="{caps}" ! s.recv_rtp_sink '
            f"udpsrc address={self.address} port={OWN + 5} caps=application/x-rtcp ! s.recv_rtcp_sink "
            f"s.recv_rtp_src !{more} rtpssrcdemux ! "
            f"rtpjitterbuffer latency=300 do-lost=true do-retransmission={str(self.rtx).lower()} ! "
            "rtpptdemux ! rtpvp8depay request-keyframe=true wait-for-keyframe=true ! vp8dec ! "
            "videoconvert ! videoscale ! video/x-raw,format=GRAY8,width=8,height=8 ! fdsink fd=1 sync=false async=false"
        )
        self._process = labs.inside(
            self.role,
            lambda: subprocess.Popen(
                ["gst-launch-1.0", "-q", *_words(pipeline)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
            ),
        )
        self._threads.append(threading.Thread(target=self._count, daemon=True))
        self._threads[-1].start()

    def _count(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        while data := os.read(self._process.stdout.fileno(), 4096):
            self._pictures += len(data)

    def said(self) -> str:
        """What GStreamer complained of, once it has ended."""
        assert self._process is not None and self._process.stderr is not None
        return self._process.stderr.read().decode(errors="replace")

    def close(self) -> None:
        self._stop = True
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
        for thread in self._threads:
            thread.join(5)
        for one in self._sockets:
            one.close()
        for own in self._inner:
            own.close()

    def _socket(self, port: int) -> socket.socket:
        one = labs.inside(self.role, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        one.bind((self.address, port))
        one.setblocking(False)
        return one

    def _relay(self) -> None:
        selector = selectors.DefaultSelector()
        self._inner = [self._socket(OWN + at) for at in (2, 3)]
        for at, one in enumerate(self._sockets):
            selector.register(one, selectors.EVENT_READ, (False, bool(at)))
        for at, one in enumerate(self._inner):
            selector.register(one, selectors.EVENT_READ, (True, bool(at)))
        while not self._stop:
            for key, _ in selector.select(0.05):
                out, rtcp = key.data
                data = key.fileobj.recv(4096)  # type: ignore[union-attr]
                seen = self.sent if out else self.arrived
                if not rtcp:
                    data = self._take_rtp(seen, data, out)
                else:
                    self._take_rtcp(seen, data, out)
                if not data:
                    continue
                if out and self._to:
                    self._sockets[rtcp].sendto(data, self._to[rtcp])
                elif not out:
                    self._inner[rtcp].sendto(data, (self.address, OWN + 4 + rtcp))
        selector.close()

    def _take_rtp(self, seen: Seen, data: bytes, out: bool) -> bytes:
        """What goes on of it: empty where it is lost."""
        number, ssrc = int.from_bytes(data[2:4]), int.from_bytes(data[8:12])
        seen.rtp += 1
        seen.types.add(data[1] & 0x7F)
        seen.ssrcs.add(ssrc)
        if data[1] & 0x7F == self._number:
            self._picture.setdefault(out, ssrc)
        picture = self._picture.get(out) == ssrc
        if picture and out:
            number = number - self.shift & 0xFFFF
            data = data[:2] + number.to_bytes(2) + data[4:]
        if picture:
            seen.newest = number
        if self._chance.random() < self.loss:
            seen.lost += 1
            seen.missing |= {number} if picture else set()
            return b""
        return data

    def _take_rtcp(self, seen: Seen, data: bytes, out: bool) -> None:
        while len(data) >= 8:
            kind, form, octets = data[1], data[0] & 31, 4 + 4 * int.from_bytes(data[2:4])
            seen.parts[kind, form if kind in (RTPFB, PSFB) else 0] += 1
            words = [int.from_bytes(data[at : at + 4]) for at in range(0, octets, 4)]
            about = self._picture.get(not out)
            if kind in (SR, RR):
                first = 7 if kind == SR else 2
                for at in range(first, first + 6 * form, 6):
                    if words[at] == about:
                        fraction, lost = words[at + 1] >> 24, words[at + 1] & 0xFFFFFF
                        seen.blocks.append(Block(fraction, lost, *words[at + 2 : at + 6]))
            if (kind, form) == NACK and words[2] == about:
                for word in words[3:]:
                    seen.nacked |= {(word >> 16) + bit & 0xFFFF for bit in range(17) if bit == 0 or word >> bit - 1 & 1}
            data = data[octets:]


def _words(pipeline: str) -> list[str]:
    """As a shell would, but for quotes, which GStreamer reads itself."""
    return re.findall(r'(?:[^\s"]|"[^"]*")+', pipeline)
