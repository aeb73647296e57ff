"""Realms (row P08): two groups of users behind one Kamailio, each with its own sockets, certificate, users and policy;
their phones may have the same addresses."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.system.certificates import Authority
from tests.system.digest_client import answer, challenges
from tests.system.kamailio_rig import Edge, Phone, running
from tests.system.targets import HOST, Gateway, response
from tests.system.test_digest import add

pytestmark = [pytest.mark.system, pytest.mark.row("P08"), pytest.mark.timeout(60)]

RED, BLUE, RED_TLS, BLUE_TLS = 33_070, 33_072, 33_074, 33_076
WORDS = {"red.example": "the red word", "blue.example": "the blue word"}
PORTS = {"red.example": RED, "blue.example": BLUE}


def tables(place: Path) -> dict[str, Any]:
    authority = Authority(place / "ca")
    named = {realm: authority.issue(realm) for realm in PORTS}
    listen = [f"udp:{HOST}:{port}" for port in (RED, BLUE)] + [f"tls:{HOST}:{port}" for port in (RED_TLS, BLUE_TLS)]
    red, blue = named["red.example"], named["blue.example"]
    return {
        "sip": {"listen": listen, "certificate": str(red.chain), "key": str(red.key)},
        "sip_tls_domains": [{"listen": f"tls:{HOST}:{BLUE_TLS}", "server_name": "blue.example",
                             "certificate": str(blue.chain), "key": str(blue.key)}],
        "interfaces": [{"name": "red", "address": HOST}, {"name": "blue", "address": "127.0.0.2"}],
        "sip_flood": {"enabled": False}, "sip_registrar": {"enabled": True},
        "trunks": [
            {"name": name, "match": ["127.0.0.0/8"], "sockets": [f"udp:{HOST}:{port}", f"tls:{HOST}:{secure}"],
             "realm": f"{name}.example", "authenticate": "digest", "destination": "registrar", "interface": name,
             "rtp_secure_media": mode}
            for name, port, secure, mode in (("red", RED, RED_TLS, "mandatory"), ("blue", BLUE, BLUE_TLS, "forbidden"))
        ],
    }  # fmt: skip


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    place = tmp_path_factory.mktemp("realms")
    gateway = Gateway(RED + 1)
    with running(place, RED, **tables(place)) as started:
        for realm, word in WORDS.items():
            add(place, "alice", realm, word)
        yield started
    gateway.close()


def asked(phone: Phone, method: str, realm: str, word: str = "", user: str = "alice") -> str:
    """A request of alice@realm for `user` there, and the one with a password; the final reply."""
    uri = f"sip:{realm}" if method == "REGISTER" else f"sip:{user}@{realm}"
    replies = ""
    headers: list[str] = []
    for number in (1, 2):
        text = phone.request(method, user, to=uri, sender="alice", headers=headers, number=number)
        replies = phone.ask(text.replace(f"@{HOST}>", f"@{realm}>"), 2.0)
        if not word or not replies.startswith(("SIP/2.0 401", "SIP/2.0 407")):
            return replies
        (challenge, *_) = challenges(replies)
        assert challenge.realm == realm
        headers = [answer(challenge, "alice", word, method, uri)]
    return replies


def test_a_realm_has_its_own_users(edge: Edge) -> None:
    """The same name and the same telephone's address, two passwords; neither realm is served at the other one's
    socket."""
    for realm, port in PORTS.items():
        with Phone(port, "127.0.0.5") as phone:
            assert asked(phone, "REGISTER", realm, WORDS[realm]).startswith("SIP/2.0 200")
            other = next(name for name in PORTS if name != realm)
            assert asked(phone, "REGISTER", realm, WORDS[other]).startswith("SIP/2.0 403")
            assert asked(phone, "REGISTER", other, WORDS[other]).startswith("SIP/2.0 403")
    assert [one["reason"] for one in edge.events("sip_refused")].count("foreign_realm") == 2
    bindings = edge.rpc("ul.dump")["Domains"][0]["Domain"]["AoRs"]
    assert {one["Info"]["AoR"] for one in bindings} == {f"alice@{realm}" for realm in PORTS}


@pytest.mark.parametrize("realm", PORTS)
def test_calls_stay_in_their_realm(edge: Edge, realm: str) -> None:
    """Who calls proves the password of the realm whose socket was called, whatever From says; the call is its trunk's
    on both sides."""
    other, name = next(one for one in PORTS if one != realm), realm.partition(".")[0]
    with Phone(PORTS[realm], "127.0.0.6") as caller, Phone(PORTS[realm], "127.0.0.7") as phone:
        assert asked(phone, "REGISTER", realm, WORDS[realm]).startswith("SIP/2.0 200")
        challenged = asked(caller, "INVITE", other)
        assert [one.realm for one in challenges(challenged)][:1] == [realm]
        first = caller.ask(caller.request("INVITE", "alice", to=f"sip:alice@{realm}", sender="alice"))
        proof = answer(challenges(first)[0], "alice", WORDS[realm], "INVITE", f"sip:alice@{realm}")
        again = caller.request("INVITE", "alice", to=f"sip:alice@{realm}", sender="alice", headers=[proof], number=2)
        caller.send(again)
        invite = phone.receive(2.0)
        assert invite.startswith("INVITE sip:alice@127.0.0.7")
        phone.send(response(invite, 486))
    begun, routed = ([one for one in edge.events("sip_call") if one["state"] == state][-1]
                     for state in ("INIT", "ROUTING"))  # fmt: skip
    assert (begun["caller"], routed["callee"]) == (name, name)


def test_a_realm_has_its_own_certificate(edge: Edge) -> None:
    """By server name, each at its own socket alone."""
    assert [_name(port, "blue.example") for port in (BLUE_TLS, RED_TLS)] == ["blue.example", "red.example"]
    assert _name(RED_TLS, "red.example") == "red.example"


def _name(port: int, server_name: str) -> str:
    """In the certificate that is shown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((HOST, port), 3) as plain, context.wrap_socket(
        plain, server_hostname=server_name
    ) as link:
        shown = link.getpeercert(binary_form=True)
    assert shown is not None
    return str(x509.load_der_x509_certificate(shown).subject.rfc4514_string().removeprefix("CN="))
