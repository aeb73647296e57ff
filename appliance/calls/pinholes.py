"""STUN on legs without ICE: a passive side opens pinholes by one binding request, and answers those of others
(RFC 5763 section 6.7.1, DTLS-16). Nobody learns anything from them."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from appliance.protocols.stun import message
from appliance.protocols.stun.message import Kind, Message
from kernels.control.commands import Punt

ANSWERS_PER_S = 5.0  # of one component, to whomever: an answer is longer than the shortest request
BURST = 10.0


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


class Pinholes:
    """`now`: CLOCK_MONOTONIC in seconds."""

    def __init__(self, now: Callable[[], float], random: Callable[[int], bytes] = os.urandom) -> None:
        self._now, self._random = now, random
        self._buckets: dict[Hashable, _Bucket] = {}

    def request(self) -> bytes:
        """A binding request without credentials."""
        return message.encode(Message(Kind.REQUEST, self._random(message.TRANSACTION)))

    def answer(self, who: Hashable, punt: Punt) -> bytes | None:
        """The answer to a binding request without credentials; None to anything else, and when there were too many.
        One that is signed is a check of ICE, which this leg does not do: to answer it would promise that."""
        if not self._may(who):
            return None
        asked = message.parse(punt.data)
        if not isinstance(asked, Message) or asked.kind is not Kind.REQUEST or asked.method != message.BINDING:
            return None
        if asked.username is not None or asked.signature is not None or asked.not_understood:
            return None
        reply = Message(Kind.SUCCESS, asked.transaction, xor_mapped_address=punt.source)
        return message.encode(reply, fingerprint=asked.fingerprint)

    def forget(self, who: Hashable) -> None:
        """It is no more."""
        self._buckets.pop(who, None)

    def _may(self, who: Hashable) -> bool:
        now = self._now()
        bucket = self._buckets.setdefault(who, _Bucket(BURST, now))
        bucket.left, bucket.at = min(BURST, bucket.left + (now - bucket.at) * ANSWERS_PER_S), now
        if bucket.left < 1:
            return False
        bucket.left -= 1
        return True
