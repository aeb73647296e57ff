"""What one row of the settings is made of: the base class of every table, `row()`, and when a change takes effect."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Effect(StrEnum):
    """When a changed value counts. The plan of a reload and the reference are made from it."""

    AT_ONCE = "at once"
    NEXT_CALL = "next call"
    RESTART = "restart"


class Table(BaseModel):
    """Base of every table. Unknown keys are errors here, so at every level: pydantic does not hand the rule down."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, use_attribute_docstrings=False)


def row(default: Any = ..., *, help: str, effect: Effect, unit: str = "", **limits: Any) -> Any:
    """One setting: its default (none: must be given), its help, its unit ("" for words and names), when a change
    counts, and pydantic's limits (ge, le, min_length, ...)."""
    extra: dict[str, Any] = {"unit": unit, "effect": effect.value}
    if callable(default):
        return Field(default_factory=default, description=help, json_schema_extra=extra, **limits)
    return Field(default, description=help, json_schema_extra=extra, **limits)
