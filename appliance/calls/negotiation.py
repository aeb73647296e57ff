"""One call's offer/answer state (RFC 3264 between two legs), sans-I/O. See docs/architecture.md "negotiation (pure) <-> calls"."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from appliance.calls.media import StreamMedia, StreamPlacement
from appliance.policy.options import MediaOptions


@dataclass(frozen=True, slots=True)
class StreamNeed:
    """One m-line that needs ports on both legs. `a` and `b` are interface names; leg a is always the side that made the call's
    first offer, also when leg b re-offers, so a placement made once stays right. `line` (index of the m-line) identifies the
    stream for the life of the call: keep placements by it. Place RTP and RTCP on both legs, whatever mux says."""

    line: int
    kind: str
    interface_a: str
    interface_b: str


@dataclass(frozen=True, slots=True)
class OfferPlan:
    """What an offer comes to: `streams` need a placement each, in this order. Empty never (that is NotAcceptable)."""

    offerer: str  # "a" or "b"
    streams: tuple[StreamNeed, ...]


@dataclass(frozen=True, slots=True)
class Negotiated:
    """The SDP for the other side, and the desired media of every live stream. A line that is missing was refused or ended:
    its ports and contexts may go. Secure legs whose keys are not known yet have secure=True and no contexts."""

    sdp: bytes
    lines: tuple[int, ...]  # m-line of each stream
    streams: tuple[StreamMedia, ...]


class Negotiation:
    """Offer/answer for one call. Not thread safe. A refused call of a method leaves the state as it was."""

    def __init__(self, random: Callable[[int], bytes]) -> None:
        """`random(n)` gives n unpredictable octets (os.urandom)."""

    def read_offer(self, sdp: bytes, options: MediaOptions, from_tag: str = "") -> OfferPlan:
        """Parse and decide; changes nothing yet. `from_tag` tells on re-offers which leg speaks. InvalidSdp, NotAcceptable."""
        raise NotImplementedError

    def write_offer(self, plan: OfferPlan, ports: Sequence[StreamPlacement]) -> Negotiated:
        """Carry out the plan of the last read_offer: `ports` in the order of plan.streams, their `address` as it is to stand in SDP."""
        raise NotImplementedError

    def answer(
        self, sdp: bytes, options: MediaOptions, ports: Sequence[StreamPlacement] = (), to_tag: str = ""
    ) -> Negotiated:
        """The other side's answer to the last write_offer. `ports` may be left out (those of write_offer hold). May be called
        again with another `to_tag` (fork: the newest answer's keys replace the branch's). InvalidSdp, NotAcceptable."""
        raise NotImplementedError

    def to_record(self) -> dict[str, Any]:
        """JSON-compatible; contains keys, so the store must wrap it."""
        raise NotImplementedError

    @classmethod
    def from_record(cls, record: Mapping[str, Any], random: Callable[[int], bytes]) -> Negotiation:
        raise NotImplementedError
