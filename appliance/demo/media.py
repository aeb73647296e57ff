"""The media of the demonstration call: one endpoint sends plain RTP, the other SRTP; each verifies what it hears."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.demo.established import Established
from appliance.protocols.srtp.suites import Suite
from kernels.load.endpoints import Endpoints
from kernels.load.plan import KeyBytes, StreamConfig, StreamReport
from kernels.srtp.transform import Transform

INTERVAL_US = 20_000
CALLER, CALLEE = 0, 1


@dataclass(frozen=True)
class LocalPorts:
    host: str
    rtp: int
    rtcp: int


def transform(suite: Suite) -> Transform:
    return Transform(suite.cipher, suite.auth, suite.key_octets, suite.salt_octets, suite.rtp_tag, suite.rtcp_tag)


def split(suite: Suite, master: bytes) -> KeyBytes:
    """An SDES inline value to key and salt (RFC 4568 section 6.1)."""
    return KeyBytes(master[: suite.key_octets], master[suite.key_octets :])


def free_ports(host: str, count: int = 64) -> LocalPorts:
    """An even port and the next one, both free now. OSError when none is found."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(count):
        with socket.socket(family, socket.SOCK_DGRAM) as one, socket.socket(family, socket.SOCK_DGRAM) as two:
            one.bind((host, 0))
            port = one.getsockname()[1]
            if port % 2:
                continue
            try:
                two.bind((host, port + 1))
            except OSError:
                continue
            return LocalPorts(host, port, port + 1)
    raise OSError(f"no free pair of ports on {host}")


def endpoints(caller: LocalPorts, callee: LocalPorts) -> Endpoints:
    """Both ends, sockets open, not yet knowing where to send: their ports go into the SDP first."""
    return Endpoints([_listener(caller, 0xA0A0, CALLER, CALLEE), _listener(callee, 0xB0B0, CALLEE, CALLER)])


def join(ends: Endpoints, call: Established) -> None:
    """Point both ends at the gateway and give the secure one its keys."""
    ends.connect(CALLER, call.gateway_at_caller.rtp, call.gateway_at_caller.rtcp)
    ends.connect(CALLEE, call.gateway_at_callee.rtp, call.gateway_at_callee.rtcp)
    send, receive = split(call.suite, call.callee_key), split(call.suite, call.gateway_key)
    ends.secure(CALLEE, transform(call.suite), send, receive)


def talk(ends: Endpoints, seconds: float) -> Sequence[StreamReport]:
    """Packets every 20 ms both ways, then listen for the last ones."""
    ends.run(seconds, 0, INTERVAL_US, 500)
    return ends.report()


def _listener(ports: LocalPorts, ssrc: int, number: int, expects: int) -> StreamConfig:
    return StreamConfig(
        local=(ports.host, ports.rtp), rtcp_local=(ports.host, ports.rtcp), ssrc=ssrc, number=number, expects=expects,
        interval_us=INTERVAL_US,
    )  # fmt: skip
