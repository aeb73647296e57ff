"""What each leg of a call reads of trickling (RFC 8840 section 5) and which Info Packages pass (RFC 6086): row G21.

Alice's leg is a WebRTC one (the trunk says so), Bob's is plain RTP; the gateway behind the edge is the real one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system import stack, two_sides
from tests.system.parties import CORE, Dialog, Message, Party, dialog_of, sdp

pytestmark = [pytest.mark.system, pytest.mark.timeout(60), pytest.mark.row("G21", "K04")]

SIP, NG, A, B = 34000, 34002, 34004, 34005
VECTORS = Path(__file__).parents[1] / "vectors" / "webrtc"
OFFER, ANSWER = (
    "\r\n".join((VECTORS / f"chromium_156_{name}_audio.sdp").read_text().splitlines()) + "\r\n"
    for name in ("offer", "answer")
)
FRAGMENT, KIND = "application/trickle-ice-sdpfrag", "application/x-conference"


@pytest.fixture(scope="module")
def gateway(sip_programs: None) -> Iterator[stack.Stack]:
    tables = two_sides.tables(SIP, A, B, access='webrtc = "always"')
    with stack.running(34060, 34099, NG, calls=8, sip=tables) as started:
        yield started
        assert "Traceback" not in started.log() + (started.place / "run/log/sip.log").read_text(errors="replace")


@pytest.fixture
def parties(gateway: stack.Stack) -> Iterator[tuple[Party, Party]]:
    with two_sides.parties(A, SIP, media=True) as (alice, bob):
        yield alice, bob
    for message in bob.heard:  # her trickling is no business of his
        assert "trickle" not in message.text, message.text


def words(message: Message) -> set[str]:
    """Headers that say the leg trickles."""
    found = {name for name in ("Supported", "Recv-Info") if "trickle-ice" in message.all(name)}
    assert ("trickle-ice" in message.text) is bool(found)
    return found


BOTH = {"Supported", "Recv-Info"}


def up(alice: Party, bob: Party, offer: str, lines: tuple[str, ...] = ()) -> tuple[Dialog, Dialog, list[Message]]:
    """A call of hers; what she heard: 180 without an SDP, 183 and 200 with one."""
    call = alice.calls(body=offer, lines=["Supported: 100rel, trickle-ice", "Recv-Info: x-hers, trickle-ice", *lines])
    invite = bob.hears("INVITE")
    assert (invite["Supported"], invite["Recv-Info"]) == ("100rel", "x-hers")
    alice.hears(100)
    bob.answer(invite, 180, tag="b1")
    bob.answer(invite, 183, tag="b1", body=sdp(f"{CORE}2", 41000))
    ok = bob.answer(invite, 200, tag="b1", body=sdp(f"{CORE}2", 41000), lines=["Recv-Info: x-his"])
    heard = [alice.hears(status) for status in (180, 183, 200)]
    dialog = call.dialog(heard[-1])
    alice.within(dialog, "ACK", number=1)
    bob.hears("ACK")
    return dialog, dialog_of(invite, ok), heard


def fragment(offer: str) -> str:
    ufrag, pwd, mid = (re.search(rf"^a={name}:(\S+)", offer, re.M)[1] for name in ("ice-ufrag", "ice-pwd", "mid"))  # type: ignore[index]
    return f"a=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\nm=audio 9 RTP/AVP 0\r\na=mid:{mid}\r\na=end-of-candidates\r\n"


def test_a_caller_who_trickles(parties: tuple[Party, Party]) -> None:
    """All answers say that candidates may come, the first of them too; they are taken; a re-INVITE towards her says it
    again; a BYE does not."""
    alice, bob = parties
    assert re.search(r"^a=ice-options:.*trickle", OFFER, re.M)
    dialog, back, heard = up(alice, bob, OFFER)
    assert [words(one) for one in heard] == [BOTH] * 3
    assert heard[2].all("Recv-Info") == ["x-his", "trickle-ice"]
    assert re.search(r"^a=ice-options:trickle", heard[2].body, re.M)
    alice.within(dialog, "INFO", body=fragment(OFFER), kind=FRAGMENT, lines=["Info-Package: trickle-ice"])
    alice.hears(200)
    assert bob.silent("INFO")
    bob.within(back, "INVITE", body=sdp(f"{CORE}2", 41000, version=2))
    again = alice.hears("INVITE")
    assert words(again) == BOTH
    alice.answer(again, 200, body=ANSWER)
    bob.hears(200)
    bob.within(back, "ACK", number=back.number)
    assert not words(alice.hears("ACK"))
    bob.within(back, "BYE")
    bye = alice.hears("BYE")
    alice.answer(bye, 200)
    assert not words(bye)


def test_a_caller_who_does_not(parties: tuple[Party, Party]) -> None:
    """She names the package in her headers and not in her SDP: nothing is told her, and her candidates are refused."""
    alice, bob = parties
    dialog, _, heard = up(alice, bob, OFFER.replace("a=ice-options:trickle\r\n", ""))
    assert [words(one) for one in heard] == [set()] * 3
    alice.within(dialog, "INFO", body=fragment(OFFER), kind=FRAGMENT, lines=["Info-Package: trickle-ice"])
    refusal = alice.hears(469)
    assert refusal.all("Recv-Info") == ["x-his"]
    alice.within(dialog, "BYE")
    bob.answer(bob.hears("BYE"), 200)
    alice.hears(200)


def test_a_called_browser(parties: tuple[Party, Party]) -> None:
    """Our offer says it; when the answer does not, later requests do not either."""
    alice, bob = parties
    call = bob.calls("alice", body=sdp(f"{CORE}2", 41000), lines=["Recv-Info: x-his"])
    invite = alice.hears("INVITE")
    assert words(invite) == BOTH
    assert re.search(r"^a=ice-options:trickle", invite.body, re.M) and "a=end-of-candidates" in invite.body
    answer = ANSWER.replace("a=ice-options:trickle\r\n", "")
    ok = alice.answer(invite, 200, body=answer, lines=["Supported: trickle-ice"])
    dialog = call.dialog(bob.hears(200))
    bob.within(dialog, "ACK", number=1)
    alice.hears("ACK")
    alice.within(dialog_of(invite, ok), "UPDATE")
    bob.answer(bob.hears("UPDATE"), 200)
    assert not words(alice.hears(200))
    bob.within(dialog, "BYE")
    alice.answer(alice.hears("BYE"), 200)
    bob.hears(200)


@pytest.mark.parametrize(
    ("package", "status"), [("x-his", 200), ("X-His;a=b", 200), ("x-hers", 469), ("unknown", 469), ("", 200)]
)
def test_info_packages(parties: tuple[Party, Party], gateway: stack.Stack, package: str, status: int) -> None:
    """RFC 6086 section 4.2.2: one that the other side has not named is answered here, with those that it has; one of no
    package is older than all that (RFC 2976)."""
    alice, bob = parties
    dialog, _, _ = up(alice, bob, OFFER)
    alice.within(dialog, "INFO", body="x", kind=KIND, lines=[f"Info-Package: {package}"] if package else [])
    if status == 200:
        bob.answer(bob.hears("INFO"), 200)
    refusal = alice.hears(status)
    assert refusal.all("Recv-Info") == ([] if status == 200 else ["x-his, trickle-ice"])
    assert bob.silent("INFO", 0.1)
    alice.within(dialog, "BYE")
    bob.answer(bob.hears("BYE"), 200)
    alice.hears(200)


def test_a_package_is_taken_back(parties: tuple[Party, Party]) -> None:
    """An empty Recv-Info (RFC 6086 section 5.2.3); and candidates in another type than theirs."""
    alice, bob = parties
    dialog, back, _ = up(alice, bob, OFFER)
    bob.within(back, "UPDATE", lines=["Recv-Info: "])
    alice.answer(alice.hears("UPDATE"), 200)
    bob.hears(200)
    alice.within(dialog, "INFO", body="x", kind=KIND, lines=["Info-Package: x-his"])
    assert alice.hears(469).all("Recv-Info") == ["trickle-ice"]
    alice.within(dialog, "INFO", body="x", kind=KIND, lines=["Info-Package: trickle-ice"])
    assert alice.hears(415)["Accept"] == FRAGMENT
    alice.within(dialog, "BYE")
    bob.answer(bob.hears("BYE"), 200)
    alice.hears(200)
