"""Digest on the wire: Kamailio as rendered, users in its database, a client by hashlib (rows J06, J09)."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.sip_edge.ksr.rules import auth
from tests.system.digest_client import Challenge, answer, challenges
from tests.system.kamailio_rig import Edge, Phone, counted, running
from tests.system.targets import HOST, Gateway, Target

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

PORT, CALLEE = 29200, 29210
WORD = "s3cret word"
TABLES: dict[str, Any] = {
    "trunks": [
        {"name": "users", "match": ["127.0.0.2/32", "127.0.0.3/32"], "authenticate": "digest",
         "destination": f"sip:{HOST}:{CALLEE}"},
    ],
    "sip_auth": {"algorithms": ["SHA-512-256", "SHA-256", "MD5"]},
    "sip_flood": {"enabled": False},
}  # fmt: skip


def add(place: Path, user: str, realm: str = HOST, word: str = WORD) -> None:
    """A subscriber with the hashes of every algorithm."""
    both = auth.ha1("MD5", f"{user}@{realm}", realm, word)
    with sqlite3.connect(place / "state" / "sip" / "kamailio.sqlite") as database:
        database.execute("INSERT INTO subscriber (username, domain, ha1, ha1b) VALUES (?, ?, ?, ?)",
                         (user, realm, auth.ha1("MD5", user, realm, word), both))  # fmt: skip
        for name in ("SHA-256", "SHA-512-256"):
            database.execute("INSERT INTO subscriber_ha1 (username, domain, algorithm, ha1) VALUES (?, ?, ?, ?)",
                             (user, realm, name, auth.ha1(name, user, realm, word)))  # fmt: skip
    database.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("digest")


@pytest.fixture(scope="module")
def edge(place: Path) -> Iterator[Edge]:
    gateway, callee = Gateway(PORT + 1), Target(CALLEE)
    with running(place, PORT, **TABLES) as edge:
        add(place, "alice")
        yield edge
    callee.close()
    gateway.close()


@pytest.fixture
def phone(edge: Edge) -> Iterator[Phone]:
    with Phone(PORT) as made:
        yield made


def offered(phone: Phone, sender: str = "alice") -> list[Challenge]:
    reply = phone.ask(phone.request("MESSAGE", sender=sender))
    assert reply.startswith("SIP/2.0 407")
    return challenges(reply)


def message(phone: Phone, challenge: Challenge, user: str = "alice", word: str = WORD, nc: int = 1,
            sender: str = "") -> str:  # fmt: skip
    """A MESSAGE with this user's credentials."""
    proof = answer(challenge, user, word, "MESSAGE", f"sip:1000@{HOST}", nc)
    return phone.request("MESSAGE", sender=sender or user, headers=[proof], number=2)


def test_every_algorithm_is_offered_the_strongest_first(phone: Phone) -> None:
    """J06, RFC 8760 section 2.4."""
    assert [one.algorithm for one in offered(phone)] == ["SHA-512-256", "SHA-256", "MD5"]
    assert {one.realm for one in offered(phone)} == {HOST}


@pytest.mark.parametrize("place_in_list", range(3), ids=["SHA-512-256", "SHA-256", "MD5"])
def test_the_right_password_passes(phone: Phone, place_in_list: int) -> None:
    """J06: each algorithm; the credentials are not shown to the callee."""
    assert phone.status(message(phone, offered(phone)[place_in_list])) == 200


def test_a_wrong_password_and_an_unknown_user_look_the_same(edge: Edge, phone: Phone) -> None:
    """J06: 403, and nothing tells which it was."""
    before = counted(edge, "auth_wrong")
    wrong = phone.ask(message(phone, offered(phone)[0], word="guessed"))
    unknown = phone.ask(message(phone, offered(phone)[0], user="mallory"))
    assert wrong.split("\r\n")[0] == unknown.split("\r\n")[0] == "SIP/2.0 403 Forbidden"
    assert counted(edge, "auth_wrong") == before + 2
    assert WORD not in edge.log() and "guessed" not in edge.log()


def test_a_nonce_count_is_used_once(phone: Phone) -> None:
    """J06: a replayed request is asked anew with stale=true; the next count of the same nonce passes."""
    challenge = offered(phone)[1]
    assert phone.status(message(phone, challenge, nc=1)) == 200
    again = phone.ask(message(phone, challenge, nc=1))
    assert again.startswith("SIP/2.0 407") and all(one.stale for one in challenges(again))
    assert phone.status(message(phone, challenge, nc=2)) == 200
    assert phone.status(message(phone, challenge, nc=1)) == 407


@pytest.mark.parametrize(
    "nonce",
    ["", "0.0.0", "5f.aa", "x" * 300, "65a0.0011223344556677." + "0" * 32],
    ids=["empty", "short", "odd", "long", "forged"],
)
def test_a_nonce_that_is_not_ours_is_stale(phone: Phone, nonce: str) -> None:
    """J06: right password, foreign nonce: asked anew, no credit."""
    ours = offered(phone)[0]
    reply = phone.ask(message(phone, Challenge(ours.realm, nonce, ours.algorithm, False)))
    assert reply.split(" ")[1] in ("403", "407")
    assert not reply.startswith("SIP/2.0 200")


def test_whose_password_it_was_stands_in_from(edge: Edge, phone: Phone) -> None:
    """J06: alice may not call as bob."""
    before = counted(edge, "auth_other_user")
    assert phone.status(message(phone, offered(phone)[0], sender="bob")) == 403
    assert counted(edge, "auth_other_user") == before + 1


@pytest.mark.parametrize("user", ["alice' OR '1'='1", "alice\\", "a" * 65, "", "al\tice"])
def test_names_that_sql_would_read_are_nobody(phone: Phone, user: str) -> None:
    """J06: what is no name is no credential: asked again, never looked up."""
    assert phone.status(message(phone, offered(phone)[0], user=user, sender="alice")) in (403, 407)


def test_a_nonce_ends(tmp_path: Path) -> None:
    """J06: after nonce_expire_s the phone is asked anew, with stale=true; and it outlives a restart of Kamailio."""
    tables = {**TABLES, "sip_auth": {"nonce_expire_s": 10, "algorithms": ["SHA-256"]}}
    gateway, callee = Gateway(29221), Target(CALLEE + 1)
    tables["trunks"] = [{**TABLES["trunks"][0], "destination": f"sip:{HOST}:{CALLEE + 1}"}]
    with running(tmp_path, 29220, **tables) as edge, Phone(29220) as phone:
        add(tmp_path, "alice")
        challenge = offered(phone)[0]
        old = Challenge(challenge.realm, auth.nonce(_secret(edge), HOST, time.time() - 11), "SHA-256", False)
        fresh = Challenge(challenge.realm, auth.nonce(_secret(edge), HOST, time.time() - 9), "SHA-256", False)
        assert [one.stale for one in challenges(phone.ask(message(phone, old)))] == [True]
        assert phone.status(message(phone, fresh)) == 200
        edge.stop()
        edge.start()
        assert phone.status(message(phone, challenge)) == 200
    callee.close()
    gateway.close()


def _secret(edge: Edge) -> str:
    return (edge.config.run / "nonce.key").read_text()
