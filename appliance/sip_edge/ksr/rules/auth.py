"""Digest authentication and where subscribers are kept (rows J06, J09, J10)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AuthRules:
    """Digest authentication and where subscribers are kept (rows J06, J09, J10)."""

    enabled: bool = False
