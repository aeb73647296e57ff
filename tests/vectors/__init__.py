"""Known answers (see README.md beside this file)."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any


@cache
def load(name: str) -> dict[str, Any]:
    """The vectors of `name`.json."""
    document: dict[str, Any] = json.loads((Path(__file__).parent / f"{name}.json").read_text())
    return document
