"""`srtpgw edge`, as a person and as a program sees it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

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
        gateway.edge.news.take(record)
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


@pytest.mark.row("K05")
def test_a_new_key_for_topology_hiding(tmp_path: Path) -> None:
    """The old one is kept for calls that are up; it is not thrown away while it is in use, unless told to."""
    config, place = tmp_path / "srtpgw.toml", tmp_path / "state" / "sip"
    config.write_text(f'[paths]\nstate = "{tmp_path / "state"}"\n')
    assert "no key yet" in run("edge", "rotate-key", config, code=Exit.FAILED)
    place.mkdir(parents=True)
    (place / "mask.key").write_text("the first key of all")
    text = run("edge", "rotate-key", config)
    assert (place / "mask.previous.key").read_text() == "the first key of all"
    assert not (place / "mask.key").exists()
    assert "Restart" in text and "first key" not in text
    (place / "mask.key").write_text("the second key of all")
    assert "--force" in run("edge", "rotate-key", config, code=Exit.FAILED)
    run("edge", "rotate-key", config, "--force")
    assert (place / "mask.previous.key").read_text() == "the second key of all"
    shared = tmp_path / "shared"
    shared.write_text("a key of the operator's")
    shared.chmod(0o600)
    config.write_text(f'[sip_topology]\nmask_key_file = "{shared}"\n')
    assert "previous_key_file" in run("edge", "rotate-key", config, code=Exit.FAILED)
