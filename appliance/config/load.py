"""Read the configuration: files, environment, command line, the later the stronger. Nobody else reads them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from appliance.config import sources
from appliance.config.crosscheck import cross_check
from appliance.config.explain import explain
from appliance.config.faults import ConfigError, Fault, Place, Severity
from appliance.config.schema import Settings


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was read: the settings (None when they have errors), all faults, and where each value came from."""

    settings: Settings | None
    faults: tuple[Fault, ...]
    files: tuple[Path, ...]  # empty: the embedded default
    layers: sources.Layers

    @property
    def errors(self) -> tuple[Fault, ...]:
        return tuple(fault for fault in self.faults if fault.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[Fault, ...]:
        return tuple(fault for fault in self.faults if fault.severity is Severity.WARNING)

    def usable(self) -> Settings:
        """The settings. ConfigError naming every mistake."""
        if self.settings is None or self.errors:
            raise ConfigError(self.errors)
        return self.settings


def load(
    paths: Iterable[Path | str] = (),
    environment: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """Settings from `paths` (files or directories; none: /etc/srtpgw, else the embedded default).

    `environment` None: the process's own. `overrides` are tables from the command line. Raises ConfigError naming
    every mistake.
    """
    return examine(paths, environment, overrides).usable()


def examine(
    paths: Iterable[Path | str] = (),
    environment: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Loaded:
    """The same without raising: `srtpgw check` and `srtpgw config show` want to see everything."""
    layers = sources.Layers()
    faults: list[Fault] = []
    files = sources.files(paths)
    for file in files:
        faults += sources.lay_file(layers, file)
    if not files:
        sources.lay_default(layers)
    faults += sources.lay_environment(layers, os.environ if environment is None else environment)
    if overrides:
        layers.lay(overrides, Place("command line"))
    try:
        settings = Settings(**layers.data)
    except ValidationError as error:
        return Loaded(None, (*faults, *explain(error, layers)), tuple(files), layers)
    faults += cross_check(settings, layers)
    return Loaded(settings, tuple(faults), tuple(files), layers)
