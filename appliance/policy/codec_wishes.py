"""Which codecs of an offer go on to the other side, and in which order: NG's `codec-strip`, `-mask`, `-offer`,
`-except` and an order of our own. Pure data and one pure function over codec names.

A name is `PCMA`, or with clock and channels `opus/48000/2`; case does not matter. `all` (and `full`) stands for every
codec but telephone-event and comfort noise, which are touched only by name.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

EVERYTHING = frozenset({"all", "full"})
COMPANIONS = frozenset({"telephone-event", "cn", "red", "rtx"})  # of no use alone: they follow what is kept


@dataclass(frozen=True, slots=True)
class CodecWishes:
    """One request's words about codecs; names as described above."""

    strip: frozenset[str] = frozenset()  # not passed on
    mask: frozenset[str] = frozenset()  # rtpengine: hidden from the other side for transcoding; here the same as strip
    exempt: frozenset[str] = frozenset()  # NG's `except`: kept whatever strip and mask say
    offer: tuple[str, ...] = ()  # kept likewise, and put first in this order
    order: tuple[str, ...] = ()  # put first in this order (after `offer`), if they are there

    def __bool__(self) -> bool:
        return bool(self.strip or self.mask or self.offer or self.order)

    def choose(self, codecs: Sequence[str]) -> list[int]:
        """Positions of `codecs` (`name/clock[/channels]`, lower case, "" unknown) that stay, in the order to write."""
        away = {name.lower() for name in self.strip | self.mask}
        kept = {name.lower() for name in self.exempt} | {name.lower() for name in self.offer}
        everything = bool(away & EVERYTHING)
        stay = [
            at
            for at, codec in enumerate(codecs)
            if _named(codec, kept)
            or not (_named(codec, away) or (everything and codec.partition("/")[0] not in COMPANIONS))
        ]
        first = [name.lower() for name in (*self.offer, *self.order)]
        if first:
            stay.sort(
                key=lambda at: next((rank for rank, name in enumerate(first) if _is(codecs[at], name)), len(first))
            )
        return stay if any(codecs[at].partition("/")[0] not in COMPANIONS for at in stay) else []


def _named(codec: str, names: Collection[str]) -> bool:
    return any(_is(codec, name) for name in names)


def _is(codec: str, name: str) -> bool:
    """`opus` and `opus/48000` name `opus/48000/2`."""
    return codec == name or codec.startswith(name + "/")
