"""aiortc as a second WebRTC stack, over NG: DTLS-SRTP, ICE and rtcp-mux on its leg, plain RTP on the other (issue 6).

Both ends say octets that nobody else says; what arrives is compared octet for octet.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.system import lab as labs
from tests.system.edge import ng
from tests.system.gateway import Gateway, started
from tests.system.test_first_call import assert_freed

aiortc_phone = pytest.importorskip("tests.system.webrtc.aiortc_phone", reason="not installed: aiortc")

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

TALK_S = 3.0
TO_WEBRTC = {"transport-protocol": "UDP/TLS/RTP/SAVPF", "ICE": "force", "SDES": ["off"],
             "rtcp-mux": ["offer", "require"], "flags": ["generate-mid"]}  # fmt: skip
LONGEST_GAP_S = 0.5  # of what is said before the other end hears: ICE, DTLS, aiortc's jitter buffer


@pytest.fixture(scope="module")
def gateway(laboratory: labs.Lab, sip_programs: None) -> Iterator[Gateway]:
    with started(laboratory) as running:
        yield running


@pytest.fixture
def phones() -> Iterator[tuple[Any, Any]]:
    """aiortc in access, plain RTP in core."""
    browser = aiortc_phone.AiortcPhone("access", aiortc_phone.codes(TALK_S, 1))
    plain = aiortc_phone.PlainPhone("core", aiortc_phone.codes(TALK_S, 2))
    yield browser, plain
    plain.close()
    browser.close()


@pytest.mark.row("D06", "G06")
def test_a_browser_and_a_desk_phone_ring(gateway: Gateway, phones: tuple[Any, Any]) -> None:
    """Two offers of one call, told apart by `via-branch`, as our SIP edge makes them: aiortc answers its own."""
    browser, plain = phones
    words = {"call-id": "aiortc-forked", "from-tag": "a", "sdp": plain.sdp}
    to_webrtc = ng("offer", **words, direction=["core", "access"], **TO_WEBRTC, **{"via-branch": "webrtc"})["sdp"]
    to_other = ng("offer", **words, direction=["core", "access"], ICE="remove",
                  **{"transport-protocol": "RTP/AVP", "via-branch": "other"})["sdp"]  # fmt: skip
    assert "fingerprint" not in to_other and where(to_other)[1] != where(to_webrtc)[1]
    words["sdp"] = browser.answer(to_webrtc)
    answer = ng("answer", **words, **{"to-tag": "b", "via-branch": "webrtc"})["sdp"]
    talk(browser, plain, answer)
    ng("delete", **{"call-id": "aiortc-forked"})
    assert_freed(gateway)


def where(sdp: str) -> tuple[str, int]:
    return re.search(r"^c=IN IP4 (\S+)", sdp, re.M)[1], int(re.search(r"^m=audio (\d+)", sdp, re.M)[1])  # type: ignore[index]


def assert_octets(said: bytes, heard: bytes) -> None:
    """What was heard is what was said, without a gap or a changed octet, from the moment on that the path was there."""
    start = said.find(heard[:800])
    assert 0 <= start <= LONGEST_GAP_S * 8000, start
    assert len(heard) >= (TALK_S - 2 * LONGEST_GAP_S) * 8000
    length = min(len(heard), len(said) - start)
    assert bytes(heard[:length]) == said[start : start + length]


def talk(browser: Any, plain: Any, to_plain: str) -> None:
    """Until both have said everything."""
    labs.wait_for(lambda: browser.connection.connectionState == "connected", 10, "aiortc does not connect")
    plain.talk(where(to_plain))
    time.sleep(TALK_S + LONGEST_GAP_S)
    assert_octets(plain.said, bytes(browser.heard))
    assert_octets(aiortc_phone.codes(TALK_S, 1), plain.heard())


@pytest.mark.row("D02", "D06", "G06", "G20", "G23")
def test_aiortc_is_called(gateway: Gateway, phones: tuple[Any, Any]) -> None:
    """RTP/AVP offer -> UDP/TLS/RTP/SAVPF with ICE; aiortc answers."""
    browser, plain = phones
    words = {"call-id": "aiortc-called", "from-tag": "a"}
    offer = ng("offer", **words, sdp=plain.sdp, direction=["core", "access"], **TO_WEBRTC)["sdp"]
    assert "a=setup:actpass" in offer and "a=crypto" not in offer
    answer = ng("answer", **words, **{"to-tag": "b"}, sdp=browser.answer(offer))["sdp"]
    assert "RTP/AVP" in answer and "ice-" not in answer and "fingerprint" not in answer
    talk(browser, plain, answer)
    ng("delete", **words)
    assert_freed(gateway)


@pytest.mark.row("D02", "D06", "G06", "G20", "G23")
def test_aiortc_calls(gateway: Gateway, phones: tuple[Any, Any]) -> None:
    """aiortc's offer -> RTP/AVP; the answer comes back as DTLS-SRTP."""
    browser, plain = phones
    words = {"call-id": "aiortc-calls", "from-tag": "a"}
    offer = ng("offer", **words, sdp=browser.offer(), direction=["access", "core"], ICE="remove",
               **{"transport-protocol": "RTP/AVP", "rtcp-mux": ["demux"]})["sdp"]  # fmt: skip
    answer = ng("answer", **words, **{"to-tag": "b"}, sdp=plain.sdp)["sdp"]
    assert re.search(r"^m=audio \d+ UDP/TLS/RTP/SAVPF ", answer, re.M) and "a=setup:active" in answer
    browser.accept(answer)
    talk(browser, plain, offer)
    ng("delete", **words)
    assert_freed(gateway)
