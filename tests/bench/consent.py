"""`python -m tests.bench.consent`: what consent checks of many ICE legs cost a worker.

A worker with a port for each leg answers checks that one peer sends at an even rate, each signed under credentials of
that leg; reported is the share of one core that the worker's thread took, idle and under the checks."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import select
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from kernels.control.commands import InstallFlow, InstallIce, Reply
from kernels.control.errors import RingFull
from kernels.control.plane import MediaPlane
from tests.kernels.checks import check
from tests.kernels.rig import HolderProcess, holder

GATEWAY, PEER = "127.9.0.1", "127.9.0.2"  # of loopback: nobody else's ports are in the way
FIRST_PORT = 20_000
STEP_S = 0.005  # how often the peer sends a portion
PUBLISHED_S = 0.15  # the counters of an idle worker are published at the pace of its heartbeat


@dataclass(frozen=True, slots=True)
class Measured:
    """Shares are of one core."""

    legs: int
    checks_per_s: float  # sent
    answered: float  # of them
    consent: float  # of the legs at the end
    idle_share: float
    busy_share: float
    us_per_check: float  # CPU of the worker beyond idle


def main(arguments: list[str] | None = None) -> int:
    """0: every check was answered."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.consent", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--legs", type=int, default=10_000)
    parser.add_argument("--checks", type=int, default=2_000, help="a second; 10,000 legs of a check each 5 s")
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args(arguments)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(limit[0], 200_000), max(limit[1], 200_000)))
    with tempfile.TemporaryDirectory(prefix="srtpgw-consent-") as name:
        measured = measure(Path(name), options.legs, options.checks, options.seconds)
    print(json.dumps(asdict(measured), indent=1))
    return 0 if measured.answered == measured.consent == 1 else 1


def measure(folder: Path, legs: int, checks_per_s: int, seconds: float) -> Measured:
    """With a holder of its own, on the first core; the peer is this process, on the last."""
    interfaces = [{"name": "default", "address": GATEWAY}]
    ports = [FIRST_PORT, FIRST_PORT + legs - 1 + legs % 2]
    cores = sorted(os.sched_getaffinity(0))
    with holder(
        folder, FIRST_PORT, interfaces=interfaces, ports=ports, calls=-(-legs // 4), port="udp-sockets"
    ) as process:
        os.sched_setaffinity(0, {cores[-1]})
        try:
            return _Run(process, legs).measure(checks_per_s, seconds)
        finally:
            os.sched_setaffinity(0, set(cores))


class _Run:
    def __init__(self, process: HolderProcess, legs: int) -> None:
        self._plane = MediaPlane.attach(process.path)
        self._peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._peer.bind((PEER, 0))
        self._peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._peer.setblocking(False)
        self._sent = self._heard = self._waiting = 0
        self._checks = [self._leg(slot) for slot in range(legs)]
        self._settle(lambda: not self._waiting)

    def measure(self, checks_per_s: int, seconds: float) -> Measured:
        self._send(checks_per_s, len(self._checks))  # every leg gets its pair
        idle = self._share(lambda: self._rest(min(seconds, 3.0)))
        count = round(checks_per_s * seconds)
        begin = time.monotonic()
        busy = self._share(lambda: self._send(checks_per_s, count))
        rate = count / (time.monotonic() - begin - 2 * PUBLISHED_S)
        self._settle(lambda: self._heard == self._sent)
        agents = [self._plane.flow(0, slot).ice for slot in range(len(self._checks))]
        consent = sum(agent is not None and agent.consent for agent in agents) / len(agents)
        return Measured(
            len(agents), round(rate, 1), self._heard / self._sent, consent, round(idle, 4), round(busy, 4),
            round(1e6 * (busy - idle) / rate, 2),
        )  # fmt: skip

    def _leg(self, slot: int) -> tuple[bytes, tuple[str, int]]:
        """Install one; its check."""
        ours, password, port = f"leg{slot}", f"password+of+leg+number+{slot}", FIRST_PORT + slot
        self._submit(InstallFlow(slot, "default", port, True, True, ice=True))
        self._submit(InstallIce(slot, ours, password, "peer"))
        return check(nominate=True, user=f"{ours}:peer", password=password), (GATEWAY, port)

    def _submit(self, command: InstallFlow | InstallIce) -> None:
        while True:
            try:
                self._plane.submit(0, command)
            except RingFull:
                self._poll(0.01)
                continue
            self._waiting += 1
            return

    def _poll(self, wait_s: float = 0) -> None:
        if wait_s:
            select.select([self._plane.fileno(), self._peer], [], [], wait_s)
        for item in self._plane.poll():
            if isinstance(item, Reply):
                if item.error:
                    raise RuntimeError(f"the worker refused a command: {item.error}")
                self._waiting -= 1
        with contextlib.suppress(BlockingIOError):
            while True:
                self._heard += self._peer.recv(200)[:2] == b"\x01\x01"

    def _settle(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not done() and time.monotonic() < deadline:
            self._poll(0.01)

    def _rest(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._poll(0.05)

    def _send(self, checks_per_s: int, count: int) -> None:
        """At an even pace, leg after leg."""
        begin, sent = time.monotonic(), 0
        while sent < count:
            while sent < min(count, (time.monotonic() - begin) * checks_per_s):
                data, to = self._checks[self._sent % len(self._checks)]
                self._peer.sendto(data, to)
                self._sent += 1
                sent += 1
            self._poll()
            time.sleep(STEP_S)

    def _share(self, work: Callable[[], None]) -> float:
        """CPU seconds of the worker in a second, while `work` runs."""
        used, begin = self._busy(), time.monotonic()
        work()
        return (self._busy() - used) / (time.monotonic() - begin)

    def _busy(self) -> float:
        time.sleep(PUBLISHED_S)
        return self._plane.counters(0)["busy_ns"] / 1e9


if __name__ == "__main__":
    sys.exit(main())
