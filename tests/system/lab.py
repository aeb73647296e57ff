"""Two hosts and a gateway on one machine: three network namespaces joined by veth pairs.

    access 10.77.1.2 ---- 10.77.1.1  gateway  10.77.2.1 ---- 10.77.2.2 core

Names carry the process id of the test run, so that a later run finds and removes what a killed one left behind.
Everything started inside is known by its process id and ended by it.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from kernels.load.namespace import entered
from tests import namespaces

PREFIX = "gwtest"
ROLES = ("access", "gateway", "core")
ADDRESS = {"access": "10.77.1.2", "core": "10.77.2.2"}
GATEWAY = {"access": "10.77.1.1", "core": "10.77.2.1"}
T = TypeVar("T")


def available() -> str:
    """Why the lab cannot be built here; empty when it can."""
    if os.geteuid() != 0:
        return "needs root for network namespaces"
    probe = f"{PREFIX}{os.getpid()}-probe"
    if _ip("netns", "add", probe, check=False).returncode:
        return "network namespaces are not permitted here"
    _ip("netns", "delete", probe)
    return ""


class Lab:
    """The three namespaces and what runs in them. Use as a context manager."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Lab:
        remove_leftovers()
        for role in ROLES:
            _ip("netns", "add", name(role))
            _ip("-n", name(role), "link", "set", "lo", "up")
        for side in ("access", "core"):
            self._join(side)
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self.processes):
            end(process)
        for role in ROLES:
            _ip("netns", "delete", name(role), check=False)

    def start(
        self, role: str, command: Sequence[str], log: str, stdin: int = subprocess.DEVNULL, **options: Any
    ) -> subprocess.Popen[bytes]:
        """Run `command` inside a namespace, output to `directory/log`; ended with the lab."""
        with (self.directory / log).open("wb") as output:
            process = subprocess.Popen(
                ["ip", "netns", "exec", name(role), *command],
                stdin=stdin, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, **options,
            )  # fmt: skip
        self.processes.append(process)
        return process

    def _join(self, side: str) -> None:
        gateway, peer = name("gateway"), name(side)
        _ip("link", "add", side, "netns", gateway, "type", "veth", "peer", "name", "gw", "netns", peer)
        _ip("-n", gateway, "address", "add", f"{GATEWAY[side]}/24", "dev", side)
        _ip("-n", peer, "address", "add", f"{ADDRESS[side]}/24", "dev", "gw")
        _ip("-n", gateway, "link", "set", side, "up")
        _ip("-n", peer, "link", "set", "gw", "up")
        # The other side is reachable by signalling only through the gateway; a route would hide a leak of addresses.


def name(role: str) -> str:
    return f"{PREFIX}{os.getpid()}-{role}"


def remove_leftovers() -> None:
    """Delete namespaces of test runs that are no longer alive, with every process that is still inside."""
    for line in _ip("netns", "list").stdout.splitlines():
        found = re.match(rf"({PREFIX}(\d+)-\w+)", line)
        if not found or Path(f"/proc/{found[2]}").exists():
            continue
        for pid in _ip("netns", "pids", found[1], check=False).stdout.split():
            with_suppressed_lookup(int(pid), signal.SIGKILL)
        _ip("netns", "delete", found[1], check=False)


def end(process: subprocess.Popen[bytes], patience: float = 5.0) -> None:
    """SIGTERM, then SIGKILL to the process group that `start` made."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(patience)
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def with_suppressed_lookup(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def inside(role: str, work: Callable[[], T]) -> T:
    """Call `work` on a thread that has entered the namespace: sockets it makes belong there for good."""
    return namespaces.inside(name(role), work)


def wait_for(what: Callable[[], T], seconds: float, message: str | Callable[[], str]) -> T:
    """The first true value of `what()`; AssertionError after `seconds`, its message made then if it is a function."""
    limit = time.monotonic() + seconds
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > limit:
            raise AssertionError(message if isinstance(message, str) else message())
        time.sleep(0.05)


@contextmanager
def lab(directory: Path) -> Iterator[Lab]:
    with Lab(directory) as built:
        yield built


@contextmanager
def island(role: str) -> Iterator[None]:
    """This thread, and what it starts, in a namespace of its own with loopback and nothing else: an answer to an
    address that is nobody's goes nowhere."""
    home = name(role)
    _ip("netns", "add", home)
    try:
        _ip("-n", home, "link", "set", "lo", "up")
        with entered(f"/run/netns/{home}"):
            yield
    finally:
        _ip("netns", "delete", home, check=False)


def _ip(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=check, timeout=20)
