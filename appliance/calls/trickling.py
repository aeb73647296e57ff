"""Candidates that come after the SDP (RFC 8838, RFC 8840): to the agents of the legs that they are about.

A fragment may overtake the answer that it belongs to (SIP over UDP): what fits no leg yet is kept for a while, and
tried again when the media of the call change.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from appliance.calls.media import IceMedia
from appliance.calls.registry import Branch, Call
from appliance.protocols.ice.trickle import Fragment, Section

KEPT_S = 10.0
MOST_OF_A_CALL = 16  # fragments that wait
MOST_CALLS = 4096  # with fragments that wait; the oldest give way


class Agents(Protocol):
    """What is used of `appliance.calls.ice_agents.IceAgents`."""

    def add_candidates(
        self, branch: Branch, line: int, side: str, candidates: Iterable[str], complete: bool
    ) -> None: ...


class NoAgents:
    """None: all ICE is lite."""

    def add_candidates(self, branch: Branch, line: int, side: str, candidates: Iterable[str], complete: bool) -> None:
        pass


@dataclass(frozen=True, slots=True)
class _Waiting:
    until: float
    tag: str
    fragment: Fragment


class Trickling:
    """Follows calls (`appliance.calls.ledger.Followers`). `now`: seconds of any clock that does not go back."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.agents: Agents = NoAgents()
        self._now = now
        self._waiting: dict[Call, list[_Waiting]] = {}

    def take(self, call: Call, tag: str, fragment: Fragment) -> bool:
        """A fragment of the party with this tag. False: it fits no leg so far, and waits."""
        if self._given(call, tag, fragment):
            return True
        waiting = self._waiting.setdefault(call, [])
        if len(waiting) < MOST_OF_A_CALL:
            waiting.append(_Waiting(self._now() + KEPT_S, tag, fragment))
        if len(self._waiting) > MOST_CALLS:
            del self._waiting[next(iter(self._waiting))]
        return False

    def follow(self, call: Call, branch: Branch) -> None:
        """Its media have changed: what waits may fit now."""
        now = self._now()
        for one in self._waiting.pop(call, ()):
            if one.until > now and not self._given(call, one.tag, one.fragment):
                self._waiting.setdefault(call, []).append(one)

    def leave(self, branch: Branch) -> None:
        for call in [call for call in self._waiting if call.ended or branch in call.branches]:
            del self._waiting[call]

    def _given(self, call: Call, tag: str, fragment: Fragment) -> bool:
        given = False
        for branch in call.branches:
            for side in _sides(branch, tag):
                for section in fragment.sections:
                    for line in _lines(branch, side, section):
                        self.agents.add_candidates(branch, line, side, section.candidates, section.complete)
                        given = True
        return given


def _sides(branch: Branch, tag: str) -> list[str]:
    return ["a"] * (tag == branch.from_tag) + ["b"] * (bool(tag) and tag == branch.to_tag)


def _lines(branch: Branch, side: str, section: Section) -> list[int]:
    """The streams that a section is about: those with its credentials (RFC 8840 section 4.4: of another generation it
    is for nobody); of several, the one that the leg knows by its mid, else by its place."""
    of: dict[int, IceMedia] = {}
    for line, media in branch.own_media.items():
        ice = media.leg(side).ice
        if ice is not None and ice.remote is not None and section.ufrag in ("", ice.remote.ufrag):
            of[line] = ice
    if len(of) < 2:
        return list(of)
    named = branch.negotiation.line_of_mid(side, section.mid) if branch.negotiation and section.mid else None
    if named is not None:
        return [named] if named in of else []
    lines = list(of)
    return lines[section.index : section.index + 1] if section.index is not None else []
