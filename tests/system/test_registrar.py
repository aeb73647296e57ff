"""Registrations on the wire: bindings that outlive a kill, calls to phones, and the block (rows L01-L08, J06)."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.sip_edge.areas.database import url as database_url
from appliance.sip_edge.management.edge import Edge as Writer
from appliance.sip_edge.management.phones import Phones
from appliance.sip_edge.management.subscribers import Subscribers
from appliance.sip_edge.rpc import SOCKET, Rpc
from appliance.sip_edge.tables.database import Database
from appliance.telemetry.audit import Audit
from tests.system import kamailio_rig as rig
from tests.system.digest_client import answer, challenges
from tests.system.kamailio_rig import Edge, Phone, counted, running
from tests.system.lab import wait_for
from tests.system.targets import HOST, Gateway, response
from tests.system.test_digest import WORD, add

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

PORT, BLOCKED = 29000, 29020


def tables(**block: Any) -> dict[str, Any]:
    return {
        "trunks": [{"name": "world", "match": ["127.0.0.9/32"], "destination": "registrar"},
                   {"name": "phones", "match": ["127.0.0.0/8"], "authenticate": "digest", "destination": "registrar"}],
        "sip_registrar": {"enabled": True, "trunk": "phones", "domains": [HOST], "min_expires": 60},
        "sip_flood": {"enabled": False}, "sip_register_block": block,
    }  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("registrar")


@pytest.fixture(scope="module")
def edge(place: Path) -> Iterator[Edge]:
    gateway = Gateway(PORT + 1)
    with running(place, PORT, **tables()) as edge:
        add(place, "alice")
        add(place, "bob")
        yield edge
    gateway.close()


def register(phone: Phone, user: str = "alice", word: str = WORD, expires: int = 3600, domain: str = HOST) -> str:
    """A REGISTER and the one with credentials; the final reply."""
    more = [f"Expires: {expires}"]
    uri = f"sip:{domain}"
    plain = phone.request("REGISTER", user, to=uri, sender=user, headers=more)
    first = phone.ask(plain.replace(f"@{HOST}>", f"@{domain}>"))
    if not first.startswith("SIP/2.0 401"):
        return first
    proof = answer(challenges(first)[0], user, word, "REGISTER", uri)
    return phone.ask(phone.request("REGISTER", user, to=uri, sender=user, headers=[*more, proof], number=2))


def rings(caller: Phone, user: str, *phones: Phone) -> tuple[list[bool], str]:
    """Call `user`: which phones heard it, and the caller's final answer when the first of them takes it."""
    caller.send(caller.request("INVITE", user, headers=[]))
    heard = [phone.receive(1.0) for phone in phones]
    for phone, invite in zip(phones, heard, strict=True):
        if invite.startswith("INVITE "):
            phone.send(response(invite, 200, f"Contact: <sip:{user}@{phone.at[0]}:{phone.at[1]}>\r\n"))
            break
    reply = caller.receive(2.0)
    while reply.startswith("SIP/2.0 1"):
        reply = caller.receive(2.0)
    return [invite.startswith("INVITE ") for invite in heard], reply.split("\r\n")[0]


def _stored(place: Path) -> int:
    with contextlib.closing(sqlite3.connect(place / "state" / "sip" / "kamailio.sqlite")) as database:
        return int(database.execute("SELECT count(*) FROM location").fetchone()[0])


def test_a_registered_phone_is_called_after_a_kill(edge: Edge, place: Path) -> None:
    """J06: the binding is in the database soon: kill -9, restart, and the call arrives."""
    with Phone(PORT, "127.0.0.9") as caller, Phone(PORT, "127.0.0.3") as phone:
        assert register(phone).startswith("SIP/2.0 200")
        assert rings(caller, "alice", phone) == ([True], "SIP/2.0 200 Test")
        wait_for(lambda: _stored(place) == 1, 6, edge.log)
        edge.stop(signal.SIGKILL)
        edge.start()
        assert rings(caller, "alice", phone)[0] == [True]
        assert register(phone, expires=0).startswith("SIP/2.0 200")
        assert rings(caller, "alice", phone) == ([False], "SIP/2.0 480 Temporarily Unavailable")
    with Phone(PORT, "127.0.0.9") as caller:  # another socket: the 480 is sent again until it is acknowledged
        assert rings(caller, "nobody") == ([], "SIP/2.0 404 Not Found")


def test_all_phones_of_a_user_ring(edge: Edge) -> None:
    """Two contacts, two branches; the first answer takes the call."""
    with Phone(PORT, "127.0.0.9") as caller, Phone(PORT, "127.0.0.3") as desk, Phone(PORT, "127.0.0.4") as mobile:
        for phone in (desk, mobile):
            assert register(phone, "bob").startswith("SIP/2.0 200")
        heard, reply = rings(caller, "bob", desk, mobile)
        assert heard == [True, True] and reply.startswith("SIP/2.0 200")


def test_a_wrong_password_and_another_domain(edge: Edge) -> None:
    """J06; RFC 3261 section 10.3."""
    with Phone(PORT, "127.0.0.3") as phone:
        assert register(phone, word="guess").startswith("SIP/2.0 403")
        assert register(phone, domain="elsewhere.example").startswith("SIP/2.0 403")
    assert edge.events("sip_refused")[-1]["reason"] == "foreign_domain"


