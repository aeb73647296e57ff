"""Brings workers to the desired media of a set of streams (the streams of one branch of a call) and keeps them there.

`reserve` chooses worker and ports, `apply` installs or changes, `release` removes and frees, `adopt` takes over what an
earlier control process installed, `audit` compares a worker with what it should hold. Commands are idempotent, so any
of them may be repeated.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Protocol

from appliance.calls.media import LocalPorts, StreamMedia, StreamPlacement
from appliance.errors import GatewayError, InvalidRequest, MediaUnavailable, NoCapacity
from appliance.placement.desired import desired_of
from appliance.placement.desired_contexts import assign_cryptos
from appliance.placement.desired_flows import needed_flows
from appliance.placement.desired_state import NOTHING, Desired, diff
from appliance.placement.dispatcher import Batch, Dispatcher
from appliance.placement.inventory import Inventory, WorkerInventory, need
from appliance.placement.mover import Move, Mover
from appliance.placement.placed import PlacedStream
from kernels.control.commands import Command, RemoveCrypto, RemoveFlow


class Contents(Protocol):
    """What is used of `kernels.control.plane.MediaPlane` to look at a worker."""

    def flows(self, worker: int) -> list[int]: ...
    def cryptos(self, worker: int) -> list[int]: ...
    def transfers(self) -> list[tuple[str, int]]: ...


@dataclass(slots=True)
class Placement:
    """The streams of one branch: where each lives, by m-line, and what was last commanded for all of them."""

    worker: int
    streams: dict[int, PlacedStream] = field(default_factory=dict)
    installed: Desired = NOTHING
    move: Move | None = None  # to another worker, under way


@dataclass(slots=True)
class Change:
    """An `apply` under way. `settle` waits for it; when it fails everything is as it was before."""

    placement: Placement
    before: Desired
    streams_before: dict[int, PlacedStream]
    slots_before: dict[int, tuple[dict[str, int], dict[str, int]]]
    batch: Batch | None = None

    @property
    def reversible(self) -> bool:
        """False when a slot got other keys: ROC and replay state of the old ones are gone, and starting them anew
        could use an index twice (RFC 3711 section 9.1)."""
        after = self.placement.installed.cryptos
        return all(after[slot].continues(old) for slot, old in self.before.cryptos.items() if slot in after)


class Reconciler:
    """One per control process. `now` is CLOCK_MONOTONIC in seconds."""

    def __init__(
        self,
        inventory: Inventory,
        dispatcher: Dispatcher,
        contents: Contents,
        *,
        timeout_s: float = 2.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.inventory, self.dispatcher = inventory, dispatcher
        self.dirty: set[int] = set()  # workers that may hold what nobody owns, or lack something
        self._contents, self._timeout_s, self._now = contents, timeout_s, now
        self.mover = Mover(inventory, dispatcher, contents, timeout_s=timeout_s)

    # ---------------------------------------------------------------- reserve

    def reserve(self, legs: Sequence[tuple[int, str, str]], worker: int | None = None) -> Placement:
        """Ports for streams (line, interface a, interface b) on one worker: `worker`, else the least loaded.
        NoCapacity."""
        if worker is None:
            worker = self.inventory.choose(need((a, b) for _, a, b in legs))
        placement = Placement(worker)
        self.extend(placement, legs)
        return placement

    def extend(self, placement: Placement, legs: Sequence[tuple[int, str, str]]) -> None:
        """Ports for those of the lines that have none yet; one that has keeps them, whatever interface is wished now.
        A leg with interface "" gets none. NoCapacity, InvalidRequest; then nothing was taken."""
        taken: list[int] = []
        try:
            for line, a, b in legs:
                if line not in placement.streams:
                    placement.streams[line] = self._place(placement.worker, a, b)
                    taken.append(line)
        except GatewayError:
            for line in taken:
                self._free(placement.worker, placement.streams.pop(line))
            raise

    def _place(self, worker: int, a: str, b: str) -> PlacedStream:
        ours_a = self._pair(worker, a)
        try:
            ours_b = self._pair(worker, b)
        except GatewayError:
            if a:
                self.inventory.ports_of(a, ours_a.rtp).give_back((ours_a.rtp, ours_a.rtp + 1), self._now())
            raise
        return PlacedStream(StreamPlacement(worker, ours_a, ours_b), a, b)

    def _pair(self, worker: int, interface: str) -> LocalPorts:
        if not interface:
            return LocalPorts("", 0, 0)
        allocator = self.inventory[worker].ports.get(interface)
        if allocator is None:
            raise InvalidRequest(f"no such interface: {interface[:40]!r}", "interface")
        port = allocator.take_pair(self._now())
        return LocalPorts(self.inventory.addresses[interface], port, port + 1)

    # ---------------------------------------------------------------- apply

    def apply(self, placement: Placement, streams: dict[int, StreamMedia]) -> Change:
        """Start to bring the worker to `streams` (by m-line). Lines that are not in it are removed, their ports freed
        when the change has settled. Every line must have been placed. NoCapacity, InvalidRequest: nothing was
        changed."""
        if placement.move is not None:
            raise MediaUnavailable("the call is on its way to another worker")
        change = Change(
            placement,
            placement.installed,
            dict(placement.streams),
            {line: (dict(placed.flows), dict(placed.cryptos)) for line, placed in placement.streams.items()},
        )
        try:
            for line, media in streams.items():
                self._take_slots(placement, placement.streams[line], media)
            wanted = desired_of(streams, placement.streams)
            commands = diff(change.before, wanted)
            change.batch = self.dispatcher.send(placement.worker, commands) if commands else None
        except GatewayError:
            self._restore_slots(change)
            raise
        placement.installed = wanted
        placement.streams = {line: placement.streams[line] for line in streams}
        return change

    async def settle(self, change: Change) -> bool:
        """Wait for the worker. True when slots or ports were freed that the change no longer needs.
        MediaUnavailable, NoCapacity: rolled back; where that cannot be done, everything of the
        placement is released (`placement.streams` is empty then) and the branch is lost."""
        if change.batch is not None:
            try:
                await change.batch.wait(self._timeout_s)
            except BaseException:
                if change.reversible:
                    self.roll_back(change)
                else:
                    self._release_all(change)
                raise
        placement = change.placement
        ended = [placed for line, placed in change.streams_before.items() if line not in placement.streams]
        for placed in ended:
            self._free(placement.worker, placed)
        freed = [self._give_back_unused(placement, placed) for placed in placement.streams.values()]
        return bool(ended) or any(freed)

    def roll_back(self, change: Change) -> None:
        """Back to what was before the change, without waiting: the ring keeps the order."""
        placement = change.placement
        commands = diff(placement.installed, change.before)
        # what was changed or failed half way is commanded again, whatever we believe is there
        again = change.before.told()
        commands = [*commands, *(command for command in again if command not in commands)]
        self._send_quietly(placement.worker, commands)
        placement.installed, placement.streams = change.before, dict(change.streams_before)
        self._restore_slots(change)

    # ---------------------------------------------------------------- release

    def release(self, placement: Placement) -> Batch | None:
        """Remove everything and free it. The slots are free at once: their removal stands in the ring before
        any new use."""
        for worker, rest in self.mover.leave(placement):
            self._send_quietly(worker, rest)
        commands = diff(placement.installed, NOTHING)
        batch = self._send_quietly(placement.worker, commands)
        for placed in placement.streams.values():
            self._free(placement.worker, placed)
        placement.streams, placement.installed = {}, NOTHING
        return batch

    def trim(self, placement: Placement, lines: Collection[int]) -> None:
        """Free the ports of lines other than these, which were placed for an offer that failed."""
        for line in [line for line in placement.streams if line not in lines]:
            self._free(placement.worker, placement.streams.pop(line))

    def _release_all(self, change: Change) -> None:
        change.placement.streams = {**change.streams_before, **change.placement.streams}
        self._send_quietly(change.placement.worker, diff(change.before, NOTHING))
        self.release(change.placement)

    # ---------------------------------------------------------------- adoption and audit

    def adopt(self, placement: Placement, streams: dict[int, StreamMedia]) -> None:
        """Take over slots and ports of a recorded placement. NoCapacity when they are not free (two records
        claim them)."""
        with ExitStack() as undo:
            for placed in placement.streams.values():
                self._adopt(self.inventory[placement.worker], placed, undo)
            self.know(placement, streams)
            self.mover.adopt(placement)
            undo.pop_all()
        for placed in placement.streams.values():
            if self._owner(placed) != placement.worker:
                self.mover.tell_steering(placed, placement.worker)

    def know(self, placement: Placement, streams: dict[int, StreamMedia]) -> None:
        """Take for installed what these media come to, with the slots as they are."""
        placement.installed = desired_of(streams, placement.streams)

    def _adopt(self, worker: WorkerInventory, placed: PlacedStream, undo: ExitStack) -> None:
        for allocator, slots in ((worker.flows, placed.flows), (worker.cryptos, placed.cryptos)):
            for number in slots.values():
                allocator.adopt(number)
                undo.callback(allocator.give_back, number)
        for interface, ours in placed.ends:
            if interface not in worker.ports or self.inventory.addresses[interface] != ours.address:
                raise NoCapacity(f"interface {interface[:40]!r} is gone")
            pair = (ours.rtp & ~1, ours.rtp | 1)
            ports = self.inventory.ports_of(interface, ours.rtp)
            ports.adopt(pair)
            undo.callback(ports.give_back, pair, self._now())

    def contents(self, worker: int) -> tuple[frozenset[int], frozenset[int]]:
        """Flow and crypto slots that the worker holds."""
        return frozenset(self._contents.flows(worker)), frozenset(self._contents.cryptos(worker))

    def reinstall(self, placement: Placement) -> Batch | None:
        """Command everything of a placement again (idempotent); not of one that is on its way: its keys must not start
        anew where it was."""
        if placement.move is not None:
            return None
        return self._send_quietly(placement.worker, diff(NOTHING, placement.installed))

    def follow(self, placement: Placement, left: int, slots: Iterable[int]) -> None:
        """After a move: what the workers did among themselves, once more as commands (they change nothing, but for
        streams that share a port: kernels/flow/routes.pxd). Whoever follows commands, as next hops do, learns where the
        flows are now."""
        self._send_quietly(left, [RemoveFlow(slot) for slot in slots])
        self._send_quietly(placement.worker, placement.installed.told())

    def remove_orphans(self, worker: int, owned: Iterable[Placement]) -> int:
        """Remove what the worker holds and no placement wants; how many. Flows go before contexts."""
        flows, cryptos = (set(slots) for slots in self.contents(worker))
        for placement in owned:
            if placement.worker == worker:
                flows.difference_update(placement.installed.flows)
                cryptos.difference_update(placement.installed.cryptos)
            for trip in placement.move.trips if placement.move and placement.move.to == worker else ():
                flows.difference_update(trip.flows.values())
                cryptos.difference_update(trip.cryptos.values())
        commands: list[Command] = [RemoveFlow(slot) for slot in sorted(flows)]
        commands += [RemoveCrypto(slot) for slot in sorted(cryptos)]
        self._send_quietly(worker, commands)
        return len(commands)

    # ---------------------------------------------------------------- slots

    def _take_slots(self, placement: Placement, placed: PlacedStream, media: StreamMedia) -> None:
        inventory = self.inventory[placement.worker]
        for name in needed_flows(media):
            if name not in placed.flows:
                placed.flows[name] = inventory.flows.take()
        taken: list[int] = []

        def take() -> int:
            taken.append(inventory.cryptos.take())
            return taken[-1]

        try:
            placed.cryptos = assign_cryptos(media, placed.cryptos, placement.installed.cryptos, take)
        except GatewayError:
            for number in taken:
                inventory.cryptos.give_back(number)
            raise

    def _give_back_unused(self, placement: Placement, placed: PlacedStream) -> bool:
        """Slots that the last change made superfluous (mux agreed, leg became plain)."""
        inventory, installed = self.inventory[placement.worker], placement.installed
        flows = [name for name, slot in placed.flows.items() if slot not in installed.flows]
        cryptos = [name for name, slot in placed.cryptos.items() if slot not in installed.cryptos]
        for name in flows:
            inventory.flows.give_back(placed.flows.pop(name))
        for name in cryptos:
            inventory.cryptos.give_back(placed.cryptos.pop(name))
        return bool(flows or cryptos)

    def _restore_slots(self, change: Change) -> None:
        """Give back the slots that were taken for a change which did not come about."""
        inventory = self.inventory[change.placement.worker]
        for line, (flows, cryptos) in change.slots_before.items():
            placed = change.streams_before[line]
            for number in set(placed.flows.values()) - set(flows.values()):
                inventory.flows.give_back(number)
            for number in set(placed.cryptos.values()) - set(cryptos.values()):
                inventory.cryptos.give_back(number)
            placed.flows, placed.cryptos = flows, cryptos

    def _free(self, worker: int, placed: PlacedStream) -> None:
        inventory, now = self.inventory[worker], self._now()
        for number in placed.flows.values():
            inventory.flows.give_back(number)
        for number in placed.cryptos.values():
            inventory.cryptos.give_back(number)
        for interface, ours in placed.ends:
            self.inventory.ports_of(interface, ours.rtp).give_back((ours.rtp & ~1, ours.rtp | 1), now)
        owner = self._owner(placed)
        if owner != worker:
            self.mover.tell_steering(placed, owner)
        placed.flows, placed.cryptos = {}, {}

    def _owner(self, placed: PlacedStream) -> int:
        """The worker in whose range a stream's ports are."""
        interface, ours = placed.ends[0]
        return self.inventory.owner(interface, ours.rtp)

    def _send_quietly(self, worker: int, commands: list[Command]) -> Batch | None:
        """For clean-up: a worker that takes nothing now is in `dirty` and is audited later."""
        if not commands:
            return None
        try:
            return self.dispatcher.send(worker, commands)
        except GatewayError:
            self.dirty.add(worker)
            return None
