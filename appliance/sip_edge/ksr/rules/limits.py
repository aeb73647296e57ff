"""Rate limits and overload (rows K08, K10)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LimitRules:
    """Rate limits and overload (rows K08, K10)."""

    enabled: bool = False
