"""Who takes the next call: the algorithms of Kamailio's dispatcher module by number, as pure functions.

The SIP edge chooses destinations with them, the gateway workers and nodes (row O37): therefore standard library only.
State comes in with the call (`Turn`), so that any number of processes agree: a counter of the set, a random number, the
text to hash. Kamailio's README (dispatcher, section 4.1) says what each does; where we differ, the function says why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import gcd

GOLDEN = 0.6180339887498949
SLOTS = 100  # weights of algorithm 9 and rates of algorithm 64 are percent
FULL = 100  # the largest weight
RATIO_SHIFT = 4  # Kamailio's: keeps precision when the ratio of congestions is an integer


@dataclass(frozen=True, slots=True)
class Candidate:
    """One destination, or one worker. Latencies in milliseconds."""

    able: bool = True  # active (also "trying"); not inactive, disabled
    priority: int = 0  # higher first
    weight: int = 0  # percent (9), share within a priority (15), congestion threshold (11 with cc)
    rweight: int = 0
    load: int = 0  # calls it has
    maxload: int = 0  # calls it may have; 0: any number
    estimate_ms: float = 0.0  # short-term latency (EWMA)
    average_ms: float = 0.0  # long-term latency
    cc: bool = False  # congestion control
    ocrate: int = 0  # percent of calls it asks not to be sent (RFC 7339)

    @property
    def full(self) -> bool:
        return 0 < self.maxload <= self.load

    @property
    def congestion_ms(self) -> int:
        return max(0, int(self.estimate_ms - self.average_ms))


@dataclass(frozen=True, slots=True)
class Turn:
    """What is particular to this call."""

    count: int = 0  # calls that this set was asked for before
    draw: float = 0.0  # random, 0 <= draw < 1
    keys: tuple[str, ...] | None = None  # what is hashed; None: there is nothing (no credentials), so take turns


Order = list[int]
Algorithm = Callable[[Sequence[Candidate], Turn], Order]


def order(algorithm: int, candidates: Sequence[Candidate], turn: Turn) -> Order:
    """Places of candidates: the chosen one, then those to fail over to. Empty: nobody can take the call.

    An algorithm that there is not takes the first one able, as Kamailio's does (row O16)."""
    if not candidates:
        return []
    return ALGORITHMS.get(algorithm, serial)(candidates, turn)


def hashed(candidates: Sequence[Candidate], turn: Turn) -> Order:
    """0-3, 5, 7: by hash over all, so that one that is away moves no other's calls; its own go to the one behind."""
    if turn.keys is None:
        return round_robin(candidates, turn)
    return _onwards(candidates, kamailio_hash(*turn.keys) % len(candidates))


def round_robin(candidates: Sequence[Candidate], turn: Turn) -> Order:
    """4: strictly in turns among those able."""
    able = _able(candidates)
    return _onwards(candidates, able[turn.count % len(able)]) if able else []


def random(candidates: Sequence[Candidate], turn: Turn) -> Order:
    """6: any of those able; Kamailio draws among all, and the one behind one that is away gets twice as many."""
    able = _able(candidates)
    return _onwards(candidates, able[int(turn.draw * len(able))]) if able else []


def serial(candidates: Sequence[Candidate], turn: Turn) -> Order:
    """8: by priority, the highest first."""
    return sorted(_able(candidates), key=lambda place: -candidates[place].priority)


def weight(candidates: Sequence[Candidate], turn: Turn) -> Order:
    """9: percent of calls; what is missing at 100 goes to the last one, what is above is ignored. The share of one that
    is away goes to the one behind it."""
    shares, left = [], SLOTS
    for candidate in candidates:
        share = min(_percent(candidate.weight), left)
        shares.append(share)
        left -= share
    shares[-1] += left
    return _onwards(candidates, _share(shares, turn.count))


def least_loaded(candidates: Sequence[Candidate], turn: Turn) -> Order:
    """10: fewest calls first, equals in turns; one at its maxload gets none, neither first nor by failover."""
    free = [place for place in _able(candidates) if not candidates[place].full]
    start = turn.count % len(free) if free else 0
    return sorted(free[start:] + free[:start], key=lambda place: candidates[place].load)


def relative_weight(candidates: Sequence[Candidate], turn: Turn) -> Order:
    """11: rweight / sum of the rweights of those able.

    Kamailio deals 100 slots out, truncates, and gives the rest to the last one: from 101 destinations on most get
    nothing (its bug 2698). Here as many slots as the sum of the weights are dealt out, without building them."""
    shares = active_rweights(candidates)
    if not any(shares):
        return round_robin(candidates, turn)
    return _onwards(candidates, _share(shares, turn.count), shares)


def active_rweights(candidates: Sequence[Candidate]) -> list[int]:
    """Relative weights that count now (rows O14, O22, O30). With cc: weight less one per millisecond of congestion, 0
    is skipped; when all are congested that much, by the ratio of their congestions."""
    shares = [0] * len(candidates)
    able = _able(candidates)
    for place in able:
        candidate = candidates[place]
        if candidate.cc and candidate.weight > 0:
            shares[place] = max(0, candidate.weight - candidate.congestion_ms)
        else:
            shares[place] = _percent(candidate.rweight)
    under_control = len(able) > 1 and all(candidates[place].cc and candidates[place].weight > 0 for place in able)
    if under_control and not any(shares):
        total = sum(candidates[place].congestion_ms for place in able)
        for place in able:
            shares[place] = (total << RATIO_SHIFT) // max(1, candidates[place].congestion_ms)
    return shares


