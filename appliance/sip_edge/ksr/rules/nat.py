"""Peers behind NAT (row K09)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NatRules:
    """Peers behind NAT (row K09)."""

    enabled: bool = False
