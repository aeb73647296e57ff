"""Connectivity checks on their way: when the next one goes, what it says, when it is repeated (RFC 8445 sections 6.1.4
and 7.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from appliance.protocols.ice import candidate as candidates
from appliance.protocols.ice.checklist import Pair, State
from appliance.protocols.ice.generation import Generation
from appliance.protocols.ice.outputs import Send
from appliance.protocols.ice.pacing import TA_S, Allowance, Pacer
from appliance.protocols.ice.transaction import RTO_S, Transaction, begin
from appliance.protocols.stun.integrity import short_term
from appliance.protocols.stun.message import Kind, Message, encode


class Checks:
    """Those of one generation at a time. A transaction id has 96 random bits (D9)."""

    def __init__(self, random: Callable[[int], bytes], pacer: Pacer) -> None:
        self._random, self._pacer = random, pacer
        self.tie = int.from_bytes(random(8), "big")  # section 16.1; one for the life of the agent
        self.allowance = Allowance()
        self._open: dict[bytes, Transaction] = {}
        self._slot: float | None = None  # reserved for the next check
        self._paced = 0.0  # no new check before

    def restart(self) -> None:
        """Other credentials: what is on its way is of no use any more."""
        self._open.clear()
        self._slot, self.allowance = None, Allowance()

    def due(self, generation: Generation) -> float | None:
        """When `repeat` or `next` has something to do."""
        times = [transaction.due for transaction in self._open.values()]
        if generation.remote is not None and generation.pairs.ready():
            times.append(self._paced if self._slot is None else self._slot)
        return min(times, default=None)

    def find(self, key: bytes) -> Transaction | None:
        return self._open.get(key)

    def end(self, key: bytes) -> None:
        del self._open[key]

    def cancel(self, pair: Pair) -> None:
        """Its checks are not repeated; an answer still counts (section 7.3.1.4). Nominations go on."""
        for transaction in self._open.values():
            if transaction.pair is pair and not transaction.nominates:
                transaction.cancelled = True

    def next(self, generation: Generation, now: float) -> list[Send]:
        """At most one new check, when its time has come."""
        if generation.remote is None or now < self._paced or not generation.pairs.ready():
            return []
        if self._slot is None:
            self._slot = self._pacer.reserve(now)
        if now < self._slot:
            return []
        self._slot = self._pacer.go(now)
        pair = generation.pairs.take() if self._slot <= now else None
        if pair is None:
            return []
        self._slot, self._paced = None, now + TA_S
        key, nominates = self._random(12), generation.pairs.controlling and pair.nominating
        data = self.request(generation, pair, key, nominates=nominates)
        if pair.state is not State.SUCCEEDED:
            if not self.allowance.spend(len(data)):
                generation.pairs.trigger(pair)
                self._paced = now + RTO_S
                return []
            pair.state = State.IN_PROGRESS
        # section 14.3: so long that a round of all checks is over before the first is repeated
        busy = sum(one.state in (State.WAITING, State.IN_PROGRESS) for one in generation.pairs)
        self._open[key] = begin(
            pair, data, now,
            controlling=generation.pairs.controlling, nominates=nominates, rto_s=max(RTO_S, TA_S * busy),
        )  # fmt: skip
        return [Send(pair.base, pair.remote, data)]

    def repeat(self, generation: Generation, now: float) -> tuple[list[Send], list[Transaction]]:
        """Checks that are sent again, and those whose time is over."""
        sends, over = [], []
        for key, transaction in list(self._open.items()):
            pair = transaction.pair
            if now < transaction.due:
                continue
            if generation.pairs.find(pair.base, pair.remote) is pair and transaction.again(now):
                if pair.state is State.SUCCEEDED or self.allowance.spend(len(transaction.data)):
                    sends.append(Send(pair.base, pair.remote, transaction.data))
                continue
            del self._open[key]
            if not transaction.cancelled:
                over.append(transaction)
        return sends, over

    def request(self, generation: Generation, pair: Pair, key: bytes, *, nominates: bool = False) -> bytes:
        """Section 7.2.4: our priority is the one that a peer-reflexive candidate of this port would have."""
        remote, local = generation.remote, candidates.local_preference(generation.bases.index(pair.base))
        assert remote is not None
        message = Message(
            Kind.REQUEST, key,
            username=f"{remote.ufrag}:{generation.local.ufrag}",
            priority=candidates.priority("prflx", local, pair.base.component),
            use_candidate=nominates,
        )  # fmt: skip
        controlling = generation.pairs.controlling
        message = replace(message, controlling=self.tie) if controlling else replace(message, controlled=self.tie)
        return encode(message, short_term(remote.pwd))
