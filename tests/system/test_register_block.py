"""The block against floods of REGISTER where others take part: credentials, the control process, a second gateway,
forged sources (rows L07, L08)."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from appliance.sip_edge.management.parts import EdgeParts
from tests.system import kamailio_rig as rig
from tests.system.digest_client import answer, challenges
from tests.system.kamailio_rig import Edge, Phone, counted, running
from tests.system.lab import wait_for
from tests.system.targets import HOST
from tests.system.test_digest import WORD, add
from tests.system.test_registrar import tables

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

PORT, SECOND, REPLICATION = 32_900, 32_920, 5  # the last above each
BLOCK = {"attempts": 2, "block_s": 600}


def attempts(port: int, number: int, user: str = "alice", source: str = "127.0.0.3") -> list[str]:
    """Status and phrase of the replies to so many REGISTERs without credentials."""
    with Phone(port, source) as phone:
        replies = [phone.ask(phone.request("REGISTER", user, sender=user)) for _ in range(number)]
    return [reply.partition("\r\n")[0].removeprefix("SIP/2.0 ") for reply in replies]


@asynccontextmanager
async def managed(place: Path, port: int, **more: Any) -> AsyncIterator[EdgeParts]:
    """The control process' parts beside a running edge."""
    settings = rig.settings(place, port, **more)
    parts = EdgeParts(settings.model_copy(update={"sip": settings.sip.model_copy(update={"run": place / "edge"})}),
                      CollectorRegistry())  # fmt: skip
    await parts.start()
    try:
        yield parts
    finally:
        await parts.stop()


@pytest.mark.row("L07")
async def test_control_keeps_a_block_over_a_kill(tmp_path: Path) -> None:
    """L07: the script's event makes control write the block to the database; a Kamailio that is killed and started anew
    has it; it is listed with its end, and lifted for good."""
    with running(tmp_path, PORT, **tables(**BLOCK)) as edge:
        add(tmp_path, "alice")
        async with managed(tmp_path, PORT, **tables(**BLOCK)) as parts:
            replies = await asyncio.to_thread(attempts, PORT, 4)
            assert replies[2:] == ["403 Blocked Forbidden", "403 Already Blocked Forbidden"]
            await asyncio.to_thread(wait_for, lambda: _stored(tmp_path), 5, "control does not store the block")
            await asyncio.to_thread(_killed, edge)
            assert await asyncio.to_thread(attempts, PORT, 1) == ["403 Already Blocked Forbidden"]
            (block,) = await parts.phones.blocks()
            assert (block.key, block.attempts, block.until - block.since) == ("alice@127.0.0.3", 2, 600)
            await parts.phones.unblock("test", block.key)
            assert await asyncio.to_thread(attempts, PORT, 1) == ["401 Unauthorized"]
            assert _stored(tmp_path) == []
            assert (parts.edge.audit.records(1)[0].action) == "users unblock"


@pytest.mark.row("L08")
def test_the_right_password_of_a_blocked_user_is_not_looked_at(tmp_path: Path) -> None:
    """L08: no transaction and no look-up. The table of users is gone: whoever causes a look-up is answered 503."""
    with running(tmp_path, PORT, **tables(**BLOCK)) as edge, Phone(PORT, "127.0.0.3") as phone:
        add(tmp_path, "alice")
        challenge = challenges(phone.ask(phone.request("REGISTER", "alice", sender="alice")))[0]
        attempts(PORT, 2)
        with sqlite3.connect(tmp_path / "state" / "sip" / "kamailio.sqlite") as database:
            for table in ("subscriber", "subscriber_ha1"):
                database.execute(f"ALTER TABLE {table} RENAME TO {table}_gone")
        transactions = edge.rpc("tm.stats")["total"]
        for number, user in enumerate(("alice", "bob")):
            proof = answer(challenge, user, WORD, "REGISTER", f"sip:{HOST}", nc=number + 1)
            reply = phone.ask(phone.request("REGISTER", user, sender=user, headers=[proof]))
            assert reply.split()[1] == {"alice": "403", "bob": "503"}[user]
        assert (counted(edge, "auth_database"), counted(edge, "register_already_blocked")) == (1, 1)
        assert edge.rpc("tm.stats")["total"] == transactions


