"""Bad input at every door of the running gateway, with a call up: refused by name, and the call does not notice.

Rows A03, A05, A18; security-and-faults A6, A10, A11, A12, B6, C2, C7, H1.
"""

from __future__ import annotations

import json
import os
import random
import socket
import struct
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import grpc
import pytest

from appliance.protocols.srtp.suites import SUITES, Suite, find
from kernels.load.endpoints import Endpoints
from kernels.load.plan import totals
from kernels.srtp.session import Session
from kernels.srtp.transform import Transform
from srtpgw.v1 import calls_pb2, sessions_pb2
from tests.system.lab import wait_for
from tests.system.stack import Stack, endpoint, running
from tests.system.test_suite_pairs import Side, local

pytestmark = [pytest.mark.system]

SUITE = find("AES_CM_128_HMAC_SHA1_80") or SUITES[0]
FORGED = 1_000_000
RTP = struct.Struct("!BBHII")


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running(first=32000, last=32399, ng=29302, calls=50) as started:
        yield started


@dataclass
class Call:
    """A call with plain RTP on leg A and SRTP on leg B, both ends played by verified endpoints."""

    stack: Stack
    endpoints: Endpoints
    call_id: str
    secure_port: int  # ours, towards leg B
    secure_rtcp_port: int
    plain_port: int  # ours, towards leg A
    session: Session  # protects as leg B's peer does, with the right keys

    def drops(self) -> dict[str, int]:
        seen = self.stack.calls.Get(calls_pb2.GetCallRequest(call_id=self.call_id), timeout=5)
        return dict(seen.streams[0].b.drops)

    def leg_b(self) -> calls_pb2.Leg:
        return self.stack.calls.Get(calls_pb2.GetCallRequest(call_id=self.call_id), timeout=5).streams[0].b

    def media_while(self, disturb: Callable[[], None], seconds: float = 2.0) -> None:
        """Media both ways while `disturb` runs; every packet arrives once and as sent."""
        with ThreadPoolExecutor(1) as pool:
            disturbance = pool.submit(disturb)
            self.endpoints.run(seconds=seconds)
            disturbance.result(60)
        seen = totals(self.endpoints.report())
        assert seen.sent > 50
        assert seen.received == seen.sent
        assert seen.flawless, str(seen)


@pytest.fixture
def call(stack: Stack) -> Iterator[Call]:
    a, b = Side("RTP", None), Side(SUITE.name, SUITE)
    endpoints = Endpoints([a.config(11, 100), b.config(12, 200)])
    for side, (rtp, rtcp) in zip((a, b), endpoints.ports(), strict=True):
        side.leg.remote_rtp.CopyFrom(endpoint(rtp))
        side.leg.remote_rtcp.CopyFrom(endpoint(rtcp))
    stream = sessions_pb2.SessionStream(a=a.leg, b=b.leg)
    made = stack.sessions.CreateSession(sessions_pb2.CreateSessionRequest(streams=[stream]), timeout=5)
    legs = made.streams[0].a, made.streams[0].b
    for which, leg in enumerate(legs):
        endpoints.connect(which, *local(leg))
    key = b.leg.receive.keys[0]
    yield Call(stack, endpoints, made.call_id, legs[1].local_rtp.port, legs[1].local_rtcp.port,
               legs[0].local_rtp.port, sender(SUITE, key.key, key.salt))  # fmt: skip
    endpoints.close()
    stack.sessions.DeleteSession(sessions_pb2.DeleteSessionRequest(call_id=made.call_id), timeout=5)


def sender(suite: Suite, key: bytes, salt: bytes) -> Session:
    row = Transform(suite.cipher, suite.auth, suite.key_octets, suite.salt_octets, suite.rtp_tag, suite.rtcp_tag)
    return Session(row, key, salt, send=True)


def rtp(sequence: int, ssrc: int = 99, payload: bytes = bytes(160)) -> bytes:
    return RTP.pack(0x80, 0, sequence & 0xFFFF, sequence * 160 & 0xFFFFFFFF, ssrc) + payload


def spray(port: int, datagrams: Iterator[bytes] | list[bytes]) -> int:
    """Send from a stranger's socket to one of our ports; how many were sent. A list is paced to fit a socket's buffer,
    so that every datagram is judged; an iterator is a flood."""
    sent = 0
    paced = isinstance(datagrams, list)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.connect(("127.0.0.1", port))
        for datagram in datagrams:
            try:
                link.send(datagram)
                sent += 1
                if paced and sent % 50 == 0:
                    time.sleep(0.005)
            except ConnectionRefusedError:  # an ICMP error would mean our socket went away
                pytest.fail("media port closed")
    return sent


