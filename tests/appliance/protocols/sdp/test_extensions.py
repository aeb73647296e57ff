"""Header extension ids as text (RFC 8285 section 5; rows G13 to G15)."""

from __future__ import annotations

import pytest

from appliance.protocols.sdp import extensions
from appliance.protocols.sdp.parse import parse

from . import fixtures
from .test_formats import section

LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"


def test_of_the_reference() -> None:
    """G13-G15."""
    [audio, _] = parse(fixtures.strict("03_webrtc_offer_bundle")).media
    assert extensions.extensions(audio) == {1: LEVEL, 9: "urn:ietf:params:rtp-hdrext:sdes:mid"}
    jitsi = parse(fixtures.strict("02_jitsi_dtls_and_savpf_dotted")).media[0]
    assert extensions.extensions(jitsi) == {1: "urn:ietf:params:rtp-hdrext:csrc-audio-level", 2: LEVEL}


@pytest.mark.parametrize("line", ["extmap:x urn:a", "extmap:1", "extmap:12345 urn:a", "extmap:1/SEND urn:a", "extmap"])
def test_unreadable_lines_are_absent(line: str) -> None:
    media = section("m=audio 1 RTP/AVP 0", f"a={line}", f"a=extmap:2 {LEVEL}", f"a=extmap:2 {LEVEL}:again")
    assert extensions.extensions(media) == {2: LEVEL}


def test_rewriting() -> None:
    """Direction and attributes stay (RFC 8285 section 5); None takes a line out; the rest is as it came."""
    media = section(
        "m=audio 1 RTP/AVP 0", "a=x", f"a=extmap:1/sendonly {LEVEL} vad=on", "a=extmap:2 urn:b", "a=ptime:20"
    )
    text = str(extensions.rewritten(media, lambda number, uri: 7 if uri == LEVEL else None))
    assert text.split("\r\n")[:-1] == [
        "m=audio 1 RTP/AVP 0", "a=x", f"a=extmap:7/sendonly {LEVEL} vad=on", "a=ptime:20",
    ]  # fmt: skip
