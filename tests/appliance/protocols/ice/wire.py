"""Two agents, a network that loses, delays and reorders, and a clock that jumps from event to event."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count
from math import inf
from random import Random
from typing import TypeVar

from appliance.calls.media import IceCredentials
from appliance.protocols.ice.agent import Agent
from appliance.protocols.ice.candidate import host_candidates
from appliance.protocols.ice.outputs import Base, ConsentLost, Failed, Output, Selected, Send, Valid
from appliance.protocols.ice.pacing import Pacer
from appliance.protocols.stun.attributes import Endpoint

A, B = IceCredentials("aaaa", "a" * 22), IceCredentials("bbbb", "b" * 22)
PORT_A, PORT_B = Base(1, ("192.0.2.1", 5000)), Base(1, ("198.51.100.1", 6000))

Event = TypeVar("Event", Valid, Selected, Failed, ConsentLost)


@dataclass
class Side:
    agent: Agent
    bases: tuple[Base, ...]
    told: list[tuple[float, Output]] = field(default_factory=list)
    sent: list[tuple[float, Send]] = field(default_factory=list)

    def of(self, kind: type[Event]) -> list[Event]:
        return [output for _, output in self.told if isinstance(output, kind)]

    def lines(self) -> list[str]:
        ours = host_candidates((base.component, base.address) for base in self.bases)
        return [str(candidate) for candidate in ours]


class Wire:
    """`passes(source, destination)` says whether a datagram gets through; `nat` rewrites the source of what leaves."""

    def __init__(
        self,
        sides: Iterable[Side],
        *,
        loss: float = 0.0,
        delay: tuple[float, float] = (0.01, 0.01),
        seed: int = 1,
        passes: Callable[[Endpoint, Endpoint], bool] = lambda source, destination: True,
        nat: dict[Endpoint, Endpoint] | None = None,
    ) -> None:
        self.sides = tuple(sides)
        self.loss, self.delay, self.passes, self.nat = loss, delay, passes, nat or {}
        self.now = 0.0
        self._random = Random(seed)
        self._order = count()
        self._flying: list[tuple[float, int, Endpoint, Endpoint, bytes]] = []

    def take(self, side: Side, outputs: list[Output]) -> None:
        """What an agent said: datagrams fly, the rest is kept."""
        for output in outputs:
            if not isinstance(output, Send):
                side.told.append((self.now, output))
                continue
            side.sent.append((self.now, output))
            source = self.nat.get(output.base.address, output.base.address)
            if self._random.random() >= self.loss and self.passes(source, output.to):
                at = self.now + self._random.uniform(*self.delay)
                heapq.heappush(self._flying, (at, next(self._order), source, output.to, output.data))

    def run(self, until: float) -> None:
        """Everything that happens up to then. An agent that asks for the same instant for ever is a mistake."""
        same = 0
        while True:
            timers = [at for side in self.sides if (at := side.agent.next_timeout) is not None]
            at = min([*timers, *(entry[0] for entry in self._flying[:1])], default=inf)
            if at > until:
                self.now = until
                return
            same = same + 1 if at <= self.now else 0
            assert same < 1000, "an agent spins"
            self.now = max(self.now, at)
            while self._flying and self._flying[0][0] <= self.now:
                _, _, source, destination, data = heapq.heappop(self._flying)
                self._deliver(source, destination, data)
            for side in self.sides:
                due = side.agent.next_timeout
                if due is not None and due <= self.now:
                    self.take(side, side.agent.advance(self.now))

    def _deliver(self, source: Endpoint, destination: Endpoint, data: bytes) -> None:
        inside = {outer: inner for inner, outer in self.nat.items()}.get(destination, destination)
        for side in self.sides:
            for base in side.bases:
                if base.address == inside:
                    self.take(side, side.agent.receive(base, source, data, self.now))


def side(
    credentials: IceCredentials, *bases: Base, controlling: bool, seed: int, pacer: Pacer | None = None,
    answering: bool = True,
) -> Side:  # fmt: skip
    agent = Agent(
        credentials, bases, controlling=controlling, random=Random(seed).randbytes, pacer=pacer or Pacer(),
        answering=answering,
    )  # fmt: skip
    return Side(agent, bases)


def couple(seed: int = 1, *, roles: tuple[bool, bool] = (True, False)) -> tuple[Side, Side]:
    """A controls, B is controlled, one port each."""
    return (
        side(A, PORT_A, controlling=roles[0], seed=seed),
        side(B, PORT_B, controlling=roles[1], seed=seed + 1000),
    )


def join(wire: Wire, a: Side, b: Side) -> None:
    """Each is told of the other's credentials and candidates."""
    wire.take(a, a.agent.set_remote(b.agent.local, b.lines(), complete=True, now=wire.now))
    wire.take(b, b.agent.set_remote(a.agent.local, a.lines(), complete=True, now=wire.now))
