"""BUNDLE with real peers: audio and video of a browser on one port, and a plain peer whose m-lines have their own."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.system import lab as labs
from tests.system.certificates import Authority
from tests.system.edge import ng
from tests.system.gateway import Gateway
from tests.system.test_first_call import assert_freed
from tests.system.webrtc import chromium
from tests.system.webrtc.cameras import Page, TwoLines
from tests.system.webrtc.chromium import Chromium

pytestmark = [pytest.mark.system, pytest.mark.timeout(90)]

TO_PLAIN = {"transport-protocol": "RTP/AVPF", "ICE": "remove", "rtcp-mux": ["demux"], "direction": ["access", "core"]}
TO_BROWSER = {"transport-protocol": "UDP/TLS/RTP/SAVPF", "ICE": "force", "SDES": ["off"], "flags": ["generate-mid"],
              "rtcp-mux": ["offer", "require"], "direction": ["core", "access"]}  # fmt: skip


@pytest.fixture(scope="module")
def gateway(laboratory: labs.Lab, sip_programs: None) -> Iterator[Gateway]:
    running = Gateway(laboratory).start()
    yield running
    labs.end(running.process, patience=15)
    assert "Traceback" not in running.log("control") + running.log("media")


@pytest.fixture(scope="module")
def browser(laboratory: labs.Lab, gateway: Gateway) -> Iterator[Chromium]:
    if missing := chromium.available():
        pytest.skip(missing)
    with chromium.browser(laboratory, "access", 1, Authority(laboratory.directory / "ca")) as running:
        yield running


def ports(sdp: str) -> list[int]:
    return [int(port) for port in re.findall(r"(?m)^m=\w+ (\d+)", sdp)]


def assert_flows(page: Page, plain: TwoLines) -> None:
    """Every m-line's media and RTCP, both ways; a keyframe that the peer asks for is made."""
    labs.wait_for(page.connected, 10, lambda: str(page.browser.run("states")))
    labs.wait_for(
        lambda: all(line.packets > 20 and line.ssrcs <= line.reports for line in plain.lines),
        10,
        lambda: str(plain.lines),
    )  # sender reports go where their media goes; what speaks of an SSRC that has not sent yet goes to the first m-line
    for line in plain.lines:
        assert line.types == {line.number} and len(line.ssrcs) == 1
    assert len({ssrc for line in plain.lines for ssrc in line.ssrcs}) == len(plain.lines)
    labs.wait_for(lambda: decoded(page, len(plain.lines)), 10, lambda: str(page.counted()))
    for at, line in enumerate(plain.lines):
        if line.kind == "video":
            assert_keyframe(page, plain, at)
    labs.wait_for(lambda: all(line.ssrc in line.about for line in plain.lines), 5, lambda: str(plain.lines))
    counted = page.counted()
    assert counted["transports"] == 1
    assert len(counted["remote"]) == len(plain.lines), "the peer's reports reach every sender"


def decoded(page: Page, lines: int) -> bool:
    """Whether every m-line of the browser has got media, and made pictures of it."""
    counted = page.counted()["inbound"].values()
    heard = [one for one in counted if one["packetsReceived"] > 20 and one.get("framesDecoded", 6) > 5]
    return len(heard) == lines


def assert_keyframe(page: Page, plain: TwoLines, at: int) -> None:
    """A request of the peer's reaches that sender of the browser's."""
    [ssrc] = plain.lines[at].ssrcs

    def asked() -> int:
        sent = page.counted()["outbound"].values()
        return next(int(one["pliCount"]) for one in sent if one["ssrc"] == ssrc)

    before = asked()
    plain.ask_keyframe(at)
    labs.wait_for(lambda: asked() > before, 5, lambda: str(page.counted()["outbound"]))


@pytest.mark.row("G15", "G17", "SDP-15", "SDP-16")
@pytest.mark.parametrize("policy", ["balanced", "max-bundle"])
def test_chromium_calls(gateway: Gateway, browser: Chromium, policy: str) -> None:
    page, plain = Page(browser, policy), TwoLines("core", ("audio", "video"))
    words = {"call-id": f"bundle-{policy}", "from-tag": "a"}
    try:
        offer = ng("offer", **words, sdp=page.offer(), **TO_PLAIN)["sdp"]
        assert "BUNDLE" not in offer and len(set(ports(offer))) == 2
        answer = ng("answer", **words, **{"to-tag": "b"}, sdp=plain.answer(offer))["sdp"]
        assert "a=group:BUNDLE 0 1" in answer and len(set(ports(answer))) == 1
        page.accept(answer)
        assert_flows(page, plain)
    finally:
        ng("delete", **words)
        plain.close()
        page.close()
    assert_freed(gateway)
