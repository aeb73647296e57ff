"""Moves the streams of a call from their worker to another while media flows.

    plan     slots at the other worker, a transfer record for each stream          nothing was commanded yet
    drive    per stream: export at the one, import at the other                     may be repeated from the start
    commit   the books say where it lives now; the old slots are free
    close    the transfer records are free again

Between plan and drive the caller saves the plan, between commit and close the result: whoever finds a plan in the
records drives it again (the commands know what was done already: kernels/control/move.pxd). While a placement has a
plan nobody may install anything of it: the same key would start anew beside the one that moves.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from appliance.errors import GatewayError, InvalidRequest, MediaUnavailable, NoCapacity
from appliance.placement.desired_contexts import CRYPTOS
from appliance.placement.dispatcher import Dispatcher
from appliance.placement.inventory import Inventory
from appliance.placement.placed import FLOWS, PlacedStream
from appliance.placement.slots import SlotAllocator
from kernels.control.commands import (
    MOVE_CRYPTOS,
    TRANSFER_RECORDS,
    Command,
    DiscardTransfer,
    ExportStream,
    FourSlots,
    ImportStream,
    MoveCryptos,
    RemoveCrypto,
    RemoveFlow,
)


class MoveLost(GatewayError):
    """The contexts are at neither worker: the branch cannot go on (the same key must not start anew)."""

    reason = "media-lost"


class MoveRefused(NoCapacity):
    """A worker refused; everything is where it was."""


@dataclass(slots=True)
class Trip:
    """One stream on its way: its slots at the other worker, by the names of `desired`, and the transfer record."""

    line: int
    record: int
    move: int  # unique number, so that a repeated command is known for what it is
    flows: dict[str, int] = field(default_factory=dict)
    cryptos: dict[str, int] = field(default_factory=dict)
    told: int | None = None  # worker that had the last command about the record


@dataclass(slots=True)
class Move:
    """The plan for a placement."""

    to: int
    trips: list[Trip] = field(default_factory=list)


class Movable(Protocol):
    """What is used of `reconciler.Placement`."""

    worker: int
    streams: dict[int, PlacedStream]
    move: Move | None


class Arena(Protocol):
    """What is used of `kernels.control.plane.MediaPlane`."""

    def cryptos(self, worker: int) -> list[int]: ...
    def flows(self, worker: int) -> list[int]: ...
    def transfers(self) -> list[tuple[str, int]]: ...


# (interface, even port of a pair, worker): whoever can make a NIC deliver these ports to the worker's queue does so.
# Called when a call has moved and, with the worker of the port's range, when it has ended elsewhere. Must not raise.
Steer = Callable[[str, int, int], None]


class Mover:
    """One per control process. `steer` is set by whoever steers NICs; without it hand-off rings carry moved calls."""

    def __init__(
        self,
        inventory: Inventory,
        dispatcher: Dispatcher,
        arena: Arena,
        *,
        timeout_s: float = 2.0,
        number: Callable[[], int] = lambda: secrets.randbits(63) + 1,
    ) -> None:
        self._inventory, self._dispatcher, self._arena = inventory, dispatcher, arena
        self._timeout_s, self._number = timeout_s, number
        self._records = SlotAllocator(TRANSFER_RECORDS, "transfer record")
        self.steer: Steer | None = None

    # ---------------------------------------------------------------- plan

    def plan(self, placement: Movable, to: int) -> None:
        """Reserve. NoCapacity, InvalidRequest: nothing was taken."""
        if not 0 <= to < len(self._inventory.workers):
            raise InvalidRequest(f"there is no worker {to}", "worker")
        if not self._inventory[to].available:
            raise NoCapacity(f"worker {to} does not run")
        if any(len(placed.cryptos) > MOVE_CRYPTOS for placed in placement.streams.values()):
            raise NoCapacity("keys are being changed: move it when the old ones are gone")
        placement.move = move = Move(to)
        try:
            for line, placed in placement.streams.items():
                trip = Trip(line, self._records.take(), self._number())
                move.trips.append(trip)
                for name in placed.flows:
                    trip.flows[name] = self._inventory[to].flows.take()
                for name in placed.cryptos:
                    trip.cryptos[name] = self._inventory[to].cryptos.take()
        except GatewayError:
            self.abandon(placement)
            raise

    def abandon(self, placement: Movable) -> None:
        """Give back what was planned."""
        move, placement.move = placement.move, None
        for trip in move.trips if move else ():
            self._free_slots(move.to if move else 0, trip.flows, trip.cryptos)
            self._records.give_back(trip.record)

    def adopt(self, placement: Movable) -> None:
        """Claim what a recorded plan names. NoCapacity."""
        move = placement.move
        if move is None:
            return
        claimed = Move(move.to)
        try:
            for trip in move.trips:
                self._records.adopt(trip.record)
                claimed.trips.append(Trip(trip.line, trip.record, trip.move))
                self._adopt_slots(self._inventory[move.to].flows, trip.flows, claimed.trips[-1].flows)
                self._adopt_slots(self._inventory[move.to].cryptos, trip.cryptos, claimed.trips[-1].cryptos)
        except (GatewayError, LookupError):
            placement.move = claimed
            self.abandon(placement)
            raise NoCapacity("the plan of a move cannot be taken over") from None

    @staticmethod
    def _adopt_slots(allocator: SlotAllocator, slots: dict[str, int], claimed: dict[str, int]) -> None:
        for name, number in slots.items():
            allocator.adopt(number)
            claimed[name] = number

    # ---------------------------------------------------------------- drive

    async def drive(self, placements: Sequence[Movable]) -> None:
        """All streams of these placements. MoveRefused: everything is back where it was. MoveLost. MediaUnavailable:
        a worker did not answer; nothing is decided, drive again."""
        done: list[tuple[Movable, Trip]] = []
        for placement in placements:
            for trip in placement.move.trips if placement.move else ():
                refused = await self._travel(placement, trip)
                if refused:
                    for back in reversed(done):
                        await self._return(*back)
                    raise MoveRefused(f"worker {placement.move.to if placement.move else '?'} refused ({refused})")
                done.append((placement, trip))

    async def _travel(self, placement: Movable, trip: Trip) -> str:
        """Empty, or the errno of what refused; then the stream is where it was."""
        source, to, placed = placement.worker, _goal(placement), placement.streams[trip.line]
        refused = await self._ask(source, trip, ExportStream(trip.record, trip.move, to, *_slots(placed)))
        if refused:
            if not set(self._arena.cryptos(source)).issuperset(placed.cryptos.values()):
                raise MoveLost("its contexts are gone")
            return refused
        refused = await self._ask(to, trip, ImportStream(trip.record, trip.move, *_slots(trip)))
        if refused:
            if await self._ask(source, trip, ImportStream(trip.record, trip.move, *_slots(placed))):
                raise MoveLost("neither worker takes it")
            await self._ask(source, trip, DiscardTransfer(trip.record, trip.move))
            trip.move = self._number()
        return refused

    async def _return(self, placement: Movable, trip: Trip) -> None:
        """A stream that has arrived, back to where it came from: another stream of the call could not follow."""
        source, to, placed = placement.worker, _goal(placement), placement.streams[trip.line]
        await self._ask(to, trip, DiscardTransfer(trip.record, trip.move))
        trip.move = self._number()
        if await self._ask(to, trip, ExportStream(trip.record, trip.move, source, *_slots(trip))) or await self._ask(
            source, trip, ImportStream(trip.record, trip.move, *_slots(placed))
        ):
            raise MoveLost("a stream could not go back")
        await self._ask(source, trip, DiscardTransfer(trip.record, trip.move))

    async def _ask(self, worker: int, trip: Trip, command: Command) -> str:
        """Empty, or the errno of a refusal. MediaUnavailable: no answer."""
        trip.told = worker
        batch = self._dispatcher.send(worker, [command])
        try:
            await batch.wait(self._timeout_s)
        except GatewayError:
            if not batch.refused:
                raise
        return batch.refused

    # ---------------------------------------------------------------- afterwards

    def commit(self, placement: Movable) -> list[tuple[int, Trip]]:
        """The placement lives at the other worker. What `close` wants."""
        move = placement.move
        if move is None:
            return []
        for trip in move.trips:
            placed = placement.streams[trip.line]
            self._free_slots(placement.worker, placed.flows, placed.cryptos)
            placed.flows, placed.cryptos = trip.flows, trip.cryptos
            placed.placement = replace(placed.placement, worker=move.to)
            self.tell_steering(placed, move.to)
        placement.worker, placement.move = move.to, None
        return [(move.to, trip) for trip in move.trips]

    def tell_steering(self, placed: PlacedStream, worker: int) -> None:
        """Packets of these ports are this worker's from now on."""
        if self.steer is not None:
            for interface, ours in placed.ends:
                self.steer(interface, ours.rtp & ~1, worker)

    async def close(self, trips: Iterable[tuple[int, Trip]]) -> None:
        """Empty the records of moves that are saved. One that cannot be emptied now stays out of use."""
        for worker, trip in trips:
            try:
                await self._ask(worker, trip, DiscardTransfer(trip.record, trip.move))
            except MediaUnavailable:
                continue
            self._records.give_back(trip.record)

    def leave(self, placement: Movable) -> list[tuple[int, list[Command]]]:
        """The call ends in the middle: commands, by worker, that remove what may be under way, and its reservations are
        free. A record is discarded by whoever had the last command about it: its ring keeps the order."""
        move = placement.move
        if move is None:
            return []
        out: list[tuple[int, list[Command]]] = []
        for trip in move.trips:
            if trip.told is not None:
                out.append((trip.told, [DiscardTransfer(trip.record, trip.move)]))
            out.append((move.to, [RemoveFlow(slot) for slot in trip.flows.values()]))
            out.append((move.to, [RemoveCrypto(slot) for slot in trip.cryptos.values()]))
        self.abandon(placement)
        return out

    def clean(self) -> None:
        """At start: empty the records that no plan names (their call has ended, or is committed)."""
        for record, (state, move) in enumerate(self._arena.transfers()):
            if state != "empty" and not self._records.in_use(record):
                self._dispatcher.send(0, [DiscardTransfer(record, move)])

    def _free_slots(self, worker: int, flows: dict[str, int], cryptos: dict[str, int]) -> None:
        for number in flows.values():
            self._inventory[worker].flows.give_back(number)
        for number in cryptos.values():
            self._inventory[worker].cryptos.give_back(number)


def _goal(placement: Movable) -> int:
    if placement.move is None:
        raise RuntimeError("no plan")
    return placement.move.to


def _slots(of: PlacedStream | Trip) -> tuple[FourSlots, MoveCryptos]:
    """In the order of FLOWS and CRYPTOS: the same place is the same flow at both workers, for it has the same names."""
    a, b, c, d = (of.flows.get(name) for name in FLOWS)
    return (a, b, c, d), tuple(of.cryptos.get(name) for name in _travelling(of.cryptos))


def _travelling(names: Iterable[str]) -> Sequence[str]:
    """The places that a transfer record has; where RTCP has keys of its own, those names that are there."""
    places = CRYPTOS[:MOVE_CRYPTOS]
    return places if set(names).issubset(places) else [name for name in CRYPTOS if name in names]
