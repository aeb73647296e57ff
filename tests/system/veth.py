"""A gateway and the far end of one multi-queue veth pair, in two network namespaces of their own.

    far 10.78.0.2, fd78::2  "far" ==== "media"  10.78.0.1, fd78::1  gateway
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

PREFIX = "gwxdp"
HERE = {4: "10.78.0.1", 6: "fd78::1"}
FAR = {4: "10.78.0.2", 6: "fd78::2"}


class Veth:
    """Use as a context manager. `queues` of each end; `mtu` of both."""

    def __init__(self, queues: int = 2, mtu: int = 1500) -> None:
        self.queues, self.mtu = queues, mtu
        self.gateway, self.far = (f"{PREFIX}{os.getpid()}-{role}" for role in ("gateway", "far"))

    def __enter__(self) -> Veth:
        remove_leftovers()
        for space in (self.gateway, self.far):
            ip("netns", "add", space)
        self.join()
        return self

    def __exit__(self, *_: object) -> None:
        for space in (self.gateway, self.far):
            ip("netns", "delete", space, check=False)

    def join(self) -> None:
        """The pair, addresses, and each other's MAC (nobody has to ask)."""
        count = ["numrxqueues", str(self.queues), "numtxqueues", str(self.queues)]
        end = ["peer", "name", "far", "netns", self.far, *count]
        ip("link", "add", "media", "netns", self.gateway, *count, "type", "veth", *end)
        for space, name, own in ((self.gateway, "media", HERE), (self.far, "far", FAR)):
            ip("-n", space, "link", "set", name, "mtu", str(self.mtu))
            ip("-n", space, "address", "add", f"{own[4]}/24", "dev", name)
            ip("-n", space, "address", "add", f"{own[6]}/64", "dev", name, "nodad")
            ip("-n", space, "link", "set", name, "up")
            ip("-n", space, "link", "set", "lo", "up")

    def mac(self, space: str, device: str) -> str:
        return str(self.link(space, device)["address"])

    def link(self, space: str, device: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(ip("-n", space, "-j", "-d", "link", "show", device).stdout)[0]
        return found

    def in_gateway(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return ip("-n", self.gateway, *words, check=check)

    def run(self, space: str, *command: str) -> subprocess.CompletedProcess[str]:
        words = ["ip", "netns", "exec", space, *command]
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=30)


def remove_leftovers() -> None:
    """Namespaces of test runs that are no longer alive."""
    for line in ip("netns", "list").stdout.splitlines():
        found = re.match(rf"({PREFIX}(\d+)-\w+)", line)
        if found and not Path(f"/proc/{found[2]}").exists():
            ip("netns", "delete", found[1], check=False)


def ip(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False, timeout=20)
    assert not check or done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"
    return done
