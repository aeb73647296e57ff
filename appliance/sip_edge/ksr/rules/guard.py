"""Sanity checks, sizes and methods (rows K01-K03, I07)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GuardRules:
    """Sanity checks, sizes and methods (rows K01-K03, I07)."""

    enabled: bool = False
