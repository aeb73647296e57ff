"""Dialogs that do not go the straight way, with media through the gateway: a call that lasts too long, forked rings,
PRACK and UPDATE, the next destination. Rows I02, K04, O32, H01; RFC 3261, 3262, 3311."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system import stack
from tests.system.lab import wait_for
from tests.system.parties import ACCESS, CORE, Party, dialog_of, sdp
from tests.system.rtp import Ear
from tests.system.stack import Stack
from tests.system.two_sides import Place, parties, running

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

PORT, SLOW = 32460, 32490
HERE, THERE = f"{ACCESS}2", f"{CORE}2"
KEY = "1 AES_CM_128_HMAC_SHA1_80 inline:" + "A" * 40


@pytest.fixture(scope="module")
def gateway(sip_programs: None) -> Iterator[Stack]:
    """Media only; it serves NG where the edges at PORT look for it."""
    with stack.running(32600, 32699, PORT + 1, calls=20) as started:
        yield started


@pytest.fixture
def both(gateway: Stack) -> Iterator[tuple[Party, Party]]:
    with parties(PORT + 4, PORT, media=True) as made:
        yield made


@pytest.fixture
def ears() -> Iterator[tuple[Ear, Ear, Ear]]:
    """Alice's, one of Bob's, another one of Bob's."""
    made = Ear(HERE, 32480), Ear(THERE, 32482), Ear(THERE, 32484)
    yield made
    for ear in made:
        ear.close()


def freed(gateway: Stack) -> None:
    wait_for(lambda: gateway.status().calls == 0, 5, "media is still there")


@pytest.mark.row("I02", "K04")
def test_a_call_that_lasts_too_long_is_ended(tmp_path: Path, gateway: Stack, both: tuple[Party, Party]) -> None:
    """sip.dialog_timeout_s: BYE to both sides, each in its own dialog and by the names that it knows; media is
    freed."""
    alice, bob = both
    with running(tmp_path / "edge", Place(PORT), alice, bob, longest_s=2) as edge:
        call = alice.calls(body=sdp(HERE, 40000))
        invite = bob.hears("INVITE")
        ok = bob.answer(invite, 200, body=sdp(THERE, 41000), tag="b1")
        here, there = call.dialog(alice.hears(200)), dialog_of(invite, ok)
        alice.within(here, "ACK", number=1)
        bob.hears("ACK")
        assert gateway.status().calls == 1
        for party, dialog, hidden in ((alice, here, CORE), (bob, there, ACCESS)):
            bye = party.hears("BYE")
            assert bye["Call-ID"] == dialog.call_id
            assert (bye.tag("To"), bye.tag("From")) == (_tag(dialog.local), _tag(dialog.remote))
            assert hidden not in bye.text
            party.answer(bye, 200)
        freed(gateway)
        wait_for(lambda: not any(edge.rpc("dlg.stats_active").values()), 5, lambda: str(edge.rpc("dlg.stats_active")))


@pytest.mark.row("H01", "I02")
def test_both_sides_hear_that_a_call_is_over(tmp_path: Path, both: tuple[Party, Party]) -> None:
    """Of two BYEs the first may be answered before the second one left: it leaves all the same."""
    alice, bob = both
    with running(tmp_path / "edge", Place(PORT), alice, bob) as edge:
        for _ in range(20):
            call = alice.calls()
            invite = bob.hears("INVITE")
            ok = bob.answer(invite, 200)
            here = call.dialog(alice.hears(200))
            alice.within(here, "ACK", number=1)
            bob.hears("ACK")
            quick = threading.Thread(target=lambda: alice.answer(alice.hears("BYE"), 200))
            quick.start()
            edge.rpc("dlg.terminate_dlg", call.call_id, _tag(call.sender), ok.tag("To"))
            bob.answer(bob.hears("BYE"), 200)
            quick.join()


