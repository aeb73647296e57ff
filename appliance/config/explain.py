"""pydantic's findings as faults a person can act on: place, key, words, and what was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from appliance.config.faults import Fault
from appliance.config.positions import Path as Where
from appliance.config.schema import Settings
from appliance.config.sources import Layers

_WORDS = {
    "extra_forbidden": "unknown key",
    "missing": "must be given",
    "string_pattern_mismatch": "holds characters that are not allowed, or is empty",
    "tuple_type": "must be a list",
    "dict_type": "must be a table",
    "model_type": "must be a table",
}


def explain(error: ValidationError, layers: Layers) -> list[Fault]:
    """One fault per wrong value, in the order of files and lines. Values are not repeated: one may be a secret."""
    faults: dict[tuple[Where, str], Fault] = {}
    details = error.errors(include_url=False, include_input=False)
    for detail in details:
        if detail["type"] == "too_short" and any(_within(detail["loc"], other["loc"]) for other in details):
            continue  # the list is short only because what is in it was refused
        where = _real(detail["loc"], layers.data)
        message = _WORDS.get(detail["type"]) or detail["msg"].removeprefix("Value error, ")
        message = message.removeprefix(f"{where[-1]}: ") if where else message
        previous = next((found for known, found in faults if known == where), None)
        if previous is not None:  # a union says once per member why it did not fit
            fault = faults.pop((where, previous))
            message = f"{previous}; or: {message}"
            faults[where, message] = Fault(fault.place, fault.key, message, fault.hint)
            continue
        hint = _suggestion(where) if detail["type"] == "extra_forbidden" else ""
        faults[where, message] = Fault(layers.place(where), spelled(where), message, hint)
    return sorted(faults.values(), key=lambda fault: (fault.place.source, fault.place.line))


def spelled(where: Where) -> str:
    """("trunks", 0, "name") as trunks[0].name."""
    text = ""
    for key in where:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text


def _real(loc: Sequence[str | int], data: Any) -> Where:
    """pydantic's location without the names of union members, which are no keys of anybody's file."""
    where: list[str | int] = []
    for depth, key in enumerate(loc):
        last = depth == len(loc) - 1
        if isinstance(data, dict) and (key in data or (last and _table(where) is not None)):
            data = data.get(key)
        elif isinstance(data, list) and isinstance(key, int) and key < len(data):
            data = data[key]
        else:
            continue
        where.append(key)
    return tuple(where)


def _within(loc: Sequence[str | int], other: Sequence[str | int]) -> bool:
    return len(other) > len(loc) and other[: len(loc)] == loc


def _suggestion(where: Where) -> str:
    table = _table(where[:-1])
    if table is None:
        return ""
    known = list(table.model_fields)
    near = difflib.get_close_matches(str(where[-1]), known, n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"


def _table(where: Sequence[str | int]) -> type[BaseModel] | None:
    """The model of the table at this path."""
    table: type[BaseModel] = Settings
    for key in where:
        if isinstance(key, int):
            continue
        field = table.model_fields.get(key)
        if field is None:
            return None
        found = next((part for part in (field.annotation, *get_args(field.annotation)) if _is_model(part)), None)
        if found is None:
            return None
        table = found
    return table


def _is_model(part: Any) -> bool:
    return isinstance(part, type) and issubclass(part, BaseModel)
