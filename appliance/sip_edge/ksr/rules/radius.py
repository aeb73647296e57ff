"""RADIUS: passwords and accounting (rows J10, J12), and what its answers mean."""

from __future__ import annotations

from dataclasses import dataclass

ACCOUNTED = 2  # message flag: the transaction is told to the accounting server
REJECTED, ERROR, INTERNAL = -2, -1, -7  # of radius_www_authorize; others: ask (anew)


@dataclass(frozen=True)
class RadiusRules:
    passwords: bool = False
    accounting: bool = False
    silent_s: float = 0.0  # an answer that took so long was none

    def outcome(self, found: int, took_s: float) -> int:
        """Kamailio's word for a rejection stands for silence too: told apart by the time that it took."""
        return ERROR if found == REJECTED and took_s >= self.silent_s else found
