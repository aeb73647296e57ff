"""Variable bit rate codecs through a whole negotiation (H09, SDP-18)."""

from __future__ import annotations

import re

import pytest

from appliance.errors import NotAcceptable
from appliance.policy.options import MediaOptions, Vbr
from tests.appliance.calls.sdps import ALICE, BOB, Call, crypto, media, options, sdp

OPUS = ("a=rtpmap:96 opus/48000/2", "a=fmtp:96 minptime=10")
EVS, DTMF = "a=rtpmap:97 EVS/16000", "a=rtpmap:101 telephone-event/8000"
CM80 = "AES_CM_128_HMAC_SHA1_80"


def offer(formats: str, *lines: str, proto: str = "RTP/AVP", kind: str = "audio") -> bytes:
    keys = [crypto(1, CM80)] if "SAVP" in proto else []
    return sdp(ALICE, media(8000, proto, *lines, *keys, kind=kind, formats=formats))


def written(text: bytes) -> tuple[list[str], list[str]]:
    """Payload types of the m-line, and the fmtp lines."""
    shown = text.decode()
    found = re.search(r"m=\w+ \d+ \S+ ([\d ]+)", shown)
    assert found
    return found[1].split(), re.findall(r"a=fmtp:([^\r]*)", shown)


SECURE = options(transport_protocol="RTP/SAVP")


@pytest.mark.parametrize(
    ("text", "wishes"),
    [
        (offer("96 97 0 101", *OPUS, EVS, DTMF), SECURE),
        (offer("96 97 0 101", *OPUS, EVS, DTMF, proto="RTP/SAVP"), options(transport_protocol="RTP/AVP")),
    ],
    ids=["the callee's", "the caller's"],
)
def test_an_offer_on_a_secured_leg(text: bytes, wishes: MediaOptions) -> None:
    """Opus is told cbr=1, EVS is dropped with its lines, the rest passes."""
    out = Call().offer(text, wishes).sdp
    assert written(out) == (["96", "0", "101"], ["96 minptime=10;cbr=1"])
    assert b"EVS" not in out


def test_opus_without_parameters_gets_some() -> None:
    out = Call().offer(offer("96", OPUS[0]), SECURE).sdp.decode()
    assert "a=rtpmap:96 opus/48000/2\r\na=fmtp:96 cbr=1\r\n" in out


@pytest.mark.parametrize("wishes", [options(), options(transport_protocol="RTP/SAVP", vbr=Vbr.ALLOW)])
def test_plain_calls_and_permitted_ones_are_untouched(wishes: MediaOptions) -> None:
    assert written(Call().offer(offer("96 97", *OPUS, EVS), wishes).sdp) == (["96", "97"], ["96 minptime=10"])


def test_video_is_another_matter() -> None:
    """RFC 6562 speaks of audio."""
    text = offer("96", "a=rtpmap:96 VP8/90000", kind="video")
    assert written(Call().offer(text, SECURE).sdp) == (["96"], [])


def test_nothing_left_is_refused() -> None:
    """H09: 488; telephone-event alone is no conversation."""
    with pytest.raises(NotAcceptable, match=r"no codec of constant bit rate is left \(evs: variable bit rate"):
        Call().offer(offer("97 101", EVS, DTMF), SECURE)


def test_the_answers_wish_is_completed_too() -> None:
    """The callee's cbr is what the caller's encoder follows (RFC 7587 section 6.1)."""
    call = Call()
    call.offer(offer("96 0", *OPUS), SECURE)
    answer = sdp(BOB, media(9000, "RTP/SAVP", *OPUS, crypto(1, "AEAD_AES_256_GCM", 0x42), formats="96"))
    assert written(call.answer(answer).sdp) == (["96"], ["96 minptime=10;cbr=1"])


def test_an_answer_of_variable_rate_only_is_refused() -> None:
    call = Call()
    call.offer(offer("96 98 0", *OPUS, "a=rtpmap:98 speex/8000"), SECURE)
    speex = ("a=rtpmap:98 speex/8000", "a=fmtp:98 vbr=on")
    with pytest.raises(NotAcceptable, match="vbr=on"):
        call.answer(sdp(BOB, media(9000, "RTP/SAVP", *speex, crypto(1, "AEAD_AES_256_GCM", 0x42), formats="98")))


def test_amr_by_its_statements() -> None:
    """One mode and no silence suppression: constant, whatever the codec could do."""
    amr = ("a=rtpmap:98 AMR-WB/16000", "a=fmtp:98 mode-set=8;octet-align=1")
    assert written(Call().offer(offer("98 0", *amr), SECURE).sdp)[0] == ["0"]
    quiet = offer("98 0", *amr, "a=silenceSupp:off - - - -")
    assert written(Call().offer(quiet, SECURE).sdp)[0] == ["98", "0"]