@pytest.mark.row("I02")
def test_forked_rings(tmp_path: Path, gateway: Stack, both: tuple[Party, Party], ears: tuple[Ear, Ear, Ear]) -> None:
    """RFC 3261 section 12.1: two callees behind one next hop ring under tags of their own, both with early media; the
    one that answers has the call, and its media."""
    alice, bob = both
    ear, loser, winner = ears
    with running(tmp_path / "edge", Place(PORT), alice, bob):
        call = alice.calls(body=sdp(HERE, 32480))
        invite = bob.hears("INVITE")
        bob.answer(invite, 183, body=sdp(THERE, 32482), tag="loser")
        first = alice.hears(183)
        assert loser.hears(ear, first.body)
        assert ear.hears(loser, invite.body)
        bob.answer(invite, 183, body=sdp(THERE, 32484), tag="winner")
        second = alice.hears(183)
        assert (first.tag("To"), second.tag("To")) == ("loser", "winner")
        ok = bob.answer(invite, 200, body=sdp(THERE, 32484), tag="winner")
        answered = alice.hears(200)
        assert answered.tag("To") == "winner"
        here, there = call.dialog(answered), dialog_of(invite, ok)
        alice.within(here, "ACK", number=1)
        bob.hears("ACK")
        assert winner.hears(ear, answered.body)
        assert ear.hears(winner, invite.body)
        bob.within(there, "BYE")
        alice.answer(alice.hears("BYE"), 200)
        bob.hears(200)
        freed(gateway)


@pytest.mark.row("I02", "I07")
def test_update_moves_early_media(
    tmp_path: Path, gateway: Stack, both: tuple[Party, Party], ears: tuple[Ear, Ear, Ear]
) -> None:
    """100rel (RFC 3262) and UPDATE (RFC 3311) before the answer: the caller's media goes elsewhere while it rings."""
    alice, bob = both
    old, ear, _ = ears
    new = Ear(HERE, 32486)
    with running(tmp_path / "edge", Place(PORT), alice, bob):
        call = alice.calls(body=sdp(HERE, 32480), lines=["Supported: 100rel"])
        invite = bob.hears("INVITE")
        bob.answer(invite, 183, body=sdp(THERE, 32482), lines=["Require: 100rel", "RSeq: 7"], tag="b")
        early = alice.hears(183)
        assert (early["Require"], early["RSeq"]) == ("100rel", "7")
        here = call.dialog(early)
        alice.within(here, "PRACK", lines=["RAck: 7 1 INVITE"])
        prack = bob.hears("PRACK")
        assert prack["RAck"] == "7 1 INVITE"
        bob.answer(prack, 200)
        assert alice.hears(200).method == "PRACK"
        assert old.hears(ear, invite.body)
        alice.within(here, "UPDATE", body=sdp(HERE, 32486, version=2))
        update = bob.hears("UPDATE")
        bob.answer(update, 200, body=sdp(THERE, 32482, version=2))
        answer = alice.hears(200)
        assert new.hears(ear, update.body)
        assert ear.hears(new, answer.body)
        ok = bob.answer(invite, 200, tag="b")
        alice.hears(200)
        alice.within(here, "ACK", number=1)
        bob.hears("ACK")
        bob.within(dialog_of(invite, ok), "BYE")
        alice.answer(alice.hears("BYE"), 200)
        freed(gateway)
    new.close()


@pytest.mark.row("I03")
def test_trying_waits_for_nobody(tmp_path: Path, sip_programs: None) -> None:
    """100 is there before the media gateway has said anything, and before the callee hears of the call: so a caller has
    it within 200 ms however slow those are."""
    slow = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    slow.bind(("127.0.0.1", SLOW + 1))
    slow.settimeout(5)
    at = Place(SLOW)
    with parties(SLOW + 4, SLOW, media=True) as (alice, bob), running(tmp_path / "edge", at, alice, bob):
        call = alice.calls(body=sdp(HERE, 40000))
        assert alice.hears(100)["CSeq"] == "1 INVITE"
        asked, kamailio = slow.recvfrom(65535)
        while b"5:offer" not in asked:
            asked, kamailio = slow.recvfrom(65535)
        assert bob.silent("INVITE", 0)
        answer = sdp("127.0.0.1", 30000)
        cookie = asked.split(b" ", 1)[0].decode()
        slow.sendto(f"{cookie} d6:result2:ok3:sdp{len(answer)}:{answer}e".encode(), kamailio)
        bob.answer(bob.hears("INVITE"), 486)
        call.acknowledge(alice.hears(486))
    slow.close()


