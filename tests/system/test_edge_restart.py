"""The whole gateway with its SIP edge, started as a user starts it: what was changed is there after either process was
killed. Rows K07, O35."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.sip_edge.rpc import Rpc
from srtpgw.v1 import destinations_pb2, destinations_pb2_grpc, edge_pb2, edge_pb2_grpc
from tests.system.lab import wait_for
from tests.system.sip_request import ask
from tests.system.stack import Stack, running

pytestmark = pytest.mark.system

SIP = 27210
URI = "sip:127.0.0.1:27299"


@pytest.fixture(scope="module")
def stack(sip_programs: None) -> Iterator[Stack]:
    with running(27220, 27259, 27211, calls=5, sip=f'listen = ["udp:127.0.0.1:{SIP}"]\nworkers = 1') as started:
        yield started


def _edge(stack: Stack) -> edge_pb2.EdgeStatus:
    return edge_pb2_grpc.EdgeServiceStub(stack.channel).GetStatus(edge_pb2.GetEdgeStatusRequest(), timeout=5)


def _srtpgw(stack: Stack, *words: str) -> Any:
    command = [sys.executable, "-m", "appliance.cli.main", *words, "--json", "--socket"]
    done = subprocess.run(
        [*command, f"{stack.place}/run/control.sock"], capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 0, done.stderr + stack.log()
    return json.loads(done.stdout)


def _loaded(stack: Stack) -> str:
    """Kamailio's own list of destinations, as text."""
    return json.dumps(asyncio.run(Rpc(stack.place / "run" / "sip" / "kamailio_rpc.sock").call("dispatcher.list")))


def _control_pid(stack: Stack) -> int:
    pids = (int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal())
    return next(pid for pid in pids if _is_control(pid, stack.process.pid))


def _is_control(pid: int, parent: int) -> bool:
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes().decode()
        return "appliance.gateway" in line and f"PPid:\t{parent}\n" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@pytest.mark.row("O35", "K07")
def test_changes_survive_both_processes(stack: Stack) -> None:
    wait_for(lambda: _edge(stack).up and not _edge(stack).database_why, 15, stack.log)
    stub = destinations_pb2_grpc.DestinationServiceStub(stack.channel)
    row = destinations_pb2.Destination(setid=5, destination=URI)
    stub.Add(destinations_pb2.AddDestinationRequest(destination=row), timeout=5)
    assert URI in _loaded(stack)

    kamailio, control = _edge(stack).pid, _control_pid(stack)
    os.kill(control, signal.SIGKILL)
    wait_for(lambda: _is_up(stack) and _control_pid(stack) != control, 20, stack.log)
    assert _edge(stack).pid == kamailio  # dies alone
    assert URI in json.dumps(_srtpgw(stack, "destinations", "list"))
    assert _srtpgw(stack, "edge", "audit")[0]["after"]

    os.killpg(kamailio, signal.SIGKILL) if os.getpgid(kamailio) == kamailio else os.kill(kamailio, signal.SIGKILL)
    wait_for(lambda: _edge(stack).up and _edge(stack).pid != kamailio, 20, stack.log)
    assert URI in _loaded(stack)
    assert _control_pid(stack) != control

    events = edge_pb2_grpc.EdgeServiceStub(stack.channel).Watch(edge_pb2.WatchEdgeRequest(), timeout=20)
    events.initial_metadata()
    call_id = secrets.token_hex(8)
    assert ask(SIP, "FETCH", call_id).startswith("SIP/2.0 405")
    event = next(event for event in events if event.call_id == call_id)
    assert (event.rule, event.status) == ("method_not_allowed", 405)
    events.cancel()
    assert _srtpgw(stack, "edge", "status")["decisions"]["method_not_allowed"] == "1"


def _is_up(stack: Stack) -> bool:
    try:
        return _control_pid(stack) > 0 and stack.healthy() and _edge(stack).up
    except StopIteration:
        return False
