"""RTCP between a browser and a video phone on plain RTP with a stack of its own (GStreamer): what recovers a picture
when packets are lost (A22, G02, G24; issue 6 item 4), and whether reports of both make sense to the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.system import lab as labs
from tests.system.certificates import Authority
from tests.system.edge import ng
from tests.system.gateway import Gateway, started
from tests.system.webrtc import chromium, video_phone
from tests.system.webrtc.cameras import Page
from tests.system.webrtc.chromium import Chromium
from tests.system.webrtc.test_bundle import TO_BROWSER, TO_PLAIN
from tests.system.webrtc.video_phone import NACK, PLI, PSFB, RR, RTPFB, SR, VideoPhone

pytestmark = [pytest.mark.system, pytest.mark.timeout(90)]
LOSS = 0.1
UPDATE = (
    '<?xml version="1.0" encoding="utf-8" ?>\r\n<media_control>\r\n <vc_primitive>\r\n  <to_encoder>\r\n'
    "   <picture_fast_update>\r\n   </picture_fast_update>\r\n  </to_encoder>\r\n </vc_primitive>\r\n</media_control>"
)  # as RFC 5168 section 5 and the field's phones write it
RICH = """pc.addTransceiver(own.getVideoTracks()[0].clone(), {sendEncodings: [{rid: "hi"}, {rid: "lo"}]});
    pc.createDataChannel("data"); true"""
ATTRIBUTE = ["AVP-feedback-offer", "AVP-feedback-accept"]


@pytest.fixture(scope="module")
def gateway(laboratory: labs.Lab, sip_programs: None) -> Iterator[Gateway]:
    with started(laboratory) as running:
        yield running


@pytest.fixture(scope="module")
def browser(laboratory: labs.Lab, gateway: Gateway) -> Iterator[Chromium]:
    if missing := chromium.available() or video_phone.available():
        pytest.skip(missing)
    with chromium.browser(laboratory, "access", 1, Authority(laboratory.directory / "ca")) as running:
        yield running


@contextmanager
def call(
    browser: Chromium, phone: VideoPhone, *, called: bool = False, flags: list[str] | None = None, rich: bool = False
) -> Iterator[Page]:
    """From the browser, or `called` to it; `rich`: it offers two encodings of its picture, and a data channel."""
    page = Page(browser, "balanced", cameras=0 if rich else 1)
    if rich:
        browser.run(RICH)
    words: dict[str, Any] = {"call-id": f"{phone.proto}-{called}-{phone.rtx}", "from-tag": "a"}
    try:
        if called:
            towards = dict(TO_BROWSER) | {"flags": [*TO_BROWSER["flags"], *(flags or [])]}
            offer = ng("offer", **words, sdp=phone.offer(), **towards)["sdp"]
            phone.accept(ng("answer", **words, **{"to-tag": "b"}, sdp=page.answer(offer))["sdp"])
        else:
            towards = dict(TO_PLAIN) | {"transport-protocol": phone.proto, "flags": flags or []}
            offer = ng("offer", **words, sdp=page.offer(), **towards)["sdp"]
            page.accept(ng("answer", **words, **{"to-tag": "b"}, sdp=phone.answer(offer))["sdp"])
        yield page
    finally:
        ng("delete", **words)
        phone.close()
        page.close()


def numbers(page: Page, direction: str) -> dict[str, Any]:
    """The browser's own of its picture: "inbound", "outbound"."""
    found = page.counted()[direction].values()
    return next((one for one in found if one["kind"] == "video"), {})


def requests(page: Page) -> int:
    """For keyframes, that the browser has heard: PLI, or FIR as GStreamer prefers."""
    sent = numbers(page, "outbound")
    return int(sent["pliCount"] + sent["firCount"])


def wait_for_pictures(page: Page, phone: VideoPhone, more: int = 10) -> None:
    """At both ends, after those that there are."""
    first, seen = phone.pictures, numbers(page, "inbound").get("framesDecoded", 0)
    labs.wait_for(
        lambda: phone.pictures >= first + more and numbers(page, "inbound").get("framesDecoded", 0) >= seen + more,
        15,
        lambda: f"{phone.pictures - first} at the phone; {numbers(page, 'inbound')} {phone.arrived} {phone.sent}",
    )


