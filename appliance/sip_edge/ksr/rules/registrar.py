"""REGISTER: domains, bindings, the block against floods of it (rows L01-L08)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RegistrarRules:
    """REGISTER: domains, bindings, the block against floods of it (rows L01-L08)."""

    enabled: bool = False
