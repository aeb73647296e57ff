"""Anti-flood: pike, its ban table, known sources (rows M01-M13)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FloodRules:
    """Anti-flood: pike, its ban table, known sources (rows M01-M13)."""

    enabled: bool = False
