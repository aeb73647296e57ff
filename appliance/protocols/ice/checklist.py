"""The check list of one data stream: pairs, their order and their states (RFC 8445 sections 6.1.2 and 6.1.4)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from appliance.protocols.ice.candidate import Candidate, reachable
from appliance.protocols.ice.outputs import Base
from appliance.protocols.stun.attributes import Endpoint

MOST_PAIRS = 100  # section 6.1.2.5


class State(Enum):
    FROZEN = "frozen"
    WAITING = "waiting"
    IN_PROGRESS = "in-progress"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


OPEN = frozenset((State.FROZEN, State.WAITING, State.IN_PROGRESS))


@dataclass(slots=True, eq=False)
class Pair:
    """One of our ports and one of the peer's candidates."""

    base: Base
    remote: Endpoint
    foundation: tuple[str, str]
    local_priority: int
    remote_priority: int
    state: State = State.FROZEN
    wanted: bool = False  # the peer nominated it before our own check had succeeded (section 7.3.1.5)
    nominated: float | None = None  # when, lately
    asked: float | None = None  # when the peer last checked it
    nominating: bool = False  # we did, and wait for the answer

    def priority(self, controlling: bool) -> int:
        """Section 6.1.2.3."""
        ours, theirs = self.local_priority, self.remote_priority
        g, d = (ours, theirs) if controlling else (theirs, ours)
        return (min(g, d) << 32) + 2 * max(g, d) + (g > d)


class CheckList:
    """Pairs by (port of ours, address of the peer): local candidates are host candidates, so no two pairs are redundant
    (section 6.1.2.4)."""

    def __init__(self, ours: Iterable[tuple[Base, Candidate]], *, controlling: bool) -> None:
        self._ours = tuple(ours)
        self.controlling = controlling
        self._pairs: dict[tuple[Base, Endpoint], Pair] = {}
        self._triggered: deque[Pair] = deque()

    def __iter__(self) -> Iterator[Pair]:
        return iter(self._pairs.values())

    def __len__(self) -> int:
        return len(self._pairs)

    def find(self, base: Base, remote: Endpoint) -> Pair | None:
        return self._pairs.get((base, remote))

    def best_first(self, pairs: Iterable[Pair]) -> list[Pair]:
        return sorted(pairs, key=lambda pair: pair.priority(self.controlling), reverse=True)

    # ---------------------------------------------------------------- filling

    def add(self, candidate: Candidate) -> None:
        """Pair a candidate of the peer with each port of ours that can reach it. What is there already stays (RFC 8838
        section 12)."""
        for base, _ in self._ours:
            if base.component == candidate.component:
                self.pair(base, candidate)
        self._unfreeze_first()

    def pair(self, base: Base, candidate: Candidate) -> Pair | None:
        """The pair of these two; None: not reachable, or the list is full of better ones."""
        key = base, candidate.address
        local = next((ours for port, ours in self._ours if port == base), None)
        if key in self._pairs or local is None or not reachable(candidate.host, base.address[0]):
            return self._pairs.get(key)
        pair = Pair(
            base, candidate.address, (local.foundation, candidate.foundation), local.priority, candidate.priority
        )
        if len(self._pairs) >= MOST_PAIRS and not self._make_room(pair):
            return None
        self._pairs[key] = pair
        return pair

    def _make_room(self, newcomer: Pair) -> bool:
        idle = [pair for pair in self if pair.state in (State.FROZEN, State.WAITING, State.FAILED)]
        worst = min(idle, key=lambda pair: pair.priority(self.controlling), default=None)
        if worst is None or worst.priority(self.controlling) >= newcomer.priority(self.controlling):
            return False
        self.remove(worst)
        return True

    def remove(self, pair: Pair) -> None:
        del self._pairs[pair.base, pair.remote]
        if pair in self._triggered:
            self._triggered.remove(pair)

    # ---------------------------------------------------------------- order of checks

    def trigger(self, pair: Pair) -> None:
        """Check this one next (section 7.3.1.4). A valid pair stays valid meanwhile."""
        if pair.state is not State.SUCCEEDED:
            pair.state = State.WAITING
        if pair not in self._triggered:
            self._triggered.append(pair)

    def ready(self) -> bool:
        """Whether a check can be sent; thaws what may be (section 6.1.4.2)."""
        if self._triggered or any(pair.state is State.WAITING for pair in self):
            return True
        self._unfreeze_first()
        return any(pair.state is State.WAITING for pair in self)

    def take(self) -> Pair | None:
        """The pair to be checked now: triggered ones first, then the best that waits."""
        if self._triggered:
            return self._triggered.popleft()
        waiting = (pair for pair in self if pair.state is State.WAITING)
        return max(waiting, key=lambda pair: pair.priority(self.controlling), default=None)

    def checked(self, pair: Pair) -> None:
        """With success: others of its foundation are likely to succeed too (section 7.2.5.3.3)."""
        if pair in self._triggered and not pair.nominating:
            self._triggered.remove(pair)
        for other in self:
            if other.state is State.FROZEN and other.foundation == pair.foundation:
                other.state = State.WAITING

    def _unfreeze_first(self) -> None:
        """Of each foundation that nobody checks, the pair of the lowest component and then highest priority
        (section 6.1.2.6)."""
        busy = {pair.foundation for pair in self if pair.state in (State.WAITING, State.IN_PROGRESS)}
        frozen = [pair for pair in self if pair.state is State.FROZEN]
        for pair in sorted(self.best_first(frozen), key=lambda pair: pair.base.component):
            if pair.foundation not in busy:
                busy.add(pair.foundation)
                pair.state = State.WAITING

    # ---------------------------------------------------------------- outcome

    def of(self, component: int, *states: State) -> list[Pair]:
        """Pairs of a component in these states, best first."""
        return self.best_first(pair for pair in self if pair.base.component == component and pair.state in states)

    def settle(self, chosen: Pair) -> None:
        """A pair was selected: the others are not checked any more (section 8.1.2). Except better ones that are being
        checked, or that the peer nominated too: one of RFC 5245 may mean them."""
        worth = chosen.priority(self.controlling)
        for pair in list(self):
            if pair is chosen or pair.base.component != chosen.base.component or pair.state not in OPEN:
                continue
            better = pair.priority(self.controlling) > worth
            if not (better and (pair.wanted or pair.state is State.IN_PROGRESS)):
                self.remove(pair)
