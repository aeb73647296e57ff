"""Calls through NG and the load endpoints that belong to them; each side plain RTP or SRTP with keys from SDES."""

from __future__ import annotations

import base64
import os
import re
from dataclasses import dataclass

from appliance.protocols.srtp import suites
from kernels.load.plan import KeyBytes, StreamConfig
from kernels.srtp.transform import Transform
from tests.bench.places import Place
from tests.system.ng import NgClient

FLAGS = ["trust-address"]
FIRST_PORT = 10_000  # of the endpoints, RTP and RTCP of a call on each side


@dataclass(frozen=True, slots=True)
class Scenario:
    """What a call is: whose side is secure (caller's, callee's), under which suite, with how much in a packet."""

    name: str
    suite: str = "AES_CM_128_HMAC_SHA1_80"
    secure: tuple[bool, bool] = (False, True)
    payload: int = 160

    @property
    def row(self) -> suites.Suite:
        found = suites.find(self.suite)
        assert found is not None, self.suite
        return found


@dataclass(frozen=True, slots=True)
class Call:
    """Two endpoints and the name they are known by."""

    call_id: str
    streams: tuple[StreamConfig, StreamConfig]


def set_up(client: NgClient, place: Place, scenario: Scenario, number: int, prefix: str = "bench") -> Call:
    """Offer and answer of one call. NgError, TimeoutError."""
    suite, call_id = scenario.row, f"{prefix}-{number}"
    port = FIRST_PORT + 2 * number
    keys = [os.urandom(suite.master_octets) if secure else None for secure in scenario.secure]
    flags = {"ICE": "remove", "flags": FLAGS}
    offered = _sdp(place.hosts[0], port, suite, keys[0], "1")
    way = {"direction": list(place.interfaces)} if len(place.interfaces) > 1 else {}
    protocol = {"transport_protocol": "RTP/SAVP" if keys[1] else "RTP/AVP"}
    wanted = {"SDES": [f"only-{suite.name}"]} if keys[1] else {}
    offer = client.request(
        "offer", call_id=call_id, from_tag="a", sdp=offered, DTLS="off", rtcp_mux=["demux"],
        **flags, **way, **protocol, **wanted,
    )["sdp"]  # fmt: skip
    tag, to_callee = _crypto(offer, suite) if keys[1] else ("", None)
    answered = _sdp(place.hosts[1], port, suite, keys[1], tag)
    answer = client.request("answer", call_id=call_id, from_tag="a", to_tag="b", sdp=answered, **flags)["sdp"]
    to_caller = _crypto(answer, suite)[1] if keys[0] else None
    return Call(call_id, (
        _stream(place, scenario, number, 0, port, answer, (keys[0], to_caller)),
        _stream(place, scenario, number, 1, port, offer, (keys[1], to_callee)),
    ))  # fmt: skip


def tear_down(client: NgClient, call_id: str) -> None:
    client.request("delete", call_id=call_id, from_tag="a")


def _stream(place: Place, scenario: Scenario, number: int, side: int, port: int, told: str,
            keys: tuple[bytes | None, bytes | None]) -> StreamConfig:  # fmt: skip
    """The endpoint of one side; `told`: the gateway's SDP to it; keys: what it sends with, what it hears with."""
    suite = scenario.row
    sends, hears = (None if key is None else _cut(key, suite) for key in keys)
    lengths = suite.key_octets, suite.salt_octets, suite.rtp_tag, suite.rtcp_tag
    return StreamConfig(
        (place.hosts[side], port), _address(told), payload_octets=scenario.payload, timestamp_step=scenario.payload,
        ssrc=2 * number + side + 1, number=2 * number + side, expects=2 * number + 1 - side, rtcp_interval_us=0,
        transform=None if sends is None else Transform(suite.cipher, suite.auth, *lengths),
        send_key=sends, receive_key=hears,
    )  # fmt: skip


def _sdp(host: str, port: int, suite: suites.Suite, key: bytes | None, tag: str) -> str:
    lines = ["v=0", f"o=- 1 1 IN IP4 {host}", "s=-", f"c=IN IP4 {host}", "t=0 0"]
    lines += [f"m=audio {port} {'RTP/SAVP' if key else 'RTP/AVP'} 0", "a=rtpmap:0 PCMU/8000"]
    if key:
        lines.append(f"a=crypto:{tag} {suite.name} inline:{base64.b64encode(key).decode()}")
    return "\r\n".join([*lines, ""])


def _address(sdp: str) -> tuple[str, int]:
    """Where the gateway wants the media of this side."""
    port, hosts = re.search(r"^m=audio (\d+)", sdp, re.M), re.findall(r"^c=IN IP4 ([\d.]+)", sdp, re.M)
    if port is None or not hosts:
        raise ValueError(f"no audio in the answer: {sdp}")
    return hosts[-1], int(port[1])  # the media's own line comes last and counts (RFC 8866 section 5.7)


def _crypto(sdp: str, suite: suites.Suite) -> tuple[str, bytes]:
    spellings = "|".join(suite.spellings)
    found = re.search(rf"^a=crypto:(\d+) (?:{spellings}) inline:([A-Za-z0-9+/=]+)", sdp, re.M)
    if found is None:
        raise ValueError(f"{suite.name} was not offered: {sdp}")
    return found[1], base64.b64decode(found[2] + "=" * (-len(found[2]) % 4))


def _cut(keys: bytes, suite: suites.Suite) -> KeyBytes:
    return KeyBytes(keys[: suite.key_octets], keys[suite.key_octets :])
