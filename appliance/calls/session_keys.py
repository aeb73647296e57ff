"""What keys a low-level session may not have: the caller chose them, so nobody else can tell (B5, A05)."""

from __future__ import annotations

from collections.abc import Iterable

from appliance.calls.media import ContextSpec, LegMedia, StreamMedia
from appliance.errors import InvalidRequest


def check_keys(streams: Iterable[StreamMedia]) -> None:
    """InvalidRequest: a peer that echoes the key we send to it with, or two of our senders under one key: with equal
    SSRCs, which nobody can rule out, both are a two-time pad (RFC 3711 section 9.1; RFC 4568 section 7.1.2)."""
    senders: set[tuple[bytes, bytes]] = set()
    for stream in streams:
        for leg in (stream.a, stream.b):
            ours = _secrets(leg.send)
            if ours & _theirs(leg):
                raise InvalidRequest("a leg receives with the key that we send to it with", "receive")
            if ours & senders:
                raise InvalidRequest("two contexts send with one key", "send")
            senders |= ours


def _theirs(leg: LegMedia) -> set[tuple[bytes, bytes]]:
    return {secret for spec in (leg.receive, *leg.receive_also) for secret in _secrets(spec)}


def _secrets(spec: ContextSpec | None) -> set[tuple[bytes, bytes]]:
    return {(key.key, key.salt) for key in spec.keys} if spec else set()
