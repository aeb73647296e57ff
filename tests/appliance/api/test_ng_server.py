"""The NG face: envelope, allow list, cookies, commands, errors. Nothing from the network raises."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.api.ng_commands import NgCommands
from appliance.api.ng_cookies import CookieCache
from appliance.api.ng_requests import NgRequests
from appliance.api.ng_rules import NgRules
from appliance.api.ng_server import NgProtocol, NgServer
from appliance.policy.options import MediaOptions
from appliance.protocols.ng import bencode
from tests.appliance.calls.test_service import answer_to
from tests.appliance.rig import OFFER, Rig

LOCAL = ("127.0.0.1", 40001)
RULES = NgRules(lambda: MediaOptions(sdes_requires_tls=False), interfaces={"default": "127.0.0.1"})


class Wire:
    """A datagram transport that keeps what was sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, Any]] = []

    def sendto(self, data: bytes, addr: Any) -> None:
        self.sent.append((data, addr))

    def is_closing(self) -> bool:
        return False


class Face:
    def __init__(self, allow: tuple[str, ...] = ("127.0.0.0/8",), rules: NgRules = RULES) -> None:
        self.rig = Rig()
        self.wire = Wire()
        self.requests = NgRequests(NgCommands(self.rig.calls, rules), allow)
        self.protocol = NgProtocol(self.requests)
        self.protocol.connection_made(self.wire)  # type: ignore[arg-type]
        self.serial = 0

    def push(self, data: bytes, addr: tuple[str, int] = LOCAL) -> None:
        self.protocol.datagram_received(data, addr)

    async def ask(self, command: str, *, coding: str = "json", **body: Any) -> dict[str, Any]:
        self.serial += 1
        cookie = b"c%d" % self.serial
        named = {key.replace("_", "-"): value for key, value in body.items()} | {"command": command}
        self.push(cookie + b" " + (json.dumps(named).encode() if coding == "json" else bencode.encode(named)))
        for _ in range(200):
            if self.wire.sent:
                break
            await asyncio.sleep(0.001)
        reply, addr = self.wire.sent.pop()
        assert addr == LOCAL and reply.startswith(cookie + b" ")
        payload = reply.partition(b" ")[2]
        decoded: Any = json.loads(payload) if coding == "json" else bencode.decode(payload)
        return dict(decoded)


@pytest.fixture
async def face() -> Face:
    return Face()


@pytest.mark.parametrize("coding", ["json", "bencode"])
async def test_a_call(face: Face, coding: str) -> None:
    """What Kamailio does: ping, offer, answer, query, list, delete; the answer in the coding of the question."""
    assert await face.ask("ping", coding=coding) == {"result": "pong"}
    offered = await face.ask(
        "offer", coding=coding, call_id="x", from_tag="a", sdp=OFFER.decode(), transport_protocol="RTP/SAVP",
        SDES=["only-AES_CM_128_HMAC_SHA1_80", "pad"], flags=["OSRTP-accept"], ICE="remove",
    )  # fmt: skip
    assert offered["result"] == "ok" and "a=crypto:1 AES_CM_128_HMAC_SHA1_80" in offered["sdp"]
    answered = await face.ask(
        "answer", coding=coding, call_id="x", from_tag="a", to_tag="b", sdp=answer_to(offered["sdp"].encode()).decode()
    )
    assert answered["result"] == "ok" and "RTP/AVP" in answered["sdp"]
    assert (await face.ask("list", coding=coding))["calls"] == ["x"]
    asked = await face.ask("query", coding=coding, call_id="x")
    assert set(asked["tags"]) == {"a", "b"} and asked["tags"]["a"]["in dialogue with"] == "b"
    assert (await face.ask("statistics", coding=coding))["statistics"]["currentstatistics"]["sessionstotal"] == 1
    final = await face.ask("delete", coding=coding, call_id="x", from_tag="a")
    assert final["result"] == "ok" and final["totals"]["RTP"]["packets"] == 0
    assert face.rig.everything_is_free()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"command": "start recording", "call_id": "x"}, "Unrecognized command"),
        ({"command": "offer", "from_tag": "a", "sdp": "x"}, "No call-id in message"),
        ({"command": "offer", "call_id": "x", "sdp": "x"}, "No from-tag in message"),
        ({"command": "offer", "call_id": "x", "from_tag": "a"}, "No SDP body in message"),
        ({"command": "answer", "call_id": "x", "from_tag": "a", "sdp": "x"}, "No to-tag in message"),
        ({"command": "answer", "call_id": "x", "from_tag": "a", "to_tag": "b", "sdp": "x"}, "Unknown call-id"),
        ({"command": "query", "call_id": "x"}, "Unknown call-id"),
        ({"command": "list", "limit": "-1"}, "invalid limit, must be >= 0"),
        ({"command": "delete", "call_id": "x", "flags": ["fatal"]}, "Call-ID not found or tags didn't match"),
    ],
)
async def test_errors_are_rtpengines(face: Face, body: dict[str, Any], reason: str) -> None:
    reply = await face.ask(**body)
    assert reply == {"result": "error", "error-reason": reason}


