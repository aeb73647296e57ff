"""What is different between two configurations, row by row, and a configuration with some of the differences. The plan
of a reload is made of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from appliance.config.rows import Effect
from appliance.config.schema import Settings


@dataclass(frozen=True, slots=True)
class Change:
    """`key` as the reference has it: "media.admit_below"; of lists of tables "interfaces.advertised", and "interfaces"
    where entries came, went or changed places."""

    key: str
    effect: Effect


def changes(old: Settings, new: Settings) -> tuple[Change, ...]:
    """In the order of the reference. Values are not told: some are secrets."""
    return tuple(dict.fromkeys(_all(old, new)))


def merged(old: Settings, new: Settings, keys: Collection[str]) -> Settings:
    """`old` with the new values of these keys."""
    tables = {name: _merged(name, getattr(old, name), getattr(new, name), keys) for name in Settings.model_fields}
    return old.model_copy(update=tables)


def _all(old: Settings, new: Settings) -> Iterator[Change]:
    for name, field in Settings.model_fields.items():
        before, after = getattr(old, name), getattr(new, name)
        if isinstance(before, BaseModel):
            yield from _of_table(name, before, after)
        elif _names(before) == _names(after):
            for one, other in zip(before, after, strict=True):
                yield from _of_table(name, one, other)
        else:
            yield Change(name, _effect(field))


def _of_table(name: str, old: BaseModel, new: BaseModel) -> Iterator[Change]:
    for key, field in type(old).model_fields.items():
        if getattr(old, key) != getattr(new, key):
            yield Change(f"{name}.{key}", _effect(field))


def _merged(name: str, old: Any, new: Any, keys: Collection[str]) -> Any:
    if name in keys:
        return new
    if isinstance(old, BaseModel):
        wanted = [key for key in type(old).model_fields if f"{name}.{key}" in keys]
        return old.model_copy(update={key: getattr(new, key) for key in wanted})
    if _names(old) != _names(new):
        return old
    return tuple(_merged(name, one, other, keys) for one, other in zip(old, new, strict=True))


def _names(entries: tuple[BaseModel, ...]) -> list[Any]:
    """What tells them apart; nothing does where they have no names: then every change is one of the whole list."""
    return [getattr(one, "name", one) for one in entries]


def _effect(field: Any) -> Effect:
    return Effect(field.json_schema_extra["effect"])
