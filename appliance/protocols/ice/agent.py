"""A full ICE agent for one data stream (RFC 8445), sans-I/O: host candidates on our own ports, no gathering, no TURN.

    set_remote, add_candidates    what signalling says of the peer; checks begin
    receive                       a datagram: requests are answered, learnt from, checked back; responses settle checks
    advance                       time: consents, repetitions, nomination, then at most one new check
    restart                       new credentials; the old pair goes on until there is a new one (ICE-5)

Nothing changes before a message is authenticated, and a response counts only for an open transaction, from where its
request went (D8, D9).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from appliance.protocols.ice import candidate as candidates
from appliance.protocols.ice.answering import Accepted, judge
from appliance.protocols.ice.candidate import Candidate
from appliance.protocols.ice.checklist import Pair, State
from appliance.protocols.ice.checks import Checks
from appliance.protocols.ice.generation import Generation
from appliance.protocols.ice.outputs import Base, ConsentLost, Credentials, Dropped, Failed, Output, Send
from appliance.protocols.ice.pacing import Pacer
from appliance.protocols.ice.transaction import Transaction
from appliance.protocols.stun.attributes import Endpoint
from appliance.protocols.stun.integrity import short_term
from appliance.protocols.stun.message import Kind, Malformed, Message, parse

PATIENCE_S = 0.2  # of a controlling agent, for a better pair than the first valid one
MOST_EARLY = 16  # requests kept until the peer's credentials are known (section 7.3)
ROLE_CONFLICT = 487


@dataclass(frozen=True, slots=True)
class _Early:
    base: Base
    source: Endpoint
    priority: int
    use_candidate: bool


class Agent:
    """`random(octets)` is a cryptographic source; `pacer` is shared by all agents of a process. `answering` False: the
    media worker answers requests, and this agent only learns from them."""

    def __init__(
        self,
        local: Credentials,
        bases: Sequence[Base],
        *,
        controlling: bool,
        random: Callable[[int], bytes],
        pacer: Pacer,
        answering: bool = True,
    ) -> None:
        self._random, self._answering = random, answering
        self._checks = Checks(random, pacer)
        self._current = Generation(local, bases, controlling=controlling)
        self._previous: Generation | None = None
        self._early: list[_Early] = []

    @property
    def controlling(self) -> bool:
        return self._current.pairs.controlling

    @property
    def local(self) -> Credentials:
        return self._current.local

    @property
    def remote(self) -> Credentials | None:
        return self._current.remote

    @property
    def settled(self) -> bool:
        """Every component has a selected pair of the present credentials."""
        return self._current.settled

    def selected(self, component: int) -> tuple[Base, Endpoint] | None:
        """Where media goes now: after a restart the old pair, until there is a new one."""
        for generation in self._generations():
            pair = generation.selected.get(component)
            if pair is not None:
                consent = generation.consents.get(pair)
                return None if consent is not None and consent.lost else (pair.base, pair.remote)
        return None

    @property
    def next_timeout(self) -> float | None:
        """When `advance` has something to do; None: never, unless something arrives."""
        times = [self._checks.due(self._current), self._current.fails_at()]
        for generation in self._generations():
            times += [consent.due for consent in generation.consents.values() if not consent.lost]
        if self.controlling:
            times.append(self._current.nominates_at(PATIENCE_S))
        return min((at for at in times if at is not None), default=None)

    # ---------------------------------------------------------------- what signalling says

    def set_remote(self, remote: Credentials, lines: Iterable[str], *, complete: bool, now: float) -> list[Output]:
        """The peer's credentials, and the candidates known so far. Told once more it only adds candidates."""
        generation = self._current
        if generation.remote is None:
            generation.start(remote, now)
        told = self.add_candidates(lines, complete=complete, now=now)
        early, self._early = self._early, []
        for one in early:
            told += self._learn(generation, one, now)
        return told + self.advance(now)

    def take_role(self, controlling: bool) -> None:
        """What the peer's SDP made clear (a lite one never controls). Later it is for the checks to say."""
        if self._current.remote is None:
            self._current.switch(controlling)

    def add_candidates(self, lines: Iterable[str], *, complete: bool, now: float) -> list[Output]:
        """Further candidates of the peer, values of a=candidate (RFC 8838); `complete`: these are the last."""
        generation, lines = self._current, list(lines)[: candidates.MOST]
        found = candidates.read(lines, generation.remote.ufrag if generation.remote is not None else "")
        self._checks.allowance.credit(sum(map(len, lines)))
        generation.add(found)
        generation.complete = generation.complete or complete
        return self.advance(now)

    def restart(self, local: Credentials, *, controlling: bool, now: float) -> list[Output]:
        """New credentials of ours; `set_remote` follows with the peer's. Consent goes on where media goes."""
        if self._current.selected:
            self._previous = self._current
        self._checks.restart()
        self._early.clear()
        self._current = Generation(local, self._current.bases, controlling=controlling)
        return self.advance(now)

    # ---------------------------------------------------------------- what arrives

    def receive(self, base: Base, source: Endpoint, data: bytes, now: float) -> list[Output]:
        """A STUN datagram of `source` at our port. Never raises."""
        message = parse(data)
        if isinstance(message, Malformed):
            return [Dropped("malformed")]
        if message.kind is Kind.REQUEST:
            return self._request(base, source, message, len(data), now)
        if message.kind is Kind.INDICATION:  # a keepalive (section 11): says nothing
            return []
        return self._response(base, source, message, len(data), now)

    def _request(self, base: Base, source: Endpoint, message: Message, octets: int, now: float) -> list[Output]:
        generation = self._addressed(message)
        verdict = judge(message, generation.local, generation.remote, source, self._checks.tie, self.controlling)
        told: list[Output] = []
        if self._answering and verdict.answer is not None:
            told.append(Send(base, source, verdict.answer))
        if not isinstance(verdict, Accepted):
            return [*told, Dropped(verdict.reason)]
        if verdict.refused and self._answering:  # the peer will switch, and asks again (section 7.3.1.1)
            return told
        self._checks.allowance.credit(octets)
        if verdict.switch:
            self._current.switch(not self.controlling)
        if generation is not self._current:  # of before the restart: its pair may stay alive, nothing is begun
            return told
        one = _Early(base, source, message.priority or 0, message.use_candidate and not self.controlling)
        if generation.remote is None:
            self._early += [one] if len(self._early) < MOST_EARLY else []
            return told
        return told + self._learn(generation, one, now) + self.advance(now)

    def _addressed(self, message: Message) -> Generation:
        """The generation whose user name the request is for; the current one when there is none."""
        ufrag = (message.username or "").partition(":")[0]
        before = self._previous
        return before if before is not None and before.local.ufrag == ufrag else self._current

    def _learn(self, generation: Generation, one: _Early, now: float) -> list[Output]:
        """Sections 7.3.1.3 to 7.3.1.5: the source is a candidate, and is checked in turn."""
        pair = generation.pairs.find(one.base, one.source)
        if pair is None:
            foundation = f"prflx {one.source[0]}"  # section 7.3.1.3: unlike all that the peer can have written
            learnt = Candidate(foundation, one.base.component, "udp", one.priority, *one.source, "prflx")
            pair = generation.pairs.pair(one.base, learnt) if candidates.usable(learnt) else None
        if pair is None:
            return []
        pair.asked = now
        if pair.state is State.SUCCEEDED:
            return generation.nominate(pair, now) if one.use_candidate else []
        pair.wanted = pair.wanted or one.use_candidate
        self._checks.cancel(pair)
        generation.pairs.trigger(pair)
        return []

    def _response(self, base: Base, source: Endpoint, message: Message, octets: int, now: float) -> list[Output]:
        for generation in self._generations():
            for pair, consent in generation.consents.items():
                if consent.asked(message.transaction):
                    return self._consented(generation, pair, base, source, message, now)
        generation, transaction = self._current, self._checks.find(message.transaction)
        if transaction is None or transaction.pair.base != base or generation.remote is None:
            return [Dropped("no such transaction")]
        if not message.verified(short_term(generation.remote.pwd)):
            return [Dropped("not authentic")]
        self._checks.end(message.transaction)
        self._checks.allowance.credit(octets)
        pair = transaction.pair
        if message.kind is Kind.ERROR and message.error is not None and message.error[0] == ROLE_CONFLICT:
            if self.controlling == transaction.controlling:  # section 7.2.5.1
                generation.switch(not transaction.controlling)
            generation.pairs.trigger(pair)
            return self.advance(now)
        symmetric = source == pair.remote  # section 7.2.5.2.1
        if message.kind is Kind.ERROR or not symmetric or message.xor_mapped_address is None:
            self._check_failed(transaction)
            return self.advance(now)
        self._checks.cancel(pair)
        told = generation.succeeded(pair, now)
        if transaction.nominates and self.controlling and pair.state is State.SUCCEEDED:
            told += generation.nominate(pair, now)
        return told + self.advance(now)

    def _consented(
        self, generation: Generation, pair: Pair, base: Base, source: Endpoint, message: Message, now: float
    ) -> list[Output]:
        remote, consent = generation.remote, generation.consents[pair]
        if (base, source) != (pair.base, pair.remote) or remote is None:
            return [Dropped("no such transaction")]
        if message.kind is not Kind.SUCCESS or not message.verified(short_term(remote.pwd)):
            return [Dropped("not authentic")]
        consent.given(message.transaction, now)
        return []

    # ---------------------------------------------------------------- time

    def advance(self, now: float) -> list[Output]:
        """Early or late calls are harmless."""
        generation = self._current
        generation.begin_consents(self._random, now)
        if self._previous is not None and generation.settled:
            self._previous = None
        told = self._ask_consent(now)
        repeated, over = self._checks.repeat(generation, now)
        told += repeated
        for transaction in over:
            self._check_failed(transaction)
        if self.controlling:
            generation.nominate_best(now, PATIENCE_S)
        for pair in generation.moved(now):
            told += self._follow(generation, pair)
        told += self._checks.next(generation, now)
        if hopeless := generation.give_up(now):
            told.append(Failed(tuple(sorted(hopeless))))
        return told

    def _follow(self, generation: Generation, pair: Pair) -> list[Output]:
        """To where the peer has been moved. Controlling, the new pair is nominated, as any."""
        if not self.controlling:
            return generation.select(pair)
        pair.nominating = True
        generation.pairs.trigger(pair)
        return []

    def _ask_consent(self, now: float) -> list[Output]:
        told: list[Output] = []
        for generation in self._generations():
            for pair, consent in generation.consents.items():
                if consent.lost:
                    continue
                key = consent.advance(now)
                if key is not None:
                    told.append(Send(pair.base, pair.remote, self._checks.request(generation, pair, key)))
                elif consent.lost and self._carries(generation, pair):
                    told.append(ConsentLost(pair.base, pair.remote))
        return told

    def _carries(self, generation: Generation, pair: Pair) -> bool:
        """Whether media goes by this pair: not by the old one of a component that has a new one."""
        return generation is self._current or pair.base.component not in self._current.selected

    def _check_failed(self, transaction: Transaction) -> None:
        """A nomination that fails makes the pair invalid; the next best is nominated (section 8.1.1)."""
        pair = transaction.pair
        if transaction.nominates:
            pair.nominating = False
        if pair.state is not State.SUCCEEDED or transaction.nominates:
            pair.state = State.FAILED

    def _generations(self) -> Iterator[Generation]:
        yield self._current
        if self._previous is not None:
            yield self._previous
