"""Every ordered pair of suites through the running gateway: low-level sessions by gRPC, no SIP (row A25)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest

from appliance.protocols.srtp.suites import SUITES, Suite
from kernels.load.endpoints import Endpoints
from kernels.load.plan import KeyBytes, StreamConfig, Transform, totals
from srtpgw.v1 import calls_pb2, sessions_pb2
from tests.system.lab import wait_for
from tests.system.stack import Stack, crypto, endpoint, running

pytestmark = [pytest.mark.system]

# The 17 strings of the reference, the two NULL ones, and plain RTP: a leg without keys.
NAMES: list[tuple[str, Suite | None]] = [("RTP", None)]
NAMES += [(name, suite) for suite in SUITES for name in (suite.name, *suite.aliases)]
PACKETS = 40


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running(first=31000, last=31999, ng=29301, calls=100) as started:
        yield started


def key_bytes(context: sessions_pb2.SessionCrypto) -> KeyBytes:
    return KeyBytes(context.keys[0].key, context.keys[0].salt)


def transform(suite: Suite) -> Transform:
    return Transform(suite.cipher, suite.auth, suite.key_octets, suite.salt_octets, suite.rtp_tag, suite.rtcp_tag)


def local(leg: calls_pb2.Leg) -> tuple[tuple[str, int], tuple[str, int]]:
    return ("127.0.0.1", leg.local_rtp.port), ("127.0.0.1", leg.local_rtcp.port)


class Side:
    """One leg of one session: what the gateway is told, and the endpoint that plays the peer."""

    def __init__(self, name: str, suite: Suite | None) -> None:
        self.suite = suite
        self.leg = sessions_pb2.SessionLeg()
        if suite is not None:
            self.leg.receive.CopyFrom(crypto(name, suite))
            self.leg.send.CopyFrom(crypto(name, suite))

    def config(self, ssrc: int, first_sequence: int) -> StreamConfig:
        secured = self.suite is not None
        return StreamConfig(
            local=("127.0.0.1", 0), rtcp_local=("127.0.0.1", 0), ssrc=ssrc, first_sequence=first_sequence,
            interval_us=20_000, rtcp_interval_us=200_000,
            transform=transform(self.suite) if self.suite else None,
            send_key=key_bytes(self.leg.receive) if secured else None,
            receive_key=key_bytes(self.leg.send) if secured else None,
        )  # fmt: skip


@pytest.mark.parametrize(("name", "suite"), NAMES, ids=[name for name, _ in NAMES])
def test_every_pair(stack: Stack, name: str, suite: Suite | None) -> None:
    """A25, A24, A02: this suite on leg A against every suite on leg B, both ways at once, the sequence wrapping in
    mid-stream (A14). Payload octets and RTP headers arrive as sent, RTCP too (A18), and nothing stays behind."""
    pairs = [(Side(name, suite), Side(*other)) for _, other in product([0], NAMES)]
    configs = [
        side.config(ssrc=1000 + 2 * number + which, first_sequence=65520)
        for number, pair in enumerate(pairs)
        for which, side in enumerate(pair)
    ]
    endpoints = Endpoints(configs)
    ports = endpoints.ports()
    opened = []
    try:
        for number, pair in enumerate(pairs):
            for which, side in enumerate(pair):
                rtp, rtcp = ports[2 * number + which]
                side.leg.remote_rtp.CopyFrom(endpoint(rtp))
                side.leg.remote_rtcp.CopyFrom(endpoint(rtcp))
            stream = sessions_pb2.SessionStream(kind="audio", a=pair[0].leg, b=pair[1].leg)
            call = stack.sessions.CreateSession(sessions_pb2.CreateSessionRequest(streams=[stream]), timeout=5)
            opened.append(call.call_id)
            for which, leg in enumerate((call.streams[0].a, call.streams[0].b)):
                endpoints.connect(2 * number + which, *local(leg))
        endpoints.run(seconds=5, packets=PACKETS)
        faults = [
            f"{name} with {NAMES[report.number // 2][0]}, leg {'ab'[report.number % 2]}: {report}"
            for report in endpoints.report()
            if report.sent != PACKETS or report.received != PACKETS or not totals([report]).flawless
            or not report.rtcp_received
        ]  # fmt: skip
        assert not faults, "\n".join(faults)
    finally:
        endpoints.close()
        for call_id in opened:
            stack.sessions.DeleteSession(sessions_pb2.DeleteSessionRequest(call_id=call_id), timeout=5)
    wait_for(lambda: nothing_left(stack), 5, lambda: str(stack.status()))


def nothing_left(stack: Stack) -> bool:
    status = stack.status()
    return status.calls == 0 and all(
        not worker.flows_used and not worker.cryptos_used and not any(worker.ports_used.values())
        for worker in status.workers
    )


def test_rollover_is_visible(stack: Stack) -> None:
    """A06: after a wrap the context shows ROC 1 and how many packets it took, and no octet of a key."""
    suite = SUITES[0]
    a, b = Side("RTP", None), Side(suite.name, suite)
    endpoints = Endpoints([a.config(1, 65530), b.config(2, 65530)])
    for side, (rtp, rtcp) in zip((a, b), endpoints.ports(), strict=True):
        side.leg.remote_rtp.CopyFrom(endpoint(rtp))
        side.leg.remote_rtcp.CopyFrom(endpoint(rtcp))
    stream = sessions_pb2.SessionStream(a=a.leg, b=b.leg)
    call = stack.sessions.CreateSession(sessions_pb2.CreateSessionRequest(streams=[stream]), timeout=5)
    for which, leg in enumerate((call.streams[0].a, call.streams[0].b)):
        endpoints.connect(which, *local(leg))
    endpoints.run(seconds=5, packets=20)
    endpoints.close()
    seen = stack.calls.Get(calls_pb2.GetCallRequest(call_id=call.call_id), timeout=5)
    stack.sessions.DeleteSession(sessions_pb2.DeleteSessionRequest(call_id=call.call_id), timeout=5)
    leg = seen.streams[0].b
    assert (leg.receive.suite, leg.receive.roc, leg.send.roc) == (suite.name, 1, 1)
    assert leg.receive.packets >= 20
    assert leg.send.packets >= 20
    shown = seen.SerializeToString()
    for context in (b.leg.receive, b.leg.send):
        assert context.keys[0].key not in shown
        assert context.keys[0].salt not in shown
