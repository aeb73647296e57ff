"""The gateways that are compared, started the same way: in one place, media on one core, driven through NG."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from appliance.cli.client import connected
from kernels.control.configuration import CHOICES
from tests.bench.places import NG_PORT, Place
from tests.system.ng import NgClient

RTPENGINE = shutil.which("rtpengine")
REFERENCE = "rtpengine"
FIRST_PORT = 20_000  # of the gateway's media


@dataclass(frozen=True, slots=True)
class Subject:
    """A running media gateway. `media_pids`: what forwards packets; `all_pids`: what holds memory for calls."""

    name: str
    client: NgClient
    media_pids: Callable[[], list[int]]
    all_pids: Callable[[], list[int]]
    cpu: int
    runs: str = ""  # which port back end and cipher it says that it runs

    def cpu_ns(self) -> int:
        """CPU time of everything that forwards packets: all threads, and what the kernel put off to its own thread."""
        return sum(_thread_ns(pid) for pid in [*self.media_pids(), *_softirq_thread(self.cpu)])

    def resident(self) -> int:
        """Octets of resident memory."""
        return sum(_memory(pid, "VmRSS") for pid in self.all_pids())

    def private(self) -> int:
        """Octets that the forwarding processes hold beside the arena and beside what `resident` counts."""
        return sum(_memory(pid, "RssAnon") for pid in set(self.media_pids()) - set(self.all_pids()))


def port_kinds() -> list[str]:
    """The port back ends that this build can be told to use; `xdp-native` is port `xdp` with `xdp_mode` native."""
    return list(_back_ends())


def _back_ends() -> dict[str, dict[str, str]]:
    """Name -> what the holder is told. Zero copy is no mode of veth or loopback; a port that only stands for the better
    of others (`udp`) is measured as those."""
    found: dict[str, dict[str, str]] = {}
    for port in CHOICES["port"]:
        modes = [mode for mode in CHOICES.get(f"{port}_mode", ()) if mode not in ("auto", "zerocopy")]
        if port not in ("auto", "memory") and not any(other.startswith(f"{port}-") for other in CHOICES["port"]):
            found |= {f"{port}-{mode}": {"port": port, f"{port}_mode": mode} for mode in modes} or {
                port: {"port": port}
            }
    return found


@contextlib.contextmanager
def subject(name: str, place: Place, folder: Path, cpu: int, calls: int) -> Iterator[Subject]:
    """`rtpengine`, or this gateway with the port back end `name`; for so many calls at once."""
    start = _rtpengine if name == REFERENCE else _gateway
    with start(name, place, folder, cpu, calls) as made:
        yield made


def media_ports(place: Place, calls: int) -> tuple[int, int]:
    """First and last port of each interface: RTP and RTCP of a leg, and some that rest after a call."""
    legs = 2 if len(place.interfaces) == 1 else 1
    return FIRST_PORT, min(65_535, FIRST_PORT + 2 * legs * calls + 399)


@contextlib.contextmanager
def _rtpengine(name: str, place: Place, folder: Path, cpu: int, calls: int) -> Iterator[Subject]:
    """User space (table -1), one worker thread."""
    assert RTPENGINE is not None
    first, last = media_ports(place, calls)
    command = [
        "taskset", "-c", str(cpu), RTPENGINE, "--table=-1", "--foreground", "--log-stderr", "--log-level=3",
        "--config-file=none", *[f"--interface={one}/{address}" for one, address in place.interfaces.items()],
        f"--listen-ng=127.0.0.1:{NG_PORT}", f"--port-min={first}", f"--port-max={last}", "--num-threads=1",
        "--delete-delay=0", "--timeout=300",
    ]  # fmt: skip
    with place.start(command, "rtpengine.log") as process, _client(place) as client:
        yield Subject(name, client, lambda: [process.pid], lambda: [process.pid], cpu)


@contextlib.contextmanager
def _gateway(name: str, place: Place, folder: Path, cpu: int, calls: int) -> Iterator[Subject]:
    """One worker; control shares its core, as rtpengine's threads share theirs."""
    with contextlib.ExitStack() as stack:
        run = folder / "run"
        shutil.rmtree(run, ignore_errors=True)
        run.mkdir(parents=True)
        holder_file, settings = folder / "holder.json", folder / "srtpgw.toml"
        holder_file.write_text(json.dumps(_holder(name, place, run, cpu, calls)))
        settings.write_text(_settings(place, folder, cpu, calls))
        holder = stack.enter_context(_process(place, cpu, "kernels.control.holder", str(holder_file)))
        control = stack.enter_context(_process(place, cpu, "appliance.gateway", "--config", str(settings)))
        client = stack.enter_context(_client(place))
        runs = _runs(run / "control.sock")
        yield Subject(name, client, lambda: _children(holder.pid), lambda: [control.pid], cpu, runs)


def _holder(name: str, place: Place, run: Path, cpu: int, calls: int) -> dict[str, object]:
    return {
        "socket": str(run / "media.sock"), "cores": [cpu], **_back_ends()[name], "calls": calls + 16,
        "interfaces": [{"name": one, "address": address} for one, address in place.interfaces.items()],
        "ports": list(media_ports(place, calls)), "user": "", "log": "warning",
    }  # fmt: skip


def _settings(place: Place, folder: Path, cpu: int, calls: int) -> str:
    first, last = media_ports(place, calls)
    lines = ["[paths]", f'run = "{folder / "run"}"', f'state = "{folder / "state"}"']
    lines += ["[media]", f"cores = [{cpu}]", f'ports = "{first}-{last}"', f"calls = {calls + 16}"]
    for name, address in place.interfaces.items():
        lines += ["[[interfaces]]", f'name = "{name}"', f'address = "{address}"']
    lines += ["[ng]", f'listen = ["127.0.0.1:{NG_PORT}"]', "[log]", 'level = "warning"']
    lines += ["[security]", "sdes_requires_tls = false", "[sip]", "enabled = false", ""]
    return "\n".join(lines)


def _runs(socket: Path) -> str:
    """What the gateway says of itself, with the reason when it is not what it was told."""
    from srtpgw.v1 import system_pb2, system_pb2_grpc

    with connected(socket) as channel:
        found = system_pb2_grpc.SystemServiceStub(channel).GetStatus(system_pb2.GetStatusRequest(), timeout=5)
    return f"{found.port_kind}, {found.cipher}" + (f" ({found.why})" if found.why else "")


@contextlib.contextmanager
def _client(place: Place) -> Iterator[NgClient]:
    client = place.client()
    try:
        client.wait_ready(30)
        yield client
    finally:
        client.close()


def _process(place: Place, cpu: int, module: str, *arguments: str) -> contextlib.AbstractContextManager:  # type: ignore[type-arg]
    command = ["taskset", "-c", str(cpu), sys.executable, "-m", module, *arguments]
    return place.start(command, f"{module}.log")


def _thread_ns(pid: int) -> int:
    """First field of schedstat: time on the CPU, ns."""
    total = 0
    with contextlib.suppress(FileNotFoundError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                total += int((task / "schedstat").read_text().split()[0])
    return total


def _softirq_thread(cpu: int) -> list[int]:
    """ksoftirqd of this core."""
    for path in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):
            if path.read_text() == f"ksoftirqd/{cpu}\n":
                return [int(path.parent.name)]
    return []


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _memory(pid: int, name: str) -> int:
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(status[name].split()[0]) * 1024
