"""Row K04, K07 (events of every refusal) and P01: every octet that leaves the edge on one side, read for the other."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.system import stack
from tests.system.parties import ACCESS, CORE, Call, Dialog, Message, Party, dialog_of, sdp
from tests.system.stack import Stack
from tests.system.two_sides import tables

pytestmark = [pytest.mark.system, pytest.mark.timeout(60), pytest.mark.row("K04", "P01", "P07")]

SIP, A, B = 32405, 32410, 32412


def told(network: str) -> list[str]:
    """Headers in which a side's equipment likes to name its network."""
    return [
        f'Warning: 399 {network}9 "seen by {network}9:5060"',
        f"User-Agent: Secret PBX 1.2 at {network}9",
        f"Server: Secret PBX 1.2 at {network}9",
        f"Diversion: <sip:first@{network}7>;reason=no-answer",
        f"History-Info: <sip:first@{network}7>;index=1",
        f"History-Info: <sip:second@{network}8>;index=1.1",
        f"P-Charging-Vector: icid-value=1;icid-generated-at={network}9",
        f"Call-Info: <http://{network}9/icon.png>;purpose=icon",
        f"Reply-To: <sip:alice@{network}2>",
        f"X-Route-Taken: {network}3,{network}4;via=[{network}5]",
        f"Organization: nobody {network}6",
        f"P-Asserted-Identity: <sip:alice@{network}2>",
    ]


@pytest.fixture(scope="module")
def gateway(sip_programs: None) -> Iterator[Stack]:
    with stack.running(34100, 34199, 32406, calls=8, sip=tables(SIP, A, B)) as started:
        yield started
        assert "Traceback" not in started.log() + (started.place / "run/log/sip.log").read_text(errors="replace")


@pytest.fixture
def parties(gateway: Stack) -> Iterator[tuple[Party, Party]]:
    alice = Party(f"{ACCESS}2", A, (f"{ACCESS}1", SIP), told(ACCESS))
    bob = Party(f"{CORE}2", B, (f"{CORE}1", SIP), told(CORE))
    yield alice, bob
    alice.close()
    bob.close()
    nothing_shows(alice, bob)


def nothing_shows(alice: Party, bob: Party) -> None:
    """No message that a side heard has an address of the other one, its Call-ID, or its equipment."""
    for hears, hidden in ((alice, CORE), (bob, ACCESS)):
        assert hears.heard
        for message in hears.heard:
            assert not re.search(re.escape(hidden), message.text), message.text
            assert "Secret PBX" not in message.text, message.text


def up(alice: Party, bob: Party, ack: str = "") -> tuple[Dialog, Dialog, Message]:
    """A call that is answered: both dialogs, and the INVITE at the callee."""
    call = alice.calls(body=sdp(f"{ACCESS}2", 40000))
    invite = bob.hears("INVITE")
    ok = bob.answer(invite, 200, body=sdp(f"{CORE}2", 41000))
    dialog = call.dialog(alice.hears(200))
    alice.within(dialog, "ACK", number=1, body=ack)
    assert not bob.hears("ACK").body
    return dialog, dialog_of(invite, ok), invite


def done(sender: Party, receiver: Party, dialog: Dialog, method: str, status: int = 200, **words: str) -> Message:
    """A request within a dialog and its answer."""
    sender.within(dialog, method, **words)
    request = receiver.hears(method)
    receiver.answer(request, status, contact=False)
    assert sender.hears(status).method == method
    return request


def again(sender: Party, receiver: Party, dialog: Dialog, addresses: tuple[str, str], status: int) -> Message:
    """A re-INVITE and its ACK."""
    branch = sender.within(dialog, "INVITE", body=sdp(addresses[0], 40010, version=2))
    request = receiver.hears("INVITE")
    receiver.answer(request, status, body=sdp(addresses[1], 41010, version=2) if status == 200 else "")
    sender.hears(status)
    if status == 200:
        sender.within(dialog, "ACK", number=dialog.number)
    else:
        text = sender.request(
            "ACK", dialog.target, dialog.local, dialog.remote, dialog.call_id, dialog.number, branch=branch
        )
        sender.send(text)
    receiver.hears("ACK")
    return request


