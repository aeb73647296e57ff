"""One Kamailio on loopback as rendered from settings, no media gateway; raw SIP from addresses of 127.0.0.0/8.

The edge listens on 127.0.0.1; whoever is to be a stranger sends from 127.0.0.2 and up.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from appliance.config.schema import Settings
from appliance.sip_edge import kamailio
from appliance.sip_edge.edge_config import EdgeConfig
from appliance.sip_edge.from_settings import edge_config
from tests.system.lab import wait_for
from tests.system.targets import HOST

PATIENCE_S = 5.0  # who expects silence says for how long


class Edge:
    """A Kamailio as rendered: started, killed, asked, read."""

    def __init__(self, config: EdgeConfig, log: Path) -> None:
        self.config, self._log = config, log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                kamailio.command(self.config), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        wait_for(self.up, 10, self.log)

    def stop(self, how: int = signal.SIGTERM) -> None:
        """A signal between Kamailio's look at its flags and its pause() is seen at the next signal: it gets one."""
        if self.process is None:
            return
        for _ in range(5):
            if how == signal.SIGKILL:
                os.killpg(self.process.pid, how)
            else:
                self.process.send_signal(how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(2)
                return
        os.killpg(self.process.pid, signal.SIGKILL)
        raise AssertionError(f"Kamailio does not stop: {self.log()}")

    def up(self) -> bool:
        """All of it: Kamailio's last process is there (SIGTERM to one that still forks is lost)."""
        streams = any(not socket.startswith("udp:") for socket in self.config.listen)
        last = "tcp main" if streams else "Dialog Clean Timer"
        try:
            return any(last in one["DSC"] for one in self.rpc("core.psx"))
        except OSError:
            return False

    def rpc(self, method: str, *params: str | int) -> Any:
        """RPC `method`; what it answered, result or error."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
            link.bind("")
            link.settimeout(5)
            link.connect(str(self.config.run / "kamailio_rpc.sock"))
            link.send(json.dumps({"jsonrpc": "2.0", "method": method, "params": list(params), "id": 1}).encode())
            reply = json.loads(link.recv(1 << 17))
            return reply.get("result", reply.get("error"))

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = [line[line.index("{") :] for line in self.log().splitlines() if f'"event": "{name}"' in line]
        return [json.loads(line) for line in lines]


def settings(place: Path, port: int, **tables: Any) -> Settings:
    """An edge on 127.0.0.1:`port` and these tables; no pings, no TLS needed for keys."""
    sip = {"listen": [f"udp:{HOST}:{port}", f"tcp:{HOST}:{port}"], "workers": 2, "shared_memory_mb": 32}
    return Settings.model_validate({
        "ng": {"listen": [f"{HOST}:{port + 1}"]}, "paths": {"run": str(place / "run"), "state": str(place / "state")},
        "interfaces": [{"name": "default", "address": HOST}], "security": {"sdes_requires_tls": False},
        **tables, "sip": {**sip, **tables.get("sip", {})},
    })  # fmt: skip


def configured(place: Path, port: int, **tables: Any) -> EdgeConfig:
    """Written to `place / "edge"` and taken by Kamailio."""
    config = replace(edge_config(settings(place, port, **tables), place / "edge"), user="")
    kamailio.prepare(config)
    kamailio.check(config)
    return config


@contextmanager
def running(place: Path, port: int, **tables: Any) -> Iterator[Edge]:
    edge = Edge(configured(place, port, **tables), place / "kamailio.log")
    try:
        edge.start()
        yield edge
    finally:
        edge.stop()
    assert "Traceback" not in edge.log(), edge.log()  # also within sip_error events


def counted(edge: Edge, rule: str) -> int:
    """Decisions under this rule since the start."""
    found = edge.rpc("htable.get", "rules", rule)
    return int(found["item"]["value"]) if "item" in found else 0


class Phone:
    """A UDP socket at `source`, IPv4 or IPv6; requests go to the edge at `port`."""

    def __init__(self, port: int, source: str = "127.0.0.2", own: int = 0) -> None:
        v6 = ":" in source
        self.edge = ("::1" if v6 else HOST, port)
        self._socket = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((source, own))
        self._socket.setsockopt(socket.SOL_SOCKET, 33, 1 << 20)  # SO_RCVBUFFORCE: hundreds of replies at a time
        self._socket.settimeout(PATIENCE_S)
        self.at: tuple[str, int] = (f"[{source}]" if v6 else source, self._socket.getsockname()[1])

    def __enter__(self) -> Phone:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, message: str | bytes) -> None:
        self._socket.sendto(message if isinstance(message, bytes) else message.encode(), self.edge)

    def receive(self, patience: float = PATIENCE_S) -> str:
        """The next message; "" when none comes."""
        self._socket.settimeout(patience)
        try:
            return self._socket.recv(65535).decode(errors="replace")
        except TimeoutError:
            return ""

    def ask(self, message: str | bytes, patience: float = PATIENCE_S) -> str:
        """The first reply to this message that is final; "" when there is none."""
        self.send(message)
        while (reply := self.receive(patience)).startswith("SIP/2.0 1"):
            pass
        return reply

    def status(self, message: str | bytes, patience: float = PATIENCE_S) -> int:
        """Status of the final reply; 0: silence."""
        reply = self.ask(message, patience)
        return int(reply.split(" ", 2)[1]) if reply else 0

    def request(self, method: str = "OPTIONS", user: str = "1000", *, to: str = "", sender: str = "me",
                headers: Sequence[str] = (), body: str = "", call_id: str = "", number: int = 1,
                contact: str = "", branch: str = "") -> str:  # fmt: skip
        """A well-formed request outside any dialog. `headers` are whole lines, put before Content-Length."""
        host, port = self.at
        target = to or (f"sip:{HOST}" if method == "REGISTER" else f"sip:{user}@{HOST}")
        whom = f"sip:{user}@{HOST}"
        lines = [
            f"{method} {target} SIP/2.0",
            f"Via: SIP/2.0/UDP {host}:{port};branch={branch or 'z9hG4bK' + secrets.token_hex(6)};rport",
            "Max-Forwards: 70",
            f"From: <sip:{sender}@{HOST}>;tag={secrets.token_hex(4)}",
            f"To: <{whom}>",
            f"Call-ID: {call_id or secrets.token_hex(8)}",
            f"CSeq: {number} {method}",
            f"Contact: {contact or f'<sip:{sender}@{host}:{port}>'}",
            *headers,
            f"Content-Length: {len(body.encode())}",
        ]
        return "\r\n".join(lines) + "\r\n\r\n" + body
