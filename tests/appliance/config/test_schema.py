"""The rows themselves: each has help, a word about when it counts, and refuses its unknown neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel, ValidationError

from appliance.config import reference
from appliance.config.rows import Effect, Table
from appliance.config.schema import Settings

DOCS = Path(__file__).parents[3] / "docs"


def _models(model: type[BaseModel] = Settings) -> Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from _models(part)


@pytest.mark.parametrize("model", list(_models()))
def test_every_level_refuses_unknown_keys(model: type[BaseModel]) -> None:
    """The trap of ecosystem.md 2.2: pydantic does not hand `forbid` down to nested models."""
    with pytest.raises(ValidationError) as caught:
        model(no_such_key=1)
    assert any(error["type"] == "extra_forbidden" for error in caught.value.errors())
    assert model is Settings or issubclass(model, Table)


def test_every_row_says_what_and_when() -> None:
    effects = {effect.value for effect in Effect}
    for model in _models():
        for name, field in model.model_fields.items():
            extra: Any = field.json_schema_extra
            assert field.description, f"{model.__name__}.{name}"
            assert extra["effect"] in effects, f"{model.__name__}.{name}"


def test_numbers_have_units() -> None:
    for table in reference.tables():
        for row in table.rows:
            if row.type in ("number", "whole number") and row.key != "log_level":
                assert row.unit, f"{table.name}.{row.key}"


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Settings().media.calls = 1


def test_a_bare_settings_reads_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRTPGW_MEDIA__CALLS", "7")
    assert Settings().media.calls == 2500


def test_interface_by_name() -> None:
    settings = Settings(interfaces=[{"name": "a", "address": "127.0.0.1"}, {"name": "b", "address": "::1"}])
    assert settings.interface("").name == "a"
    assert settings.interface("b").address == "::1"
    with pytest.raises(KeyError):
        settings.interface("c")


def test_values_survive_json() -> None:
    settings = Settings(http={"listen": "[::1]:9090"}, ng={"listen": ["127.0.0.1:1"]})
    assert Settings(**settings.model_dump(mode="json")) == settings


def test_docs_are_up_to_date() -> None:
    assert (DOCS / "configuration.md").read_text() == reference.markdown(), (
        "run: srtpgw config reference --markdown > docs/configuration.md"
    )
