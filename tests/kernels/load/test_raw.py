"""The load generator's own AF_XDP port: two of them at the ends of a veth pair, in one process."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernels.load.fleet import Fleet
from kernels.load.namespace import entered
from kernels.load.plan import Run, Talker, totals
from kernels.load.raw import RawPort
from tests.kernels.load.test_fleet import calls

pytestmark = pytest.mark.system
NAMES = [f"gwraw{os.getpid()}-{side}" for side in "ab"]


def ip(*words: str) -> str:
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=True, timeout=20).stdout


@pytest.fixture
def ends() -> Iterator[list[tuple[str, int, bytes]]]:
    """(namespace, ifindex, MAC) of both ends of a veth pair."""
    for name in NAMES:
        ip("netns", "add", name)
    try:
        ip("link", "add", "w", "netns", NAMES[0], "type", "veth", "peer", "name", "w", "netns", NAMES[1])
        for number, name in enumerate(NAMES):
            ip("-n", name, "address", "add", f"10.79.0.{number + 1}/24", "dev", "w")
            ip("-n", name, "link", "set", "w", "up")
        yield [end(name) for name in NAMES]
    finally:
        for name in NAMES:
            ip("netns", "delete", name)


def end(name: str) -> tuple[str, int, bytes]:
    (link,) = json.loads(ip("-n", name, "-j", "link", "show", "w"))
    return f"/run/netns/{name}", link["ifindex"], bytes.fromhex(link["address"].replace(":", ""))


@pytest.mark.parametrize("generic", [False, True], ids=["native", "generic"])
@pytest.mark.parametrize("payload", [160, 1200])
def test_two_ports(ends: list[tuple[str, int, bytes]], payload: int, generic: bool) -> None:
    """Plain one way, SRTP back; what is sent arrives, once, as it was, with right checksums."""
    ports = []
    for number, (path, ifindex, mac) in enumerate(ends):
        with entered(path):
            far = ends[1 - number][2]
            ports.append(RawPort(ifindex, far + mac, f"10.79.0.{number + 1}", list(range(4000, 4200, 2)), generic))
    fleet = Fleet([(port, 100) for port in ports], calls(50, payload_octets=payload))
    fleet.perform(Run(0.5, packets_per_s=4000, settle_ms=50))
    sums = totals(fleet.report())
    assert 0 < sums.sent == sums.received and sums.flawless and fleet.silent() == 0
    assert [port.spoilt for port in ports] == [0, 0]
    for port in ports:
        port.close()


def test_needs_a_device() -> None:
    with pytest.raises(OSError, match="bind"):
        RawPort(999_999, bytes(12), "127.0.0.1", [4000])


def test_leaves_other_traffic_to_the_kernel(ends: list[tuple[str, int, bytes]]) -> None:
    path, ifindex, mac = ends[0]
    with entered(path):
        port = RawPort(ifindex, ends[1][2] + mac, "10.79.0.1", [4000])
    done = subprocess.run(["ip", "netns", "exec", NAMES[1], "ping", "-c1", "-W2", "10.79.0.1"], capture_output=True,
                          check=False, timeout=20) if Path("/bin/ping").exists() else None  # fmt: skip
    port.close()
    assert done is None or done.returncode == 0, done.stdout
    assert isinstance(calls(1)[0], Talker)
