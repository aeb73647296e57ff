"""rtpengine as the foreign oracle of the suites that libsrtp lacks or gets wrong: F8 and AES-192 (B03..B06).

rtpengine stands between a plain leg and an SDES leg. The plain RTP sent in comes out as its SRTP, which our reference
must open; SRTP of our reference goes in and must come out as the plain RTP. RTCP too."""

from __future__ import annotations

import base64
import itertools
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.protocols.srtp import suites
from appliance.protocols.srtp.reference import Context, Key, Parameters
from kernels.srtp.session import Session
from kernels.srtp.transform import Transform
from tests.system.ng import NgClient
from tests.system.rtpengine import PROGRAM, rtpengine

pytestmark = [pytest.mark.system, pytest.mark.skipif(PROGRAM is None, reason="rtpengine-daemon is not installed")]

NAMES = [
    "F8_128_HMAC_SHA1_80", "F8_128_HMAC_SHA1_32", "AES_192_CM_HMAC_SHA1_80", "AES_192_CM_HMAC_SHA1_32",
    "AES_256_CM_HMAC_SHA1_80", "AEAD_AES_256_GCM",
]  # fmt: skip
CALLS = itertools.count()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NgClient]:
    log: Path = tmp_path_factory.mktemp("rtpengine") / "log"
    with rtpengine(27900, (27500, 27899), log=log) as (ng, _):
        yield ng


class Leg:
    """Two sockets of one side of the call: RTP, and RTCP on the next port."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        for offset, one in enumerate(self.sockets):
            one.bind(("127.0.0.1", port + offset))
            one.settimeout(3)

    def aim(self, sdp: str) -> None:
        port = media_port(sdp)
        for offset, one in enumerate(self.sockets):
            one.connect(("127.0.0.1", port + offset))

    def sdp(self, profile: str, *lines: str) -> str:
        head = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0"]
        return "\r\n".join([*head, f"m=audio {self.port} {profile} 0", "a=rtpmap:0 PCMU/8000", *lines, ""])

    def close(self) -> None:
        for one in self.sockets:
            one.close()


def media_port(sdp: str) -> int:
    found = re.search(r"^m=audio (\d+)", sdp, re.M)
    assert found is not None
    return int(found[1])


def crypto_key(sdp: str, name: str) -> bytes:
    found = re.search(rf"^a=crypto:\d+ {name} inline:([A-Za-z0-9+/=]+)", sdp, re.M)
    assert found is not None, sdp
    return base64.b64decode(found[1] + "=" * (-len(found[1]) % 4))


def contexts(suite: suites.Suite, keys: bytes, *, send: bool) -> tuple[Context, Session]:
    """Our reference and our engine with one master key."""
    key, salt = keys[: suite.key_octets], keys[suite.key_octets :]
    lengths = suite.key_octets, suite.salt_octets, suite.rtp_tag, suite.rtcp_tag
    transform = Transform(suite.cipher, suite.auth, *lengths)
    return Context(Parameters(suite), Key(key, salt)), Session(transform, key, salt, send=send)


@pytest.mark.parametrize("name", NAMES)
def test_both_directions(client: NgClient, name: str) -> None:
    """B03..B08, B15: SRTP and SRTCP of rtpengine opened by us, ours opened by rtpengine."""
    suite = suites.find(name)
    assert suite is not None
    number = next(CALLS)
    plain, secure = Leg(27400 + 8 * number), Leg(27404 + 8 * number)
    ours = bytes(range(1, 1 + suite.master_octets))
    try:
        offer = client.request(
            "offer", call_id=f"oracle-{number}", from_tag="a", sdp=plain.sdp("RTP/AVP"), ICE="remove", DTLS="off",
            transport_protocol="RTP/SAVP", SDES=[f"only-{name}"], flags=["trust-address"],
        )["sdp"]  # fmt: skip
        tag = re.search(rf"^a=crypto:(\d+) {name}", offer, re.M)
        assert tag is not None, offer
        line = f"a=crypto:{tag[1]} {name} inline:{base64.b64encode(ours).decode()}"
        answer = client.request(
            "answer", call_id=f"oracle-{number}", from_tag="a", to_tag="b", sdp=secure.sdp("RTP/SAVP", line),
            ICE="remove", flags=["trust-address"],
        )["sdp"]  # fmt: skip
        plain.aim(answer)
        secure.aim(offer)
        exchange(plain, secure, contexts(suite, crypto_key(offer, name), send=False), contexts(suite, ours, send=True))
        client.request("delete", call_id=f"oracle-{number}", from_tag="a")
    finally:
        plain.close()
        secure.close()


def exchange(plain: Leg, secure: Leg, theirs: tuple[Context, Session], ours: tuple[Context, Session]) -> None:
    for sequence in [65534, 65535, 0, 1, 2]:
        packet = b"\x80\0" + sequence.to_bytes(2, "big") + b"timessrc" + bytes(range(160 - sequence % 7))
        plain.sockets[0].send(packet)
        sealed = secure.sockets[0].recv(2000)
        assert theirs[0].unprotect(sealed, rtcp=False) == theirs[1].unprotect_rtp(sealed) == packet
        back = ours[0].protect(packet, rtcp=False)
        assert back == ours[1].protect_rtp(packet) and isinstance(back, bytes)
        secure.sockets[0].send(back)
        assert plain.sockets[0].recv(2000) == packet
    for number in range(3):
        report = b"\x80\xc8\0\6ssrc" + bytes([number] * 20)
        plain.sockets[1].send(report)
        sealed = secure.sockets[1].recv(2000)
        assert theirs[0].unprotect(sealed, rtcp=True) == theirs[1].unprotect_rtcp(sealed) == report
        back = ours[0].protect(report, rtcp=True)
        assert back == ours[1].protect_rtcp(report) and isinstance(back, bytes)
        secure.sockets[1].send(back)
        assert plain.sockets[1].recv(2000) == report
