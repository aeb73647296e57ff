"""What the journal says about the keys of a call: FreeSWITCH's "Set Local audio crypto Key" without the key (C11).

Pure: media before and after a step of the negotiation in, events out. No event holds key material.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from appliance.calls.media import ContextSpec, LegMedia, StreamMedia


@dataclass(frozen=True, slots=True)
class Event:
    name: str
    facts: dict[str, Any] = field(default_factory=dict)
    level: int = logging.DEBUG


def events(before: Mapping[int, StreamMedia], after: Mapping[int, StreamMedia]) -> Iterator[Event]:
    """`srtp_keys` for every context that is new or has other keys, `srtp_key_kept_on_new_address` where a peer moved
    and did not change its key (SDES-20: it should; the field does not, so the context goes on and the journal says
    so)."""
    for line, stream in after.items():
        old = before.get(line)
        for leg in ("a", "b"):
            now, was = getattr(stream, leg), getattr(old, leg) if old else None
            yield from _leg(f"{line} {stream.kind}", leg, now, was)


def _leg(stream: str, name: str, now: LegMedia, was: LegMedia | None) -> Iterator[Event]:
    for direction, spec, old in (
        ("local", now.send, was.send if was else None),
        ("remote", now.receive, was.receive if was else None),
    ):
        if spec is not None and not _same_keys(spec, old):
            facts = {"stream": stream, "leg": name, "direction": direction, "rekeyed": old is not None}
            yield Event("srtp_keys", facts | _shown(spec))
    moved = was is not None and None not in (was.remote_rtp, now.remote_rtp) and was.remote_rtp != now.remote_rtp
    if moved and was and now.receive is not None and _same_keys(now.receive, was.receive):
        facts = {"stream": stream, "leg": name, "was": str(was.remote_rtp), "now": str(now.remote_rtp)}
        yield Event("srtp_key_kept_on_new_address", facts, logging.INFO)


def _same_keys(spec: ContextSpec, other: ContextSpec | None) -> bool:
    return other is not None and (spec.suite, spec.keys) == (other.suite, other.keys)


def _shown(spec: ContextSpec) -> dict[str, Any]:
    facts: dict[str, Any] = {"suite": spec.suite, "key_count": len(spec.keys), "inline": "***"}
    if any(key.mki for key in spec.keys):
        facts["mkis"] = [f"{int.from_bytes(key.mki, 'big')}:{len(key.mki)}" for key in spec.keys]
    if any(key.rtp_lifetime for key in spec.keys):
        facts["lifetimes"] = [key.rtp_lifetime for key in spec.keys]
    return facts
