"""Passwords and accounting by RADIUS (rows J10, J12, P04): FreeRADIUS beside a Kamailio as rendered, and a server that
reads RFC 5090, which FreeRADIUS does not."""

from __future__ import annotations

import hashlib
import hmac
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.system import radius_server
from tests.system.digest_client import answer, challenges, hashed
from tests.system.kamailio_rig import Edge, Phone, counted, running
from tests.system.lab import wait_for
from tests.system.radius_server import SECRET, RadiusServer
from tests.system.targets import HOST, Caller, Gateway, Target

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

EDGE, SERVER, CALLEE, CALLER = 32_970, 32_980, 32_990, 32_991
USERS = {"alice": "open sesame", "bob": "another word"}


def tables(place: Path, **radius: Any) -> dict[str, Any]:
    (place / "secret").write_text(f"{SECRET}\n")
    return {
        "trunks": [{"name": "callers", "match": [f"{HOST}/32"], "destination": f"sip:{HOST}:{CALLEE}"},
                   {"name": "phones", "match": ["127.0.0.0/8"], "authenticate": "digest", "destination": "registrar"}],
        "sip_registrar": {"enabled": True, "domains": [HOST]}, "sip_flood": {"enabled": False},
        "sip_radius": {"servers": [f"{HOST}:{SERVER}"], "secret_file": str(place / "secret"), **radius},
    }  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("radius")


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[RadiusServer]:
    with radius_server.running(place / "server", SERVER, USERS) as started:
        yield started


@pytest.fixture(scope="module")
def edge(place: Path, server: RadiusServer) -> Iterator[Edge]:
    with running(place, EDGE, **tables(place, accounting=[f"{HOST}:{SERVER + 1}"])) as started:
        yield started


def register(phone: Phone, user: str, word: str, patience: float = 1.0) -> tuple[str, str]:
    """The credentials that were sent, and the final reply."""
    first = phone.ask(phone.request("REGISTER", user, sender=user))
    (challenge,) = challenges(first)
    proof = answer(challenge, user, word, "REGISTER", f"sip:{HOST}")
    return proof, phone.ask(phone.request("REGISTER", user, sender=user, headers=[proof], number=2), patience)


@pytest.mark.row("J10")
def test_who_the_server_accepts_may_register(edge: Edge, server: RadiusServer) -> None:
    """Accepted, rejected, unknown; a nonce count that was used is none; no password and no hash is anywhere."""
    with Phone(EDGE, "127.0.0.3") as phone:
        proof, reply = register(phone, "alice", USERS["alice"])
        assert reply.startswith("SIP/2.0 200") and "Contact:" in reply
        assert "Login OK: [alice]" in server.log()
        again = phone.ask(phone.request("REGISTER", "alice", sender="alice", headers=[proof], number=3))
        assert again.startswith("SIP/2.0 401") and challenges(again)
        for user, word in (("alice", "guess"), ("nobody", "guess")):
            assert register(phone, user, word)[1].startswith("SIP/2.0 403")
            assert "Login incorrect" in server.log()
    assert counted(edge, "auth_wrong") == 2
    assert edge.rpc("ul.dump")["Domains"][0]["Domain"]["Stats"]["Records"] == 1
    for secret in (SECRET, *USERS.values()):
        assert secret not in edge.log()
    assert (edge.config.run / "radius" / "servers").stat().st_mode & 0o777 == 0o600
    assert SECRET not in repr(edge.config)


@pytest.mark.row("J10")
def test_calls_ask_for_the_password_too(edge: Edge) -> None:
    """407, and a user who is somebody else in From."""
    with Phone(EDGE, "127.0.0.4") as phone:
        (challenge,) = challenges(phone.ask(phone.request("INVITE", "bob", sender="bob")))
        for nc, (sender, status) in enumerate((("alice", 403), ("bob", 480)), 1):
            proof = answer(challenge, "bob", USERS["bob"], "INVITE", f"sip:bob@{HOST}", nc=nc)
            assert phone.status(phone.request("INVITE", "bob", sender=sender, headers=[proof], number=nc + 1)) == status
    assert counted(edge, "auth_other_user") == 1


