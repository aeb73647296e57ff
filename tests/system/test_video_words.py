"""A browser's video call to a phone through the whole stack: what each of them is told of feedback (A22, G02, G24), of
simulcast and of data (G17, G18).

Alice's leg is a WebRTC one (the trunk says so), Bob's is plain RTP with a=rtcp-fb, as his trunk allows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system import stack, two_sides
from tests.system.parties import CORE, Party

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

SIP, NG, A, B = 43000, 43002, 43004, 43005
TABLES = two_sides.tables(SIP, A, B, access='webrtc = "always"', core='rtcp_feedback = "attribute"')
VECTORS = Path(__file__).parents[1] / "vectors" / "webrtc"
OFFER = "\r\n".join((VECTORS / "chromium_156_offer_audio_video_data.sdp").read_text().splitlines()) + "\r\n"


@pytest.fixture(scope="module")
def gateway(sip_programs: None) -> Iterator[stack.Stack]:
    with stack.running(43060, 43099, NG, calls=8, sip=TABLES) as started:
        yield started
        assert "Traceback" not in started.log() + (started.place / "run/log/sip.log").read_text(errors="replace")


@pytest.fixture
def parties(gateway: stack.Stack) -> Iterator[tuple[Party, Party]]:
    with two_sides.parties(A, SIP, media=True) as both:
        yield both


def video_phone(*lines: str) -> str:
    """Sound, and a picture with these lines; no data channel."""
    address = f"{CORE}2"
    picture = ["m=video 41002 RTP/AVP 96", "a=rtpmap:96 VP8/90000", *lines]
    head = ["v=0", f"o=bob 1 1 IN IP4 {address}", "s=-", f"c=IN IP4 {address}", "t=0 0", "m=audio 41000 RTP/AVP 0"]
    return "\r\n".join([*head, *picture, "m=application 0 UDP/DTLS/SCTP webrtc-datachannel", ""])


@pytest.mark.row("A22", "G02", "G17", "G18", "G24")
@pytest.mark.parametrize("able", [True, False], ids=["a phone with feedback", "a phone without"])
def test_what_both_are_told(parties: tuple[Party, Party], able: bool) -> None:
    alice, bob = parties
    offer = OFFER.replace("a=rtpmap:96 ", "a=rid:hi send\r\na=rid:lo send\r\na=simulcast:send hi;lo\r\na=rtpmap:96 ")
    call = alice.calls(body=offer)
    invite = bob.hears("INVITE")
    asked = re.split(r"(?m)^(?=m=)", invite.body)
    assert [section.split()[2] for section in asked[1:3]] == ["RTP/AVP"] * 2
    assert "a=rtcp-fb:96 nack pli" in asked[2] and "a=fmtp:97 apt=96" in asked[2]
    assert "simulcast" not in invite.body and "a=rid" not in invite.body and "a=ssrc" not in invite.body
    assert asked[3].startswith("m=application 0 ")
    bob.answer(invite, 200, tag="b1", body=video_phone(*(["a=rtcp-fb:96 nack pli"] if able else [])))
    ok = alice.hears(200)
    told = re.split(r"(?m)^(?=m=)", ok.body)
    assert "a=group:BUNDLE 0 1\r\n" in told[0] and told[3].startswith("m=application 0 ")
    assert re.findall(r"a=rtcp-fb:(.*)\r", ok.body) == (["96 nack pli"] if able else [])
    assert "rtx" not in ok.body and "simulcast" not in ok.body
    dialog = call.dialog(ok)
    alice.within(dialog, "ACK", number=1)
    bob.hears("ACK")
    alice.within(dialog, "BYE")
    bob.answer(bob.hears("BYE"), 200)
    alice.hears(200)