def test_flipped_bits(call: Call) -> None:
    """A03: any one bit of header, payload or tag flipped: auth_fail counts it, leg A hears nothing of it."""
    protected = [call.session.protect_rtp(rtp(number)) for number in range(1, 1433)]
    flipped = [bytes(octet ^ (0x80 >> bit % 8) * (place == bit // 8) for place, octet in enumerate(packet))
               for bit, packet in enumerate(map(bytes, protected)) if bit // 8 < len(bytes(packet))]  # fmt: skip
    # A flip in the version bits makes it no RTP packet at all: it is refused earlier, under another name.
    real = [packet for packet in flipped if packet[0] >> 6 == 2]
    call.media_while(lambda: (spray(call.secure_port, real), None)[1])
    wait_for(lambda: sum(call.drops().values()) >= len(real), 5, lambda: str(call.drops()))
    drops = call.drops()
    assert drops.get("auth_fail", 0) >= 0.95 * len(real)


def test_wrong_key(call: Call) -> None:
    """A05: packets protected with another call's key are dropped and create no state for their SSRC."""
    stranger = sender(SUITE, os.urandom(SUITE.key_octets), os.urandom(SUITE.salt_octets))
    packets = [bytes(stranger.protect_rtp(rtp(number, ssrc=7000 + number % 16))) for number in range(500)]
    before = call.leg_b().receive.ssrcs
    call.media_while(lambda: (spray(call.secure_port, packets), None)[1])
    wait_for(lambda: call.drops().get("auth_fail", 0) >= 500, 5, lambda: str(call.drops()))
    assert call.leg_b().receive.ssrcs == max(before, 1)


def test_truncated(call: Call) -> None:
    """A10: a good packet cut at every length 0..64, RTP and RTCP, at secure and plain ports."""
    packet = bytes(call.session.protect_rtp(rtp(5)))
    report = struct.pack("!BBHIQIII", 0x80, 200, 6, 99, 0, 0, 0, 0)
    protected = bytes(call.session.protect_rtcp(report))
    # the whole of one would be an authentic packet from a new address, which a secure leg follows
    cut = [data[:length] for data in (packet, protected) for length in range(min(65, len(data)))]

    def disturb() -> None:
        for port in (call.secure_port, call.secure_rtcp_port):
            spray(port, cut)

    call.media_while(disturb)


def test_plain_rtcp_on_a_secure_leg(call: Call) -> None:
    """A18, A11: an RTCP BYE without tag is never forwarded to the plain side."""
    goodbye = struct.pack("!BBHI", 0x81, 203, 1, 12)
    call.media_while(lambda: (spray(call.secure_rtcp_port, [goodbye] * 200), None)[1])
    assert sum(call.drops().values()) >= 200


def test_every_first_octet(call: Call) -> None:
    """A12, D10: 0..255 in the first octet; nothing but authenticated media passes."""
    payload = os.urandom(60)
    call.media_while(lambda: (spray(call.secure_port, [bytes([first]) + payload for first in range(256)]), None)[1])


def test_million_forged_sources(call: Call) -> None:
    """A05, B6: 10^6 SSRCs that do not authenticate: no state, memory unchanged, the call goes on."""
    call.endpoints.run(seconds=0.5)
    memory, sources = call.stack.resident_kib(), call.leg_b().receive.ssrcs
    body = os.urandom(170)
    forged = (RTP.pack(0x80, 0, number & 0xFFFF, number, number) + body for number in range(FORGED))
    assert spray(call.secure_port, forged) == FORGED
    wait_for(lambda: quiet(call), 20, lambda: str(call.drops()))
    drops = call.drops()
    assert drops["auth_fail"] > 10_000, drops  # the rest overflowed the socket, as a flood should
    assert call.leg_b().receive.ssrcs == sources == 1
    assert abs(call.stack.resident_kib() - memory) < 4096
    call.media_while(lambda: None)


def quiet(call: Call) -> bool:
    """The worker has caught up: two looks in a row show the same."""
    first = call.drops()
    call.endpoints.run(seconds=0.1, packets=1, interval_us=20_000)
    return call.drops() == first


def test_injection_into_the_plain_leg(call: Call) -> None:
    """A1: a stranger's RTP at the plain leg's port reaches nobody once the caller was heard."""
    call.endpoints.run(seconds=0.3)
    before = call.leg_b().rtp.sent_packets
    spray(call.plain_port, [rtp(number, ssrc=11) for number in range(200)])
    wait_for(lambda: plain_drops(call) >= 200, 5, lambda: str(plain_drops(call)))
    assert call.leg_b().rtp.sent_packets == before
    call.media_while(lambda: None)


def plain_drops(call: Call) -> int:
    seen = call.stack.calls.Get(calls_pb2.GetCallRequest(call_id=call.call_id), timeout=5)
    return int(seen.streams[0].a.drops.get("source", 0))


NG_GARBAGE = [
    b"", b" ", b"x", b"cookie", b"cookie ", b"c d", b"c d3:foo", b"c i12", b"c " + b"l" * 5000, b"c " + b"d1:a" * 5000,
    b"c 99999999999:x", b"c {", b'c {"command":', b'c {"command": 7}', b"c []", b"c null", b"c d7:command4:pinge junk",
    os.urandom(1400), b"c \xff\xfe" + bytes(500), b'c {"command":"offer"}',
    b'c {"command":"offer","call-id":[],"sdp":{}}',
    b'c {"command":"delete"}', b'c {"command":"offer","call-id":"' + b"a" * 8000 + b'"}',
]  # fmt: skip


def test_malformed_ng(call: Call) -> None:
    """NG: garbage is answered with a clear error or not at all; a ping right after it is answered."""

    def disturb() -> None:
        for number, garbage in enumerate(NG_GARBAGE):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
                link.settimeout(3)
                link.connect(call.stack.ng)
                link.send(garbage)
                link.send(b"p%d d7:command4:pinge" % number)
                replies = [link.recv(65535)]
                while not replies[-1].startswith(b"p%d " % number):
                    replies.append(link.recv(65535))
            assert b"4:pong" in replies[-1]
            assert all(b"error-reason" in reply for reply in replies[:-1]), (garbage[:60], replies)

    call.media_while(disturb)


SDP_GARBAGE = [
    "", "x", "v=0", "v=1\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n", "v=0\r\nm=audio\r\n",
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 nowhere\r\nt=0 0\r\nm=audio 70000 RTP/AVP 0\r\n",
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n" + "a=" + "x" * 100_000 + "\r\n",
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n" + "m=audio 9 RTP/AVP 0\r\n" * 1000,
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/SAVP 0\r\n"
    + "".join(f"a=crypto:{tag} AES_CM_128_HMAC_SHA1_80 inline:!!!\r\n" for tag in range(1, 4_000)),
]  # fmt: skip


def test_malformed_sdp(call: Call) -> None:
    """C2, C7: every one is refused with a reason and a field, within the deadline, and leaves nothing."""
    before = call.stack.status().calls

    def disturb() -> None:
        for number, sdp in enumerate(SDP_GARBAGE):
            with pytest.raises(grpc.RpcError) as refused:
                call.stack.calls.Offer(
                    calls_pb2.OfferRequest(call_id=f"bad-{number}", from_tag="f", sdp=sdp), timeout=2
                )
            code = refused.value.code()  # type: ignore[attr-defined]
            assert code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION), (number, code)
            assert refused.value.details()  # type: ignore[attr-defined]

    call.media_while(disturb)
    assert call.stack.status().calls == before


def bad_sessions() -> list[tuple[str, sessions_pb2.CreateSessionRequest]]:
    stream = sessions_pb2.SessionStream
    leg = sessions_pb2.SessionLeg
    short = sessions_pb2.SessionCrypto(suite=SUITE.name, keys=[sessions_pb2.MasterKey(key=b"k", salt=bytes(14))])
    unknown = sessions_pb2.SessionCrypto(suite="ROT13", keys=short.keys)
    request = sessions_pb2.CreateSessionRequest
    return [
        ("streams", request()),
        ("key", request(streams=[stream(a=leg(), b=leg(receive=short, send=short))])),
        ("suite", request(streams=[stream(a=leg(), b=leg(receive=unknown, send=unknown))])),
        ("interface", request(streams=[stream(a=leg(interface="nowhere"), b=leg())])),
        ("host", request(streams=[stream(a=leg(remote_rtp={"host": "not an address", "port": 5}), b=leg())])),
        ("port", request(streams=[stream(a=leg(remote_rtp={"host": "127.0.0.1", "port": 70000}), b=leg())])),
    ]


def test_malformed_sessions(call: Call) -> None:
    """gRPC: INVALID_ARGUMENT naming the field; nothing is left open."""
    before = call.stack.status().workers[0].flows_used
    for word, request in bad_sessions():
        with pytest.raises(grpc.RpcError) as refused:
            call.stack.sessions.CreateSession(request, timeout=2)
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT, word  # type: ignore[attr-defined]
        assert word in refused.value.details(), (word, refused.value.details())  # type: ignore[attr-defined]
    assert call.stack.status().workers[0].flows_used == before


def test_garbage_at_the_api_socket(call: Call) -> None:
    """H1: octets that are no HTTP/2, and a message beyond the limit; the next request is answered."""

    def disturb() -> None:
        noise = random.Random(7)
        for _ in range(20):
            with socket.socket(socket.AF_UNIX) as link:
                link.connect(f"{call.stack.place}/run/control.sock")
                link.send(noise.randbytes(2000))
        with pytest.raises(grpc.RpcError):
            huge = calls_pb2.OfferRequest(call_id="huge", from_tag="f", sdp="x" * 20_000_000)
            call.stack.calls.Offer(huge, timeout=5)
        assert call.stack.healthy()

    call.media_while(disturb)


def test_log_is_short_and_has_no_keys(stack: Stack) -> None:
    """A8, H3: after all of the above the log is small, and it is JSON or plain lines without key material."""
    log = stack.log()
    assert len(log) < 200_000
    assert "inline:" not in log.replace("inline:***", "")
    for line in log.splitlines():
        if line.startswith("{"):
            json.loads(line)
