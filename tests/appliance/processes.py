"""Real processes for tests: media holder and control process on loopback, an NG client, phones with real sockets."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from appliance.protocols.srtp import suites
from kernels.srtp.session import Session
from kernels.srtp.transform import Transform

CRYPTO = re.compile(r"a=crypto:(\d+) (\S+) inline:([A-Za-z0-9+/=]+)")


def rtp(sequence: int, ssrc: int = 0x11223344, payload: bytes = b"payload of twenty ms") -> bytes:
    return (
        bytes((0x80, 0))
        + sequence.to_bytes(2, "big")
        + (sequence * 160).to_bytes(4, "big")
        + ssrc.to_bytes(4, "big")
        + payload
    )


QUEUE = 4 * 1024 * 1024  # octets: what waited while a call moved comes all at once


class Phone:
    """A UDP socket that speaks RTP, or SRTP with SDES keys."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(10)  # who waits for silence says how long
        forced = os.geteuid() == 0  # SO_RCVBUFFORCE: beyond what the machine grants to everybody
        self.socket.setsockopt(socket.SOL_SOCKET, 33 if forced else socket.SO_RCVBUF, QUEUE)
        self.port = self.socket.getsockname()[1]
        self.send_session: Session | None = None
        self.receive_session: Session | None = None

    def sdp(self, profile: str = "RTP/AVP", crypto: str = "") -> str:
        return (
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=audio {self.port} {profile} 0\r\n{crypto}"
        )

    def answer(self, offer: str) -> str:
        """Take the first crypto line of the offer, with a key of our own."""
        line = CRYPTO.search(offer)
        if line is None:
            return self.sdp()
        row = suites.find(line[2])
        assert row is not None
        ours, theirs = os.urandom(row.master_octets), base64.b64decode(line[3])
        transform = Transform(row.cipher, row.auth, row.key_octets, row.salt_octets, row.rtp_tag, row.rtcp_tag)
        cut = row.key_octets
        self.send_session = Session(transform, ours[:cut], ours[cut:], send=True)
        self.receive_session = Session(transform, theirs[:cut], theirs[cut:], send=False)
        inline = base64.b64encode(ours).decode()
        return self.sdp("RTP/SAVP", f"a=crypto:{line[1]} {line[2]} inline:{inline}\r\n")

    def send(self, packet: bytes, port: int) -> None:
        if self.send_session is not None:
            sealed = self.send_session.protect_rtp(packet)
            assert isinstance(sealed, bytes)
            packet = sealed
        self.socket.sendto(packet, ("127.0.0.1", port))

    def receive(self) -> bytes:
        packet = self.socket.recv(2048)
        if self.receive_session is None:
            return packet
        opened = self.receive_session.unprotect_rtp(packet)
        assert isinstance(opened, bytes), opened
        assert packet != opened
        return opened

    def close(self) -> None:
        self.socket.close()


def media_port(sdp: str) -> int:
    found = re.search(r"m=audio (\d+)", sdp)
    assert found
    return int(found[1])


class NgClient:
    def __init__(self, port: int) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(0.5)
        self.socket.connect(("127.0.0.1", port))
        self.serial = 0

    def ask(self, command: str, **body: Any) -> dict[str, Any]:
        """Repeats as a proxy does when the answer is late."""
        self.serial += 1
        cookie = f"{os.getpid()}_{self.serial}".encode()
        named = {key.replace("_", "-"): value for key, value in body.items()}
        request = cookie + b" " + json.dumps({**named, "command": command}).encode()
        for _ in range(100):
            try:
                self.socket.send(request)
                reply = self.socket.recv(65535)
                while not reply.startswith(cookie + b" "):
                    reply = self.socket.recv(65535)
                return json.loads(reply.partition(b" ")[2])
            except (TimeoutError, ConnectionRefusedError):
                time.sleep(0.1)
        raise TimeoutError(command)

    def call(self, call_id: str, a: Phone, b: Phone) -> tuple[int, int]:
        """Set up a call, RTP at a and SRTP at b; our ports towards a and b."""
        offered = self.ask(
            "offer", call_id=call_id, from_tag="a", sdp=a.sdp(), transport_protocol="RTP/SAVP",
            SDES=["only-AES_CM_128_HMAC_SHA1_80"],
        )  # fmt: skip
        assert offered["result"] == "ok", offered
        answered = self.ask("answer", call_id=call_id, from_tag="a", to_tag="b", sdp=b.answer(offered["sdp"]))
        assert answered["result"] == "ok", answered
        return media_port(answered["sdp"]), media_port(offered["sdp"])


@dataclass
class Machine:
    """A gateway without its SIP edge. `ports` are the media ports."""

    folder: Path
    ng_port: int
    ports: tuple[int, int]
    calls: int = 300
    cores: tuple[int, ...] = (0,)
    ng: str = ""  # more lines of the table [ng]
    more: str = ""  # more tables
    port: str = "auto"  # kind, as the holder's configuration names it
    interfaces: tuple[dict[str, Any], ...] = ({"name": "default", "address": "127.0.0.1"},)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    control: subprocess.Popen[bytes] | None = None

    @property
    def run(self) -> Path:
        return self.folder / "run"

    @property
    def log(self) -> str:
        return "".join(path.read_text() for path in sorted(self.folder.glob("*.log")))

    def start_holder(self) -> None:
        self.run.mkdir(exist_ok=True)
        configuration = self.folder / "holder.json"
        configuration.write_text(
            json.dumps(
                {
                    "socket": str(self.run / "media.sock"), "cores": list(self.cores), "port": self.port,
                    "cipher": "auto", "interfaces": list(self.interfaces), "ports": list(self.ports),
                    "calls": self.calls, "user": "", "log": "info",
                }
            )
        )  # fmt: skip
        self._start("kernels.control.holder", str(configuration))

    def start_control(self) -> None:
        settings = self.folder / "srtpgw.toml"
        settings.write_text(
            f'[paths]\nrun = "{self.run}"\nstate = "{self.folder}/state"\n'
            f'[media]\ncores = {list(self.cores)}\nports = "{self.ports[0]}-{self.ports[1]}"\ncalls = {self.calls}\n'
            f'[ng]\nlisten = ["127.0.0.1:{self.ng_port}"]\n{self.ng}\n[log]\nlevel = "debug"\n'
            f"[security]\nsdes_requires_tls = false\n[sip]\nenabled = false\n{self.more}\n"
        )
        self.control = self._start("appliance.gateway", "--config", str(settings))

    def kill_control(self, how: int = signal.SIGKILL) -> int:
        assert self.control is not None
        self.control.send_signal(how)
        return self.control.wait(10)

    def stop(self) -> None:
        for process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(10)

    def _start(self, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{len(self.processes)}-{module}.log").open("wb") as log:
            process = subprocess.Popen([sys.executable, "-m", module, *arguments], stdout=log, stderr=log)
        self.processes.append(process)
        return process


@contextmanager
def machine(
    folder: Path, ng_port: int, ports: tuple[int, int], calls: int = 300, cores: tuple[int, ...] = (0,),
    ng: str = "", more: str = "", **changes: Any,
) -> Iterator[tuple[Machine, NgClient]]:
    """Holder and control process, up and answering."""
    built = Machine(folder, ng_port, ports, calls, cores, ng, more, **changes)
    try:
        built.start_holder()
        built.start_control()
        client = NgClient(ng_port)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                assert client.ask("ping") == {"result": "pong"}
                break
            except TimeoutError:
                continue
        else:
            raise TimeoutError(built.log)
        yield built, client
    finally:
        built.stop()
