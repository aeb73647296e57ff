"""What only both legs together can do: feedback and what it serves (G02, G24, A22), simulcast (G18), and the header
extensions of either (G13). With the offer of Chromium 156 as it was recorded."""

from __future__ import annotations

import json
import re

import pytest

from appliance.calls.negotiation import Negotiation
from appliance.protocols.ng.flags import read as ng
from appliance.protocols.sdp import formats

from .sdps import ALICE, BOB, Call, Pool, counting, media, options, read, sdp
from .test_negotiation_bundle import REPLACE, SIP, WEBRTC, phone, recorded, to_phone

AVPF = ng({"transport protocol": "RTP/AVPF", "ICE": "remove", "rtcp-mux": ["demux"], "DTLS": "off", **REPLACE})
SIMULCAST = b"a=rid:hi send pt=96,97\r\na=rid:lo send\r\na=simulcast:send hi;lo\r\n"
CONGESTION = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
ENCODINGS = {"urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id", "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"}


def chromium() -> bytes:
    """Its offer of sound, picture and data, with two encodings of the picture."""
    return recorded("chromium_156", "offer_audio_video_data").replace(b"a=rtpmap:96 ", SIMULCAST + b"a=rtpmap:96 ")


def uris(text: bytes, at: int) -> set[str]:
    return {value.split()[1] for value in read(text).media[at].attributes("extmap")}


def codecs(text: bytes, at: int) -> set[str]:
    return {codec.partition("/")[0] for codec in formats.codecs(read(text).media[at]).values()}


@pytest.mark.row("A22", "G02", "G24", "G13")
def test_towards_a_phone_without_feedback() -> None:
    """Neither feedback nor what it serves is offered: no rtcp-fb, no retransmissions, no transport-wide numbers."""
    offered = to_phone(chromium())[0].sdp
    assert b"rtcp-fb" not in offered and b"rtcp-rsize" not in offered and b"apt=" not in offered
    assert "rtx" not in codecs(offered, 1) and {"vp8", "h264", "red", "ulpfec"} <= codecs(offered, 1)
    assert CONGESTION not in uris(offered, 0) | uris(offered, 1)
    assert any("abs-send-time" in uri for uri in uris(offered, 1))


@pytest.mark.row("A22", "G02", "G24", "G13")
def test_towards_a_phone_with_feedback() -> None:
    """All of it is, and what its answer takes up is what the browser is told."""
    call = Call(certificates=Pool())
    offered = call.offer(chromium(), AVPF).sdp
    section = read(offered).media[1]
    assert "96 transport-cc" in section.attributes("rtcp-fb") and "97 apt=96" in section.attributes("fmtp")
    assert CONGESTION in uris(offered, 1) and section.has("rtcp-rsize")
    answer = phone(offered).replace(b"a=rtpmap:96", b"a=rtcp-fb:96 nack pli\r\na=rtpmap:96")
    told = read(call.answer(answer).sdp).media[1]
    assert told.attributes("rtcp-fb") == ["96 nack pli"] and not told.has("rtcp-rsize")


@pytest.mark.row("G18", "G13")
@pytest.mark.parametrize("wishes", [SIP, AVPF], ids=["AVP", "AVPF"])
def test_simulcast_does_not_go_to_a_phone(wishes: object) -> None:
    """It would get two pictures under one number; the browser, told of none, sends one (RFC 8853 section 5.3.2)."""
    call = Call(certificates=Pool())
    offered = call.offer(chromium(), wishes).sdp  # type: ignore[arg-type]
    assert b"simulcast" not in offered and b"a=rid" not in offered
    assert not ENCODINGS & uris(offered, 1)
    told = call.answer(phone(offered)).sdp
    assert b"simulcast" not in told and not ENCODINGS & uris(told, 1)


@pytest.mark.row("G18", "G13")
def test_nor_from_a_phone_to_a_browser() -> None:
    """A conference bridge that would like several: the browser is not asked, for the bridge would not hear of them."""
    bridge = sdp(BOB, media(4000, "RTP/AVPF", "a=rid:a recv", "a=simulcast:recv a", kind="video", formats="96"))
    offered = Call(certificates=Pool()).offer(bridge, WEBRTC).sdp
    assert b"simulcast" not in offered and b"a=rid" not in offered


@pytest.mark.row("G18", "G24", "G13")
def test_between_browsers_everything_passes() -> None:
    call = Call(certificates=Pool())
    offered = call.offer(chromium(), WEBRTC).sdp
    assert SIMULCAST in offered
    assert {CONGESTION, *ENCODINGS} <= uris(offered, 1)
    assert b"a=ssrc-group:FID" in offered and b"a=fmtp:97 apt=96" in offered and b"a=rtcp-fb:96 nack pli" in offered