def test_a_whole_call_with_everything_in_it(parties: tuple[Party, Party]) -> None:
    """Early media with PRACK and UPDATE, re-INVITEs of both sides, refused and not, INFO, a transfer, BYE by the
    callee."""
    alice, bob = parties
    here, there = f"{ACCESS}2", f"{CORE}2"
    call = alice.calls(body=sdp(here, 40000), lines=["Supported: 100rel", "Record-Route: <sip:127.0.20.2:32410;lr>"])
    invite = bob.hears("INVITE")
    assert alice.hears(100).status == 100
    early = bob.answer(invite, 183, body=sdp(there, 41000), lines=["Require: 100rel", "RSeq: 1"], tag="bob1")
    dialog = call.dialog(alice.hears(183))
    done(alice, bob, dialog, "PRACK", lines=["RAck: 1 1 INVITE"])
    alice.within(dialog, "UPDATE", body=sdp(here, 40002, version=2))
    update = bob.hears("UPDATE")
    bob.answer(update, 200, body=sdp(there, 41002, version=2))
    alice.hears(200)
    bob.answer(invite, 180, tag="bob1")
    alice.hears(180)
    ok = bob.answer(invite, 200, tag="bob1")
    dialog.target = call.dialog(alice.hears(200)).target
    alice.within(dialog, "ACK", number=1)
    bob.hears("ACK")
    back = dialog_of(invite, ok)
    assert early.tag("To") == ok.tag("To")

    again(alice, bob, dialog, (here, there), 200)
    again(bob, alice, back, (there, here), 200)
    again(bob, alice, back, (there, here), 488)
    again(alice, bob, dialog, (here, there), 491)
    done(alice, bob, dialog, "INFO", body="Signal=1\r\n", kind="application/dtmf-relay")
    done(bob, alice, back, "INFO", 415, body="Signal=1\r\n", kind="application/dtmf-relay")
    done(bob, alice, back, "OPTIONS")

    refer = done(bob, alice, back, "REFER", 202, lines=[f"Refer-To: <sip:carol@{CORE}40:5070;transport=udp>",
                                                       f"Referred-By: <sip:bob@{CORE}2>"])  # fmt: skip
    assert refer["Refer-To"] == f"<sip:carol@{ACCESS}1;transport=udp>"  # a call to there comes through us
    assert refer["Referred-By"] == f"<sip:bob@{ACCESS}1>"
    fragment = f"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP {ACCESS}2\r\nContact: <sip:carol@{ACCESS}2>\r\n"
    notify = done(alice, bob, dialog, "NOTIFY", lines=["Event: refer", "Subscription-State: terminated"],
                  body=fragment, kind="message/sipfrag;version=2.0")  # fmt: skip
    assert (notify.body, notify["Content-Type"]) == ("SIP/2.0 200 OK\r\n", "message/sipfrag;version=2.0")
    done(bob, alice, back, "BYE")


def test_parties_are_named_by_addresses_that_each_side_knows(parties: tuple[Party, Party]) -> None:
    """From, To and Request-URI, in the call and within it, and as each side chose them itself."""
    alice, bob = parties
    dialog, back, invite = up(alice, bob)
    assert invite.start.split()[1] == f"sip:bob@{CORE}2:{B}"
    assert re.match(rf"<?sip:alice@{re.escape(CORE)}1>?;tag=", invite["From"]), invite["From"]
    assert re.match(rf"<?sip:bob@{re.escape(CORE)}2>?", invite["To"]), invite["To"]
    bye = done(bob, alice, back, "BYE")
    assert dialog.remote.partition(";tag=")[0] in (
        bye["From"].partition(";tag=")[0],
        f"<{bye['From'].partition(';tag=')[0]}>",
    )
    assert f"sip:alice@{ACCESS}2" in bye["To"]


def test_display_names_tell_nothing_either(parties: tuple[Party, Party]) -> None:
    """Some equipment writes its address there: in the call and within it, of either side. Each side goes on reading
    what it wrote."""
    alice, bob = parties
    call = Call(alice, "bob", "display@127.0.20.2", "INVITE")
    call.sender, call.to = f'"Alice {ACCESS}2" {call.sender}', f'"bob at {ACCESS}1" {call.to}'
    body = sdp(f"{ACCESS}2", 40000)
    alice.send(alice.request("INVITE", call.uri, call.sender, call.to, call.call_id, 1, body=body, branch=call.branch))
    invite = bob.hears("INVITE")
    assert invite["From"].startswith(f'"Alice {CORE}1"') and invite["To"].startswith(f'"bob at {CORE}1"')
    ok = bob.answer(invite, 200, body=sdp(f"{CORE}2", 41000))
    heard = alice.hears(200)
    assert heard["From"] == call.sender and heard["To"].startswith(f'"bob at {ACCESS}1"')
    dialog, back = call.dialog(heard), dialog_of(invite, ok)
    alice.within(dialog, "ACK", number=1)
    bob.hears("ACK")
    done(alice, bob, dialog, "INFO")
    bye = done(bob, alice, back, "BYE")
    assert bye["To"] == call.sender


def test_list_headers_keep_their_order_and_their_names(parties: tuple[Party, Party]) -> None:
    alice, bob = parties
    _, back, invite = up(alice, bob)
    assert invite.all("History-Info") == [f"<sip:first@{CORE}1>;index=1", f"<sip:second@{CORE}1>;index=1.1"]
    assert invite["Diversion"] == f"<sip:first@{CORE}1>;reason=no-answer"
    assert "Organization" in invite.text
    done(bob, alice, back, "BYE")


