"""`srtpgw users`, `destinations`, `bans` against the whole gateway, as an operator has them (J06, J09, L07, O35)."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator

import pytest

from tests.system.digest_client import answer, challenges
from tests.system.kamailio_rig import Phone
from tests.system.lab import wait_for
from tests.system.stack import Stack, running
from tests.system.targets import HOST, Target

pytestmark = [pytest.mark.system, pytest.mark.timeout(90)]

SIP, TARGET = 33_000, 33_010
MORE = """
[sip_registrar]
enabled = true
[sip_register_block]
attempts = 8
[sip_flood]
enabled = false
[sip_dispatcher]
ds_ping_interval = 1
[[trunks]]
name = "phones"
match = ["127.0.0.0/8"]
authenticate = "digest"
destination = "registrar"
[[destination_sets]]
id = 7
name = "gateways"
"""


@pytest.fixture(scope="module")
def stack(sip_programs: None) -> Iterator[Stack]:
    sip = f'listen = ["udp:{HOST}:{SIP}"]\nworkers = 1'
    with running(33_020, 33_059, SIP + 1, calls=5, sip=sip, more=MORE) as started, Phone(SIP) as phone:
        wait_for(lambda: phone.status(phone.request(), 0.3) == 200, 15, started.log)
        yield started


def register(user: str, word: str) -> int:
    """Status of a REGISTER with this password."""
    with Phone(SIP, "127.0.0.3") as phone:
        first = phone.ask(phone.request("REGISTER", user, sender=user))
        if not first.startswith("SIP/2.0 401"):
            return int(first.split()[1])
        proof = answer(challenges(first)[-1], user, word, "REGISTER", f"sip:{HOST}")
        return phone.status(phone.request("REGISTER", user, sender=user, headers=[proof], number=2))


@pytest.mark.row("J06", "J09")
def test_users(stack: Stack) -> None:
    """Made, imported, given another password, removed: each counts for the next REGISTER."""
    word = stack.srtpgw("users", "add", f"alice@{HOST}", "--generate").stdout.strip()
    assert len(word) >= 16 and register("alice", word) == 200
    other = stack.srtpgw("users", "password", f"alice@{HOST}", "--generate").stdout.strip()
    assert (register("alice", word), register("alice", other)) == (403, 200)
    assert f"alice@{HOST}" in stack.srtpgw("users", "contacts").stdout
    stack.srtpgw("users", "deregister", f"alice@{HOST}")
    assert json.loads(stack.srtpgw("users", "contacts", "--json").stdout) == []

    file = stack.place / "users.csv"
    file.write_text(f"username,domain,password,ha1,ha1b\nbob,{HOST},open sesame,,\ncarol,{HOST},another word,,\n")
    assert stack.srtpgw("users", "import", str(file)).stdout == "2 added\n"
    assert register("bob", "open sesame") == 200
    file.write_text(file.read_text() + f"carol,{HOST},again,,\n")
    refused = stack.srtpgw("users", "import", str(file), check=False)
    assert refused.returncode != 0 and f"line 4: carol@{HOST} stands in line 3 too" in refused.stderr

    stack.srtpgw("acl", "add", "--table", "grp", f"bob@{HOST}", "pstn", check=False)
    stack.srtpgw("users", "remove", f"bob@{HOST}")
    assert register("bob", "open sesame") == 403
    assert [one["username"] for one in json.loads(stack.srtpgw("users", "list", "--json").stdout)] == ["alice", "carol"]


@pytest.mark.row("L07")
def test_blocks_are_listed_with_bans_and_lifted(stack: Stack) -> None:
    with Phone(SIP, "127.0.0.4") as phone:
        replies = [phone.status(phone.request("REGISTER", "eve", sender="eve")) for _ in range(9)]
    assert replies == [401] * 8 + [403]
    listed = json.loads(stack.srtpgw("bans", "list", "--json").stdout)["bans"]
    assert [(one["target"], one["kind"], one["rule"]) for one in listed] == [
        ("eve@127.0.0.4", "register_block", "register_blocked")
    ]
    assert "eve@127.0.0.4" in stack.srtpgw("users", "blocks").stdout
    stack.srtpgw("bans", "remove", "eve@127.0.0.4", "--kind", "register_block")
    with Phone(SIP, "127.0.0.4") as phone:
        assert phone.status(phone.request("REGISTER", "eve", sender="eve")) == 401


@pytest.mark.row("O35")
def test_destinations(stack: Stack) -> None:
    """Added, pinged, disabled, removed; an import of Kamailio's file."""
    target = Target(TARGET)
    try:
        stack.srtpgw("destinations", "add", "7", target.uri, "--priority", "5")
        wait_for(lambda: target.count("OPTIONS") > 0, 5, stack.log)
        (listed,) = json.loads(stack.srtpgw("destinations", "list", "--json").stdout)
        assert target.uri in json.dumps(listed)
        file = stack.place / "dispatcher.list"
        file.write_text(f"7 {target.uri} 0 5\n7 sip:{HOST}:{TARGET + 1} 0 1\n")
        stack.srtpgw("destinations", "import", str(file))
        assert len(json.loads(stack.srtpgw("destinations", "list", "--json").stdout)) == 2
        assert json.loads(stack.srtpgw("edge", "audit", "--json").stdout)[0]["action"]
    finally:
        target.close()


@pytest.mark.row("L07", "J09")
def test_lists_that_no_datagram_holds(stack: Stack) -> None:
    """2,000 blocks and 2,000 phones in Kamailio's memory come whole, in pages of the API and at once."""
    database = stack.place / "state" / "sip" / "kamailio.sqlite"
    now = 4_000_000_000
    with sqlite3.connect(database, timeout=10) as link:
        link.executemany(
            "INSERT INTO htable (key_name, key_type, value_type, key_value, expires) VALUES (?, 0, 0, ?, 0)",
            [(f"user{number}@192.0.2.1", f"3:{now}:{now}") for number in range(2000)],
        )
    stack.rpc("htable.reload", "auth_block_list")
    blocks = json.loads(stack.srtpgw("users", "blocks", "--json").stdout)
    assert len(blocks) == 2000 and blocks[0]["key"] == "user0@192.0.2.1"
    assert len(json.loads(stack.srtpgw("bans", "list", "--json").stdout)["bans"]) == 2000
    for number in range(2000):
        contact = f"sip:user{number}@192.0.2.1:5060"
        stack.rpc("ul.add", "location", f"user{number}@{HOST}", contact, 3600, "1.0", ".", 0, 0, 5951)
    phones = [one["user"] for one in json.loads(stack.srtpgw("users", "contacts", "--json").stdout)]
    assert sum(one.startswith("user") for one in phones) == 2000
    assert list((stack.place / "run" / "sip" / "events").glob("reply-*")) == []
