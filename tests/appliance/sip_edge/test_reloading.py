"""What a running Kamailio takes over of changed settings (row P12): what is in the routing table alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from appliance.config.schema import Settings
from appliance.sip_edge import reloading
from appliance.sip_edge.from_settings import edge_config
from appliance.sip_edge.ksr import routing
from appliance.sip_edge.reloading import Plan

pytestmark = pytest.mark.row("P12")

TRUNK = {"name": "a", "match": ["192.0.2.1/32"], "destination": "sip:192.0.2.9"}
OTHER = {"name": "b", "match": ["192.0.2.9/32"], "rtp_secure_media": "mandatory"}
LISTEN = {"listen": ["udp:127.0.0.1:5060", "ws:127.0.0.1:8080"]}


def settings(place: Path, **tables: Any) -> Settings:
    return Settings(**{"paths": {"run": place, "state": place}, "sip": LISTEN, "trunks": [TRUNK, OTHER], **tables})


def planned(place: Path, **tables: Any) -> Plan:
    old = settings(place)
    return reloading.plan(edge_config(old, place).table, old, settings(place, **tables), place)


@pytest.mark.parametrize(
    ("tables", "live"),
    [
        ({"trunks": [{**TRUNK, "destination": "sip:192.0.2.8"}, OTHER]}, ["trunks.destination"]),
        ({"trunks": [TRUNK]}, ["trunks"]),
        ({"routes": [{"name": "r", "prefix": "9", "action": "deny"}]}, ["routes"]),
        ({"sip_websocket": {"origins": ["https://phone.example.net"], "max_sessions": 3}},
         ["sip_websocket.origins", "sip_websocket.max_sessions"]),
        ({"security": {"sdes_requires_tls": False}}, ["security.sdes_requires_tls"]),
        ({"media": {"calls": 7}, "log": {"level": "debug"}}, []),
    ],
)  # fmt: skip
def test_live(tmp_path: Path, tables: dict[str, Any], live: list[str]) -> None:
    plan = planned(tmp_path, **tables)
    assert (list(plan.live), plan.restart) == (live, ())
    assert plan.table.trunks == edge_config(settings(tmp_path, **tables), tmp_path).table.trunks


@pytest.mark.parametrize(
    ("tables", "restart"),
    [
        ({"sip": {**LISTEN, "workers": 7}}, ["sip.workers"]),
        ({"sip": {**LISTEN, "user_agent": "x"}}, ["sip.user_agent"]),  # of Kamailio's own messages, too
        ({"sip_flood": {"reqs_density_per_unit": 7}}, ["sip_flood.reqs_density_per_unit"]),
        ({"sip_registrar": {"enabled": True}}, ["sip_registrar.enabled"]),
        ({"sip_topology": {"mask_ip": "127.0.0.9"}}, ["sip_topology.mask_ip"]),
    ],
)
def test_restart(tmp_path: Path, tables: dict[str, Any], restart: list[str]) -> None:
    """Beside something that is live."""
    plan = planned(tmp_path, **tables, routes=[{"name": "r", "prefix": "9", "action": "deny"}])
    assert (plan.live, list(plan.restart)) == (("routes",), restart)
    assert plan.settings.routes and plan.settings.sip == settings(tmp_path).sip


def test_calls_of_a_trunk_that_is_gone(tmp_path: Path) -> None:
    """Its policy stays, until it is there again; once it was gone for long, the oldest go."""
    plan = planned(tmp_path, trunks=[TRUNK])
    assert [one.name for one in plan.table.former] == ["b"]
    found = plan.table.by_name("b")
    assert found is not None and found.outbound.mode == "mandatory"
    assert plan.table.by_source("192.0.2.9") is None
    back = reloading.plan(plan.table, plan.settings, settings(tmp_path), tmp_path)
    assert back.table.former == () and back.table.by_source("192.0.2.9") is not None


def test_a_key_that_was_changed_besides_waits(tmp_path: Path) -> None:
    """The file of a key is read when Kamailio starts, whatever else changes."""
    old = settings(tmp_path)
    running = edge_config(old, tmp_path).table
    key = tmp_path / "sip" / "mask.key"
    key.write_text("0" * 48)
    plan = reloading.plan(running, old, settings(tmp_path, routes=[{"name": "r", "action": "deny"}]), tmp_path)
    assert plan.live == ("routes",)
    assert plan.table.topology == running.topology


def test_the_file_is_replaced_whole(tmp_path: Path) -> None:
    table = planned(tmp_path, trunks=[TRUNK]).table
    for _ in range(2):
        reloading.carry_out(table, tmp_path, "")
        assert routing.load((tmp_path / "routing.json").read_text()) == table
    assert (tmp_path / "routing.json").stat().st_mode & 0o777 == 0o600
    assert json.loads((tmp_path / "routing.json").read_text())["former"][0]["name"] == "b"
