"""`srtpgw edge`, as a person and as a program sees it."""

from __future__ import annotations

import json
import os

from appliance.cli import naming
from appliance.cli.exits import Exit
from tests.appliance.cli.conftest import Gateway
from tests.appliance.cli.test_commands import run, run_json
from tests.appliance.sip_edge.fake_rpc import FakeRpc
from tests.appliance.sip_edge.kamailio_answers import ANSWERS


def test_status(gateway: Gateway) -> None:
    with FakeRpc(gateway.edge.rpc.path, ANSWERS):
        text = run("edge", "status", "--socket", gateway.socket)
        found = run_json("edge", "status", "--socket", gateway.socket)
    for words in ("up for 42 s, pid 3267, kamailio 5.6.3", "7 ongoing, 3 being set up", "2xx:90", "acl_denied", "12"):
        assert words in text
    assert found["decisions"] == {"acl_denied": "12", "malformed": "3"} and found["up"] is True


def test_status_of_one_that_is_down(gateway: Gateway) -> None:
    assert "down: the SIP edge is not up" in run("edge", "status", "--socket", gateway.socket)


def test_audit(gateway: Gateway) -> None:
    for number in range(3):
        gateway.edge.audit.record("local:alice", "destinations add", f"set {number}", None, {"attrs": "[red]x[/red]"})
    text = run("edge", "audit", "--limit", 2, "--socket", gateway.socket)
    assert "set 2" in text and "set 0" not in text and "[red]x" in text and "local:alice" in text
    found = run_json("edge", "audit", "--limit", 0, "--socket", gateway.socket)
    assert [record["target"] for record in found] == ["set 2", "set 1", "set 0"]


def test_events(gateway: Gateway) -> None:
    """Each as a line, until the gateway ends the watch."""
    record = json.dumps({"event": "sip_refused", "reason": "acl_denied", "status": 403, "source": "192.0.2.1"}).encode()

    def tell() -> None:
        bus = gateway.edge.news.bus
        if not bus:  # nobody watches yet
            gateway.loop.call_later(0.01, tell)
            return
        gateway.edge.news.take(record, os.geteuid())
        bus.close()

    gateway.loop.call_soon_threadsafe(tell)
    text = run("edge", "events", "--socket", gateway.socket)
    assert "sip_refused acl_denied 403 192.0.2.1" in text


def test_without_a_gateway(gateway: Gateway) -> None:
    run("edge", "status", "--socket", gateway.socket.with_name("none"), code=Exit.NOT_RUNNING)


def test_account(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("os.getuid", lambda: 0)
    monkeypatch.setenv("SUDO_USER", "alice")
    assert naming.account() == "alice"
    monkeypatch.delenv("SUDO_USER")
    assert naming.account() == "root"
    monkeypatch.setattr("os.getuid", lambda: 54_321)
    assert naming.account() == "54321"
