"""What one side may learn of the other one (rows K04-K06)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TopologyRules:
    """What one side may learn of the other one (rows K04-K06)."""

    enabled: bool = False
