"""A SIP edge on loopback whose one trunk goes to destination sets; no media."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from appliance.config.schema import Settings
from appliance.config.sip_dispatcher import DestinationSet, SipDispatcher
from appliance.sip_edge import kamailio
from appliance.sip_edge.areas.database import url as database_url
from appliance.sip_edge.from_settings import edge_config
from appliance.sip_edge.ksr.routing import Trunk
from appliance.sip_edge.management.destinations import Destinations
from appliance.sip_edge.management.edge import Edge as Writer
from appliance.sip_edge.rpc import SOCKET, Rpc
from appliance.sip_edge.tables.database import Database
from appliance.telemetry.audit import Audit
from tests.system.kamailio_rig import Edge as RunningEdge
from tests.system.targets import HOST, Caller, Gateway, Target

SIP, NG, CALLER, FIRST_TARGET = 29400, 29401, 29402, 29410


class Edge(RunningEdge):
    """In front of `targets`."""

    def listed(self) -> dict[str, dict[str, Any]]:
        """DEST records of all sets by URI."""
        records = self.rpc("dispatcher.list")["RECORDS"]
        return {one["DEST"]["URI"]: one["DEST"] for record in records for one in record["SET"]["TARGETS"]}

    def flags(self, target: Target) -> str:
        return str(self.listed()[target.uri]["FLAGS"])


def settings(place: Path, sets: Sequence[DestinationSet], watch: SipDispatcher) -> Settings:
    return Settings.model_validate({
        "sip": {"listen": [f"udp:{HOST}:{SIP}"], "workers": 2, "shared_memory_mb": 32},
        "ng": {"listen": [f"{HOST}:{NG}"]}, "paths": {"run": str(place / "run"), "state": str(place / "state")},
        "interfaces": [{"name": "default", "address": HOST}], "security": {"sdes_requires_tls": False},
        "sip_dispatcher": watch.model_dump(), "destination_sets": [one.model_dump() for one in sets],
    })  # fmt: skip


@contextmanager
def running(place: Path, sets: Sequence[DestinationSet], lines: Sequence[str] | None, destination: str = "set:1",
            ports: Sequence[int] = (SIP,), workers: int = 2, **watch: Any) -> Iterator[Edge]:  # fmt: skip
    """An edge whose calls all go to `destination`; `lines` are those of dispatcher.list, None: its table."""
    wished: dict[str, Any] = {"ds_ping_interval": 0, "refresh_ms": 50, **watch}
    if lines is not None:
        wished["list_file"] = place / f"list-{secrets.token_hex(3)}"
        wished["list_file"].write_text("\n".join(lines) + "\n")
    config = edge_config(settings(place, sets, SipDispatcher.model_validate(wished)), place / "edge")
    trunk = Trunk("peer", ("127.0.0.0/8",), destination)
    listen = tuple(f"udp:{HOST}:{port}" for port in ports)
    config = replace(config, table=replace(config.table, trunks=(trunk,)), user="", listen=listen, workers=workers)
    kamailio.prepare(config)
    kamailio.check(config)
    edge = Edge(config, place / "kamailio.log")
    gateway = Gateway(NG)
    edge.start()
    try:
        yield edge
    finally:
        edge.stop()
        gateway.close()
    assert "Traceback" not in edge.log(), edge.log()


def management(edge: Edge, place: Path, sets: Sequence[DestinationSet], **watch: Any) -> Destinations:
    """What the control process makes of the same settings."""
    made = settings(place, sets, SipDispatcher.model_validate(watch))
    writer = Writer(Rpc(edge.config.run / SOCKET), Database(database_url(made)), Audit(place / "audit.jsonl"))
    return Destinations(writer, made.sip_dispatcher, {one.id: one.algorithm for one in sets})


@contextmanager
def targets(number: int) -> Iterator[list[Target]]:
    made = [Target(FIRST_TARGET + place) for place in range(number)]
    try:
        yield made
    finally:
        for one in made:
            one.close()


@contextmanager
def caller() -> Iterator[Caller]:
    made = Caller(CALLER, (HOST, SIP))
    try:
        yield made
    finally:
        made.close()