@pytest.mark.row("A22", "G02", "G24", "G25")
def test_what_is_lost_is_sent_again(gateway: Gateway, browser: Chromium) -> None:
    """NACK and RTX both ways, and reports: loss, jitter, round trip and highest numbers are what each end would say to
    the other without us between them."""
    phone = VideoPhone("core", "RTP/AVPF", rtx=True)
    with call(browser, phone) as page:
        wait_for_pictures(page, phone)
        phone.loss = LOSS
        labs.wait_for(
            lambda: (
                numbers(page, "outbound")["retransmittedPacketsSent"] > 2
                and numbers(page, "inbound").get("retransmittedPacketsReceived", 0) > 2
            ),
            15,
            lambda: f"{page.counted()} {phone.arrived} {phone.sent}",
        )
        phone.loss = 0.0
        assert len(phone.arrived.types) == len(phone.sent.types) == 2, "RTX under its own number"
        assert phone.arrived.nacked <= phone.sent.missing, "what was lost is what is asked for"
        wait_for_pictures(page, phone)
        ssrc = str(numbers(page, "outbound")["ssrc"])
        labs.wait_for(lambda: ssrc in page.counted()["remote"], 10, lambda: f"{page.counted()} {phone.arrived}")
        remote = page.counted()["remote"][ssrc]
        assert 0 < remote["roundTripTime"] < 1 and 0 <= remote["jitter"] < 1
        told = phone.arrived.blocks[-1]
        assert told.last and told.delay < 10 << 16 and told.jitter < 90_000
        assert (phone.sent.newest - told.highest) % 0x10000 < 100
        assert told.lost <= phone.sent.lost


@pytest.mark.row("A22", "G02", "G24")
@pytest.mark.parametrize("called", [False, True], ids=["calls", "is called"])
def test_video_phones_of_the_field(gateway: Gateway, browser: Chromium, called: bool) -> None:
    """RTP/AVP with a=rtcp-fb, no retransmissions: requests for keyframes pass both ways, and recover the picture."""
    phone = VideoPhone("core", "RTP/AVP")
    with call(browser, phone, called=called, flags=ATTRIBUTE) as page:
        wait_for_pictures(page, phone)
        asked, heard = phone.arrived.parts[PLI], requests(page)
        phone.loss = LOSS
        labs.wait_for(
            lambda: phone.arrived.parts[PLI] > asked and requests(page) > heard,
            15,
            lambda: f"{page.counted()} {phone.arrived} {phone.sent}",
        )
        phone.loss = 0.0
        wait_for_pictures(page, phone)
        assert numbers(page, "inbound")["keyFramesDecoded"] > 1


@pytest.mark.row("A22", "G02")
def test_a_phone_without_feedback_gets_none(gateway: Gateway, browser: Chromium) -> None:
    """RTP/AVP: the browser asks for keyframes nevertheless (Chromium does so unasked); reports pass, that does not. The
    phone asks by SIP INFO (RFC 5168), which its proxy hands to us, and gets its picture: one, of the two encodings that
    the browser offered (G18)."""
    phone = VideoPhone("core", "RTP/AVP", feedback=False)
    phone.loss = 1.0  # so that the browser misses the first keyframe
    with call(browser, phone, rich=True) as page:
        assert "a=simulcast:send hi;lo" in page.browser.run("pc.localDescription.sdp")
        labs.wait_for(lambda: phone.arrived.rtp > 20 and phone.sent.rtp > 20, 10, lambda: str(phone.arrived))
        phone.loss = 0.0
        labs.wait_for(
            lambda: numbers(page, "inbound").get("pliCount", 0) > 2 and phone.arrived.parts[SR, 0] > 2,
            15,
            lambda: f"{page.counted()} {phone.arrived}",
        )
        assert phone.pictures == 0
        ng("offer", **{"call-id": "RTP/AVP-False-False", "from-tag": "b"}, flags=["media-control"], sdp=UPDATE)
        labs.wait_for(lambda: phone.pictures > 10, 10, lambda: f"{page.counted()} {phone.arrived}")
        assert len(phone.arrived.ssrcs) == 1
        assert phone.arrived.parts[RR, 0] and not any(kind in (RTPFB, PSFB) for kind, _ in phone.arrived.parts)


@pytest.mark.row("A22", "G02", "B5")
def test_a_phone_that_begins_anew(gateway: Gateway, browser: Chromium) -> None:
    """Under the same SSRC, 20,000 numbers back (a phone that a transfer has restarted): the browser, whose numbers go
    on, asks for what is lost in the phone's own."""
    phone = VideoPhone("core", "RTP/AVPF", rtx=True)
    with call(browser, phone) as page:
        wait_for_pictures(page, phone)
        phone.shift = 20_000
        wait_for_pictures(page, phone)
        phone.arrived.nacked.clear()
        phone.arrived.blocks.clear()
        phone.loss = LOSS
        labs.wait_for(lambda: len(phone.arrived.nacked) > 2, 15, lambda: f"{page.counted()} {phone.arrived}")
        assert phone.arrived.nacked <= phone.sent.missing
        labs.wait_for(lambda: phone.arrived.blocks, 10, lambda: str(phone.arrived))
        assert (phone.sent.newest - phone.arrived.blocks[-1].highest) % 0x10000 < 100
        assert phone.arrived.parts[NACK]
