"""What belongs to one pair of credentials: from the start of ICE to a restart, or from one to the next (RFC 8445
section 9)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from appliance.protocols.ice.candidate import Candidate, host_candidates
from appliance.protocols.ice.checklist import OPEN, CheckList, Pair, State
from appliance.protocols.ice.consent import DOUBT_S, Consent
from appliance.protocols.ice.outputs import Base, Credentials, Output, Selected, Valid
from appliance.protocols.ice.transaction import LONGEST_S

TRICKLE_S = 60.0  # for the peer's end-of-candidates; then what is known is all
LOOK_AGAIN_S = 1.0  # where the time is over, and something is still open
ALIVE_S = 3.0  # a nomination that the peer has not repeated for so long gives way to a later one


def _lately(pair: Pair, now: float) -> bool:
    """Whether the peer asks for consent there."""
    return pair.asked is not None and now - pair.asked < DOUBT_S


class Generation:
    """Check list, valid and selected pairs, consents of one data stream.

    A pair that the peer nominates is selected when it is better than the one that is: peers of RFC 5245 nominate
    several at once (aggressive nomination). One that is worse takes over when the selected one is not nominated any
    more: the peer has moved (RFC 8445 section 8.1.1 knows no second nomination, browsers do it when a network goes)."""

    def __init__(self, local: Credentials, bases: Iterable[Base], *, controlling: bool) -> None:
        self.bases = tuple(bases)
        self.local = local
        self.remote: Credentials | None = None
        self.complete = False  # the peer has no further candidates
        self.started: float | None = None
        self._look_at = 0.0
        self.selected: dict[int, Pair] = {}
        self.consents: dict[Pair, Consent] = {}
        self.valid_since: dict[int, float] = {}
        self.failed: frozenset[int] = frozenset()
        ours = host_candidates((base.component, base.address) for base in self.bases)
        self.pairs = CheckList(zip(self.bases, ours, strict=True), controlling=controlling)

    @property
    def components(self) -> frozenset[int]:
        return frozenset(base.component for base in self.bases)

    @property
    def settled(self) -> bool:
        """Every component has a selected pair."""
        return self.components <= self.selected.keys()

    def start(self, remote: Credentials, now: float) -> None:
        self.remote, self.started = remote, now

    def add(self, candidates: Iterable[Candidate]) -> None:
        for candidate in candidates:
            self.pairs.add(candidate)

    # ---------------------------------------------------------------- outcome of checks

    def succeeded(self, pair: Pair, now: float) -> list[Output]:
        """A check of this pair was answered."""
        if self.pairs.find(pair.base, pair.remote) is not pair:  # settled without it meanwhile
            return []
        component, first = pair.base.component, pair.base.component not in self.valid_since
        pair.state = State.SUCCEEDED
        self.pairs.checked(pair)
        self.valid_since.setdefault(component, now)
        told: list[Output] = [Valid(pair.base, pair.remote)] if first else []
        if pair.wanted:
            told += self.nominate(pair, now)
        return told

    def nominate(self, pair: Pair, now: float) -> list[Output]:
        """A valid pair was nominated, or was so again."""
        pair.wanted, pair.nominated, pair.nominating = False, now, False
        chosen = self.selected.get(pair.base.component)
        return [] if chosen is pair or (chosen and self._keeps(chosen, pair, now)) else self.select(pair)

    def _keeps(self, chosen: Pair, newcomer: Pair, now: float) -> bool:
        consent = self.consents.get(chosen)
        if chosen.state is not State.SUCCEEDED or (consent is not None and consent.lost):
            return False
        alive = chosen.nominated is not None and now - chosen.nominated < ALIVE_S
        controlling = self.pairs.controlling
        return alive and chosen.priority(controlling) > newcomer.priority(controlling)

    def moved(self, now: float) -> list[Pair]:
        """Where the peer is now, of components whose selected pair is silent: valid pairs that it asks for consent on.
        A NAT has bound its port anew; it does not know, so it nominates nothing."""
        found = []
        for component, chosen in self.selected.items():
            consent = self.consents.get(chosen)
            if consent is None or not consent.doubtful(now) or _lately(chosen, now):
                continue
            found += [pair for pair in self.pairs.of(component, State.SUCCEEDED) if _lately(pair, now)][:1]
        return [pair for pair in found if not pair.nominating]

    def select(self, pair: Pair) -> list[Output]:
        before = self.selected.get(pair.base.component)
        if before is not None:
            self.consents.pop(before, None)
        self.selected[pair.base.component] = pair
        self.pairs.settle(pair)
        return [Selected(pair.base, pair.remote)]

    # ---------------------------------------------------------------- nomination, when we control

    def nominate_best(self, now: float, patience_s: float) -> None:
        """Have the best valid pair of each component checked with USE-CANDIDATE, as soon as nothing better is to be
        expected or `patience_s` behind the first (section 8.1.1: how long is ours to say)."""
        for component, pair in self._to_be_nominated():
            active = self.pairs.of(component, *OPEN, State.SUCCEEDED)
            if active[0] is pair or now >= self.valid_since[component] + patience_s:
                pair.nominating = True
                self.pairs.trigger(pair)

    def nominates_at(self, patience_s: float) -> float | None:
        """When patience ends."""
        waiting = [self.valid_since[component] + patience_s for component, _ in self._to_be_nominated()]
        return min(waiting, default=None)

    def _to_be_nominated(self) -> Iterator[tuple[int, Pair]]:
        for component in self.components - self.selected.keys():
            valid = self.pairs.of(component, State.SUCCEEDED)
            if valid and not any(pair.nominating for pair in valid):
                yield component, valid[0]

    def switch(self, controlling: bool) -> None:
        """Roles change, and with them the pairs' priorities (section 7.3.1.1)."""
        self.pairs.controlling = controlling
        for pair in self.pairs:
            pair.nominating = False

    # ---------------------------------------------------------------- the end

    def fails_at(self) -> float | None:
        """When to ask `give_up`. Not before the peer had the time to reach us (RFC 8863)."""
        if self.started is None or self.settled or self.failed:
            return None
        return max(self._look_at, self.started + (LONGEST_S if self.complete else TRICKLE_S))

    def give_up(self, now: float) -> frozenset[int]:
        """Components that have no valid pair and nothing left to try; told once."""
        at = self.fails_at()
        if at is None or now < at:
            return frozenset()
        self._look_at = now + LOOK_AGAIN_S
        open_ones = {pair.base.component for pair in self.pairs if pair.state is not State.FAILED}
        self.failed = self.components - self.selected.keys() - open_ones
        return self.failed

    # ---------------------------------------------------------------- consent

    def begin_consents(self, random: Callable[[int], bytes], now: float) -> None:
        for pair in self.selected.values():
            self.consents.setdefault(pair, Consent(random, now))