async def test_delete_of_an_unknown_call_is_a_warning(face: Face) -> None:
    """Kamailio expects ok with a warning."""
    reply = await face.ask("delete", call_id="x", from_tag="a")
    assert reply == {"result": "ok", "warning": "Call-ID not found or tags didn't match"}


async def test_bad_sdp_is_an_error_and_disturbs_nothing(face: Face) -> None:
    reply = await face.ask("offer", call_id="x", from_tag="a", sdp="rubbish")
    assert reply["result"] == "error" and reply["error-reason"]
    assert (await face.ask("list"))["calls"] == []


async def test_repeated_cookie_is_answered_once_and_resent(face: Face) -> None:
    """A retransmission while the first is under way is dropped; afterwards the stored answer comes again, word by
    word."""
    face.rig.plane.silent = True
    request = (
        b"same "
        + json.dumps(
            {
                "command": "offer",
                "call-id": "x",
                "from-tag": "a",
                "sdp": OFFER.decode(),
                "transport-protocol": "RTP/SAVP",
            }
        ).encode()
    )
    for _ in range(3):
        face.push(request)
        await asyncio.sleep(0)
    face.rig.plane.speak()
    await asyncio.sleep(0.01)
    assert len(face.wire.sent) == 1
    face.push(request)
    assert face.wire.sent[0] == face.wire.sent[1]
    assert face.rig.calls.statistics().requests == {"offer": 1} and face.requests.counts["repeated"] == 3
    face.push(b'same {"command":"ping"}')  # another request under an old cookie is a new one
    await asyncio.sleep(0.01)
    assert face.wire.sent[-1][0] == b'same {"result":"pong"}'


@pytest.mark.parametrize(
    ("host", "answered"),
    [
        ("127.0.0.1", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("fe80::1%lo", False),
    ],
)
async def test_allow_list(face: Face, host: str, answered: bool) -> None:
    """NG has no authentication: strangers get silence. IPv4 on an IPv6 socket is judged as IPv4 (G7)."""
    face.push(b'1 {"command":"ping"}', (host, 5))
    await asyncio.sleep(0.01)
    assert bool(face.wire.sent) is answered and face.requests.counts["source_refused"] == (not answered)


@pytest.mark.parametrize(
    ("datagram", "answered"),
    [
        (b"", False), (b"nocookie", False), (b" {}", False), (b"1 ", True), (b"1 rubbish", True), (b"1 {", True),
        (b"1 d7:commandi", True), (b"1 []", True), (b"1 {}", True), (b'1 {"command":[]}', True),
        (b"1 " + b"l" * 5000, True), (b"1 " + b'{"a":' * 5000, True),
    ],
)  # fmt: skip
async def test_malformed(face: Face, datagram: bytes, answered: bool) -> None:
    """An error where a cookie can be read, else silence; counted."""
    face.push(datagram)
    await asyncio.sleep(0.01)
    assert bool(face.wire.sent) is answered
    assert all(b"error" in reply for reply, _ in face.wire.sent)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=200)
    | st.builds(
        lambda body: b"1 " + json.dumps(body).encode(),
        st.dictionaries(
            st.sampled_from(
                ["command", "sdp", "call-id", "from-tag", "to-tag", "flags", "SDES", "limit", "via-branch"]
            ),
            st.sampled_from(
                ["offer", "answer", "delete", "query", "list", "x", OFFER.decode(), ["a", 1], 7, None, {}, ""]
            ),
        ),
    )
)
def test_nothing_raises(datagram: bytes) -> None:
    async def run() -> None:
        face = Face()
        asyncio.get_running_loop().set_exception_handler(lambda _, context: pytest.fail(str(context)))
        face.push(datagram)
        await asyncio.sleep(0.002)
        assert face.requests.counts["internal"] == 0
        assert not any(b"Internal error" in reply or b"internal error" in reply for reply, _ in face.wire.sent)

    asyncio.run(run())


async def test_real_socket() -> None:
    rig = Rig()
    server = NgServer(rig.calls, ["127.0.0.1/32"], RULES)
    host, port = await server.listen("127.0.0.1", 0)
    answers: asyncio.Queue[bytes] = asyncio.Queue()

    class Client(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            answers.put_nowait(data)

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Client, remote_addr=(host, port))
    transport.sendto(b"7 d7:command4:pinge")
    assert await asyncio.wait_for(answers.get(), 2) == b"7 d6:result4:ponge"
    assert server.counts["ping"] == 1
    transport.close()
    await server.close()


def test_cookie_cache_is_bounded_in_number_and_age() -> None:
    cache = CookieCache(most=3, age_s=10)
    for i in range(5):
        assert cache.begin(("h", b"%d" % i), b"r", float(i)) is None
    assert len(cache) == 3
    cache.finish(("h", b"4"), b"answer")
    known = cache.begin(("h", b"4"), b"r", 5.0)
    assert known is not None and known.answer == b"answer"
    assert cache.begin(("h", b"4"), b"r", 15.0) is None
    cache.forget(("h", b"4"))
    assert cache.begin(("h", b"4"), b"r", 15.0) is None
    assert cache.begin(("other", b"4"), b"r", 15.0) is None
