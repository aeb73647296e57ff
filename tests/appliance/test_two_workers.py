"""The whole control process on two workers: calls move and workers drain while media flows, by the commands an operator
has."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.appliance.processes import Machine, NgClient, Phone, machine, rtp

Gateway = tuple[Machine, NgClient]
RUNNING: list[Stream] = []
FIRST = 26000
BURST = 64  # of a worker


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with machine(tmp_path, 25900, (FIRST, FIRST + 399), 60, cores=(0, 1)) as made:
        yield made
        while RUNNING:  # of a test that failed: its senders must not disturb the next one
            RUNNING.pop().stop()


def srtpgw(built: Machine, *words: str) -> Any:
    """The command line, as JSON."""
    command = [
        sys.executable,
        "-m",
        "appliance.cli.main",
        *words,
        "--socket",
        str(built.run / "control.sock"),
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def until(condition: Any, seconds: float = 20) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
    return value


class Stream:
    """One call with media from a (plain) to b (secure) without pause; what b gets is opened afterwards, in order."""

    def __init__(self, client: NgClient, name: str) -> None:
        self.name = name
        self.a, self.b = Phone(), Phone()
        self.to_a, self.to_b = client.call(name, self.a, self.b)
        self.sent = 0
        self.got: list[bytes] = []
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._send, self._read)]
        for thread in self._threads:
            thread.start()
        RUNNING.append(self)

    def _send(self) -> None:
        while not self._ends.is_set():
            self.a.socket.sendto(rtp((65000 + self.sent) & 0xFFFF), ("127.0.0.1", self.to_a))
            self.sent += 1
            time.sleep(0.002)

    def _read(self) -> None:
        self.b.socket.settimeout(0.5)
        while True:
            try:
                self.got.append(self.b.socket.recv(2048))
            except TimeoutError:
                if self._ends.is_set():
                    return

    def stop(self) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join(10)

    def end(self) -> list[bytes]:
        """Stop; the plain packets. Every one authentic: no index twice, the ROC right."""
        self.stop()
        assert self.b.receive_session is not None
        opened = [self.b.receive_session.unprotect_rtp(data) for data in self.got]
        assert all(isinstance(data, bytes) for data in opened), opened[-1]
        self.a.close()
        self.b.close()
        return [data for data in opened if isinstance(data, bytes)]

    def whole(self) -> bool:
        """Everything that was sent arrived, once, in order."""
        return self.end() == [rtp((65000 + number) & 0xFFFF) for number in range(self.sent)]


def test_moves_on_command_under_load(gateway: Gateway) -> None:
    built, client = gateway
    stream = Stream(client, "c")
    home = srtpgw(built, "calls", "show", "c")["worker"]
    for number in range(4):
        to = (home + 1 + number) % 2
        shown = srtpgw(built, "calls", "move", "c", "--worker", str(to))
        assert shown["worker"] == to
        assert shown["streams"][0]["a"]["local_rtp"]["port"] == stream.to_a
    status = srtpgw(built, "status")
    assert status["calls_moved"] == "4"
    assert stream.whole()
    client.ask("delete", call_id="c")


def test_a_worker_is_drained_under_load(gateway: Gateway) -> None:
    """Its calls go to the other, no packet is lost; no new call comes; the wish outlives the control process."""
    built, client = gateway
    streams = [Stream(client, f"c{number}") for number in range(8)]
    assert {call["worker"] for call in srtpgw(built, "calls", "list")} == {0, 1}
    srtpgw(built, "workers", "drain", "0")
    until(lambda: srtpgw(built, "workers", "list")[0]["state"] == "drained")
    assert {call["worker"] for call in srtpgw(built, "calls", "list")} == {1}
    built.kill_control()
    built.start_control()
    until(lambda: client.ask("ping")["result"] == "pong")
    workers = srtpgw(built, "workers", "list")
    assert (workers[0]["state"], workers[1]["calls"]) == ("drained", 8)
    late = Stream(client, "late")
    assert srtpgw(built, "calls", "show", "late")["worker"] == 1
    srtpgw(built, "workers", "undrain", "0")
    assert srtpgw(built, "workers", "list")[0]["state"] == "run"
    assert all(stream.whole() for stream in (*streams, late))
    figures = srtpgw(built, "workers", "list")[1]
    assert figures["packets_per_s"] > 100
    assert figures["cycles_per_packet"] > 100
    assert 0 < figures["headroom"] <= 0.9


@pytest.mark.parametrize("after_s", [0.0, 0.004, 0.012, 0.03])
def test_control_is_killed_while_calls_move(gateway: Gateway, after_s: float) -> None:
    """kill -9 of the control process in the middle of a drain: the next one finds every call where it is or on its way,
    finishes, and no packet is lost."""
    built, client = gateway
    streams = [Stream(client, f"c{number}") for number in range(10)]
    drain = [sys.executable, "-m", "appliance.cli.main", "workers", "drain", "1", "--socket"]
    ordered = subprocess.Popen([*drain, str(built.run / "control.sock")], stdout=-3, stderr=-3)
    wish = built.run / "drained.json"
    until(wish.exists)
    time.sleep(after_s)
    built.kill_control()
    ordered.wait(10)
    built.start_control()
    until(lambda: client.ask("ping")["result"] == "pong")
    until(lambda: srtpgw(built, "workers", "list")[1]["state"] == "drained")
    calls = srtpgw(built, "calls", "list")
    assert len(calls) == 10
    assert {call["worker"] for call in calls} == {0}
    assert all(stream.whole() for stream in streams)
    for number in range(10):
        assert client.ask("delete", call_id=f"c{number}")["result"] == "ok"
    until(lambda: srtpgw(built, "workers", "list")[0]["flows_used"] == 0)


@pytest.mark.parametrize("victim", [0, 1])
def test_a_worker_is_killed_while_calls_move(gateway: Gateway, victim: int) -> None:
    """kill -9 of either worker in a drain: every call is up and goes on, no index is used twice. Lost is what the dead
    one had in hand (a burst), and what has a name of its own because its successor took a while."""
    built, client = gateway
    streams = [Stream(client, f"c{number}") for number in range(10)]
    pid = srtpgw(built, "workers", "list")[victim]["pid"]
    drain = [sys.executable, "-m", "appliance.cli.main", "workers", "drain", "0", "--socket"]
    ordered = subprocess.Popen([*drain, str(built.run / "control.sock")], stdout=-3, stderr=-3)
    until((built.run / "drained.json").exists)
    time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    ordered.wait(10)
    until(lambda: srtpgw(built, "workers", "list")[0]["state"] == "drained")
    time.sleep(0.3)
    assert len(srtpgw(built, "calls", "list")) == 10
    lost = 0
    for stream in streams:
        opened = stream.end()
        assert len(set(opened)) == len(opened)
        lost += stream.sent - len(opened)
        assert opened[-1] == rtp((65000 + stream.sent - 1) & 0xFFFF)
    counters = [worker["counters"] for worker in srtpgw(built, "workers", "list")]
    assert all(int(one["interrupted"]) <= BURST for one in counters)
    named = sum(int(one[name]) for one in counters for name in ("overflows", "handoff_full", "handoff_late"))
    assert lost <= BURST + named, counters
