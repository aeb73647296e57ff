"""One connectivity check on its way (RFC 8489 section 6.2.1)."""

from __future__ import annotations

from dataclasses import dataclass, field

from appliance.protocols.ice.checklist import Pair

RTO_S = 0.5  # RFC 8445 section 14.3: at least 500 ms
SENDINGS = 7  # Rc
LAST_WAIT = 16  # Rm: times RTO, behind the last sending
NOMINATION_S = 1.0  # between repetitions of a nomination: its way is known to work, and media waits for the answer
LONGEST_S: float = RTO_S * (2 ** (SENDINGS - 1) - 1 + LAST_WAIT)  # 39.5 s


@dataclass(slots=True)
class Transaction:
    """A binding request. `due`: when it is sent again, or is over."""

    pair: Pair
    data: bytes = field(repr=False)
    due: float
    controlling: bool  # the role it speaks of
    nominates: bool
    rto_s: float = RTO_S
    begun: float = 0.0
    sent: int = 1
    cancelled: bool = False  # not sent again; an answer still counts (RFC 8445 section 7.3.1.4)

    def again(self, now: float) -> bool:
        """At `due`: whether to send once more. False: the time is over."""
        if self.cancelled:
            return False
        if self.nominates:
            self.due = now + max(self.rto_s, NOMINATION_S)
            return now < self.begun + LONGEST_S
        if self.sent == SENDINGS:
            return False
        self.sent += 1
        waits = LAST_WAIT if self.sent == SENDINGS else 2 ** (self.sent - 1)
        self.due = now + waits * self.rto_s
        return True


def begin(pair: Pair, data: bytes, now: float, *, controlling: bool, nominates: bool, rto_s: float) -> Transaction:
    return Transaction(pair, data, now + rto_s, controlling, nominates, rto_s, begun=now)
