"""BUNDLE with real peers: audio and video of a browser on one port, and a plain peer whose m-lines have their own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.system import lab as labs
from tests.system.certificates import Authority
from tests.system.edge import ng
from tests.system.gateway import Gateway, started
from tests.system.test_first_call import assert_freed
from tests.system.webrtc import chromium
from tests.system.webrtc.cameras import Line, Page, TwoLines
from tests.system.webrtc.chromium import Chromium

pytestmark = [pytest.mark.system, pytest.mark.timeout(90)]

TO_PLAIN = {"transport-protocol": "RTP/AVPF", "ICE": "remove", "rtcp-mux": ["demux"], "direction": ["access", "core"]}
TO_BROWSER = {"transport-protocol": "UDP/TLS/RTP/SAVPF", "ICE": "force", "SDES": ["off"], "flags": ["generate-mid"],
              "rtcp-mux": ["offer", "require"], "direction": ["core", "access"]}  # fmt: skip


@pytest.fixture(scope="module")
def gateway(laboratory: labs.Lab, sip_programs: None) -> Iterator[Gateway]:
    with started(laboratory) as running:
        yield running


@pytest.fixture(scope="module")
def browser(laboratory: labs.Lab, gateway: Gateway) -> Iterator[Chromium]:
    if missing := chromium.available():
        pytest.skip(missing)
    with chromium.browser(laboratory, "access", 1, Authority(laboratory.directory / "ca")) as running:
        yield running


def ports(sdp: str) -> list[int]:
    return [int(port) for port in re.findall(r"(?m)^m=\w+ (\d+)", sdp)]


def assert_flows(page: Page, plain: TwoLines, live: tuple[int, ...] = ()) -> None:
    """Media and RTCP of these m-lines (all of them), both ways; a keyframe that the peer asks for is made."""
    lines = [line for at, line in enumerate(plain.lines) if not live or at in live]
    labs.wait_for(page.connected, 10, lambda: str(page.browser.run("states")))
    labs.wait_for(
        lambda: all(line.packets > 20 and line.ssrcs <= line.reports for line in lines),
        10,
        lambda: str(plain.lines),
    )  # sender reports go where their media goes; what speaks of an SSRC that has not sent yet goes to the first m-line
    for line in lines:
        assert line.types == {line.number} and len(line.ssrcs) == 1
    assert len({ssrc for line in lines for ssrc in line.ssrcs}) == len(lines)
    before = page.counted()["inbound"]
    labs.wait_for(lambda: decoded(page, before, lines), 10, lambda: str(page.counted()))
    for line in lines:
        if line.kind == "video":
            assert_keyframe(page, line)
    # Chromium reports on audio every 2.5 to 7.5 s
    labs.wait_for(lambda: all(line.ssrc in line.about for line in lines), 15, lambda: str(lines))
    counted = page.counted()
    assert counted["transports"] == 1
    reported = {int(ssrc) for ssrc in counted["remote"]}
    assert {ssrc for line in lines for ssrc in line.ssrcs} <= reported, "the peer's reports reach every sender"


def decoded(page: Page, before: dict[str, Any], lines: list[Line]) -> bool:
    """Whether the browser has got media of each of these, and made pictures of it."""
    now = page.counted()["inbound"]
    gained = {
        one["ssrc"]: [
            one.get(what, 0) - before.get(mid, {}).get(what, 0) for what in ("packetsReceived", "framesDecoded")
        ]
        for mid, one in now.items()
    }
    return all(
        line.ssrc in gained and gained[line.ssrc][0] > 20 and (line.kind == "audio" or gained[line.ssrc][1] > 5)
        for line in lines
    )


def assert_keyframe(page: Page, line: Line) -> None:
    """A request of the peer's reaches that sender of the browser's."""
    [ssrc] = line.ssrcs

    def asked() -> int:
        sent = page.counted()["outbound"].values()
        return next(int(one["pliCount"]) for one in sent if one["ssrc"] == ssrc)

    before = asked()
    line.asking = True
    labs.wait_for(lambda: asked() > before, 5, lambda: str(page.counted()["outbound"]))


@contextmanager
def call(name: str, page: Page, plain: TwoLines) -> Iterator[dict[str, str]]:
    words = {"call-id": name, "from-tag": "a"}
    try:
        yield words
    finally:
        ng("delete", **words)
        plain.close()
        page.close()


def calls(page: Page, plain: TwoLines, words: dict[str, str], refused: tuple[int, ...] = ()) -> tuple[str, str]:
    """Our offer and our answer."""
    offer = ng("offer", **words, sdp=page.offer(), **TO_PLAIN)["sdp"]
    answer = ng("answer", **words, **{"to-tag": "b"}, sdp=plain.answer(offer, refused=refused))["sdp"]
    page.accept(answer)
    return offer, answer


def is_called(page: Page, plain: TwoLines, words: dict[str, str], said: str = "") -> tuple[str, str]:
    offer = ng("offer", **words, sdp=said or plain.offer(), **TO_BROWSER)["sdp"]
    answer = ng("answer", **words, **{"to-tag": "b"}, sdp=page.answer(offer))["sdp"]
    plain.hear(answer)
    return offer, answer


@pytest.mark.row("G15", "G17", "SDP-15", "SDP-16")
def test_chromium_calls(gateway: Gateway, browser: Chromium) -> None:
    """With transports for every m-line; the other tests are of max-bundle."""
    page, plain = Page(browser, "balanced"), TwoLines("core", ("audio", "video"))
    with call("calls", page, plain) as words:
        offer, answer = calls(page, plain, words)
        assert "BUNDLE" not in offer and len(set(ports(offer))) == 2
        assert "a=group:BUNDLE 0 1" in answer and len(set(ports(answer))) == 1
        assert_flows(page, plain)
    assert_freed(gateway)


@pytest.mark.row("G15", "G17", "SDP-15", "SDP-16")
def test_chromium_is_called(gateway: Gateway, browser: Chromium) -> None:
    """We offer the group: a port for each m-line, then one for all."""
    page, plain = Page(browser, "max-bundle"), TwoLines("core", ("audio", "video"))
    with call("called", page, plain) as words:
        offer, answer = is_called(page, plain, words)
        assert re.search("a=group:BUNDLE m0 m1", offer) and len(set(ports(offer))) == 2
        assert "BUNDLE" not in answer and len(set(ports(answer))) == 2
        assert_flows(page, plain)
    assert_freed(gateway)


@pytest.mark.row("G15", "G17", "SDP-15")
def test_two_cameras(gateway: Gateway, browser: Chromium) -> None:
    """Two m-lines with the same payload types: MID tells them apart, both ways."""
    page, plain = Page(browser, "max-bundle", cameras=2), TwoLines("core", ("audio", "video", "video"))
    with call("cameras", page, plain) as words:
        _, answer = calls(page, plain, words)
        assert "a=group:BUNDLE 0 1 2" in answer
        assert plain.lines[1].number == plain.lines[2].number
        assert_flows(page, plain)
    assert_freed(gateway)


@pytest.mark.row("SDP-15", "F1", "G17")
def test_in_mid_call(gateway: Gateway, browser: Chromium) -> None:
    """The picture held and shown again; kill -9 of the control process; the first m-line, whose transport it is, ends
    (Chromium begins ICE and DTLS anew then); a camera is added. One port of ours through all of it."""
    page, plain = Page(browser, "max-bundle"), TwoLines("core", ("audio", "video"))
    with call("mid-call", page, plain) as words:
        _, first = calls(page, plain, words)
        assert_flows(page, plain, (0, 1))
        page.turn(1, "inactive")
        calls(page, plain, words)
        plain.forget()
        assert_flows(page, plain, (0,))
        assert plain.lines[1].packets <= 3, "what was under way"
        page.turn(1, "sendrecv")
        calls(page, plain, words)
        assert_flows(page, plain, (0, 1))
        gateway.kill(control := gateway.child("appliance.gateway"))
        plain.forget()
        labs.wait_for(lambda: gateway.child("appliance.gateway") != control, 20, lambda: gateway.screen())
        labs.wait_for(lambda: answers("ping") == "pong", 20, lambda: gateway.log("control"))
        page.turn(0, "")
        _, answer = calls(page, plain, words)
        assert ports(answer) == [0, ports(first)[1]] and "a=group:BUNDLE 1" in answer
        plain.forget()
        assert_flows(page, plain, (1,))
        assert plain.lines[0].packets == 0
        page.add_camera()  # in the place of the m-line that ended (RFC 8829 section 5.2.2)
        plain.lines[0].kind = "video"
        _, answer = calls(page, plain, words)
        assert ports(answer) == [ports(first)[1]] * 2
        plain.forget()
        assert_flows(page, plain, (0, 1))
    assert_freed(gateway)


@pytest.mark.row("SDP-15", "G17", "G29")
def test_the_phone_changes_the_call(gateway: Gateway, browser: Chromium) -> None:
    """Re-offers of the phone's, which knows of no group: a picture is added to the sound, held, shown again, and ends.
    The browser's transport is one through all of it."""
    page, plain = Page(browser, "max-bundle"), TwoLines("core", ("audio", "video"))

    def again(picture: str) -> tuple[str, str]:
        said = plain.offer().replace("a=rtpmap:96", f"a={picture or 'sendrecv'}\r\na=rtpmap:96")
        if not picture:
            said = re.sub(r"m=video \d+", "m=video 0", said)
        return is_called(page, plain, words, said)

    with call("changes", page, plain) as words:
        alone = plain.offer().partition("m=video")[0]
        offer, _ = is_called(page, plain, words, alone)
        assert "a=group:BUNDLE m0\r\n" in offer
        offer, _ = again("sendrecv")
        assert "a=group:BUNDLE m0 m1\r\n" in offer and len(set(ports(offer))) == 2  # it may be refused: two ports yet
        plain.forget()
        assert_flows(page, plain)
        offer, _ = again("inactive")
        assert len(set(ports(offer))) == 1
        plain.forget()
        assert_flows(page, plain, (0,))
        assert plain.lines[1].packets <= 3, "what was under way"
        again("sendrecv")
        plain.forget()
        assert_flows(page, plain)
        offer, answer = again("")
        assert "a=group:BUNDLE m0\r\n" in offer and ports(answer)[1] == 0
    assert_freed(gateway)


