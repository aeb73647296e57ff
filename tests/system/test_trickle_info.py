"""INFO with candidates (RFC 8840) through a real Kamailio to NG (row G21)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.system.kamailio_rig import Edge, running
from tests.system.lab import wait_for
from tests.system.targets import HOST, Caller, Gateway, Target

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

PORT, CALLEE, CALLER = 31830, 31836, 31838
FRAGMENT = (
    "a=ice-ufrag:8hhY\r\na=ice-pwd:asd88fgpdd777uzjYhagZg\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\na=end-of-candidates\r\n"
)


class Recorder(Gateway):
    """Remembers what it was asked."""

    def __init__(self, port: int) -> None:
        self.heard: list[bytes] = []
        super().__init__(port)

    def took(self, text: bytes) -> None:
        self.heard.append(text)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Edge, Recorder, Target, Caller]]:
    gateway, callee, caller = Recorder(PORT + 1), Target(CALLEE), Caller(CALLER, (HOST, PORT))
    trunks = [{"name": "everybody", "match": ["127.0.0.0/8"], "destination": f"sip:{HOST}:{CALLEE}"}]
    with running(tmp_path_factory.mktemp("trickle"), PORT, trunks=trunks) as edge:
        yield edge, gateway, callee, caller
    for part in (caller, callee, gateway):
        part.close()


@pytest.mark.row("G21")
def test_candidates_go_to_the_gateway_alone(parts: tuple[Edge, Recorder, Target, Caller]) -> None:
    _, gateway, callee, caller = parts
    call = caller.call()
    assert call.status == 200
    wait_for(lambda: callee.count("ACK") == 1, 5, "no ACK")
    assert call.ask("INFO", "application/trickle-ice-sdpfrag", FRAGMENT) == 200
    wait_for(lambda: any(b"8:fragment" in text for text in gateway.heard), 5, "the gateway was not asked")
    (asked,) = [text for text in gateway.heard if b"8:fragment" in text]
    assert b"7:command5:offer" in asked and FRAGMENT.encode() in asked
    assert f"8:from-tag{len(call.tag)}:{call.tag}".encode() in asked
    assert callee.count("INFO") == 0
    assert call.ask("INFO", "application/dtmf-relay", "Signal=1\r\n") == 200
    assert callee.count("INFO") == 1
    call.hang_up()


UPDATE = "<media_control><vc_primitive><to_encoder><picture_fast_update/></to_encoder></vc_primitive></media_control>"


@pytest.mark.row("A22", "G02")
@pytest.mark.parametrize("browser", [True, False], ids=["to a browser", "to a phone"])
def test_requests_for_pictures_go_to_the_gateway_where_a_browser_is_asked(
    tmp_path_factory: pytest.TempPathFactory, browser: bool
) -> None:
    """RFC 5168: browsers know nothing of it and take PLI; phones get it as it came. Other bodies pass in any case."""
    port = PORT + (10 if browser else 20)
    gateway, callee, caller = Recorder(port + 1), Target(port + 6), Caller(port + 8, (HOST, port))
    trunks = [{"name": "everybody", "match": ["127.0.0.0/8"], "destination": f"sip:{HOST}:{port + 6}"}]
    if browser:
        trunks[0]["webrtc"] = "always"
    try:
        with running(tmp_path_factory.mktemp("picture"), port, trunks=trunks):
            call = caller.call()
            assert call.status == 200
            wait_for(lambda: callee.count("ACK") == 1, 5, "no ACK")
            assert call.ask("INFO", "application/media_control+xml", UPDATE) == 200
            asked = [text for text in gateway.heard if b"13:media-control" in text]
            assert len(asked) == browser and callee.count("INFO") == (not browser)
            if browser:
                assert UPDATE.encode() in asked[0]
                assert f"8:from-tag{len(call.tag)}:{call.tag}".encode() in asked[0]
            assert call.ask("INFO", "application/media_control+xml", "<media_control/>") == 200
            assert callee.count("INFO") == 1 + (not browser)
            call.hang_up()
    finally:
        for part in (caller, callee, gateway):
            part.close()
