"""Keys out of an SDP and back into the one that the gateway wrote (row J11)."""

from __future__ import annotations

import pytest

from appliance.sip_edge.ksr.media_flags import Refused, answer_flags, check_passed_on, offer_flags, passes
from appliance.sip_edge.ksr.routing import Trunk
from appliance.sip_edge.ksr.rules.transparent import Kept, put_back, taken_out

OFFER = """v=0
o=- 1 1 IN IP4 192.0.2.1
s=-
c=IN IP4 192.0.2.1
t=0 0
m=audio 4000 RTP/SAVP 0
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:one
a=rtpmap:0 PCMU/8000
a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:two
m=video 4002 RTP/AVP 96
a=rtpmap:96 VP8/90000
m=audio 4004 rtp/savpf 0
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:three
""".replace("\n", "\r\n")
ONE, OTHER = Trunk("one", srtp="transparent"), Trunk("other", srtp="transparent", interface="core")


def test_out_and_back() -> None:
    plain, kept = taken_out(OFFER)
    assert "crypto" not in plain and "SAVP" not in plain.upper()
    profiles = [line.split()[2] for line in plain.splitlines() if line.startswith("m=")]
    assert profiles == ["RTP/AVP", "RTP/AVP", "RTP/AVPF"]
    back = put_back(plain, kept)
    assert sorted(back.splitlines()) == sorted(OFFER.splitlines())
    audio, video, second = back.split("m=")[1:]
    assert audio.count("a=crypto:") == 2 and "crypto" not in video and "inline:three" in second


def test_what_the_gateway_changed_stays() -> None:
    """Ports and further attributes; a refused m-line gets no keys, one more than was given is left alone."""
    _, kept = taken_out(OFFER)
    written = "v=0\r\nm=audio 30000 RTP/AVP 0\r\na=sendrecv\r\n"
    written += "m=video 0 RTP/AVP 96\r\nm=audio 0 RTP/AVPF 0\r\nm=text 1 x y\r\n"
    back = put_back(written, kept)
    assert back.startswith("v=0\r\nm=audio 30000 RTP/SAVP 0\r\na=sendrecv\r\na=crypto:1")
    assert back.endswith("m=video 0 RTP/AVP 96\r\nm=audio 0 rtp/savpf 0\r\nm=text 1 x y\r\n") and "three" not in back


@pytest.mark.parametrize(
    "sdp", ["", "m=", "m=audio", "v=0\nm=audio 1 RTP/SAVP\na=crypto:1 x\n", "a=crypto:1\r\nm=a b RTP/SAVP "]
)
def test_nothing_raises(sdp: str) -> None:
    plain, kept = taken_out(sdp)
    assert isinstance(put_back(plain, kept), str)


def test_dtls_is_left_as_it_is() -> None:
    """Its keys come in the media."""
    sdp = "m=audio 1 UDP/TLS/RTP/SAVPF 0\r\na=fingerprint:sha-256 00\r\n"
    assert taken_out(sdp) == (sdp, (Kept(),))


def test_flags() -> None:
    """Both trunks must say so; the gateway is told once in each direction."""
    assert passes(ONE, OTHER) and not passes(ONE, Trunk("third"))
    assert "opaque" in offer_flags(ONE, OTHER, "tls", "sip:192.0.2.9;transport=tls", True).split()
    assert "opaque" in answer_flags(OTHER, ONE).split()
    assert "opaque" not in offer_flags(ONE, Trunk("third"), "udp", "sip:192.0.2.9", True).split()


def test_keys_that_would_be_seen_are_not_passed_on() -> None:
    """C07."""
    check_passed_on(OFFER, ONE, OTHER, "sip:192.0.2.9;transport=tls", True)
    check_passed_on(taken_out(OFFER)[0], ONE, OTHER, "sip:192.0.2.9", True)
    check_passed_on(OFFER, ONE, OTHER, "sip:192.0.2.9", False)
    with pytest.raises(Refused, match="sdes_over_cleartext"):
        check_passed_on(OFFER, ONE, OTHER, "sip:192.0.2.9", True)
