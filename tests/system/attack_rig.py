"""A gateway without its SIP edge in a namespace of its own, phones and attackers at the far end of a veth pair, any
kind of port. Who attacks says how much he has sent; the gateway says how much of it came."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srtpgw.v1 import system_pb2, system_pb2_grpc
from tests.appliance.processes import Machine, NgClient, media_port
from tests.namespaces import inside
from tests.system.dtls_calls import House
from tests.system.dtls_phone import DtlsPhone
from tests.system.veth import FAR, HERE, Veth, ip

THIRD = "10.78.0.3"  # at the far end too: nobody's that was signalled
KINDS = {"udp-sockets": "udp-sockets", "udp-wildcard": "udp-wildcard", "xdp": "xdp-native"}


@dataclass
class FarMachine(Machine):
    """In the namespace `space`."""

    space: str = ""

    def _start(self, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = ["ip", "netns", "exec", self.space, sys.executable, "-m", module, *arguments]
        with (self.folder / f"{len(self.processes)}-{module}.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        self.processes.append(process)
        return process


class FarPlain:
    """A phone with plain RTP; to be made inside the far namespace."""

    def __init__(self) -> None:
        self.socket = far_socket(FAR[4])

    def sdp(self) -> str:
        port = self.socket.getsockname()[1]
        return f"v=0\r\no=- 1 1 IN IP4 {FAR[4]}\r\ns=-\r\nc=IN IP4 {FAR[4]}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"

    def close(self) -> None:
        self.socket.close()


class Attacked(House):
    """Phones and attackers are far away."""

    def __init__(self, box: Machine, ng: NgClient, veth: Veth) -> None:
        self.veth = veth
        super().__init__(box, ng)

    def far(self, setup: str = "active", **words: Any) -> DtlsPhone:
        """A phone there."""
        phone = inside(self.veth.far, lambda: DtlsPhone(setup, FAR[4], **words))
        self._phones.append(phone)
        return phone

    def far_plain(self) -> FarPlain:
        """The same, with plain RTP."""
        phone = inside(self.veth.far, FarPlain)
        self._phones.append(phone)
        return phone

    def counters(self) -> dict[str, int]:
        """Of the one worker. At most 10 ms old."""
        status = system_pb2_grpc.SystemServiceStub(self.channel).GetStatus(system_pb2.GetStatusRequest(), timeout=5)
        return dict(status.workers[0].counters)

    def octets(self) -> tuple[int, int]:
        """What the far end has sent and received."""
        (link,) = json.loads(ip("-n", self.veth.far, "-s", "-j", "link", "show", "far").stdout)
        return link["stats64"]["tx"]["bytes"], link["stats64"]["rx"]["bytes"]

    def resident_kib(self) -> int:
        """Of all processes of the gateway."""
        pids = [int(pid) for pid in ip("netns", "pids", self.veth.gateway).stdout.split()]
        pages = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in pids]
        return sum(int(line.split()[1]) for text in pages for line in text.splitlines() if line.startswith("Pss:"))

    def flood(self, port: int, count: int, rate: int) -> Flood:
        return Flood(self.veth, port, count, rate)

    def attacker(self, host: str, rate: int) -> Attacker:
        return Attacker(self, host, rate)


class Attacker:
    """Sends ClientHellos at a rate from `host` to the port that it is told."""

    def __init__(self, house: Attacked, host: str, rate: int) -> None:
        words = ["ip", "netns", "exec", house.veth.far, sys.executable, "-m", "tests.system.dtls_attacker", host]
        words += [str(rate), HERE[4]]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def attack(self, port: int) -> None:
        """This port from now on."""
        self._say(str(port))

    def wait(self, count: int) -> None:
        """Until it has sent so many to this port."""
        while int(self._ask("?")) < count:
            time.sleep(0.01)

    def pause(self) -> None:
        """Nowhere from now on."""
        self._say("0")

    def end(self) -> tuple[int, float]:
        """How many it sent, in how many seconds of attack."""
        sent, seconds = self._ask("").split()
        self._process.wait(5)
        return int(sent), float(seconds)

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")

    def _ask(self, line: str) -> str:
        self._say(line)
        assert self._process.stdout is not None
        return self._process.stdout.readline()


class Flood:
    """Forged sources, from the far end. A context: it is ready when entered."""

    def __init__(self, veth: Veth, port: int, count: int, rate: int) -> None:
        words = ["ip", "netns", "exec", veth.far, sys.executable, "-m", "tests.system.spoofed_hellos", HERE[4]]
        words += [str(port), str(count), str(rate)]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def __enter__(self) -> Flood:
        assert self._process.stdout is not None and self._process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(5)

    def start(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")

    def wait(self) -> tuple[int, float]:
        """How many were sent, in how many seconds."""
        assert self._process.stdout is not None
        sent, seconds = self._process.stdout.readline().split()
        return int(sent), float(seconds)


def far_socket(host: str) -> socket.socket:
    """To be made inside the far namespace."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((host, 0))
    made.settimeout(2)
    return made


def our_port(sdp: str) -> tuple[str, int]:
    return HERE[4], media_port(sdp)


def settled(house: Attacked) -> dict[str, int]:
    """The counters when nothing more comes."""
    before: dict[str, int] = {}
    while (now := house.counters()).get("received") != before.get("received"):
        before = now
        time.sleep(0.05)
    return now


@contextmanager
def attacked(folder: Path, kind: str) -> Iterator[Attacked]:
    """`kind` of port as the holder's configuration names it."""
    with Veth() as veth:
        ip("-n", veth.far, "address", "add", f"{THIRD}/24", "dev", "far")
        ip("-n", veth.gateway, "route", "add", "default", "via", FAR[4])
        there = {"name": "default", "address": HERE[4]}
        more = f'[[interfaces]]\nname = "default"\naddress = "{HERE[4]}"\n'
        box = FarMachine(
            folder, 46000, (46020, 46999), 40, more=more, port=kind, interfaces=(there,), space=veth.gateway
        )
        try:
            box.start_holder()
            box.start_control()
            ng = inside(veth.gateway, lambda: NgClient(box.ng_port))
            assert ng.ask("ping") == {"result": "pong"}
            house = Attacked(box, ng, veth)
            try:
                yield house
            finally:
                house.close_phones()
                house.channel.close()
        finally:
            box.stop()