def test_too_short_a_registration(edge: Edge) -> None:
    """RFC 3261 section 10.3: 423 with Min-Expires."""
    with Phone(PORT, "127.0.0.5") as phone:
        reply = register(phone, expires=5)
        assert reply.startswith("SIP/2.0 423") and "Min-Expires: 60" in reply


def test_guessing_under_other_names_is_counted(tmp_path: Path) -> None:
    """L06: whose password is tried is what counts, whatever stands in To."""
    with running(tmp_path, BLOCKED, **tables(attempts=3)) as edge, Phone(BLOCKED, "127.0.0.3") as phone:
        add(tmp_path, "alice")
        challenge = challenges(phone.ask(phone.request("REGISTER", "x", sender="x")))[0]
        replies = []
        for number in range(5):
            proof = answer(challenge, "alice", "guess", "REGISTER", f"sip:{HOST}", nc=number + 1)
            user = f"user{number}"
            replies.append(phone.ask(phone.request("REGISTER", user, sender=user, headers=[proof])).split("\r\n")[0])
        assert replies[3:] == ["SIP/2.0 403 Blocked Forbidden", "SIP/2.0 403 Already Blocked Forbidden"]
        assert counted(edge, "auth_wrong") == 3


def attempts(number: int, user: str = "alice", source: str = "127.0.0.3") -> list[str]:
    """First lines of the replies to so many REGISTERs without credentials."""
    with Phone(BLOCKED, source) as phone:
        return [phone.ask(phone.request("REGISTER", user, sender=user)).split("\r\n")[0] for _ in range(number)]


def test_the_block(tmp_path: Path) -> None:
    """L01-L04, L06-L08: compressed times; replies and log texts of the reference; another user and another source are
    not affected; no transaction and no challenge for who is blocked; it survives a kill; it ends."""
    with running(tmp_path, BLOCKED, **tables(attempts=5, window_s=60, block_s=60)) as edge:
        add(tmp_path, "alice")
        assert attempts(5) == ["SIP/2.0 401 Unauthorized"] * 5
        challenged, transactions = counted(edge, "auth_challenged"), edge.rpc("tm.stats")["total"]
        assert attempts(2) == ["SIP/2.0 403 Blocked Forbidden", "SIP/2.0 403 Already Blocked Forbidden"]
        assert counted(edge, "auth_challenged") == challenged and edge.rpc("tm.stats")["total"] == transactions
        assert "User Blocked for Exceeded Register Requests" in edge.log()
        assert "User Already Blocked for Exceeded Register Requests" in edge.log()
        assert attempts(1, "bob") == attempts(1, source="127.0.0.4") == ["SIP/2.0 401 Unauthorized"]
        edge.rpc("htable.store", "auth_block_list")  # what control does when it hears of a block
        edge.stop(signal.SIGKILL)
        edge.start()
        assert attempts(1) == ["SIP/2.0 403 Already Blocked Forbidden"]
        edge.rpc("htable.delete", "auth_block_list", "alice@127.0.0.3")
        assert attempts(1) == ["SIP/2.0 401 Unauthorized"]


def test_who_succeeds_is_not_blocked(tmp_path: Path) -> None:
    """L04: a phone that registers again and again with its password stays welcome; blocks end."""
    with running(tmp_path, BLOCKED, **tables(attempts=3, window_s=2, block_s=2)) as edge:
        add(tmp_path, "alice")
        with Phone(BLOCKED, "127.0.0.3") as phone:
            assert all(register(phone).startswith("SIP/2.0 200") for _ in range(5))
        attempts(4)
        assert counted(edge, "register_blocked") == 1
        began = time.monotonic()
        wait_for(lambda: attempts(1) == ["SIP/2.0 401 Unauthorized"], 8, edge.log)
        assert time.monotonic() - began > 0.5


async def test_managed_while_it_runs(tmp_path: Path) -> None:
    """J06, L07: who was just added registers, a changed password counts at once, blocks are listed and lifted."""
    with running(tmp_path, BLOCKED, **tables(attempts=2)) as edge:
        settings = rig.settings(tmp_path, BLOCKED, **tables(attempts=2))
        rpc, database = Rpc(edge.config.run / SOCKET), Database(database_url(settings))
        writer = Writer(rpc, database, Audit(tmp_path / "audit.jsonl"))
        users, phones = Subscribers(writer), Phones(writer, settings.sip_register_block.block_s)
        await users.add("test", "carol", HOST, "first word")
        with Phone(BLOCKED, "127.0.0.3") as phone:
            assert register(phone, "carol", "first word").startswith("SIP/2.0 200")
            assert [one.user for one in await phones.contacts()] == [f"carol@{HOST}"]
            await users.set_password("test", "carol", HOST, "second word")
            assert register(phone, "carol", "first word").startswith("SIP/2.0 403")
            assert register(phone, "carol", "second word").startswith("SIP/2.0 403 Blocked")
            (block,) = await phones.blocks()
            assert block.key == "carol@127.0.0.3"
            await phones.unblock("test", block.key)
            assert register(phone, "carol", "second word").startswith("SIP/2.0 200")
            await phones.deregister("test", f"carol@{HOST}")
            assert await phones.contacts() == []
