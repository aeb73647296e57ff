"""The two that are compared, started the same way: on loopback, media on one core, driven through the NG protocol."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.system.ng import NgClient
from tests.system.rtpengine import PROGRAM as RTPENGINE
from tests.system.rtpengine import rtpengine

__all__ = ["RTPENGINE", "Subject", "gateway", "reference_gateway"]


@dataclass(frozen=True, slots=True)
class Subject:
    """A running media gateway. `media_pids`: what forwards packets; `all_pids`: what holds memory for calls."""

    name: str
    client: NgClient
    media_pids: Callable[[], list[int]]
    all_pids: Callable[[], list[int]]

    def cpu_ns(self) -> int:
        """CPU time of everything that forwards packets, all threads."""
        return sum(_thread_ns(pid) for pid in self.media_pids())

    def resident(self) -> int:
        """Octets of resident memory."""
        return sum(_resident(pid) for pid in self.all_pids())


@contextlib.contextmanager
def reference_gateway(folder: Path, ports: range, cpu: int) -> Iterator[Subject]:
    """rtpengine in user space, one worker thread; the first port is for control."""
    with rtpengine(ports[0], (ports[2], ports[-1]), log=folder / "rtpengine.log", cpu=cpu) as (client, pid):
        yield Subject("rtpengine", client, lambda: [pid], lambda: [pid])


@contextlib.contextmanager
def gateway(folder: Path, ports: range, cpu: int, calls: int, cipher: str = "openssl") -> Iterator[Subject]:
    """This gateway: `udp` port, one worker; control shares its core, as rtpengine's threads share theirs."""
    run = folder / "run"
    run.mkdir()
    holder_file, settings = folder / "holder.json", folder / "srtpgw.toml"
    holder_file.write_text(json.dumps({
        "socket": str(run / "media.sock"), "cores": [cpu], "port": "udp", "cipher": cipher, "calls": calls,
        "interfaces": [{"name": "default", "address": "127.0.0.1"}], "ports": [ports[2], ports[-1]],
        "user": "", "log": "warning",
    }))  # fmt: skip
    settings.write_text(
        f'[paths]\nrun = "{run}"\nstate = "{folder}/state"\n'
        f'[media]\ncores = [{cpu}]\nports = "{ports[2]}-{ports[-1]}"\ncalls = {calls}\n'
        f'[ng]\nlisten = ["127.0.0.1:{ports[0]}"]\n[log]\nlevel = "warning"\n'
        "[security]\nsdes_requires_tls = false\n[sip]\nenabled = false\n"
    )
    with contextlib.ExitStack() as stack:
        holder = stack.enter_context(_process(folder, cpu, "kernels.control.holder", str(holder_file)))
        control = stack.enter_context(_process(folder, cpu, "appliance.gateway", "--config", str(settings)))
        client = NgClient(("127.0.0.1", ports[0]))
        stack.callback(client.close)
        client.wait_ready(30)
        yield Subject("srtpgw", client, lambda: _children(holder.pid), lambda: [control.pid])


@contextlib.contextmanager
def _process(folder: Path, cpu: int, module: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    command = ["taskset", "-c", str(cpu), sys.executable, "-m", module, *arguments]
    with (folder / f"{module}.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _thread_ns(pid: int) -> int:
    """First field of schedstat: time on the CPU, ns."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):
            total += int((task / "schedstat").read_text().split()[0])
    return total


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _resident(pid: int) -> int:
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(status["VmRSS"].split()[0]) * 1024
