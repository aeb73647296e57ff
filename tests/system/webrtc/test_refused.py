"""What a browser or the gateway must not put up with: the edge's certificate is not to be trusted, a fingerprint in the
SDP is not that of the certificate on the media path. No media, and both ends hear that the call is over."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.system import lab as labs
from tests.system import wire
from tests.system.certificates import Authority
from tests.system.gateway import Gateway
from tests.system.test_first_call import assert_freed
from tests.system.webrtc import chromium, rig
from tests.system.webrtc.chromium import Chromium
from tests.system.webrtc.rig import DeskPhone

pytestmark = [pytest.mark.system, pytest.mark.timeout(90)]


def events(gateway: Gateway, name: str) -> list[dict[str, Any]]:
    """Of control's log."""
    lines = [json.loads(line) for line in gateway.log("control").splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("event") == name]


@pytest.mark.row("J05", "I09")
@pytest.mark.parametrize("wrong", ["authority", "name"])
def test_a_wrong_certificate_of_the_edge(laboratory: labs.Lab, gateway: Gateway, authority: Authority,
                                         registered: Chromium, wrong: str) -> None:  # fmt: skip
    """Signed by somebody whom the browser does not know, or for another name: no session, no SIP is sent."""
    if wrong == "name":
        opened = f"new WebSocket('wss://{chromium.ALIAS}:{rig.WSS}', 'sip')"
        told = "one.onopen = () => done('open'); one.onerror = () => done('refused');"
        assert registered.run(f"new Promise((done) => {{ const one = {opened}; {told} }})") == "refused"
        right = opened.replace(chromium.ALIAS, labs.GATEWAY["access"])
        assert registered.run(f"new Promise((done) => {{ const one = {right}; {told} }})") == "open"
        return
    stranger = Authority(laboratory.directory / "another-ca")
    with chromium.browser(laboratory, "access", 22, stranger) as browser:
        browser.register(rig.URL, rig.USER, rig.DOMAIN, rig.PASSWORD)
        assert browser.wait("disconnected") == "1006"  # RFC 6455 section 7.1.5: closed without a word
        assert not browser.events("connected") and not browser.events("registered")


def assert_ended(gateway: Gateway, browser: Chromium, phone: DeskPhone, core: wire.Wire) -> None:
    """Both are told BYE; nothing was heard of the other side."""
    browser.wait("ended")
    phone.ended()
    core.stop()
    assert core.payloads(labs.GATEWAY["core"]) == []
    assert browser.heard().any() == False  # noqa: E712
    assert_freed(gateway)


@pytest.mark.row("D03", "D04")
def test_a_forged_fingerprint_of_the_browser(gateway: Gateway, browser: Chromium) -> None:
    """Whoever changed the offer on its way is found out: the certificate of the handshake is another one."""
    phone, core = DeskPhone(gateway.lab, 23).start(40), wire.Wire(gateway.lab, "core")
    browser.run("forged = 'local'")
    browser.call(rig.PHONE)
    browser.wait("confirmed")
    assert_ended(gateway, browser, phone, core)
    assert len(events(gateway, "fingerprint_mismatch")) == 1


@pytest.mark.row("D03", "D04")
def test_a_forged_fingerprint_of_the_gateway(gateway: Gateway, browser: Chromium) -> None:
    """The browser finds it out: it refuses the handshake, and the gateway ends the call."""
    phone, core = DeskPhone(gateway.lab, 24).start(40), wire.Wire(gateway.lab, "core")
    browser.run("forged = 'remote'")
    browser.call(rig.PHONE)
    browser.wait("confirmed")
    assert_ended(gateway, browser, phone, core)
    assert len(events(gateway, "handshake_failed")) == 1
