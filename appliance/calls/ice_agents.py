"""Full ICE beside the workers: an agent for each leg whose `IceMedia.lite` is false (RFC 8445).

media of a branch change -> `follow`: agents are begun, restarted, ended
STUN that a worker passes on (it has answered requests itself) -> `stun` -> the agent -> datagrams by the flow's socket
a pair is valid -> DTLS may start there;   it is selected -> `pairs` -> the worker sends there
no consent for 30 s -> nothing is sent there any more (RFC 7675), here and by the worker of its own accord
"""

from __future__ import annotations

import asyncio
import heapq
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count
from typing import Protocol

import structlog

from appliance.calls.ice_pairs import Pairs
from appliance.calls.keying_transport import Transport
from appliance.calls.media import Address, IceCredentials, IceMedia, LocalPorts
from appliance.calls.registry import Branch, Call
from appliance.calls.views import EventKind
from appliance.protocols.ice.agent import Agent
from appliance.protocols.ice.outputs import Base, ConsentLost, Dropped, Failed, Output, Selected, Send, Valid
from appliance.protocols.ice.pacing import Pacer
from kernels.control.commands import Punt

COMPONENTS = {"rtp": 1, "rtcp": 2}  # RFC 8445 section 13

log = structlog.get_logger(__name__)


class Keying(Protocol):
    """What is used of `appliance.calls.keying.Keying`."""

    def transports(self, branch: Branch) -> Iterable[Transport]: ...
    def send(self, transport: Transport, data: bytes, to: Address) -> None: ...
    def paired(self, transport: Transport, far: Address) -> None: ...


class Counts(Protocol):
    """Who counts datagrams that changed nothing, and components that have no way any more."""

    def ignored(self, what: str) -> None: ...
    def lost(self, why: str) -> None: ...


@dataclass(slots=True, eq=False)
class _Leg:
    """One leg of one stream with its agent."""

    call: Call
    agent: Agent
    bases: dict[str, Base]  # by component
    transports: dict[str, Transport]
    role: bool  # that negotiation gave it; a conflict may have given it the other one
    told: tuple[IceCredentials, tuple[str, ...], bool] | None = None  # what the agent knows of the peer
    due: float = 0.0  # of its newest entry in the heap; 0: none


