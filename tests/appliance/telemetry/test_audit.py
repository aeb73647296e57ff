"""The audit log: on the disk before it counts, bounded, without secrets, readable whatever a crash left in it."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.errors import AuditUnavailable
from appliance.telemetry.audit import Audit


@dataclass(frozen=True)
class Thing:
    name: str
    password: str


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    return Audit(tmp_path / "audit.jsonl", clock=lambda: 1000.5)


def test_record_and_read(audit: Audit) -> None:
    audit.record("local:root", "destinations add", "1 sip:192.0.2.1", None, {"setid": 1})
    audit.record("cert:ops", "destinations remove", "1 sip:192.0.2.1", {"setid": 1}, None)
    newest, oldest = audit.records(10)
    assert (newest.number, newest.who, newest.action, newest.before, newest.after) == (
        2, "cert:ops", "destinations remove", {"setid": 1}, None,
    )  # fmt: skip
    assert (oldest.number, oldest.time, oldest.target) == (1, 1000.5, "1 sip:192.0.2.1")
    assert stat.S_IMODE(audit.path.stat().st_mode) == 0o600


def test_numbers_go_on_after_a_restart(audit: Audit) -> None:
    audit.record("a", "b", "c")
    assert Audit(audit.path).record("a", "b", "d").number == 2


@pytest.mark.parametrize(
    "value",
    [
        {"username": "alice", "password": "hunter2"}, {"ha1": "hunter2", "ha1b": "hunter2"},
        [{"deep": [{"secret": "hunter2"}]}], Thing("alice", "hunter2"), [Thing("alice", "hunter2")],
        "postgres://me:hunter2@h/k", {"db_url": "mysql://me:hunter2@h/k"}, {"password": 0x2},
    ],
)  # fmt: skip
def test_secrets_are_masked(audit: Audit, value: object) -> None:
    audit.record("a", "b", "c", value, value)
    text = audit.path.read_text()
    assert "hunter2" not in text and "***" in text


def test_a_sip_uri_is_no_secret(audit: Audit) -> None:
    audit.record("a", "b", "c", None, {"destination": "sip:alice@192.0.2.1:5060;transport=tcp"})
    assert audit.records(1)[0].after == {"destination": "sip:alice@192.0.2.1:5060;transport=tcp"}


def test_pages(audit: Audit) -> None:
    for number in range(10):
        audit.record("a", "b", str(number))
    assert [record.target for record in audit.records(3)] == ["9", "8", "7"]
    assert [record.target for record in audit.records(3, before=8)] == ["6", "5", "4"]
    assert audit.records(3, before=1) == []


def test_bounded(tmp_path: Path) -> None:
    """Files rotate; the newest records are there, in order; nothing grows beyond what was allowed."""
    audit = Audit(tmp_path / "audit.jsonl", most_octets=2_000, kept=2)
    for number in range(200):
        audit.record("someone", "does", str(number))
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["audit.jsonl", "audit.jsonl.1", "audit.jsonl.2"]
    assert all(path.stat().st_size <= 2_000 for path in tmp_path.iterdir())
    found = [record.number for record in audit.records(1000)]
    assert found == list(range(200, 200 - len(found), -1)) and len(found) > 30


def test_a_long_record_is_cut_and_kept(audit: Audit) -> None:
    audit.record("a", "b", "c", "x" * 100_000, "y")
    assert audit.path.stat().st_size < 1_000
    assert "left out" in audit.records(1)[0].after


def test_damage_is_passed_over(audit: Audit) -> None:
    """A line cut off by a crash, and lines of somebody's editor."""
    audit.record("a", "b", "first")
    with audit.path.open("ab") as file:
        file.write(
            b'{"number": "x", "time": 1, "who": "", "action": "", "target": ""}\n[]\nnull\n\xff\xfe\n{"number": 7, "ti'
        )
    audit.record("a", "b", "second")
    assert [record.target for record in audit.records(10)] == ["second", "first"]


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(AuditUnavailable, match="No such file"):
        Audit(tmp_path / "absent" / "audit.jsonl").record("a", "b", "c")
    (tmp_path / "target").touch()
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "target")
    with pytest.raises(AuditUnavailable):
        Audit(tmp_path / "link.jsonl").record("a", "b", "c")
    assert (tmp_path / "target").read_text() == ""
