"""The whole gateway without its SIP edge, on loopback, started as a user starts it (`srtpgw up --config`)."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from appliance.protocols.srtp.suites import Suite
from appliance.sip_edge.rpc import SOCKET, Rpc
from srtpgw.v1 import calls_pb2_grpc, sessions_pb2, sessions_pb2_grpc, system_pb2, system_pb2_grpc, types_pb2
from tests.namespaces import inside
from tests.system.lab import wait_for

READY = "ready; Ctrl-C stops"  # also its SIP edge, which is up last
CONFIG = """
[media]
cores = [{core}]
ports = "{first}-{last}"
calls = {calls}
{media}
[paths]
run = "{place}/run"
state = "{place}/state"

[[interfaces]]
name = "default"
address = "{address}"

[ng]
listen = ["127.0.0.1:{ng}"]
allow = ["127.0.0.0/8"]

[sip]
{sip}

[security]
sdes_requires_tls = false
allow_null_auth = true
allow_null_cipher = true
allow_gcm_8 = true
{more}
"""


@dataclass
class Stack:
    """A running gateway: where it is and the stubs of its API."""

    place: Path
    ng: tuple[str, int]
    process: subprocess.Popen[bytes]
    space: str = ""  # network namespace; empty: the tests' own

    def __post_init__(self) -> None:
        self.channel = grpc.insecure_channel(f"unix:{self.place}/run/control.sock")
        self.calls = calls_pb2_grpc.CallServiceStub(self.channel)
        self.sessions = sessions_pb2_grpc.SessionServiceStub(self.channel)
        self.system = system_pb2_grpc.SystemServiceStub(self.channel)

    def healthy(self) -> bool:
        try:
            reply = health_pb2_grpc.HealthStub(self.channel).Check(health_pb2.HealthCheckRequest(), timeout=1)
        except grpc.RpcError:
            return False
        return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)

    def status(self) -> system_pb2.Status:
        return self.system.GetStatus(system_pb2.GetStatusRequest(), timeout=5)

    def srtpgw(self, *words: str, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
        """The command line, against this gateway."""
        command = [sys.executable, "-m", "appliance.cli.main", *words, "--socket", f"{self.place}/run/control.sock"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30, **options)
        assert done.returncode == 0 or not check, done.stderr + self.log()
        return done

    def rpc(self, method: str, *params: str | int) -> Any:
        """Asked of its Kamailio from within its namespace: it answers to abstract socket names, which are of one."""

        def ask() -> Any:
            return asyncio.run(Rpc(self.place / "run" / "sip" / SOCKET).call(method, *params))

        return inside(self.space, ask) if self.space else ask()

    def log(self) -> str:
        return (self.place / "log").read_text(errors="replace")

    def resident_kib(self) -> int:
        """Resident memory of everything that `srtpgw up` started."""
        return sum(_rss(pid) for pid in _children(self.process.pid))


@contextmanager
def running(
    first: int, last: int, ng: int, calls: int = 200, sip: str = "enabled = false", *, space: str = "",
    address: str = "127.0.0.1", media: str = "", more: str = "",
) -> Iterator[Stack]:  # fmt: skip
    """Start on ports of the caller's choice, wait until healthy, stop by pid; the directory goes with its keys.
    `sip`, `media`: what stands in these tables; `more`: further tables. In the network namespace `space`, with media
    at `address`."""
    place = Path(tempfile.mkdtemp(prefix="gwstack"))
    place.chmod(0o711)  # Kamailio is another account
    core = max(os.sched_getaffinity(0))
    config = place / "srtpgw.toml"
    config.write_text(
        CONFIG.format(core=core, first=first, last=last, calls=calls, place=place, ng=ng, sip=sip, address=address,
                      media=media, more=more)
    )  # fmt: skip
    command = ["ip", "netns", "exec", space] if space else []
    command += [sys.executable, "-m", "appliance.cli.main", "up", "--config", str(config)]
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    stack = Stack(place, ("127.0.0.1", ng), process, space)
    try:
        wait_for(lambda: stack.healthy() and READY in stack.log(), 30, stack.log)
        yield stack
    finally:
        stack.channel.close()
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            shutil.rmtree(place, ignore_errors=True)


def master_key(suite: Suite) -> sessions_pb2.MasterKey:
    return sessions_pb2.MasterKey(
        key=secrets.token_bytes(suite.key_octets), salt=secrets.token_bytes(suite.salt_octets)
    )


def crypto(name: str, suite: Suite) -> sessions_pb2.SessionCrypto:
    return sessions_pb2.SessionCrypto(suite=name, keys=[master_key(suite)])


def endpoint(port: int) -> types_pb2.Endpoint:
    return types_pb2.Endpoint(host="127.0.0.1", port=port)


def _children(pid: int) -> list[int]:
    found = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return found + [grandchild for child in found for grandchild in _children(child)]


def _rss(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS")), 0)
