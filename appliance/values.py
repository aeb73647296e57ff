"""Immutable values, cheap to make: a step of a call makes some hundreds of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import cache, wraps
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform

Kind = TypeVar("Kind")
Made = TypeVar("Made")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(kind: type[Kind]) -> type[Kind]:
    """`dataclass(frozen=True, slots=True)` to whoever reads it, mypy too, which refuses every assignment to a field.
    Python itself lets it pass: that guard would make the constructor four times as dear."""
    return dataclass(slots=True, unsafe_hash=True)(kind)


def changed(value: Kind, /, **changes: Any) -> Kind:
    """The same with other fields: `dataclasses.replace` at a third of its cost. For dataclasses of two fields or more,
    all of which the constructor takes by position. KeyError: no such field."""
    kind: Any = type(value)
    read, places = _fields(kind)
    values = list(read(value))
    for name, now in changes.items():
        values[places[name]] = now
    made: Kind = kind(*values)
    return made


@cache
def _fields(kind: type[Any]) -> tuple[Callable[[Any], tuple[Any, ...]], dict[str, int]]:
    names = [one.name for one in fields(kind)]
    return attrgetter(*names), {name: place for place, name in enumerate(names)}


def remembered(make: Callable[[Kind], Made], most: int = 256) -> Callable[[Kind], Made]:
    """`make`, done once for each value. By identity: a hash over all of a value's fields costs more than most of what
    is made of it. For values that are handed on rather than made anew (the options of trunks)."""
    known: dict[int, tuple[Kind, Made]] = {}

    @wraps(make)
    def find(value: Kind) -> Made:
        entry = known.get(id(value))
        if entry is not None and entry[0] is value:
            return entry[1]
        if len(known) >= most:
            known.clear()
        known[id(value)] = entry = (value, make(value))
        return entry[1]

    return find
