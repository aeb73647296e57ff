"""A media holder with AF_XDP in a namespace, driven as the control process does, and phones at the far end."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernels.control.commands import Command, InstallFlow, PortNews
from kernels.port import program as bpf
from tests.kernels.rig import CM128, Control, InstallCrypto, endpoint, master_key, session, wait_for
from tests.namespaces import inside
from tests.system.veth import FAR, HERE, Veth

FIRST_PORT = 30_000
ALICE, BOB = 40_000, 40_002  # the far end's ports


@dataclass(frozen=True)
class Hop:
    """A row of the next-hop table."""

    interface: str
    destination: str
    device: int
    source_mac: str
    destination_mac: str
    vlan: int | None = None
    mtu: int = 1500
    usable: bool = True


class XdpControl(Control):
    """Keeps the news of ports apart."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.ports: list[PortNews] = []
        take = self.plane.poll

        def poll() -> list[Any]:
            found = take()
            self.ports += [item for item in found if isinstance(item, PortNews)]
            return found

        self.plane.poll = poll  # type: ignore[method-assign]

    def await_port(self, word: str, seconds: float = 20) -> PortNews:
        def look() -> PortNews | None:
            self.poll()
            return next((item for item in self.ports if word in item.reason), None)

        found: PortNews = wait_for(look, seconds)
        self.ports.remove(found)
        return found


class XdpGateway:
    """The holder in the gateway's namespace; interfaces "four" and "six" are on the same device."""

    def __init__(self, veth: Veth, folder: Path, prefix: tuple[str, ...] = (), **changes: Any) -> None:
        self.veth = veth
        self.log = folder / "holder.log"
        path = str(folder / "media.sock")
        configuration = {
            "socket": path, "cores": [min(os.sched_getaffinity(0))], "ports": [FIRST_PORT, FIRST_PORT + 39],
            "interfaces": [{"name": "four", "address": HERE[4]}, {"name": "six", "address": HERE[6]}],
            "calls": 20, "port": "xdp",
        } | changes  # fmt: skip
        file = folder / "holder.json"
        file.write_text(json.dumps(configuration))
        command = ["ip", "netns", "exec", veth.gateway, *prefix]
        command += [sys.executable, "-m", "kernels.control.holder", str(file)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stderr=log)
        try:
            wait_for(lambda: "media holder ready" in self.log.read_text() or self.process.poll() is not None, 60)
            assert self.process.poll() is None, self.log.read_text()
            self.control = XdpControl(path)
            self.plane = self.control.plane
            if configuration["interfaces"][-1]["name"] == "six":
                self.set_next_hops()
        except BaseException:
            self.end()
            raise

    def set_next_hops(self, **changes: Any) -> None:
        device = self.veth.link(self.veth.gateway, "media")
        here, there = device["address"], self.veth.mac(self.veth.far, "far")
        rows = [Hop(name, FAR[family], device["ifindex"], here, there) for name, family in (("four", 4), ("six", 6))]
        assert self.plane.set_next_hops([Hop(**(row.__dict__ | changes)) for row in rows]) == 0

    def call(self, a: int = 4, b: int = 4, worker: int = 0) -> None:
        """Alice (plain, family a) and Bob (secure, family b) through a worker."""
        name = {4: "four", 6: "six"}
        port, other = (self.plane.info.interfaces[name[family]].ports[worker].start for family in (a, b))
        common: dict[str, Any] = {"rtp": True, "rtcp": True, "latching": "off"}
        commands: list[Command] = [
            InstallCrypto(0, CM128, master_key(0), False),
            InstallCrypto(1, CM128, master_key(1), True),
            InstallFlow(0, name[a], port, remote=(FAR[a], ALICE), rtp_partner=1, rtcp_partner=1, **common),
            InstallFlow(1, name[b], other + 2, remote=(FAR[b], BOB), rtp_partner=0, rtcp_partner=0, receive=0, send=1,
                        secure=True, **common),
        ]  # fmt: skip
        assert self.control.do(*commands, worker=worker) == [0, 0, 0, 0]
        self.ports = {"alice": (HERE[a], port), "bob": (HERE[b], other + 2)}
        self.alice = inside(self.veth.far, lambda: endpoint(FAR[a], ALICE))
        self.bob = inside(self.veth.far, lambda: endpoint(FAR[b], BOB))
        self.bob_opens, self.bob_seals = session(master_key(1), send=False), session(master_key(0), send=True)

    def counters(self, worker: int = 0) -> dict[str, int]:
        time.sleep(0.05)  # at most 10 ms old
        return {name: value for name, value in self.plane.counters(worker).items() if value}

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def worker_pid(self, worker: int = 0) -> int:
        return self.plane.worker(worker).pid

    def link(self) -> int:
        """A descriptor of the holder's own BPF link; the caller closes it."""
        for entry in Path(f"/proc/{self.process.pid}/fdinfo").iterdir():
            found = dict(re.findall(r"^(link_\w+):\s*(\S+)", entry.read_text(), re.MULTILINE))
            if found.get("link_type") == "xdp":
                return bpf.open_link(int(found["link_id"]))
        raise AssertionError("the holder has no XDP link")

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)


@contextlib.contextmanager
def gateway(veth: Veth, folder: Path, **changes: Any) -> Iterator[XdpGateway]:
    running = XdpGateway(veth, folder, **changes)
    try:
        yield running
    finally:
        running.end()
