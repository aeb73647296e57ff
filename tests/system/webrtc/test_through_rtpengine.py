"""The same edge in front of Debian's rtpengine: the words that it says for a WebRTC leg are rtpengine's own, and the
browser is as content with it as with us."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from tests.system import lab as labs
from tests.system.certificates import Authority
from tests.system.rtpengine import PROGRAM
from tests.system.sound import compare
from tests.system.webrtc import chromium, rig
from tests.system.webrtc.peers import rtpengine_gateway
from tests.system.webrtc.rig import DeskPhone

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

TALK_S = 3


@pytest.fixture
def authority(laboratory: labs.Lab, sip_programs: None) -> Iterator[Authority]:
    if missing := chromium.available() or ("" if PROGRAM else "not installed: rtpengine"):
        pytest.skip(missing)
    made = Authority(laboratory.directory / "ca")
    with rtpengine_gateway(laboratory, made):
        yield made


def energy(browser: chromium.Chromium) -> float:
    """Of what it has heard in this call."""
    return float(browser.statistics().get("inbound-rtp", {}).get("totalAudioEnergy", 0))


@pytest.mark.row("D06", "I09")
def test_a_browser_is_called_through_rtpengine(laboratory: labs.Lab, authority: Authority) -> None:
    with chromium.browser(laboratory, "access", 1, authority) as browser:
        rig.register(browser)
        phone = DeskPhone(laboratory, 2).start(60, dials=True)
        browser.wait("listening")
        labs.wait_for(lambda: energy(browser) > 0, 20, browser.story)
        browser.heard()  # from here on there is media
        time.sleep(TALK_S)
        heard = browser.heard()
        phone.hang_up()
        assert compare(phone.played, heard).found >= TALK_S / 2
        assert compare(browser.played, phone.heard()).found >= TALK_S / 2
        offer = browser.events("sdp_remote_offer")[0]
    assert re.search(r"^m=audio \d+ UDP/TLS/RTP/SAVPF ", offer, re.MULTILINE)
    assert "a=crypto" not in offer
