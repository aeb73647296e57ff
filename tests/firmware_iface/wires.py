"""Two network namespaces joined by a veth pair of four queues, made and removed by the tests that use them.

near 10.78.1.1, fd78::1 ---- 10.78.1.2, fd78::2 far
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from tests.namespaces import inside

PREFIX = "gwhw"
NEAR, FAR = "near", "far"
T = TypeVar("T")


class Wires:
    """Use as a context manager."""

    def __enter__(self) -> Wires:
        remove_leftovers()
        for end in (NEAR, FAR):
            ip("netns", "add", name(end))
            ip("-n", name(end), "link", "set", "lo", "up")
        self.join()
        return self

    def __exit__(self, *_: object) -> None:
        for end in (NEAR, FAR):
            ip("netns", "delete", name(end), check=False)

    def join(self) -> None:
        queues = ("numtxqueues", "4", "numrxqueues", "4")
        ip(
            "link", "add", "wire", "netns", name(NEAR), *queues, "type", "veth",
            "peer", "name", "wire", "netns", name(FAR), *queues,
        )  # fmt: skip
        for end, last in ((NEAR, 1), (FAR, 2)):
            self.ip(end, "address", "add", f"10.78.1.{last}/24", "dev", "wire")
            self.ip(end, "address", "add", f"fd78::{last}/64", "dev", "wire", "nodad")
            self.ip(end, "link", "set", "wire", "up")

    def ip(self, end: str, *words: str, check: bool = True) -> str:
        return ip("-n", name(end), *words, check=check)

    def mac(self, end: str) -> str:
        found = re.search(r"link/ether (\S+)", self.ip(end, "link", "show", "wire"))
        assert found
        return found[1]

    def python(self, end: str, *words: str) -> str:
        """Run Python in the namespace, with a /sys of its own."""
        command = ["ip", "netns", "exec", name(end), sys.executable, *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def name(end: str) -> str:
    return f"{PREFIX}{os.getpid()}-{end}"


def ip(*words: str, check: bool = True) -> str:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False, timeout=20)
    if check and done.returncode:
        raise AssertionError(f"ip {' '.join(words)}: {done.stderr}")
    return done.stdout


def remove_leftovers() -> None:
    for line in ip("netns", "list").splitlines():
        found = re.match(rf"({PREFIX}(\d+)-\w+)", line)
        if found and not Path(f"/proc/{found[2]}").exists():
            ip("netns", "delete", found[1], check=False)


def run_inside(end: str, work: Callable[[], Awaitable[T]]) -> T:
    """A coroutine in a loop of its own, on a thread that has entered the namespace."""

    async def main() -> T:
        return await work()

    return inside(name(end), lambda: asyncio.run(main()))


async def until(what: Callable[[], T], message: Callable[[], object], seconds: float = 20.0) -> T:
    """The first true value, while the loop runs."""
    limit = time.monotonic() + seconds
    while True:
        value = what()
        if value:
            return value
        assert time.monotonic() < limit, message()
        await asyncio.sleep(0.02)