class IceAgents:
    """One per control process: all agents share one pace (RFC 8445 section 14). `now`: CLOCK_MONOTONIC, seconds."""

    def __init__(
        self,
        keying: Keying,
        pairs: Pairs,
        counts: Counts,
        *,
        random: Callable[[int], bytes] = os.urandom,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keying, self._pairs, self._counts, self._random, self._now = keying, pairs, counts, random, now
        self._pacer = Pacer()
        self._of: dict[Branch, dict[tuple[int, str], _Leg]] = {}
        self._heap: list[tuple[float, int, _Leg]] = []
        self._order = count()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return sum(map(len, self._of.values()))

    # ---------------------------------------------------------------- what calls want

    def follow(self, call: Call, branch: Branch) -> None:
        """The media of a branch have changed; keying has followed already."""
        wanted: dict[tuple[int, str], dict[str, Transport]] = {}
        for transport in self._keying.transports(branch):
            if transport.ice is not None and not transport.ice.lite:
                seat = transport.seat
                wanted.setdefault((seat.line, seat.side), {})[seat.component] = transport
        held = self._of.get(branch, {})
        for place in [place for place in held if place not in wanted]:
            del held[place]
        for place, transports in wanted.items():
            leg = self._leg(call, branch, held.get(place), transports)
            if leg is not None:
                held[place] = leg
        if held:
            self._of[branch] = held
        else:
            self._of.pop(branch, None)

    def leave(self, branch: Branch) -> None:
        """It has ended."""
        self._of.pop(branch, None)

    def add_candidates(self, branch: Branch, line: int, side: str, candidates: Iterable[str], complete: bool) -> None:
        """Further candidates of the peer of a leg (RFC 8838); `complete`: the last. None where the leg's ICE is lite: a
        lite agent has no use for them."""
        leg = self._of.get(branch, {}).get((line, side))
        if leg is not None:
            self._do(leg, leg.agent.add_candidates(candidates, complete=complete, now=self._now()))

    def _leg(self, call: Call, branch: Branch, leg: _Leg | None, transports: dict[str, Transport]) -> _Leg | None:
        bases = _bases(branch, transports)
        ice = next(iter(transports.values())).ice
        if ice is None or not bases:
            return None
        now = self._now()
        if leg is None or leg.bases != bases:
            agent = Agent(
                ice.local, list(bases.values()), controlling=ice.controlling, random=self._random, pacer=self._pacer,
                answering=False,
            )  # fmt: skip
            leg = _Leg(call, agent, bases, transports, ice.controlling)
        elif leg.agent.local != ice.local or _restarted(leg, ice):
            leg.told = None
            leg.transports = transports
            role = leg.agent.controlling if leg.role == ice.controlling else ice.controlling
            self._do(leg, leg.agent.restart(ice.local, controlling=role, now=now))
        leg.transports = transports
        said = None if ice.remote is None else (ice.remote, ice.candidates, ice.complete)
        if said is not None and said != leg.told:
            leg.told = said
            remote, lines, complete = said
            if leg.role != ice.controlling:
                leg.role = ice.controlling
                leg.agent.take_role(ice.controlling)
            self._do(leg, leg.agent.set_remote(remote, lines, complete=complete, now=now))
        return leg

    # ---------------------------------------------------------------- what comes from the network

    def stun(self, transport: Transport, punt: Punt) -> None:
        """A request or a response that came to a flow of such a leg."""
        seat = transport.seat
        leg = self._of.get(transport.branch, {}).get((seat.line, seat.side))
        base = leg.bases.get(seat.component) if leg is not None else None
        if leg is None or base is None:
            self._counts.ignored("stun")
            return
        self._do(leg, leg.agent.receive(base, (punt.source[0], punt.source[1]), punt.data, self._now()))

    def expired(self, transport: Transport, far: Address) -> None:
        """A worker sends nothing more to the pair that it selected itself: its peer has not been heard for 30 s. One
        that is heard again is sent to again."""
        if transport.ice is not None and transport.ice.lite:
            self._lost(transport.call, transport, far)

    # ---------------------------------------------------------------- what agents say

    def _do(self, leg: _Leg, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output, Dropped):
                self._counts.ignored("stun")
            elif isinstance(output, Failed):
                self._failed(leg, output)
            else:
                transport = leg.transports.get("rtp" if output.base.component == 1 else "rtcp")
                if transport is not None:
                    self._of_component(leg, transport, output)
        self._wait(leg)

    def _of_component(self, leg: _Leg, transport: Transport, output: Send | Valid | Selected | ConsentLost) -> None:
        if isinstance(output, Send):
            self._keying.send(transport, output.data, Address(*output.to))
            return
        far = Address(*output.remote)
        if isinstance(output, Valid):
            self._keying.paired(transport, far)
        elif isinstance(output, Selected):
            log.info("ICE pair selected", call_id=leg.call.call_id, seat=str(transport.seat), far=str(far))
            self._keying.paired(transport, far)
            self._pairs.select(leg.call, transport.branch, transport.seat, far)
        else:
            self._pairs.select(leg.call, transport.branch, transport.seat, None)
            self._lost(leg.call, transport, far)

    def _lost(self, call: Call, transport: Transport, far: Address) -> None:
        log.warning("ICE consent lost", call_id=call.call_id, seat=str(transport.seat), far=str(far))
        self._counts.lost("consent")
        self._pairs.tell(call, EventKind.CONSENT_LOST, f"{transport.seat}: no consent of {far} for 30 s")

    def _failed(self, leg: _Leg, failed: Failed) -> None:
        """The old pair, if there is one, goes on. Keys that never come are told of by keying."""
        for component, transport in leg.transports.items():
            if COMPONENTS[component] in failed.components:
                log.warning("ICE failed", call_id=leg.call.call_id, seat=str(transport.seat))
                self._counts.lost("failed")
                self._pairs.tell(leg.call, EventKind.ICE_FAILED, f"{transport.seat}: no pair of candidates is valid")

    # ---------------------------------------------------------------- time

    def _wait(self, leg: _Leg) -> None:
        due = leg.agent.next_timeout
        if due is None or (leg.due and leg.due <= due):
            return  # nothing to do, or woken before anyway
        leg.due = due
        heapq.heappush(self._heap, (due, next(self._order), leg))
        if self._heap[0][2] is leg:
            self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._heap:
            delay = max(0.0, self._heap[0][0] - self._now())
            self._timer = asyncio.get_running_loop().call_later(delay, self._wake)

    def _wake(self) -> None:
        """All agents whose time has come."""
        now = self._now()
        while self._heap and self._heap[0][0] <= now:
            due, _, leg = heapq.heappop(self._heap)
            if due != leg.due:
                continue  # an older entry
            leg.due = 0.0
            if self._alive(leg):
                self._do(leg, leg.agent.advance(now))
        self._set_timer()

    def _alive(self, leg: _Leg) -> bool:
        transport = next(iter(leg.transports.values()), None)
        if transport is None:
            return False
        return self._of.get(transport.branch, {}).get((transport.seat.line, transport.seat.side)) is leg


def _restarted(leg: _Leg, ice: IceMedia) -> bool:
    """The peer has other credentials: a restart, even where ours stay."""
    return leg.told is not None and ice.remote is not None and ice.remote != leg.told[0]


def _bases(branch: Branch, transports: dict[str, Transport]) -> dict[str, Base]:
    """Our own ports of a leg."""
    seat = next(iter(transports.values())).seat
    placed = branch.placement.streams.get(seat.line) if branch.placement else None
    if placed is None:
        return {}
    ports: LocalPorts = placed.placement.leg(seat.side)
    return {
        component: Base(COMPONENTS[component], (ports.address, ports.rtp if component == "rtp" else ports.rtcp))
        for component in transports
    }
