"""aiortc through the whole gateway: SIP over WSS with a password, DTLS-SRTP and ICE; a desk phone on the other side,
once with plain RTP and once with SDES. Both say what nobody else says."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.system import lab as labs
from tests.system import wire
from tests.system.certificates import Authority
from tests.system.gateway import Gateway
from tests.system.sound import compare
from tests.system.test_first_call import assert_freed
from tests.system.webrtc import rig
from tests.system.webrtc.chromium import ORIGIN
from tests.system.webrtc.rig import DeskPhone

aiortc_phone = pytest.importorskip("tests.system.webrtc.aiortc_phone", reason="not installed: aiortc")
session_phone = pytest.importorskip("tests.system.webrtc.session_phone", reason="not installed: aiortc")

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

TALK_S = 4.0
LEAST = TALK_S * 0.6  # of what is heard as it was said; the rest is set-up at the start and a piece at each end


@pytest.fixture
def aiortc(gateway: Gateway, authority: Authority) -> Iterator[Any]:
    phone = session_phone.SessionPhone("access", aiortc_phone.codes(15, 31), rig.USER, rig.DOMAIN, rig.PASSWORD,
                                       authority.own.chain)  # fmt: skip
    phone.connect(rig.URL, ORIGIN)
    yield phone
    phone.close()


def talk(phone: Any) -> None:
    labs.wait_for(lambda: phone.connection.connectionState == "connected", 10, "aiortc does not connect")
    labs.wait_for(lambda: len(phone.heard) > 800, 5, "aiortc hears nothing")
    time.sleep(TALK_S)


def assert_heard(aiortc: Any, desk: DeskPhone) -> None:
    said, heard = (wire.pcmu([text[at : at + 160] for at in range(0, len(text), 160)])
                   for text in (aiortc_phone.codes(15, 31), bytes(aiortc.heard)))  # fmt: skip
    for played, came in ((desk.played, heard), (said, desk.heard())):
        likeness = compare(played, came)
        assert likeness.found >= LEAST and likeness.correlation > 0.98, likeness


@pytest.mark.row("D06", "G06", "I09", "J06")
@pytest.mark.parametrize("secure", [False, True], ids=["rtp", "sdes"])
def test_aiortc_calls(gateway: Gateway, authority: Authority, aiortc: Any, secure: bool) -> None:
    desk = DeskPhone(gateway.lab, 32 + secure, authority if secure else None).start(40)
    answer = aiortc.call(rig.SECURE_PHONE if secure else rig.PHONE)
    assert "UDP/TLS/RTP/SAVPF" in answer and "a=crypto" not in answer
    talk(aiortc)
    aiortc.hang_up()
    desk.ended()
    assert desk.suite() == ("AES_CM_128_HMAC_SHA1_80" if secure else "")
    assert_heard(aiortc, desk)
    assert_freed(gateway)


@pytest.mark.row("D06", "G06", "G20", "I09")
def test_aiortc_is_called(gateway: Gateway, aiortc: Any) -> None:
    desk = DeskPhone(gateway.lab, 34).start(40, dials=True)
    offer = aiortc.answers()
    for line in ("UDP/TLS/RTP/SAVPF", "a=setup:actpass", "a=ice-options:trickle", "a=end-of-candidates"):
        assert line in offer, line
    assert labs.ADDRESS["core"] not in offer
    talk(aiortc)
    desk.process.terminate()  # it waits for the answer to its BYE
    aiortc.hung_up()
    desk.process.wait(10)
    assert_heard(aiortc, desk)
    assert_freed(gateway)
