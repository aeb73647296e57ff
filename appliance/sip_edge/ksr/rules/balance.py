"""Sets of destinations and how one is chosen (rows O00-O37)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BalanceRules:
    """Sets of destinations and how one is chosen (rows O00-O37)."""

    enabled: bool = False
