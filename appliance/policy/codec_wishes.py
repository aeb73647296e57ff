"""Which codecs of an offer go on to the other side, and in which order: NG's `codec-strip`, `-mask`, `-offer`,
`-except`, `-transcode`, `-consume`, `-accept` and an order of our own. Pure data and pure functions over codec names.

A name is `PCMA`, or with clock and channels `opus/48000/2`; case does not matter. `all` (and `full`) stands for every
codec but telephone-event and comfort noise, which are touched only by name.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

EVERYTHING = frozenset({"all", "full"})
COMPANIONS = frozenset({"telephone-event", "cn", "red", "rtx", "ulpfec", "flexfec", "flexfec-03"})
"""Of no use alone: they follow what is kept."""


@dataclass(frozen=True, slots=True)
class CodecWishes:
    """One request's words about codecs; names as described above."""

    strip: frozenset[str] = frozenset()  # not passed on
    mask: frozenset[str] = frozenset()  # not passed on either, but what `transcode` makes may be made of them
    consume: frozenset[str] = frozenset()  # the same, and answered although the other side does not have them
    accept: frozenset[str] = frozenset()  # passed on, and answered like that
    transcode: tuple[str, ...] = ()  # offered, whether this side has them or not (calls.negotiation_transcode)
    exempt: frozenset[str] = frozenset()  # NG's `except`: kept whatever strip and mask say
    offer: tuple[str, ...] = ()  # kept likewise, and put first in this order
    order: tuple[str, ...] = ()  # put first in this order (after `offer`), if they are there

    def __bool__(self) -> bool:
        return bool(
            self.strip or self.mask or self.consume or self.accept or self.transcode or self.offer or self.order
        )

    def strips(self, codec: str) -> bool:
        """Nothing may be made of this codec."""
        names = {name.lower() for name in self.strip}
        spared = {name.lower() for name in (*self.exempt, *self.offer)}
        return not named(codec, spared) and (bool(names & EVERYTHING) or named(codec, names))

    def accepts(self, codec: str) -> bool:
        """Whoever offers it is answered with it, if it can be transcoded."""
        names = self.accept | self.consume
        return bool({name.lower() for name in names} & EVERYTHING) or named(codec, names)

    def choose(self, codecs: Sequence[str], *, alone: bool = False) -> list[int]:
        """Positions of `codecs` (`name/clock[/channels]`, lower case, "" unknown) that stay, in the order to write.
        None where only companions are left, unless they may be `alone`. `transcode` spares what `all` would take, as
        `offer` does, but neither what is named nor anything from `full`."""
        away = {name.lower() for name in self.strip | self.mask | self.consume}
        kept = {name.lower() for name in self.exempt} | {name.lower() for name in self.offer}
        everything = bool(away & EVERYTHING)
        restored = {name.lower() for name in self.transcode} if "full" not in away else set()
        stay = [
            at
            for at, codec in enumerate(codecs)
            if named(codec, kept)
            or not (
                named(codec, away)
                or (everything and codec.partition("/")[0] not in COMPANIONS and not named(codec, restored))
            )
        ]
        first = [name.lower() for name in (*self.offer, *self.order)]
        if first:
            stay.sort(
                key=lambda at: next((rank for rank, name in enumerate(first) if _is(codecs[at], name)), len(first))
            )
        return stay if alone or any(codecs[at].partition("/")[0] not in COMPANIONS for at in stay) else []


def named(codec: str, names: Collection[str]) -> bool:
    """Is this codec (in any case) one of `names`?"""
    return any(_is(codec.lower(), name.lower().removesuffix("/1")) for name in names)


def _is(codec: str, name: str) -> bool:
    """`opus` and `opus/48000` name `opus/48000/2`."""
    return codec == name or codec.startswith(name + "/")
