"""Row K06: topos keeps what it hides in a storage that edges share: a dialog survives a restart, and its edge."""

from __future__ import annotations

import re
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system import databases
from tests.system.kamailio_rig import Edge
from tests.system.parties import ACCESS, CORE, Call, Dialog, Message, Party, dialog_of
from tests.system.two_sides import Place, done, made, parties, running, up

pytestmark = [pytest.mark.system, pytest.mark.timeout(90), pytest.mark.row("K04", "K06")]

PORT, STORAGE = 32440, 32438


@pytest.fixture
def both(sip_programs: None) -> Iterator[tuple[Party, Party]]:
    with parties(PORT + 4, PORT) as made_up:
        yield made_up


@pytest.fixture(params=["db", "redis"])
def tables(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    if request.param == "db":
        with databases.postgres(STORAGE) as url:
            yield {"sip_topology": {"mode": "strip"}, "sip_database": {"url": url}}
    else:
        with databases.redis(STORAGE) as url:
            yield {"sip_topology": {"mode": "strip", "storage": "redis", "redis_url": url}}


def test_a_dialog_outlives_its_edge(tmp_path: Path, both: tuple[Party, Party], tables: dict[str, Any]) -> None:
    """A restart in mid-call; then another edge takes the addresses over, with nothing but the storage; then one at
    other addresses."""
    alice, bob = both
    one = Place(PORT, 1, tables)
    with running(tmp_path / "one", one, alice, bob) as edge:
        calls = [up(alice, bob) for _ in range(3)]
        _hidden(alice, bob)
        edge.stop(signal.SIGKILL)
        edge.start()
        _quiet(tables, edge)
        _named(done(bob, alice, calls[0][1], "INFO"), calls[0][0])
        _named(done(alice, bob, calls[0][0], "INFO"), calls[0][1])
        done(bob, alice, calls[0][1], "BYE")
        edge.stop(signal.SIGKILL)

        other = made(tmp_path / "two", one, alice, bob)
        other.start()
        try:
            _named(done(alice, bob, calls[1][0], "INFO"), calls[1][1])
            _named(done(bob, alice, calls[1][1], "BYE"), calls[1][0])
        finally:
            other.stop()

        elsewhere = Place(PORT, 11, {**tables, "sip_topology": {**tables["sip_topology"], "aliases": one.sockets}})
        with running(tmp_path / "three", elsewhere, alice, bob):
            alice.edge, bob.edge = (f"{ACCESS}11", PORT), (f"{CORE}11", PORT)
            _named(done(alice, bob, calls[2][0], "BYE"), calls[2][1])
        edge.start()
    _hidden(alice, bob)


@pytest.mark.parametrize("named", ["", "example.org"], ids=["addresses", "names"])
def test_display_names(tmp_path: Path, both: tuple[Party, Party], named: str) -> None:
    """Some equipment writes its address there: neither side reads the other's, in the call and within it, and answers
    have what was asked. With URIs that uac writes anew and restores, and with those that name no address."""
    alice, bob = both
    with databases.redis(STORAGE) as url:
        tables = {"sip_topology": {"mode": "strip", "storage": "redis", "redis_url": url}}
        with running(tmp_path / "one", Place(PORT, 1, tables), alice, bob):
            call = Call(alice, "bob", secrets.token_hex(8), "INVITE")
            if named:
                call.sender = call.sender.replace(f"{ACCESS}2", named)
                call.to = call.to.replace(f"{ACCESS}1:{PORT}", named)
            call.sender, call.to = f'"Alice {ACCESS}2" {call.sender}', f'"bob at {ACCESS}1" {call.to}'
            alice.send(alice.request("INVITE", call.uri, call.sender, call.to, call.call_id, 1, branch=call.branch))
            invite = bob.hears("INVITE")
            ok = bob.answer(invite, 200)
            dialog, back = call.dialog(alice.hears(200)), dialog_of(invite, ok)
            assert dialog.remote.startswith(call.to)
            alice.within(dialog, "ACK", number=1)
            bob.hears("ACK")
            seen = [invite["From"].partition(" <")[0]]
            for sender, receiver, ours, theirs in ((alice, bob, dialog, back), (bob, alice, back, dialog)):
                sender.within(ours, "INFO")
                request = receiver.hears("INFO")
                assert [request[name].partition("<")[2] for name in ("From", "To")] == [
                    known.partition("<")[2] for known in (theirs.remote, theirs.local)
                ]
                seen.append(request["From"].partition(" <")[0])
                receiver.answer(request, 200)
                reply = sender.hears(200)
                assert (reply["From"], reply["To"]) == (ours.local, ours.remote)
            done(bob, alice, back, "BYE")
            assert seen == [f'"Alice {CORE}1"', f'"Alice {CORE}1"', f'"bob at {ACCESS}1"']
    _hidden(alice, bob)


def _hidden(alice: Party, bob: Party) -> None:
    """All but the Call-ID, which topos of Kamailio 5.6 does not mask."""
    for hears, hidden in ((alice, CORE), (bob, ACCESS)):
        for message in hears.heard:
            text = re.sub(r"^Call-ID: .*$", "", message.text, flags=re.MULTILINE)
            assert hidden not in text, message.text
            assert len(message.all("Via")) <= 1
            assert not message.all("Record-Route")


def _named(request: Message, dialog: Dialog) -> None:
    """The parties are as the receiver knows them, who never knew them otherwise: the route itself tells (uac)."""
    for header, known in (("From", dialog.remote), ("To", dialog.local)):
        assert request[header].replace("<", "").replace(">", "") == known.replace("<", "").replace(">", "")


def _quiet(tables: dict[str, Any], edge: Edge) -> None:
    """No password in the log."""
    url = tables.get("sip_database", {}).get("url") or tables["sip_topology"]["redis_url"]
    assert re.sub(r".*:([^:@]+)@.*", r"\1", url) not in edge.log()
