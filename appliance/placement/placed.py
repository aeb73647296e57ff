"""A stream where it lives: its ports, and the slots that were taken for it."""

from __future__ import annotations

from dataclasses import dataclass, field

from appliance.calls.media import LocalPorts, StreamPlacement

FLOWS = ("a_rtp", "a_rtcp", "b_rtp", "b_rtcp")


@dataclass(slots=True)
class PlacedStream:
    """A stream where it lives: its ports, and the slots taken for it so far, by the names of FLOWS and of
    `desired_contexts.CRYPTOS`."""

    placement: StreamPlacement
    interface_a: str  # "": this leg has no ports (StreamMedia.copies_of)
    interface_b: str
    flows: dict[str, int] = field(default_factory=dict)
    cryptos: dict[str, int] = field(default_factory=dict)

    @property
    def ends(self) -> list[tuple[str, LocalPorts]]:
        """Interface and ports of each leg that has some."""
        both = ((self.interface_a, self.placement.a), (self.interface_b, self.placement.b))
        return [(interface, ours) for interface, ours in both if interface]
