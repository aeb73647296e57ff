"""Calls through NG, RTP on one side and SDES on the other, and the load endpoints that belong to them."""

from __future__ import annotations

import base64
import os
import re
from dataclasses import dataclass

from appliance.protocols.srtp import suites
from kernels.load.plan import KeyBytes, StreamConfig
from kernels.srtp.transform import Transform
from tests.system.ng import NgClient

HOST = "127.0.0.1"
FLAGS = ["trust-address"]


@dataclass(frozen=True, slots=True)
class Call:
    """Two endpoints and the name they are known by."""

    call_id: str
    streams: tuple[StreamConfig, StreamConfig]


def set_up(client: NgClient, number: int, ports: tuple[int, int], suite: suites.Suite, prefix: str = "bench") -> Call:
    """Offer and answer of one call: plain on `ports[0]`, `suite` on `ports[1]`. NgError, TimeoutError."""
    call_id, ours = f"{prefix}-{number}", os.urandom(suite.master_octets)
    offer = client.request(
        "offer", call_id=call_id, from_tag="a", sdp=_sdp(ports[0], "RTP/AVP"), ICE="remove", DTLS="off",
        transport_protocol="RTP/SAVP", SDES=[f"only-{suite.name}"], flags=FLAGS, rtcp_mux=["demux"],
    )["sdp"]  # fmt: skip
    tag, theirs = _crypto(offer, suite)
    line = f"a=crypto:{tag} {suite.name} inline:{base64.b64encode(ours).decode()}"
    answer = client.request(
        "answer", call_id=call_id, from_tag="a", to_tag="b", sdp=_sdp(ports[1], "RTP/SAVP", line), ICE="remove",
        flags=FLAGS,
    )["sdp"]  # fmt: skip
    lengths = suite.key_octets, suite.salt_octets, suite.rtp_tag, suite.rtcp_tag
    plain = StreamConfig(
        (HOST, ports[0]), (HOST, _port(answer)), ssrc=2 * number + 1, number=2 * number, expects=2 * number + 1,
        rtcp_interval_us=0,
    )  # fmt: skip
    secure = StreamConfig(
        (HOST, ports[1]), (HOST, _port(offer)), ssrc=2 * number + 2, number=2 * number + 1, expects=2 * number,
        rtcp_interval_us=0, transform=Transform(suite.cipher, suite.auth, *lengths),
        send_key=_cut(ours, suite), receive_key=_cut(theirs, suite),
    )  # fmt: skip
    return Call(call_id, (plain, secure))


def tear_down(client: NgClient, call_id: str) -> None:
    client.request("delete", call_id=call_id, from_tag="a")


def _sdp(port: int, profile: str, *lines: str) -> str:
    head = ["v=0", f"o=- 1 1 IN IP4 {HOST}", "s=-", f"c=IN IP4 {HOST}", "t=0 0"]
    return "\r\n".join([*head, f"m=audio {port} {profile} 0", "a=rtpmap:0 PCMU/8000", *lines, ""])


def _port(sdp: str) -> int:
    found = re.search(r"^m=audio (\d+)", sdp, re.M)
    if found is None:
        raise ValueError(f"no audio in the answer: {sdp}")
    return int(found[1])


def _crypto(sdp: str, suite: suites.Suite) -> tuple[str, bytes]:
    found = re.search(rf"^a=crypto:(\d+) {suite.name} inline:([A-Za-z0-9+/=]+)", sdp, re.M)
    if found is None:
        raise ValueError(f"{suite.name} was not offered")
    return found[1], base64.b64decode(found[2] + "=" * (-len(found[2]) % 4))


def _cut(keys: bytes, suite: suites.Suite) -> KeyBytes:
    return KeyBytes(keys[: suite.key_octets], keys[suite.key_octets :])
