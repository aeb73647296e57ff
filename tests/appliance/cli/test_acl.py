"""`srtpgw acl`: as an operator types it, through the real API to a real database (rows N01, N10, J07, P13)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from appliance.cli.exits import Exit
from appliance.cli.main import app
from tests.appliance.cli.conftest import Gateway
from tests.appliance.sip_edge.fake_rpc import FakeRpc


class Acl:
    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    def __call__(self, *words: object, code: Exit = Exit.OK) -> str:
        """Output of `srtpgw acl ...`."""
        arguments = ["acl", *map(str, words), "--socket", str(self.gateway.socket)]
        result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200", "SRTPGW_SOCKET": None})
        assert result.exit_code == code, result.output
        return result.output

    def json(self, *words: object) -> Any:
        return json.loads(self(*words, "--json"))


@pytest.fixture
def acl(gateway: Gateway) -> Acl:
    return Acl(gateway)


def test_add_list_remove(acl: Acl) -> None:
    told = acl("add", 1, "10.0.0.0/8", "gw.example.com", "--tag", "carrier")
    assert told.endswith("2 added, 0 removed; counts when the SIP edge starts\n")
    assert [(row["group"], row["address"], row["tag"]) for row in acl.json("list")] == [
        (1, "10.0.0.0/8", "carrier"), (1, "gw.example.com", "carrier"),
    ]  # fmt: skip
    assert "bits behind the prefix" in acl("add", 1, "10.0.0.1/8", code=Exit.FAILED)
    assert "is there already (row 1)" in acl("add", 1, "10.0.0.0/8", code=Exit.FAILED)
    assert "1 added, 2 removed" in acl("add", 1, "11.0.0.0/8", "--replace")
    assert "no row 99" in acl("remove", 99, code=Exit.NOT_FOUND)
    assert "0 added, 1 removed" in acl("remove", "--group", 1)
    assert acl.json("list") == []


def test_a_change_that_is_live_says_so(acl: Acl) -> None:
    answers = {"permissions.addressReload": lambda: "Reload OK", "core.version": lambda: "kamailio"}
    with FakeRpc(acl.gateway.edge.rpc.path, answers) as kamailio:
        assert acl("add", 2, "192.0.2.1") == "1 added, 0 removed; live\n"
        assert kamailio.methods() == ["permissions.addressReload"]


@pytest.mark.row("N09", "J07")
def test_trusted_peers_and_members(acl: Acl) -> None:
    acl("trust", "192.0.2.1", "--proto", "tls", "--from", "^sip:a", "--tag", "carrier", "--priority", 5)
    (peer,) = acl.json("list", "--table", "trusted")
    assert (peer["proto"], peer["from_pattern"], peer["tag"], peer["priority"]) == ("tls", "^sip:a", "carrier", 5)
    assert "no address" in acl("trust", "10.0.0.0/8x", code=Exit.FAILED)
    acl("member", "pstn", "alice@a.example", "bob")
    assert "alice" in acl("list", "--table", "grp", "--group", "pstn")
    assert "0 added, 2 removed" in acl("remove", "--table", "grp", "--group", "pstn")
    assert "0 added, 1 removed" in acl("remove", peer["id"], "--table", "trusted")


@pytest.mark.row("N10", "P13")
def test_import_of_kamailios_files(acl: Acl, tmp_path: Path) -> None:
    dump = tmp_path / "address.sql"
    rows = ",".join(f"({n},1,'10.{n // 250}.{n % 250}.0',24,0,NULL)" for n in range(1, 10_001))
    dump.write_text(f"INSERT INTO `address` VALUES {rows};\n")  # more than one message holds
    assert "10000 added, 0 removed" in acl("import", dump)
    assert len(acl.json("list")) == 10_000
    (tmp_path / "address.list").write_text("1 127.0.0.1 32 0 tag1\n1 10.0.0.10\n\n2 192.168.1.0 24 0 tag2\n")
    assert "3 added, 10000 removed" in acl("import", tmp_path / "address.list", "--replace")
    (tmp_path / "bad.csv").write_text("grp,ip_addr\n1,10.0.0.0/99\n")
    assert "line 2" in acl("import", tmp_path / "bad.csv", code=Exit.FAILED)
    assert "No such file" in acl("import", tmp_path / "away.sql", code=Exit.FAILED)
    (record, *_) = acl.gateway.edge.audit.records(1)
    assert (record.action, record.who.startswith("local:")) == ("address replace", True)


@pytest.mark.row("N01", "P13")
def test_permission_files(acl: Acl, tmp_path: Path) -> None:
    file = tmp_path / "hosts.deby"  # as the reference writes it
    file.write_text('ALL : "^sip:900"\n')
    text = acl("import", file)
    assert "taken for hosts.deny" in text
    assert "counts from the next start" in text
    assert acl("file", "routing.deny") == 'ALL : "^sip:900"\n'
    assert (tmp_path / "access" / "permissions.deny").read_text() == 'ALL : "^sip:900"\n'
    assert "routing.deny" in acl("file")
    file.write_text("nonsense\n")
    assert "line 1: no colon" in acl("import", file, code=Exit.FAILED)
    other = tmp_path / "mine.allow"
    other.write_text("ALL : ALL\n")
    assert "say what it is for" in acl("import", other, code=Exit.USAGE)
    acl("import", other, "--as", "uri")
    assert acl("file", "uri.allow") == "ALL : ALL\n"
    refused = acl("file", "nothing.allow", code=Exit.NOT_FOUND)
    assert "no permission file 'nothing.allow'; they name: routing.allow, routing.deny" in refused


def test_what_would_happen(acl: Acl) -> None:
    acl("add", 3, "192.0.2.0/24")
    text = acl("test", "--source", "192.0.2.1", "--to", "sip:100@a.example", "--from", "sip:me@a.example")
    assert "in group 3 (group-3)" in text
    assert "404: no_trunk decides" in text
    tree = acl.json("test", "--source", "192.0.2.1", "--to", "sip:100@a.example")
    assert (tree["status"], tree["rule"]) == (404, "no_trunk")
    assert "no SIP URI" in acl("test", "--source", "192.0.2.1", "--to", "tel:1", code=Exit.FAILED)
    assert "address" in acl("test", "--source", "nobody", "--to", "sip:1@a", code=Exit.FAILED)


def test_reload_without_an_edge(acl: Acl) -> None:
    assert "counts when the SIP edge starts" in acl("reload")


def test_wrong_words(acl: Acl) -> None:
    assert "one of address, trusted, grp" in acl("list", "--table", "x", code=Exit.USAGE)
    assert "groups of addresses have numbers" in acl("list", "--group", "x", code=Exit.USAGE)
    assert "name rows by ids, or a group" in acl("remove", code=Exit.FAILED)
