"""What a cross-check rule finds."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.config.faults import Place, Severity
from appliance.config.positions import Path as Where


@dataclass(frozen=True, slots=True)
class Finding:
    where: Where
    message: str
    hint: str = ""
    severity: Severity = Severity.ERROR
    place: Place | None = None  # in another file than the settings'; None: where the setting was written


def warning(where: Where, message: str, hint: str = "", place: Place | None = None) -> Finding:
    return Finding(where, message, hint, Severity.WARNING, place)