@pytest.mark.row("L07")
def test_two_gateways_share_their_blocks(tmp_path: Path) -> None:
    """L07: counted together, blocked at both, lifted at both; who starts later is told; strangers are not heard."""
    with _fleet(tmp_path, PORT, SECOND) as first, _fleet(tmp_path, SECOND, PORT) as second:
        wait_for(lambda: _joined(first, second) and _joined(second, first), 10, first.log)
        assert attempts(PORT, 2) == ["401 Unauthorized"] * 2
        wait_for(lambda: _entry(second).startswith("2:"), 5, second.log)
        assert attempts(SECOND, 1) == ["403 Blocked Forbidden"]
        wait_for(lambda: attempts(PORT, 1) == ["403 Already Blocked Forbidden"], 5, first.log)
        second.stop(signal.SIGKILL)
        with sqlite3.connect(tmp_path / str(SECOND) / "state" / "sip" / "kamailio.sqlite") as database:
            assert database.execute("SELECT count(*) FROM htable").fetchone() == (0,)
        second.start()
        wait_for(lambda: _entry(second) == _entry(first) != "", 5, second.log)
        second.rpc("htable.delete", "auth_block_list", "alice@127.0.0.3")
        wait_for(lambda: _entry(first) == "", 5, first.log)
        with Phone(PORT, "127.0.0.4") as stranger:
            assert stranger.status(stranger.request("KDMQ", "htable")) == 405
            stranger.edge = (HOST, PORT + REPLICATION)
            assert stranger.status(stranger.request("KDMQ", "htable")) == 405
        with Phone(PORT, HOST) as peer:  # a peer, but not at the socket that is for it
            assert peer.status(peer.request("KDMQ", "htable")) == 405
        assert counted(first, "replication_stranger") == 3


@pytest.mark.row("L07")
def test_forged_sources_do_not_fill_the_memory(tmp_path: Path) -> None:
    """At most `most` are counted, half of them with a nonce of ours; who is counted already is blocked all the same."""
    with running(tmp_path, PORT, **tables(**BLOCK, most=100)) as edge, Phone(PORT, "127.0.0.3") as phone:
        add(tmp_path, "alice")
        challenge = challenges(phone.ask(phone.request("REGISTER", "alice", sender="alice")))[0]
        sent = 1
        while counted(edge, "register_uncounted") < 100:
            phone.ask(phone.request("REGISTER", f"forged{sent}", sender="x"))
            sent += 1
        held = _size(edge)
        assert 50 <= held <= 100  # two processes, each of which knows the other one's entries a second later
        assert held + counted(edge, "register_uncounted") == sent
        assert edge.events("sip_register_uncounted")
        assert attempts(PORT, 2) == ["401 Unauthorized", "403 Blocked Forbidden"]
        proof = answer(challenge, "carol", "guess", "REGISTER", f"sip:{HOST}")
        assert phone.status(phone.request("REGISTER", "carol", sender="carol", headers=[proof])) == 403
        assert _size(edge) == held + (held < 100)


@contextmanager
def _fleet(place: Path, port: int, other: int) -> Iterator[Edge]:
    own = place / str(port)
    own.mkdir()
    listen = [f"udp:{HOST}:{port}", f"udp:{HOST}:{port + REPLICATION}"]
    replication = {"listen": listen[1], "peers": [f"sip:{HOST}:{other + REPLICATION}"]}
    with running(own, port, **tables(**BLOCK), sip={"listen": listen}, sip_replication=replication) as edge:
        add(own, "alice")
        yield edge


def _joined(one: Edge, other: Edge) -> bool:
    """What one is told, the other one hears of."""
    one.rpc("htable.sets", "auth_block_list", "probe", str(one.config.run))
    found = other.rpc("htable.get", "auth_block_list", "probe")
    return bool("item" in found and found["item"]["value"] == str(one.config.run))


def _entry(edge: Edge) -> str:
    found = edge.rpc("htable.get", "auth_block_list", "alice@127.0.0.3")
    return str(found["item"]["value"]) if "item" in found else ""


def _size(edge: Edge) -> int:
    return int(next(one["all"] for one in edge.rpc("htable.stats") if one["name"] == "auth_block_list"))


def _stored(place: Path) -> list[tuple[Any, ...]]:
    with sqlite3.connect(place / "state" / "sip" / "kamailio.sqlite") as database:
        return database.execute("SELECT key_name, key_value FROM htable").fetchall()


def _killed(edge: Edge) -> None:
    edge.stop(signal.SIGKILL)
    edge.start()
