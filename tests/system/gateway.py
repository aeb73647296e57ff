"""The whole gateway in the lab's gateway namespace: `srtpgw up` with media holder, worker, control and SIP edge."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.system import lab as labs

PORTS = (25600, 26999)
# What settings have behind [media]: the lab's two addresses.
PLACES = """[paths]
run = "{run}"
state = "{state}"
[[interfaces]]
name = "access"
address = "{access}"
[[interfaces]]
name = "core"
address = "{core}"
[ng]
listen = ["127.0.0.1:25500"]
"""
TOML = """
[media]
ports = "{ports[0]}-{ports[1]}"
calls = 200
""" + PLACES + """[sip]
listen = ["udp:{access}:5060", "tcp:{access}:5060", "udp:{core}:5060", "tcp:{core}:5060"]
[security]
sdes_requires_tls = false
[[trunks]]
name = "phones"
match = ["10.77.1.2/32"]
destination = "sip:10.77.2.2:5060"
interface = "access"
rtp_secure_media = "forbidden"
[[trunks]]
name = "core"
match = ["10.77.2.2/32"]
destination = "sip:10.77.1.2:5060"
interface = "core"
rtp_secure_media = "{policy}"
{extra}
"""


@dataclass
class Gateway:
    """A running `srtpgw up`. Its processes are found below it, by process id."""

    lab: labs.Lab
    policy: str = "mandatory"
    extra: str = ""
    settings: str = TOML
    values: Mapping[str, object] = field(default_factory=dict)  # what else `settings` has places for
    process: subprocess.Popen[bytes] = field(init=False)

    @property
    def run(self) -> Path:
        return self.lab.directory / "run"

    def start(self) -> Gateway:
        config = self.lab.directory / "srtpgw.toml"
        config.write_text(self.settings.format(
            ports=PORTS, run=self.run, state=self.lab.directory / "state", access=labs.GATEWAY["access"],
            core=labs.GATEWAY["core"], policy=self.policy, extra=self.extra, **self.values,
        ))  # fmt: skip
        words = [sys.executable, "-m", "appliance.cli.main", "up", "--config", str(config)]
        environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        self.process = self.lab.start("gateway", words, "up.log", env=environment)
        labs.wait_for(lambda: "ready;" in self.screen(), 60, "the gateway does not get ready")
        return self

    def screen(self) -> str:
        text = (self.lab.directory / "up.log").read_text(errors="replace")
        assert self.process.poll() is None, text
        return text

    def log(self, name: str) -> str:
        path = self.run / "log" / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def status(self) -> dict[str, Any]:
        """What `srtpgw status --json` says."""
        words = [
            sys.executable,
            "-m",
            "appliance.cli.main",
            "status",
            "--json",
            "--socket",
            str(self.run / "control.sock"),
        ]
        done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=30)
        status: dict[str, Any] = json.loads(done.stdout)
        return status

    def used(self) -> dict[str, int]:
        """What calls hold: calls, flows and contexts of the arena, ports."""
        status = self.status()
        workers = status["workers"]
        return {
            "calls": int(status["calls"]),
            "flows": sum(int(worker["flows_used"]) for worker in workers),
            "cryptos": sum(int(worker["cryptos_used"]) for worker in workers),
            "ports": sum(int(count) for worker in workers for count in worker["ports_used"].values()),
        }

    def counters(self) -> dict[str, int]:
        total: dict[str, int] = {}
        for worker in self.status()["workers"]:
            for name, value in worker["counters"].items():
                total[name] = total.get(name, 0) + int(value)
        return total

    def child(self, *words: str) -> int:
        """Process id of the gateway's process (below `srtpgw up`) whose arguments contain all `words`."""
        return labs.wait_for(lambda: self._child(words), 20, f"no process {words}")

    def _child(self, words: tuple[str, ...]) -> int:
        for pid in descendants(self.process.pid):
            if all(word in arguments(pid) for word in words):
                return pid
        return 0

    def kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)


@contextmanager
def started(lab: labs.Lab, *how: Any, **more: Any) -> Iterator[Gateway]:
    """A Gateway that ends before its lab does, with nothing raised in any of its processes."""
    running = Gateway(lab, *how, **more).start()
    yield running
    labs.end(running.process, patience=15)
    assert "Traceback" not in running.log("sip") + running.log("control") + running.log("media")


def descendants(pid: int) -> list[int]:
    """Processes below `pid`, parents before children."""
    found: list[int] = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += [int(child), *descendants(int(child))]
    return found


def arguments(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
