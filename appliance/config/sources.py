"""Where settings come from and how they are laid over each other: files in order, then environment, then command line.

Tables are merged key by key. `[[interfaces]]` and `[[trunks]]` are merged by `name`: a drop-in file may add to a
trunk of the main file or bring one of its own.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic_settings import EnvSettingsSource

from appliance.config.faults import BUILT_IN, ConfigError, Fault, Place
from appliance.config.positions import Path as Where
from appliance.config.positions import positions
from appliance.config.schema import ENVIRONMENT_PREFIX, Settings

SYSTEM = Path("/etc/srtpgw")
MAIN_FILE = "srtpgw.toml"
DROP_INS = "conf.d"
RESERVED = frozenset({"SRTPGW_SOCKET"})  # of the command line, not settings

_AT_LINE = re.compile(r" \(at line (\d+), column (\d+)\)$")


@dataclass(slots=True)
class Layers:
    """Everything read so far: the merged tables, and where each value was written."""

    data: dict[str, Any] = field(default_factory=dict)
    places: dict[Where, Place] = field(default_factory=dict)

    def lay(self, data: Mapping[str, Any], origin: Place, lines: Mapping[Where, int] | None = None) -> None:
        """Lay `data` over what is there; it is stronger. `lines` are its positions in the file `origin`."""
        self._table(self.data, data, (), (), origin, lines or {})

    def place(self, where: Where) -> Place:
        """Where this value was written: its own place, or that of the table around it."""
        for length in range(len(where), 0, -1):
            if where[:length] in self.places:
                return self.places[where[:length]]
        return BUILT_IN

    def _table(
        self, into: dict[str, Any], data: Mapping[str, Any], at: Where, read_at: Where, origin: Place,
        lines: Mapping[Where, int],
    ) -> None:  # fmt: skip
        for key, value in data.items():
            where, read_where = (*at, key), (*read_at, key)
            if isinstance(value, Mapping):
                self._note(where, read_where, origin, lines)
                below = into.get(key)
                into[key] = below = dict(below) if isinstance(below, Mapping) else {}
                self._table(below, value, where, read_where, origin, lines)
            elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
                self._list(into, key, value, where, read_where, origin, lines)
            else:
                self._forget(where)
                self._note(where, read_where, origin, lines)
                into[key] = value
                if isinstance(value, list):
                    for place in range(len(value)):
                        self._note((*where, place), (*read_where, place), origin, lines)

    def _list(
        self, into: dict[str, Any], key: str, items: list[Any], at: Where, read_at: Where, origin: Place,
        lines: Mapping[Where, int],
    ) -> None:  # fmt: skip
        self._note(at, read_at, origin, lines)
        there = into.get(key)
        into[key] = merged = list(there) if isinstance(there, list) else []
        earlier = [item.get("name") if isinstance(item, Mapping) else None for item in merged]
        for place, item in enumerate(items):
            name = item.get("name")
            index = earlier.index(name) if isinstance(name, str) and name in earlier else len(merged)
            if index == len(merged):
                merged.append({})
            merged[index] = dict(merged[index])
            self._note((*at, index), (*read_at, place), origin, lines)
            self._table(merged[index], item, (*at, index), (*read_at, place), origin, lines)

    def _note(self, where: Where, read_where: Where, origin: Place, lines: Mapping[Where, int]) -> None:
        self.places[where] = Place(origin.source, lines[read_where]) if read_where in lines else origin

    def _forget(self, where: Where) -> None:
        for known in [known for known in self.places if len(known) > len(where) and known[: len(where)] == where]:
            del self.places[known]


def files(paths: Iterable[Path | str] = ()) -> list[Path]:
    """The files that `paths` mean: a file is itself, a directory its srtpgw.toml and then conf.d/*.toml by name.

    No paths: /etc/srtpgw. An empty list says that nothing is configured there: the embedded default counts.
    """
    given = [Path(path) for path in paths]
    found: list[Path] = []
    for path in given or [SYSTEM]:
        if path.is_dir() or not given:
            drop_ins = sorted((path / DROP_INS).glob("*.toml"))
            needed = bool(given) and not drop_ins  # a directory that was named must hold something
            found += [path / MAIN_FILE] if needed or (path / MAIN_FILE).exists() else []
            found += drop_ins
        else:
            found.append(path)
    return found


def lay_file(layers: Layers, path: Path) -> list[Fault]:
    """Read one file over the layers. A file that cannot be read or is no TOML is one fault."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        return [Fault(Place(str(path)), "", f"cannot be read: {reason}")]
    return lay_text(layers, text, str(path))


def lay_text(layers: Layers, text: str, name: str) -> list[Fault]:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return [_syntax_fault(text, name, str(error))]
    layers.lay(data, Place(name), positions(text))
    return []


def lay_default(layers: Layers) -> None:
    """The embedded default configuration: everything on loopback."""
    text = (resources.files("appliance.config") / "default.toml").read_text(encoding="utf-8")
    faults = lay_text(layers, text, "default.toml (embedded)")
    if faults:
        raise ConfigError(faults)


def lay_environment(layers: Layers, environment: Mapping[str, str]) -> list[Fault]:
    """SRTPGW_TABLE__KEY variables; lists as JSON or with commas. Variables that name no setting are faults."""
    faults = []
    ours = {name.upper(): value for name, value in environment.items() if name.upper().startswith(ENVIRONMENT_PREFIX)}
    for name in sorted(ours.keys() - RESERVED):
        if name.removeprefix(ENVIRONMENT_PREFIX).partition("__")[0].lower() not in Settings.model_fields:
            faults.append(Fault(Place(f"environment {name}"), "", "names no setting", "SRTPGW_TABLE__KEY"))
    try:
        source = _Environment(Settings, ours)
        for table, value in source().items():
            layers.lay({table: value}, Place("environment"))
            _note_variables(layers, ours, table)
    except ValueError as error:  # pydantic_settings.SettingsError
        faults.append(Fault(Place("environment"), "", str(error)))
    return faults


class _Environment(EnvSettingsSource):
    """pydantic-settings' environment source over a mapping instead of os.environ."""

    def __init__(self, settings: type[Settings], environment: Mapping[str, str]) -> None:
        self._ours = {name.lower(): value for name, value in environment.items()}
        super().__init__(settings)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return self._ours


def _note_variables(layers: Layers, ours: Mapping[str, str], table: str) -> None:
    for name in ours:
        where = tuple(part.lower() for part in name.removeprefix(ENVIRONMENT_PREFIX).split("__"))
        if where[0] == table:
            layers.places[where] = Place(f"environment {name}")


def _syntax_fault(text: str, name: str, message: str) -> Fault:
    found = _AT_LINE.search(message)
    line = int(found[1]) if found else text.count("\n") + 1
    return Fault(Place(name, line), "", f"is not TOML: {_AT_LINE.sub('', message)}")
