"""Rate limits and overload (rows K08, K10)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pipe:
    """One of [[sip_limits]]."""

    name: str
    per: str
    methods: tuple[str, ...]
    algorithm: str
    limit: int
    retry_after_s: int

    def counts(self, method: str) -> bool:
        return not self.methods or method in self.methods


@dataclass(frozen=True)
class LimitRules:
    """`shed_...`: fill of a receive buffer, 0 to 1."""

    pipes: tuple[Pipe, ...] = ()
    overload: bool = False
    shed_strangers_at: float = 0.35
    shed_all_at: float = 0.7
    retry_after_s: int = 5


def sheds(rules: LimitRules, fill: float, *, known: bool) -> bool:
    """Whether a new request is refused while a receive buffer is so full (0 to 1)."""
    return fill >= (rules.shed_all_at if known else min(rules.shed_strangers_at, rules.shed_all_at))


def retry_after(least: int, chance: float) -> int:
    """Seconds from `least` to twice that, by a number of 0 to 1: who was refused together comes back apart."""
    return least + round(least * chance)
