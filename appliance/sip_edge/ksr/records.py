"""Frozen dataclasses from the JSON that `dataclasses.asdict` made of them: nested ones, tuples, mappings."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

Record = TypeVar("Record")


def load(kind: type[Record], record: dict[str, Any]) -> Record:
    """One `kind` of a decoded JSON object. TypeError: a field too many or too few; ValueError: not of its type."""
    if not isinstance(record, dict):
        raise ValueError(f"{kind.__name__} is an object, not {type(record).__name__}")
    hints = get_type_hints(kind)
    unknown = set(record) - {item.name for item in fields(kind)}  # type: ignore[arg-type]
    if unknown:
        raise TypeError(f"{kind.__name__} has no {', '.join(sorted(unknown))}")
    return kind(**{name: _value(hints[name], value) for name, value in record.items()})


def _value(kind: Any, value: Any) -> Any:
    if is_dataclass(kind):
        return load(kind, value)  # type: ignore[arg-type]
    origin, inner = get_origin(kind), get_args(kind)
    if origin is tuple:
        kinds = (inner[0],) * len(value) if len(inner) == 2 and inner[1] is ... else inner
        return tuple(_value(one, item) for one, item in zip(kinds, value, strict=True))
    if origin is dict:
        return {_value(inner[0], key): _value(inner[1], item) for key, item in value.items()}
    if origin in (Union, UnionType):  # only `X | None`
        return None if value is None else _value(next(one for one in inner if one is not type(None)), value)
    return value
