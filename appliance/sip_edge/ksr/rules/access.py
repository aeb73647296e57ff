"""Permissions: who may come in, call whom, register what (rows N01-N14, J07, J08)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AccessRules:
    """Permissions: who may come in, call whom, register what (rows N01-N14, J07, J08)."""

    enabled: bool = False
