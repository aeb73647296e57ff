"""Secrets of one SIP edge: made once, kept in its private run directory, the same after a restart."""

from __future__ import annotations

import secrets
from pathlib import Path

SHORTEST = 16

def own_secret(path: Path) -> str:
    """The secret in `path`, made when there is none. OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        fresh = path.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_hex(24))
        fresh.replace(path)
    return path.read_text()


def secret_of(path: Path) -> str:
    """The secret in a file of the operator's. OSError; ValueError: it is too short."""
    secret = path.read_text().strip()
    if len(secret) < SHORTEST:
        raise ValueError(f"{path}: a secret has {SHORTEST} characters at least")
    return secret
