"""What a request asks for beside the negotiation: the TOS octet, and relaying of what is protected end to end."""

from __future__ import annotations

from dataclasses import replace

from appliance.calls.media import LegMedia, StreamMedia
from appliance.calls.negotiation import Negotiated
from appliance.calls.registry import Branch
from appliance.policy.options import KEEP_TOS, MediaOptions


def as_wished(branch: Branch, negotiated: Negotiated, options: MediaOptions) -> dict[int, StreamMedia]:
    """The streams by m-line, with what is asked for beside the negotiation. Legs without keys are opaque where both
    sides hold keys that we do not have (row J11): numbers in authenticated headers stay as they are."""
    streams = _with_tos(branch, negotiated, options.tos)
    if "opaque" not in options.flags:
        return streams
    return {line: replace(media, a=_opaque(media.a), b=_opaque(media.b)) for line, media in streams.items()}


def _opaque(leg: LegMedia) -> LegMedia:
    if leg.secure:
        return leg
    return replace(leg, opaque=True, feedback=True, payload_types=(), transcode=(), extensions=None)


def _with_tos(branch: Branch, negotiated: Negotiated, tos: int | None) -> dict[int, StreamMedia]:
    """The streams by m-line; every leg gets the TOS octet, or keeps its own (KEEP_TOS)."""
    streams = dict(zip(negotiated.lines, negotiated.streams, strict=True))
    if tos is None:
        return streams
    kept = {line: media.a.tos for line, media in branch.media.items()}
    for line, media in streams.items():
        octet = kept.get(line) if tos == KEEP_TOS else tos
        streams[line] = replace(media, a=replace(media.a, tos=octet), b=replace(media.b, tos=octet))
    return streams
