"""Keys of calls that are up: the end of an overlap after a re-key, and keys whose lifetime runs out.

overlap     `LegMedia.receive_also` holds the keys before a re-key. Once a packet came under the new key they stay
            for a grace, for what is late, and are wiped then (C13, SDES-21).
lifetime    used up, or nearly: told once each (A17, C05, B7). The engine stops at the limit by itself.
ROC         found by trial: told (peers #9).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, replace

import structlog

from appliance.calls.keyed import Seat
from appliance.calls.ledger import Ledger
from appliance.calls.media import LegMedia, StreamMedia
from appliance.calls.registry import Branch, Call
from appliance.calls.views import EventKind
from appliance.errors import GatewayError
from appliance.placement.desired_contexts import contexts
from appliance.placement.placed import PlacedStream
from kernels.control.status import CryptoStatus, KeyStatus

MOST_OVERLAP_S = 120.0  # of keys before a new association: one MSL (RFC 5764 section 5.2)
LAST_PACKETS = 1500  # half a minute of audio: so few left are worth a word, whatever their share

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """One context of a call."""

    call_id: str
    branch: int
    line: int
    name: str  # of appliance.placement.desired_contexts.CRYPTOS

    def __str__(self) -> str:
        return f"stream {self.line}, {self.name}"


class KeyWatch:
    """`look_at` sees each call about once in a round of housekeeping. `grace_s`, `expiring`: settings, read each time;
    `now_ns`: CLOCK_MONOTONIC."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        grace_s: Callable[[], float] = lambda: 5.0,
        expiring: Callable[[], float] = lambda: 0.9,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._ledger, self._grace_s, self._expiring, self._now_ns = ledger, grace_s, expiring, now_ns
        self._since: dict[Place, int] = {}  # new key of an overlap -> when it was first seen in use
        self._told: dict[tuple[Place, bytes, str], EventKind] = {}  # context, MKI, protocol
        self._resyncs: dict[Place, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def look_at(self, call: Call) -> None:
        """One call that nobody is changing now."""
        for at, branch in enumerate(call.branches):
            if branch.placement is None or branch.placement.move is not None:
                continue
            for line, media in branch.media.items():
                placed = branch.placement.streams.get(line)
                if placed is not None:
                    self._look_at(call, at, line, media, placed)

    def prune(self) -> None:
        """Forget calls that have ended. Once in a round."""
        known = self._ledger.registry.get
        self._since = {place: since for place, since in self._since.items() if known(place.call_id)}
        self._told = {key: kind for key, kind in self._told.items() if known(key[0].call_id)}
        self._resyncs = {place: count for place, count in self._resyncs.items() if known(place.call_id)}

    # ---------------------------------------------------------------- parts

    def _look_at(self, call: Call, at: int, line: int, media: StreamMedia, placed: PlacedStream) -> None:
        for name in contexts(media):
            status = self._ledger.snapshots.crypto(placed.placement.worker, placed.cryptos.get(name))
            if status is None:
                continue
            place = Place(call.call_id, at, line, name)
            self._lifetimes(call, place, status)
            self._rocs(call, place, status)
            side = name[0]
            if media.leg(side).dtls is not None:
                if name in (f"{side}_receive", f"{side}_rtcp_receive"):
                    component = "rtcp" if "rtcp" in name else "rtp"
                    self._associations(call, call.branches[at], Seat(line, side, component), status)
            elif name == f"{side}_receive":
                self._overlap(call, place, side, media.leg(side), status)

    def _lifetimes(self, call: Call, place: Place, status: CryptoStatus) -> None:
        for key in status.each_key:
            for protocol, used, most in _uses(key):
                kind = _level(used, most, self._expiring())
                known = self._told.pop((place, key.mki, protocol), None)
                if kind is None:
                    continue  # also: another key has come in the place of the one that was told
                self._told[place, key.mki, protocol] = kind
                if kind is not known:
                    mki = f", MKI {key.mki.hex()}" if key.mki else ""
                    reason = f"{place}{mki}: {used} of {most} {protocol} packets"
                    log.warning("key " + kind.value.removeprefix("key_"), call_id=call.call_id, reason=reason)
                    self._ledger.publish(kind, call, reason)

    def _rocs(self, call: Call, place: Place, status: CryptoStatus) -> None:
        before = self._resyncs.pop(place, 0)
        if status.resyncs:
            self._resyncs[place] = status.resyncs
        if status.resyncs > before:
            self._ledger.publish(EventKind.ROC_FOUND, call, f"{place}: rollover counter found by trial")

    def _overlap(self, call: Call, place: Place, side: str, leg: LegMedia, status: CryptoStatus) -> None:
        branch = call.branches[place.branch]
        if not leg.receive_also or not _used(status) or not _agreed(branch, place.line, side):
            self._since.pop(place, None)
            return
        now = self._now_ns()
        if now - self._since.setdefault(place, now) < self._grace_s() * 1e9:
            return
        del self._since[place]
        self._begin(self._end_overlap(call.call_id, branch, place.line, side))

    def _associations(self, call: Call, branch: Branch, seat: Seat, status: CryptoStatus) -> None:
        """Keys of the association before: until the first packet under the new ones, at most MOST_OVERLAP_S (D12)."""
        keys = branch.keyed.get(seat)
        if keys is None or keys.earlier is None:
            return
        if _used(status) or self._ledger.clock() - keys.since > MOST_OVERLAP_S:
            self._begin(self._forget_earlier(call.call_id, branch, seat))

    async def _forget_earlier(self, call_id: str, branch: Branch, seat: Seat) -> None:
        ledger = self._ledger
        call = await ledger.locked(call_id)
        if call is None:
            return
        try:
            keys = branch.keyed.get(seat)
            if branch in call.branches and keys is not None and keys.earlier is not None:
                branch.keyed[seat] = replace(keys, earlier=None)
                with ledger.attempt(call, branch):
                    await ledger.carry_out(call, branch, branch.own_media)
        except GatewayError as error:
            log.warning("old keys not removed", call_id=call_id, why=str(error))
        finally:
            ledger.unlock(call)

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _end_overlap(self, call_id: str, branch: Branch, line: int, side: str) -> None:
        """Under the call's lock everything is asked once more: it may have been changed meanwhile."""
        ledger = self._ledger
        call = await ledger.locked(call_id)
        if call is None:
            return
        try:
            if branch in call.branches and line in branch.media and _agreed(branch, line, side):
                with ledger.attempt(call, branch):
                    if branch.negotiation is not None:
                        branch.negotiation.end_overlap(line, side)
                    await ledger.carry_out(call, branch, _without_also(branch.media, line, side))
        except GatewayError as error:
            log.warning("old keys not removed", call_id=call_id, why=str(error))
        finally:
            ledger.unlock(call)


def _used(status: CryptoStatus) -> bool:
    return any(one.rtp_packets or one.rtcp_packets for one in status.each_key)


def _agreed(branch: Branch, line: int, side: str) -> bool:
    """Whether the further keys are those of before: not the ones of an offer that waits for its answer."""
    if branch.negotiation is None:
        return True
    return branch.answered and branch.negotiation.overlaps(line, side, branch.media[line].leg(side))


def _without_also(streams: dict[int, StreamMedia], line: int, side: str) -> dict[int, StreamMedia]:
    media = streams[line]
    return {**streams, line: media.with_leg(side, replace(media.leg(side), receive_also=()))}


def _uses(key: KeyStatus) -> Iterator[tuple[str, int, int]]:
    yield "SRTP", key.rtp_packets, key.rtp_lifetime
    yield "SRTCP", key.rtcp_packets, key.rtcp_lifetime


def _level(used: int, most: int, expiring: float) -> EventKind | None:
    if used >= most:
        return EventKind.KEY_EXHAUSTED
    return EventKind.KEY_EXPIRING if used >= most * expiring or most - used <= LAST_PACKETS else None