@pytest.mark.parametrize("status", [302, 404, 415, 486, 488, 500, 503, 603])
def test_a_refusal_tells_nothing(parties: tuple[Party, Party], status: int) -> None:
    alice, bob = parties
    call = alice.calls(body=sdp(f"{ACCESS}2", 40000))
    more = [f"Contact: <sip:other@{CORE}50>, <sip:third@{CORE}51>", f"Error-Info: <sip:why@{CORE}52>"]
    bob.answer(bob.hears("INVITE"), status, lines=more, body=f"why: {CORE}2", kind="message/external-body")
    refusal = alice.hears(500 if status == 503 else status)  # RFC 3261 section 16.7: 503 is about that next hop
    call.acknowledge(refusal)
    bob.hears("ACK")
    if status != 503:
        assert f"sip:why@{ACCESS}1" in refusal["Error-Info"]


def test_an_sdp_that_nobody_has_read_goes_no_further(parties: tuple[Party, Party]) -> None:
    """Capabilities in a 488, in the answer to OPTIONS, in an INFO, in an ACK that answers nothing."""
    alice, bob = parties
    call = alice.calls(body=sdp(f"{ACCESS}2", 40000))
    bob.answer(bob.hears("INVITE"), 488, body=sdp(f"{CORE}2", 41000))
    refusal = alice.hears(488)
    call.acknowledge(refusal)
    bob.hears("ACK")
    dialog, back, _ = up(alice, bob, ack=sdp(f"{ACCESS}2", 40000))
    alice.within(dialog, "OPTIONS")
    bob.answer(bob.hears("OPTIONS"), 200, body=sdp(f"{CORE}2", 41000))
    answered = alice.hears(200)
    info = done(bob, alice, back, "INFO", body=sdp(f"{CORE}2", 41000))
    assert not refusal.body + answered.body + info.body
    done(bob, alice, back, "BYE")


def test_an_answer_in_prack(parties: tuple[Party, Party]) -> None:
    """RFC 3262 section 5: no offer in the INVITE, one in the reliable 183, the answer in PRACK; then an offer in
    another PRACK, whose answer is in its 200."""
    alice, bob = parties
    call = alice.calls(lines=["Supported: 100rel"])
    invite = bob.hears("INVITE")
    bob.answer(invite, 183, body=sdp(f"{CORE}2", 41000), lines=["Require: 100rel", "RSeq: 1"], tag="b1")
    offer = alice.hears(183)
    dialog = call.dialog(offer)
    first = done(alice, bob, dialog, "PRACK", body=sdp(f"{ACCESS}2", 40000), lines=["RAck: 1 1 INVITE"])
    bob.answer(invite, 183, lines=["Require: 100rel", "RSeq: 2"], tag="b1")
    alice.hears(183)
    alice.within(dialog, "PRACK", body=sdp(f"{ACCESS}2", 40002, version=2), lines=["RAck: 2 1 INVITE"])
    second = bob.hears("PRACK")
    bob.answer(second, 200, body=sdp(f"{CORE}2", 41002, version=2))
    answer = alice.hears(200)
    for message in (offer, first, second, answer):
        assert "c=IN IP4 127.0.0.1" in message.body
        assert re.search(r"^m=audio 341\d\d RTP/AVP 0", message.body, re.MULTILINE)
    ok = bob.answer(invite, 200, tag="b1")
    alice.hears(200)
    alice.within(dialog, "ACK", number=1)
    bob.hears("ACK")
    done(bob, alice, dialog_of(invite, ok), "BYE")


def test_cancel_and_what_is_no_call(parties: tuple[Party, Party]) -> None:
    alice, bob = parties
    call = alice.calls(body=sdp(f"{ACCESS}2", 40000))
    invite = bob.hears("INVITE")
    bob.answer(invite, 180, tag="x")
    alice.hears(180)
    call.cancel()
    bob.answer(bob.hears("CANCEL"), 200, contact=False)
    bob.answer(invite, 487, tag="x")
    call.acknowledge(alice.hears(487))
    bob.hears("ACK")
    alice.calls(method="MESSAGE", body="hello", kind="text/plain")
    bob.answer(bob.hears("MESSAGE"), 200, contact=False)
    assert alice.hears(200)["From"].startswith(f"<sip:alice@{ACCESS}2>")
    bob.calls("alice", method="MESSAGE", body=f"<x at='{CORE}2'/>", kind="application/dialog-info+xml")
    message = alice.hears("MESSAGE")
    alice.answer(message, 403, contact=False)
    bob.hears(403)
    assert f"<x at='{ACCESS}1'/>" in message.body