def parallel(candidates: Sequence[Candidate], turn: Turn) -> Order:
    """12: all at once."""
    return _able(candidates)


def latency(candidates: Sequence[Candidate], turn: Turn) -> Order:
    """13: in turns among the highest adjusted priority, then downwards."""
    return _turns_by(candidates, turn, adjusted_priority)


def adjusted_priority(candidate: Candidate) -> int:
    """ADJUSTED = PRIORITY - LATENCY / PRIORITY (README, algorithm 13); with cc the latency is the congestion."""
    slow = candidate.congestion_ms if candidate.cc else int(candidate.estimate_ms)
    if candidate.priority <= 0 or slow <= candidate.priority:
        return candidate.priority
    return max(1, candidate.priority - slow // candidate.priority)


def round_robin_or_serial(candidates: Sequence[Candidate], turn: Turn) -> Order:
    """14 (Kamailio 6): in turns among the highest priority, serially to lower ones."""
    return _turns_by(candidates, turn, lambda candidate: candidate.priority)


def priority_and_weight(candidates: Sequence[Candidate], turn: Turn) -> Order:
    """15: as SRV records (RFC 2782) with Kamailio's sense of priority: the highest one, within it by weight; a weight
    of 0 is chosen when its priority has no other."""
    able = serial(candidates, turn)
    top = [place for place in able if candidates[place].priority == candidates[able[0]].priority] if able else []
    shares = [candidates[place].weight for place in top]
    if not any(shares):
        return round_robin_or_serial(candidates, turn)
    first = top[_share(shares, turn.count)]
    return [first, *sorted((place for place in able if place != first),
                           key=lambda place: (-candidates[place].priority, -candidates[place].weight))]  # fmt: skip


def overload(candidates: Sequence[Candidate], turn: Turn) -> Order:
    """64: in turns, but `ocrate` of each 100 calls of a destination go to the next one (loss-based, RFC 7339)."""
    able = _able(candidates)
    if not able:
        return []
    visit, start = divmod(turn.count, len(able))
    spin = interleaved(visit, SLOTS)
    ring = able[start:] + able[:start]
    return [place for place in ring if spin >= _percent(candidates[place].ocrate)]


ALGORITHMS: Mapping[int, Algorithm] = {
    **dict.fromkeys((0, 1, 2, 3, 5, 7), hashed),
    4: round_robin, 6: random, 8: serial, 9: weight, 10: least_loaded, 11: relative_weight, 12: parallel,
    13: latency, 14: round_robin_or_serial, 15: priority_and_weight, 64: overload,
}  # fmt: skip


def interleaved(count: int, total: int) -> int:
    """A walk over 0..total-1 that meets each number once in `total` steps, and spreads: steps of the golden section.

    Any `total` consecutive counts meet every number, whatever was before: exact where a lottery is only fair."""
    return count * _stride(total) % total


@lru_cache(maxsize=1024)
def _stride(total: int) -> int:
    wished = max(1, round(total * GOLDEN))
    return next(stride for stride in range(wished, wished + total) if gcd(stride, total) == 1)


def kamailio_hash(first: str, second: str = "") -> int:
    """Kamailio's ds_get_hash: the same destination as one of Kamailio's own sets of that size and order."""
    value = (_mix(first) + (_mix(second) if second else 0)) & 0xFFFFFFFF
    value = (value + (value >> 11) + (value >> 13) + (value >> 23)) & 0xFFFFFFFF
    return value or 1


def _mix(text: str) -> int:
    """Words of four octets, big end first; the rest, which may be none, is a word too."""
    octets = text.encode()
    whole = len(octets) // 4 * 4
    words = [int.from_bytes(octets[at : at + 4]) for at in range(0, whole, 4)] + [int.from_bytes(octets[whole:])]
    return sum(word ^ (word >> 3) for word in words)


def _able(candidates: Sequence[Candidate]) -> Order:
    return [place for place, candidate in enumerate(candidates) if candidate.able]


def _onwards(candidates: Sequence[Candidate], start: int, shares: Sequence[int] | None = None) -> Order:
    """Those able from `start` on, round the end; with `shares` those without a share come last."""
    ring = [*range(start, len(candidates)), *range(start)]
    able = [place for place in ring if candidates[place].able]
    return able if shares is None else sorted(able, key=lambda place: shares[place] == 0)


def _turns_by(candidates: Sequence[Candidate], turn: Turn, priority: Callable[[Candidate], int]) -> Order:
    able = sorted(_able(candidates), key=lambda place: -priority(candidates[place]))
    best = [place for place in able if priority(candidates[place]) == priority(candidates[able[0]])]
    start = turn.count % len(best) if best else 0
    return best[start:] + best[:start] + able[len(best) :]


def _share(shares: Sequence[int], count: int) -> int:
    """The place that owns this call when each has so many of every sum(shares) calls."""
    ticket = interleaved(count, sum(shares))
    for place, share in enumerate(shares):
        if ticket < share:
            return place
        ticket -= share
    raise AssertionError("a ticket beyond the sum")


def _percent(value: int) -> int:
    """Kamailio's rule for weights: 1..100, anything else is 0."""
    return value if 1 <= value <= FULL else 0
