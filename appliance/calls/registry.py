"""The calls that are up, and which branch of a call a request means (rtpengine's matching of tags and branches).

A call (one Call-ID) has branches: one per forked INVITE that reached media. Each branch joins party a, who made the
first offer, with party b. Most calls have one.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from appliance.calls.keyed import Keys, Seat
from appliance.calls.media import Address, ContextSpec, StreamMedia
from appliance.calls.negotiation import Negotiation
from appliance.calls.subscribing import Codecs, Subscription
from appliance.placement.reconciler import Placement


@dataclass(frozen=True, slots=True)
class Treatment:
    """What was asked to be done to everything that one party of a branch sends, whatever is negotiated."""

    blocked: bool = False
    echo: bool = False

    def __bool__(self) -> bool:
        return self.blocked or self.echo


def untreated() -> dict[str, Treatment]:
    return {"a": Treatment(), "b": Treatment()}


@dataclass(slots=True, eq=False)
class Branch:
    """Two parties and the streams between them. `negotiation` is None for a low-level session."""

    from_tag: str  # party a
    to_tag: str = ""  # party b, once it has answered or was named
    via_branch: str = ""
    negotiation: Negotiation | None = None
    saved: bytes | None = field(default=None, repr=False)  # negotiation.to_record(), encoded, after the last good step
    placement: Placement | None = None
    media: dict[int, StreamMedia] = field(default_factory=dict, repr=False)  # by m-line
    earlier: dict[tuple[int, str], ContextSpec] = field(default_factory=dict, repr=False)  # its peer's keys
    keyed: dict[Seat, Keys] = field(default_factory=dict, repr=False)  # what associations on the media path gave
    pairs: dict[Seat, Address] = field(default_factory=dict)  # far ends that full ICE agents have selected
    handshakes: dict[Seat, str] = field(default_factory=dict)  # how far each is, for views; not in the record
    answered: bool = False
    offerer_tag: str = ""  # who made the offer that is out
    treatments: dict[str, Treatment] = field(default_factory=untreated)  # by leg, "a" and "b"
    codecs: dict[str, Codecs] = field(default_factory=dict)  # by leg: what its party was told of formats
    subscriptions: dict[str, Subscription] = field(default_factory=dict)  # by the subscriber's tag

    @property
    def own_media(self) -> dict[int, StreamMedia]:
        """The streams of the call, without the copies for subscribers."""
        return {line: media for line, media in self.media.items() if media.copies_of is None}

    def has_tags(self, one: str, other: str) -> bool:
        """Are these the two parties, whichever is which? A tag that is not known yet fits."""
        return (self._is_a(one) and self._is_b(other)) or (self._is_a(other) and self._is_b(one))

    def take_media(self, streams: dict[int, StreamMedia]) -> None:
        """From now on. What the peers sent with until now is remembered: one that missed its re-key is then told so."""
        for line, now in streams.items():
            before = self.media.get(line)
            for side in ("a", "b") if before is not None else ():
                was, now_receive = getattr(before, side).receive, getattr(now, side).receive
                if was is not None and was != now_receive:
                    self.earlier[line, side] = was
        self.media = streams

    def _is_a(self, tag: str) -> bool:
        return tag == self.from_tag

    def _is_b(self, tag: str) -> bool:
        return not tag or not self.to_tag or tag == self.to_tag


@dataclass(slots=True, eq=False)
class Call:
    """One Call-ID. `lock` serialises what is done to it; everything else happens within one turn of the loop."""

    call_id: str
    created: float  # seconds since the epoch
    changed: float
    label: str = ""
    low_level: bool = False
    adopted: bool = False
    ended: bool = False
    failure: str = ""  # reason of the last step that failed
    counted_on: int | None = None  # worker whose calls it is counted among
    revision: int = 0
    branches: list[Branch] = field(default_factory=list)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def worker(self) -> int | None:
        """All branches are on one worker; None while nothing is placed."""
        return next((branch.placement.worker for branch in self.branches if branch.placement), None)

    @property
    def answered(self) -> bool:
        return any(branch.answered for branch in self.branches)

    @property
    def transcoded(self) -> int:
        """Streams with a leg that gets another codec than was sent."""
        media = (stream for branch in self.branches for stream in branch.media.values())
        return sum(bool(stream.a.transcode or stream.b.transcode) for stream in media)

    def for_offer(self, from_tag: str, to_tag: str, via_branch: str) -> Branch | None:
        """The branch an offer belongs to: re-INVITE by either party, or the same offer again. None: a new branch."""
        if to_tag:
            known = [branch for branch in self.branches if branch.to_tag and branch.has_tags(from_tag, to_tag)]
            if known:
                return known[-1]
        by_b = [branch for branch in self.branches if branch.to_tag and branch.to_tag == from_tag]
        if by_b:
            return by_b[-1]
        by_a = [branch for branch in self.branches if branch.from_tag == from_tag]
        if not via_branch:
            return by_a[-1] if by_a else None
        return next((branch for branch in by_a if branch.via_branch == via_branch), None)

    def for_answer(self, from_tag: str, to_tag: str, via_branch: str) -> Branch | None:
        """The branch whose offer is answered: `from_tag` made it."""
        mine = [branch for branch in self.branches if from_tag in (branch.offerer_tag, branch.from_tag)]
        if via_branch:
            mine = [branch for branch in mine if branch.via_branch == via_branch] or mine
        exact = [branch for branch in mine if to_tag in (branch.to_tag, branch.from_tag)]
        waiting = [branch for branch in mine if not branch.answered]
        return next(iter(exact or waiting or mine[-1:]), None)

    def for_delete(self, from_tag: str, to_tag: str, via_branch: str) -> list[Branch]:
        """The branches to end: all of them without tags; either party's tag may stand first (BYE by b)."""
        return [
            branch
            for branch in self.branches
            if (not via_branch or branch.via_branch == via_branch)
            and (not from_tag or from_tag in (branch.from_tag, branch.to_tag))
            and (not to_tag or not branch.to_tag or to_tag in (branch.from_tag, branch.to_tag))
        ]


class Registry:
    """Calls by Call-ID, and in the order of their Call-IDs for paging."""

    def __init__(self) -> None:
        self._calls: dict[str, Call] = {}
        self._order: list[str] | None = []

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[Call]:
        return iter(list(self._calls.values()))

    def get(self, call_id: str) -> Call | None:
        return self._calls.get(call_id)

    def add(self, call: Call) -> None:
        self._calls[call.call_id] = call
        self._order = None

    def remove(self, call: Call) -> None:
        if self._calls.get(call.call_id) is call:
            del self._calls[call.call_id]
            self._order = None

    def page(self, limit: int, after: str) -> list[Call]:
        """Sorting waits until somebody asks: set-up of calls must not pay for lists."""
        if self._order is None:
            self._order = sorted(self._calls)
        start = bisect_right(self._order, after) if after else 0
        return [self._calls[call_id] for call_id in self._order[start : start + limit]]