@pytest.mark.row("A22", "G02", "G24")
def test_a_phone_whose_profile_has_no_feedback_speaks_of_it() -> None:
    """The field's RTP/AVP with a=rtcp-fb: its feedback does not pass (A22), so the browser does not hear of it."""
    lines = ["a=rtpmap:96 H264/90000", "a=rtcp-fb:* nack pli", "a=rtcp-fb:96 ccm fir", f"a=extmap:3 {CONGESTION}"]
    plain = sdp(BOB, media(4000, "RTP/AVP", *lines, kind="video", formats="96"))
    offered = Call(certificates=Pool()).offer(plain, WEBRTC)
    assert b"rtcp-fb" not in offered.sdp and CONGESTION not in uris(offered.sdp, 0)
    call = Call(certificates=Pool())
    answer = phone(call.offer(chromium(), SIP).sdp).replace(b"a=rtpmap:96", b"a=rtcp-fb:* nack\r\na=rtpmap:96")
    done = call.answer(answer.replace(b"a=rtpmap:96", f"a=extmap:3 {CONGESTION}\r\na=rtpmap:96".encode()))
    assert b"rtcp-fb" not in done.sdp and CONGESTION not in uris(done.sdp, 1)
    assert 3 not in {number for number, _ in done.streams[1].a.extensions or ()}


@pytest.mark.row("A22", "G02", "G24")
@pytest.mark.parametrize("takes_it", [True, False])
def test_rtp_avp_with_feedback_is_offered_where_it_is_asked_for(takes_it: bool) -> None:
    """`AVP-feedback-offer`: the phone gets a=rtcp-fb under RTP/AVP; its answer says whether it has feedback."""
    call = Call(certificates=Pool())
    wishes = ng({"transport protocol": "RTP/AVP", "ICE": "remove", "DTLS": "off", "flags": ["AVP-feedback-offer"]})
    offered = call.offer(chromium(), wishes).sdp
    section = read(offered).media[1]
    assert section.media.proto == "RTP/AVP"
    assert "96 nack pli" in section.attributes("rtcp-fb") and "97 apt=96" in section.attributes("fmtp")
    assert CONGESTION in uris(offered, 1)
    answer = phone(offered)
    if takes_it:
        answer = answer.replace(b"a=rtpmap:96", b"a=rtcp-fb:96 nack pli\r\na=rtpmap:96")
    record = json.loads(json.dumps(call.negotiation.to_record()))  # a control process that has begun anew
    call.negotiation = Negotiation.from_record(record, counting(), Pool())
    done = call.answer(answer)
    assert read(done.sdp).media[1].attributes("rtcp-fb") == (["96 nack pli"] if takes_it else [])
    assert [stream.b.feedback for stream in done.streams] == [False, takes_it]  # line by line: not its audio
    assert all(stream.a.feedback for stream in done.streams)


@pytest.mark.row("A22", "G02", "G24")
@pytest.mark.parametrize("word", ["AVP-feedback-accept", "AVP-feedback-offer", ""])
def test_rtp_avp_with_feedback_is_taken_where_it_is_asked_for(word: str) -> None:
    """`AVP-feedback-accept`: of the side whose SDP it is; the words about the other side say nothing of it."""
    lines = ["a=rtpmap:96 H264/90000", "a=rtcp-fb:* nack pli", "a=rtpmap:97 rtx/90000", "a=fmtp:97 apt=96"]
    plain = sdp(BOB, media(4002, "RTP/AVP"), media(4000, "RTP/AVP", *lines, kind="video", formats="96 97"))
    taken = word == "AVP-feedback-accept"
    offered = Call(certificates=Pool()).offer(plain, ng({"flags": ["WebRTC", word], **REPLACE}))
    assert (b"a=rtcp-fb:* nack pli" in offered.sdp) == (b"apt=96" in offered.sdp) == taken
    assert [stream.a.feedback for stream in offered.streams] == [False, taken]


@pytest.mark.row("G25")
def test_nothing_but_retransmissions_stays_as_it_came() -> None:
    """An m-line without other formats is not emptied."""
    odd = sdp(ALICE, media(8000, "RTP/AVPF", "a=rtpmap:97 rtx/90000", "a=fmtp:97 apt=96", kind="video", formats="97"))
    text = Call().offer(odd, options(transport_protocol="RTP/AVP")).sdp
    assert re.search(rb"m=video \d+ RTP/AVP 97\r\n", text)


@pytest.mark.row("G25")
def test_error_correction_goes_with_what_it_protects() -> None:
    """RFC 5109, RFC 8627: of no use alone, so an m-line of which nothing else is left is refused."""
    named = [
        "a=rtpmap:96 VP8/90000",
        "a=rtpmap:118 red/90000",
        "a=rtpmap:120 ulpfec/90000",
        "a=rtpmap:49 flexfec-03/90000",
    ]
    offer = sdp(ALICE, media(8000, "RTP/AVP"), media(8002, "RTP/AVP", *named, kind="video", formats="96 118 120 49"))
    for word, ports in (("codec-strip-VP8", [True, False]), ("codec-strip-PCMA", [True, True])):
        text = Call().offer(offer, ng({"flags": [word], "transport protocol": "RTP/AVP"})).sdp
        assert [section.media.port != 0 for section in read(text).media] == ports
