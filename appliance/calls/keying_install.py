"""What comes of associations, into calls: keys into the branch and to the worker, failures into events.

Everything is done under the lock of the call, once for all that became ready meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from appliance.calls.keyed import Keys, Seat, mute
from appliance.calls.keying_transport import State, Transport
from appliance.calls.ledger import Ledger
from appliance.calls.media import Address, ContextSpec, StreamMedia
from appliance.calls.registry import Branch, Call
from appliance.calls.views import EventKind
from appliance.errors import GatewayError
from appliance.protocols.dtls.outputs import KeysReady
from appliance.values import changed

log = structlog.get_logger(__name__)

Media = dict[int, StreamMedia]
Ready = tuple[KeysReady, Address, float | None]  # what, from where, first record


class Ended(Protocol):
    """Who counts handshakes that gave keys."""

    def ended(self, result: str, seconds: float | None = None) -> None: ...


class Installer:
    """`keyed(call, before, after)` is told of new keys of a branch (journal, key log). `window`, `ssrc_limit`: of
    receiving contexts. `end_failed`: a call is ended when failed handshakes leave none of its m-lines; one with the
    wrong certificate always is. `now`: CLOCK_MONOTONIC in seconds."""

    def __init__(
        self,
        ledger: Ledger,
        counts: Ended,
        *,
        keyed: Callable[[Call, Media, Media], None] = lambda call, before, after: None,
        window: Callable[[], int] = lambda: 128,
        ssrc_limit: Callable[[], int] = lambda: 16,
        end_failed: Callable[[], bool] = lambda: False,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger, self._counts, self._keyed, self._now = ledger, counts, keyed, now
        self._window, self._ssrc_limit, self._end_failed = window, ssrc_limit, end_failed
        self._ready: dict[Call, dict[Transport, Ready]] = {}
        self._failed: dict[Call, dict[Transport, None]] = {}
        self._tasks: dict[Call, asyncio.Task[None]] = {}
        self.on_settled: Callable[[Transport], None] = lambda transport: None  # whether its keys were taken or not

    def add(self, transport: Transport, what: KeysReady, source: Address, begun: float | None) -> None:
        """Keys of a component."""
        self._ready.setdefault(transport.call, {})[transport] = (what, source, begun)
        self._wake(transport.call)

    def tear_down(self, transport: Transport) -> None:
        """No keys for a component; its `mismatch`: the peer's certificate is not the one that was signalled."""
        self._failed.setdefault(transport.call, {})[transport] = None
        self._wake(transport.call)

    def drop(self, transport: Transport) -> None:
        """It is no more."""
        self._ready.get(transport.call, {}).pop(transport, None)
        self._failed.get(transport.call, {}).pop(transport, None)

    def tick(self) -> None:
        """What could not be done then (a call on its way to another worker) is tried again."""
        for call in [*self._ready, *self._failed]:
            self._wake(call)

    def _wake(self, call: Call) -> None:
        if call not in self._tasks:
            self._tasks[call] = asyncio.get_running_loop().create_task(self._work(call))

    async def _work(self, call: Call) -> None:
        await call.lock.acquire()
        try:
            while not call.ended and (ready := self._ready.pop(call, None)):
                await self._install(call, ready)
            while not call.ended and (failed := self._failed.pop(call, None)):
                await self._tear_down(call, failed)
        except GatewayError as error:
            log.warning("keys not installed", call_id=call.call_id, why=str(error))
        finally:
            self._ledger.unlock(call)
            del self._tasks[call]
            if call.ended:
                self._ready.pop(call, None)
                self._failed.pop(call, None)

    # ---------------------------------------------------------------- keys

    async def _install(self, call: Call, ready: dict[Transport, Ready]) -> None:
        for branch in dict.fromkeys(transport.branch for transport in ready):
            mine = {transport: one for transport, one in ready.items() if transport.branch is branch}
            before, held = branch.media, dict(branch.keyed)
            for transport, (what, source, _) in mine.items():
                branch.keyed[transport.seat] = self._keys(transport, what, source)
            with self._ledger.attempt(call, branch):
                try:
                    await self._ledger.carry_out(call, branch, branch.own_media, negotiated=False)
                except BaseException:
                    branch.keyed = held
                    if branch.placement is not None and branch.placement.streams:
                        self._ready.setdefault(call, {}).update(mine)  # else the branch is lost
                    raise
                finally:
                    for transport in mine:
                        self.on_settled(transport)
            self._told(call, branch, mine, before)

    def _keys(self, transport: Transport, what: KeysReady, source: Address) -> Keys:
        was, wish = transport.branch.keyed.get(transport.seat), transport.wish
        assert wish is not None
        return Keys(
            association=wish.association,
            receive=self._receiving(what.receive),
            send=what.send,
            peer=what.peer,
            active=bool(wish.active),
            source=source,
            signalled=transport.signalled,
            since=self._ledger.clock(),
            earlier=was.receive if was is not None and was.association != wish.association else None,
        )

    def _receiving(self, spec: ContextSpec) -> ContextSpec:
        window, limit = self._window(), self._ssrc_limit()
        if (spec.window, spec.ssrc_limit) == (window, limit):
            return spec
        return changed(spec, window=window, ssrc_limit=limit)

    def _told(self, call: Call, branch: Branch, ready: dict[Transport, Ready], before: Media) -> None:
        now = self._now()
        for _, _, begun in ready.values():
            self._counts.ended("keyed", None if begun is None else now - begun)
        self._keyed(call, before, branch.media)
        if self._ledger.bus:
            self._ledger.publish(EventKind.KEYED, call, ", ".join(str(transport.seat) for transport in ready))

    # ---------------------------------------------------------------- failures

    async def _tear_down(self, call: Call, failed: dict[Transport, None]) -> None:
        ledger = self._ledger
        for transport in failed:
            branch, mismatch = transport.branch, transport.mismatch
            if branch not in call.branches or transport.state is not State.FAILED:
                continue
            kind = EventKind.FINGERPRINT_MISMATCH if mismatch else EventKind.HANDSHAKE_FAILED
            reason = f"{transport.seat}: {transport.failure}"
            log.warning(kind.value, call_id=call.call_id, reason=reason)
            if transport.seat in branch.keyed and transport.wish and transport.wish.supposed and not mismatch:
                log.info("the association before lives on", call_id=call.call_id, seat=str(transport.seat))
                continue
            if branch.keyed.pop(transport.seat, None) is not None and not mismatch:
                await ledger.carry_out(
                    call, branch, branch.own_media, negotiated=False
                )  # nothing of the association before passes
            ledger.publish(kind, call, reason)
            if mismatch or (self._end_failed() and mute(branch.media, _failed_seats(branch))):
                ledger.tally.failed += 1
                ledger.end(call, [branch], kind.value, EventKind.FAILED)


def _failed_seats(branch: Branch) -> set[Seat]:
    failed = (seat for seat, state in branch.handshakes.items() if state.startswith(State.FAILED))
    return {seat for seat in failed if seat not in branch.keyed}
