"""`srtpgw users`, as a person and as a program sees it (rows J06, L07)."""

from __future__ import annotations

import time
from pathlib import Path

from tests.appliance.cli.conftest import Gateway
from tests.appliance.cli.test_commands import run, run_json
from tests.appliance.sip_edge.fake_rpc import FakeRpc


def test_a_user_with_a_password_from_a_file(gateway: Gateway, tmp_path: Path) -> None:
    secret = tmp_path / "word"
    secret.write_text("correct horse\n")
    run("users", "add", "alice@example.org", "--password-file", secret, "--socket", gateway.socket)
    assert run_json("users", "list", "--socket", gateway.socket)[0]["algorithms"] == ["SHA-512-256", "SHA-256", "MD5"]
    made = run("users", "password", "alice@example.org", "--generate", "--socket", gateway.socket).strip()
    assert len(made) >= 16
    run("users", "remove", "alice@example.org", "--socket", gateway.socket)
    assert run_json("users", "list", "--socket", gateway.socket) == []
    targets = [record["action"] for record in run_json("edge", "audit", "--socket", gateway.socket)]
    assert targets == ["users remove", "users password", "users add"]


def test_phones_and_blocks(gateway: Gateway) -> None:
    """L07: who is blocked is seen, and let in again."""
    now = int(time.time())
    values = {"alice@192.0.2.1": f"30:{now}:{now}", "bob@192.0.2.1": f"2:{now}:0"}
    blocked = [{"name": name, "value": value} for name, value in values.items()]
    deleted: list[str] = []
    gone = [{"Contact": {"Address": "sip:alice@10.0.0.6", "Expires": why}} for why in ("deleted", "expired")]
    answers = {
        "ul.dump": lambda: {"Domains": [{"Domain": {"AoRs": [{"Info": {"AoR": "alice", "Contacts": [{"Contact": {
            "Address": "sip:alice@10.0.0.5:5060", "Expires": 3000, "User-Agent": "phone"}}, *gone]}}]}}]},
        "htable.dump": lambda table: [{"entry": 1, "slot": blocked}],
        "htable.delete": lambda table, key: deleted.append(key) or "ok",
        "htable.store": lambda table: "ok",
    }  # fmt: skip
    with FakeRpc(gateway.edge.rpc.path, answers):
        (contact,) = run_json("users", "contacts", "--socket", gateway.socket)
        assert contact["uri"] == "sip:alice@10.0.0.5:5060"
        assert [one["key"] for one in run_json("users", "blocks", "--socket", gateway.socket)] == ["alice@192.0.2.1"]
        run("users", "unblock", "alice@192.0.2.1", "--socket", gateway.socket)
    assert deleted == ["alice@192.0.2.1"]
