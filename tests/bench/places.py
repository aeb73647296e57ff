"""Where a comparison happens: network namespaces joined by veth pairs, or this host's loopback.

A place says which addresses gateway and endpoints have, starts a process where the gateway belongs, and makes the load
generator that fits: past the kernel's UDP over veth (kernels.load.fleet), kernel sockets on loopback."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from kernels.load.plan import StreamConfig, stream_to_json
from kernels.load.wires import Wire, fleet_to_json
from tests.system import lab as labs
from tests.system.ng import NgClient

SIDES = ("access", "core")
NG_PORT = 2223


class Place(Protocol):
    name: str
    interfaces: dict[str, str]  # of the gateway: name -> address
    hosts: tuple[str, str]  # of the endpoints: caller's side, callee's side

    def start(self, command: Sequence[str], log: str) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]: ...
    def client(self) -> NgClient: ...
    def load(self, streams: Sequence[StreamConfig]) -> dict[str, Any]: ...


@dataclass
class Veth:
    """The lab of the system tests: access, gateway and core as namespaces."""

    lab: labs.Lab
    cpu: int  # of the gateway: as the interrupts of a card would be, what arrives is received there
    name: str = "veth"

    def __post_init__(self) -> None:
        self.interfaces = dict(labs.GATEWAY)
        self.hosts = labs.ADDRESS["access"], labs.ADDRESS["core"]
        self._wires = [self._wire(side) for side in SIDES]
        for side in SIDES:
            self._steer(side)

    @contextlib.contextmanager
    def start(self, command: Sequence[str], log: str) -> Iterator[subprocess.Popen[bytes]]:
        process = self.lab.start("gateway", command, log)
        try:
            yield process
        finally:
            labs.end(process)
            self.lab.processes.remove(process)

    def client(self) -> NgClient:
        return labs.inside("gateway", lambda: NgClient(("127.0.0.1", NG_PORT)))

    def load(self, streams: Sequence[StreamConfig]) -> dict[str, Any]:
        """What the load generator is told: it opens its ports in both namespaces itself."""
        return fleet_to_json(self._wires, [(self.hosts.index(stream.local[0]), stream) for stream in streams])

    def _steer(self, side: str) -> None:
        """Receive packet steering to the gateway's core; otherwise veth receives on the sender's, and the generator
        would pay what is the gateway's to pay. XDP in the driver runs before it (and pays on the way out instead)."""
        script = f"for q in /sys/class/net/{side}/queues/rx-*; do echo {1 << self.cpu:x} > $q/rps_cpus; done"
        words = ["ip", "netns", "exec", labs.name("gateway"), "sh", "-c", script]
        subprocess.run(words, capture_output=True, check=False, timeout=20)

    def _wire(self, side: str) -> Wire:
        macs = _mac(labs.name("gateway"), side) + _mac(labs.name(side), "gw")
        return Wire("gw", labs.ADDRESS[side], macs, f"/run/netns/{labs.name(side)}")


@dataclass
class Loopback:
    """Everybody on 127.0.0.0/8, no rights needed; the generator pays the same system calls as the gateway."""

    directory: Path
    name: str = "loopback"

    def __post_init__(self) -> None:
        self.interfaces = {"default": "127.0.0.1"}
        self.hosts = "127.0.0.2", "127.0.0.3"

    @contextlib.contextmanager
    def start(self, command: Sequence[str], log: str) -> Iterator[subprocess.Popen[bytes]]:
        with (self.directory / log).open("wb") as out:
            process = subprocess.Popen(
                command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True
            )
        try:
            yield process
        finally:
            labs.end(process)

    def client(self) -> NgClient:
        return NgClient(("127.0.0.1", NG_PORT))

    def load(self, streams: Sequence[StreamConfig]) -> dict[str, Any]:
        return {"streams": [stream_to_json(stream) for stream in streams]}


@contextlib.contextmanager
def veth(directory: Path, cpu: int) -> Iterator[Veth]:
    """The namespaces, gone afterwards with everything in them."""
    with labs.lab(directory) as built:
        yield Veth(built, cpu)


def no_veth() -> str:
    """Why there can be none here; empty: there can."""
    return labs.available()


def _mac(namespace: str, interface: str) -> str:
    words = ["ip", "-n", namespace, "-j", "link", "show", interface]
    (link,) = json.loads(subprocess.run(words, capture_output=True, text=True, check=True, timeout=20).stdout)
    return str(link["address"]).replace(":", "")
