"""A SIP edge in the lab's gateway namespace, in front of any media gateway that speaks NG."""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.sip_edge import kamailio
from appliance.sip_edge.areas import topology
from appliance.sip_edge.edge_config import EdgeConfig
from appliance.sip_edge.ksr.routing import MediaPolicy, RoutingTable, Trunk
from appliance.sip_edge.ksr.rules.masking import Mask
from appliance.sip_edge.ksr.rules.topology import TopologyRules
from appliance.sip_edge.secret_file import own_secret
from tests.system import lab as labs

SIP = 5060
NG = ("127.0.0.1", 25500)


def edge_config(run: Path, suites: tuple[str, ...] = (), mode: str = "mandatory") -> EdgeConfig:
    """Phones (plain RTP) on the access side, a core that wants SRTP; no TLS in the lab, so SDES goes in clear."""
    phones = Trunk("phones", ("10.77.1.2/32",), f"sip:{labs.ADDRESS['core']}:{SIP}", interface="access")
    core = Trunk("core", ("10.77.2.2/32",), f"sip:{labs.ADDRESS['access']}:{SIP}", interface="core",
                 outbound=MediaPolicy(mode, suites))  # fmt: skip
    ng = (f"{NG[0]}:{NG[1]}",)
    hidden = TopologyRules(Mask(own_secret(run / "mask.key")), addresses=True, ours=tuple(labs.GATEWAY.values()))
    table = RoutingTable((phones, core), sdes_requires_tls=False, ng=ng, topology=hidden)
    listen = tuple(f"{proto}:{labs.GATEWAY[side]}:{SIP}" for side in ("access", "core") for proto in ("udp", "tcp"))
    return EdgeConfig(run, listen, ng, table, user="kamailio", areas=(topology.mask(hidden),))


@dataclass
class Edge:
    """A running Kamailio."""

    lab: labs.Lab
    config: EdgeConfig

    def start(self) -> None:
        self.process = self.lab.start("gateway", kamailio.command(self.config), "kamailio.log")
        labs.wait_for(self.answers, 10, "Kamailio does not answer OPTIONS")

    def answers(self) -> bool:
        return bool(exchange("access", request("OPTIONS", "ping"), patience=0.5))

    def log(self) -> str:
        return (self.lab.directory / "kamailio.log").read_text(errors="replace")

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = [line[line.index("{") :] for line in self.log().splitlines() if '{"event"' in line]
        return [event for event in map(json.loads, lines) if event["event"] == name]


def ng(command: str, **words: Any) -> dict[str, Any]:
    """One NG request (JSON) put from inside the gateway namespace."""

    def ask() -> dict[str, Any]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
            link.settimeout(3)
            link.connect(NG)
            link.send(f"{secrets.token_hex(6)} {json.dumps({'command': command, **words})}".encode())
            reply: dict[str, Any] = json.loads(link.recv(65535).split(b" ", 1)[1])
            return reply

    return labs.inside("gateway", ask)


def calls_up() -> int:
    return len(ng("list")["calls"])


def request(method: str, user: str, body: str = "", source: str = labs.ADDRESS["access"], port: int = 5070,
            headers: str = "") -> str:  # fmt: skip
    """A well-formed request outside any dialog, to the access side of the gateway."""
    target = f"sip:{user}@{labs.GATEWAY['access']}"
    kind = "Content-Type: application/sdp\r\n" if body else ""
    return (
        f"{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {source}:{port};branch=z9hG4bK{secrets.token_hex(6)};rport\r\n"
        f"Max-Forwards: 70\r\nFrom: <sip:me@{source}>;tag={secrets.token_hex(4)}\r\nTo: <{target}>\r\n"
        f"Call-ID: {secrets.token_hex(8)}\r\nCSeq: 1 {method}\r\nContact: <sip:me@{source}:{port}>\r\n{headers}{kind}"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    )


def exchange(role: str, message: str, *, source: str = "", port: int = 5070, patience: float = 1.0,
             until: Callable[[str], bool] = lambda reply: not reply.startswith("SIP/2.0 1")) -> list[str]:  # fmt: skip
    """Send one request by UDP and collect the replies until one satisfies `until` or patience ends."""

    def talk() -> list[str]:
        replies: list[str] = []
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
            link.bind((source or labs.ADDRESS[role], port))
            link.settimeout(patience)
            link.sendto(message.encode(), (labs.GATEWAY[role], SIP))
            try:
                while not replies or not until(replies[-1]):
                    replies.append(link.recv(65535).decode())
            except TimeoutError:
                pass
        return replies

    return labs.inside(role, talk)
