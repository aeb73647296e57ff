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


@dataclass(frozen=True, slots=True)
class Keyed:
    """A context and where it belongs: `local` is what we send with, `remote` what the peer sends with."""

    stream: str
    leg: str
    direction: str
    spec: ContextSpec
    rekeyed: bool


def events(
    before: Mapping[int, StreamMedia], after: Mapping[int, StreamMedia], *, debug: bool = True
) -> Iterator[Event]:
    """`srtp_keys` for every context that is new or has other keys, `srtp_key_kept_on_new_address` where a peer moved
    and did not change its key (SDES-20: it should; the field does not, so the context goes on and the journal says
    so). Without `debug` only what an operator has to know."""
    for keyed in contexts(before, after) if debug else ():
        facts = {"stream": keyed.stream, "leg": keyed.leg, "direction": keyed.direction, "rekeyed": keyed.rekeyed}
        yield Event("srtp_keys", facts | _shown(keyed.spec))
    for stream, leg, now, was in _legs(before, after):
        moved = was is not None and None not in (was.remote_rtp, now.remote_rtp) and was.remote_rtp != now.remote_rtp
        if moved and was and now.receive is not None and _same_keys(now.receive, was.receive):
            facts = {"stream": stream, "leg": leg, "was": str(was.remote_rtp), "now": str(now.remote_rtp)}
            yield Event("srtp_key_kept_on_new_address", facts, logging.INFO)


def contexts(before: Mapping[int, StreamMedia], after: Mapping[int, StreamMedia]) -> Iterator[Keyed]:
    """Every context of `after` that is new or has other keys."""
    for stream, leg, now, was in _legs(before, after):
        for direction, spec, old in (
            ("local", now.send, was.send if was else None),
            ("remote", now.receive, was.receive if was else None),
        ):
            if spec is not None and not _same_keys(spec, old):
                yield Keyed(stream, leg, direction, spec, old is not None)


def _legs(
    before: Mapping[int, StreamMedia], after: Mapping[int, StreamMedia]
) -> Iterator[tuple[str, str, LegMedia, LegMedia | None]]:
    for line, stream in after.items():
        old, name = before.get(line), f"{line} {stream.kind}"
        yield name, "a", stream.a, old.a if old else None
        yield name, "b", stream.b, old.b if old else None


def _same_keys(spec: ContextSpec, other: ContextSpec | None) -> bool:
    return other is not None and (spec.suite, spec.keys) == (other.suite, other.keys)


def _shown(spec: ContextSpec) -> dict[str, Any]:
    facts: dict[str, Any] = {"suite": spec.suite, "key_count": len(spec.keys), "inline": "***"}
    if any(key.mki for key in spec.keys):
        facts["mkis"] = [f"{int.from_bytes(key.mki, 'big')}:{len(key.mki)}" for key in spec.keys]
    if any(key.rtp_lifetime for key in spec.keys):
        facts["lifetimes"] = [key.rtp_lifetime for key in spec.keys]
    return facts
