"""What is hidden of one side from the other (rows K04 to K06)."""

from __future__ import annotations

from dataclasses import dataclass, field

from appliance.sip_edge.ksr.rules.masking import Mask

OLD = "oldmask"  # htable: Call-IDs of dialogs that began under the earlier key
NETWORK = "$(avp(network)[*])"  # a message as it arrived or will leave, while keys are changed (module corex)


@dataclass(frozen=True)
class TopologyRules:
    """`mask`, `earlier`: keys, while the second is still taken: until `until`, seconds since 1970."""

    mask: Mask | None = field(default=None, repr=False)
    earlier: Mask | None = field(default=None, repr=False)
    until: float = 0.0
    addresses: bool = False  # hide those in From, To and other headers
    ours: tuple[str, ...] = ()  # our SIP addresses
    stand_in: str = "127.0.0.8"  # where none of ours is known to face the next hop
    user_agent: bool = True
    call_ids: bool = True  # are masked

    @property
    def masks(self) -> tuple[Mask, ...]:
        """Keys that Call-IDs are under, that of now first; none: they pass as they are."""
        return tuple(one for one in (self.mask, self.earlier) if one is not None) if self.mask and self.call_ids else ()