@pytest.mark.row("SDP-15", "SDP-16", "G17")
@pytest.mark.parametrize("calling", [True, False], ids=["calls", "is called"])
def test_aiortc(gateway: Gateway, calling: bool) -> None:
    """A second stack (max-bundle where it calls): media and reports of both m-lines by one transport."""
    camera = pytest.importorskip("tests.system.webrtc.aiortc_camera", reason="not installed: aiortc")
    policy = camera.RTCBundlePolicy.MAX_BUNDLE if calling else camera.RTCBundlePolicy.BALANCED
    browser, plain = camera.AiortcCamera("access", bytes(8000), policy), TwoLines("core", ("audio", "video"))
    with call("aiortc", browser, plain) as words:
        if calling:
            _, answer = calls(browser, plain, words)
            assert "a=group:BUNDLE 0 1" in answer and len(set(ports(answer))) == 1
        else:
            is_called(browser, plain, words)
        labs.wait_for(lambda: all(line.packets > 20 and line.ssrcs <= line.reports for line in plain.lines), 10,
                      lambda: str(plain.lines))  # fmt: skip
        assert all(line.types == {line.number} for line in plain.lines)
        labs.wait_for(lambda: min(browser.frames.values()) > 5, 10, lambda: str((browser.frames, plain.lines)))
        labs.wait_for(lambda: all(line.ssrc in line.about for line in plain.lines), 10, lambda: str(plain.lines))
        reported = {"remote-inbound-rtp audio", "remote-inbound-rtp video"}
        labs.wait_for(lambda: reported <= browser.counted().keys(), 5, lambda: str(browser.counted()))
    assert_freed(gateway)


def answers(command: str) -> str:
    try:
        return str(ng(command)["result"])
    except (OSError, TimeoutError, AssertionError):
        return ""