@pytest.mark.row("J12", "P04")
def test_calls_are_accounted_for(edge: Edge, server: RadiusServer) -> None:
    """RFC 2866: Start with the 200 of the INVITE, Stop with that of the BYE, one session; a call that failed."""
    gateway, callee, caller = Gateway(EDGE + 1), Target(CALLEE), Caller(CALLER, (HOST, EDGE))
    try:
        call = caller.call()
        assert call.status == 200
        wait_for(lambda: len(_of(server, call.call_id)) == 1, 5, server.log)
        call.hang_up()
        wait_for(lambda: len(_of(server, call.call_id)) == 2, 5, server.log)
        callee.invite = 486
        refused = caller.call()
        assert refused.status == 486
        wait_for(lambda: _of(server, refused.call_id), 5, server.log)
    finally:
        for one in (caller, callee, gateway):
            one.close()
    start, stop, failed = *_of(server, call.call_id), *_of(server, refused.call_id)
    assert [one["Acct-Status-Type"] for one in (start, stop, failed)] == ["Start", "Stop", "Failed"]
    assert (start["Edge-Status"], stop["Edge-Status"], failed["Edge-Status"]) == ("200", "200", "486")
    assert (start["User-Name"], start["Calling-Station-Id"]) == ("alice", f"sip:alice@{HOST}")
    assert (start["Called-Station-Id"], start["Edge-From-Tag"]) == (f"sip:bob@{HOST}:{EDGE}", call.tag)


def _of(server: RadiusServer, call_id: str) -> list[dict[str, str]]:
    """What was told of one call."""
    return [one for one in server.told() if one["Acct-Session-Id"] == call_id]


@pytest.mark.row("J10")
def test_a_server_that_is_silent(edge: Edge, server: RadiusServer) -> None:
    """503, which says that nobody could look; it is not counted as a wrong password. It comes back."""
    wrong = counted(edge, "auth_wrong")
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        with Phone(EDGE, "127.0.0.3") as phone:
            assert register(phone, "alice", USERS["alice"], 6)[1].startswith("SIP/2.0 503")
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    assert (counted(edge, "auth_radius"), counted(edge, "auth_wrong")) == (1, wrong)
    with Phone(EDGE, "127.0.0.3") as phone:
        wait_for(lambda: register(phone, "alice", USERS["alice"])[1].startswith("SIP/2.0 200"), 5, server.log)


@pytest.mark.row("J10")
def test_digests_as_rfc_5090_writes_them(tmp_path: Path) -> None:
    """RFC 5090 section 2: the server finds every part under its number, and they prove the password."""
    with rfc5090_server() as asked, running(tmp_path, EDGE + 2, **tables(tmp_path, digest="rfc5090", servers=[
            f"{HOST}:{SERVER + 2}"])), Phone(EDGE + 2, "127.0.0.3") as phone:  # fmt: skip
        assert register(phone, "alice", USERS["alice"])[1].startswith("SIP/2.0 200")
        assert register(phone, "bob", "guess")[1].startswith("SIP/2.0 403")
    assert [(one[1], one[104], one[108], one[109], one[110], one[115]) for one in asked] == [
        (user, HOST, "REGISTER", f"sip:{HOST}", "auth", user) for user in ("alice", "bob")
    ]


@contextmanager
def rfc5090_server() -> Iterator[list[dict[int, str]]]:
    """Answers Access-Requests; their attributes by number."""
    asked: list[dict[int, str]] = []
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    link.bind((HOST, SERVER + 2))
    link.settimeout(0.2)
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            try:
                request, peer = link.recvfrom(4096)
            except TimeoutError:
                continue
            found, place = {}, 20
            while place < len(request):
                found[request[place]] = request[place + 2 : place + request[place + 1]].decode("latin-1")
                place += request[place + 1]
            asked.append(found)
            link.sendto(_verdict(request, found), peer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield asked
    finally:
        ended.set()
        thread.join()
        link.close()


def _verdict(request: bytes, found: dict[int, str]) -> bytes:
    """Access-Accept (2) or Access-Reject (3), RFC 2865 section 3."""
    first = hashed("MD5", found[115], found[104], USERS[found[115]])
    right = hashed("MD5", first, found[105], found[114], found[113], found[110], hashed("MD5", found[108], found[109]))
    head = bytes([2 if hmac.compare_digest(right, found[103]) else 3, request[1], 0, 20])
    return head + hashlib.md5(head + request[4:20] + SECRET.encode()).digest()