def _sets(tmp_path: Path, *policies: dict[str, Any]) -> Place:
    """A trunk for each destination (CORE 2, 3, ...), tried in this order."""
    listed = tmp_path / "dispatcher.list"
    hosts = [f"{CORE}{place + 2}" for place in range(len(policies))]
    ranked = (f"1 sip:{host}:{PORT + 5} 0 {10 - place}" for place, host in enumerate(hosts))
    listed.write_text("\n".join(ranked) + "\n")
    sockets = Place(PORT).sockets
    phones = {"name": "phones", "match": [f"{ACCESS}2/32"], "destination": "set:1", "listen": sockets[0]}
    trunks = [{"name": f"c{number}", "match": [f"{host}/32"], "listen": sockets[1], **policy}
              for number, (host, policy) in enumerate(zip(hosts, policies, strict=True))]  # fmt: skip
    watch = {"list_file": str(listed), "ds_ping_interval": 0}
    sets = [{"id": 1, "algorithm": "priority", "answer_timeout_ms": 500, "mark": "ip"}]
    return Place(PORT, tables={"trunks": [phones, *trunks], "sip_dispatcher": watch, "destination_sets": sets})


@pytest.mark.row("O32", "H01", "H03")
@pytest.mark.parametrize("outcome", ["500", "silence", "cancel"])
def test_the_next_destination_has_another_policy(
    tmp_path: Path, gateway: Stack, both: tuple[Party, Party], outcome: str
) -> None:
    """Plain RTP was offered to the first, which failed; the second gets SRTP and nothing else. Nobody rings after
    CANCEL."""
    alice, first = both
    second = Party(f"{CORE}3", PORT + 5, first.edge)
    at = _sets(tmp_path, {"rtp_secure_media": "forbidden"}, {"rtp_secure_media": "mandatory"})
    with running(tmp_path / "edge", at, alice, first):
        call = alice.calls(body=sdp(HERE, 40000))
        plain = first.hears("INVITE")
        assert "RTP/AVP" in plain.body
        assert "crypto" not in plain.body
        if outcome == "cancel":
            call.cancel()
            assert alice.hears(487)
            assert second.silent("INVITE", 1.0)  # the first one's time is over meanwhile
        else:
            if outcome == "500":
                first.answer(plain, 500)
                first.hears("ACK")
            secure = second.hears("INVITE")
            assert re.search(r"^m=audio \d+ RTP/SAVP ", secure.body, re.MULTILINE)
            assert not re.search(r"^m=audio \d+ RTP/AVP ", secure.body, re.MULTILINE)
            ok = second.answer(
                secure, 200, body=sdp(f"{CORE}3", 41000, protocol="RTP/SAVP", crypto=[_key(secure.body)])
            )
            answered = alice.hears(200)
            assert "RTP/AVP" in answered.body
            assert "crypto" not in answered.body
            here = call.dialog(answered)
            alice.within(here, "ACK", number=1)
            second.hears("ACK")
            second.within(dialog_of(secure, ok), "BYE")
            alice.answer(alice.hears("BYE"), 200)
        freed(gateway)
    second.close()


@pytest.mark.row("O32", "O33", "H01")
def test_a_destination_that_our_own_policy_forbids_is_passed_over(
    tmp_path: Path, gateway: Stack, both: tuple[Party, Party]
) -> None:
    """It was never asked: the call goes to the one after it, and nothing is said of its health."""
    alice, first = both
    third = Party(f"{CORE}4", PORT + 5, first.edge)
    secure = {"rtp_secure_media": "mandatory"}
    at = _sets(tmp_path, {"rtp_secure_media": "forbidden"}, secure, {**secure, "sdes_over_cleartext": "allow"})
    at.tables["security"] = {"sdes_requires_tls": True}  # type: ignore[index]
    with running(tmp_path / "edge", at, alice, first) as edge:
        call = alice.calls(body=sdp(HERE, 40000))
        first.answer(first.hears("INVITE"), 500)
        invite = third.hears("INVITE")
        assert "RTP/SAVP" in invite.body
        told = edge.events("sip_destination_failover")
        assert [(one.get("status"), one.get("reason")) for one in told] == [(500, None), (None, "sdes_over_cleartext")]
        targets = edge.rpc("dispatcher.list")["RECORDS"][0]["SET"]["TARGETS"]
        flags = {one["DEST"]["URI"]: one["DEST"]["FLAGS"] for one in targets}
        assert flags[f"sip:{CORE}3:{PORT + 5}"].startswith("A")
        third.answer(invite, 486)
        call.acknowledge(alice.hears(486))
        freed(gateway)
    third.close()


def _tag(header: str) -> str:
    found = re.search(r";tag=([^;\s]+)", header)
    return found[1] if found else ""


def _key(offer: str) -> str:
    """An answer to the first crypto line."""
    found = re.search(r"^a=crypto:(\d+) (AES_CM_128_HMAC_SHA1_80) ", offer, re.MULTILINE)
    assert found is not None
    return f"{found[1]} {found[2]} inline:{'A' * 40}"
