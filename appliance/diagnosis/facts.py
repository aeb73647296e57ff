"""What a diagnosis looks at: the view of the call, its keys (which never leave this package) and kept datagrams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from appliance.calls.media import Address, ContextSpec, LegMedia
from appliance.calls.views import CallView, LegView, StreamView


@dataclass(frozen=True, slots=True)
class Sample:
    """A datagram that was dropped (kernels/flow/samples.pxd says how much of it is kept)."""

    rtcp_port: bool  # arrived at the leg's RTCP port, which is not the RTP port
    drop: str  # Drop name in lower case
    kind: str  # what its first octets say: rtp, rtcp, unknown, ...
    age_s: float
    source: Address | None
    length: int  # octets of the datagram
    data: bytes = field(repr=False)

    @property
    def whole(self) -> bool:
        return len(self.data) == self.length


@dataclass(frozen=True, slots=True)
class LegFacts:
    """One leg of one stream."""

    side: str  # "a", "b"
    view: LegView
    media: LegMedia = field(repr=False)
    samples: Sequence[Sample] = field(default=(), repr=False)
    earlier: Sequence[ContextSpec] = field(default=(), repr=False)  # what its sender used before the last re-key
    rtp_age_s: float | None = None  # since the last accepted packet at the RTP port; None: none yet


@dataclass(frozen=True, slots=True)
class StreamFacts:
    view: StreamView
    a: LegFacts
    b: LegFacts
    payload_types: Sequence[int] = ()  # as offered, in order; empty: not known

    def leg(self, side: str) -> LegFacts:
        return self.a if side == "a" else self.b


@dataclass(frozen=True, slots=True)
class CallFacts:
    view: CallView
    streams: Sequence[StreamFacts]
    worker_state: str = "run"
    heartbeat_age_s: float = 0.0
