"""What one subject adds to Kamailio's configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

Value = int | str


class MissingModule(ValueError):
    """A setting needs a module of Kamailio that is not installed."""


@dataclass(frozen=True)
class Places:
    """Where things of one SIP edge are; absolute."""

    run: Path  # private to Kamailio's account, gone after a boot
    modules: Path  # Kamailio's modules: an area whose module is not there says so by raising MissingModule
    database: str  # URL in Kamailio's spelling (sqlite:///path, postgres://user:word@host/name); "" without databases


@dataclass(frozen=True)
class Area:
    """Modules (names without .so, in load order), their parameters, globals, files in the run directory (by name), and
    tables of the database by the name of Kamailio's own schema file ("dispatcher" for dispatcher-create.sql).

    `statements` are SQL for things beside the tables, run once these are there; each may be run again.
    `blocks` are native route blocks that the script calls by name (KSR.route): for functions that KEMI does not have.
    `copies`: name in the run directory -> file of the operator, which may be a key: copied, never held. `environment`:
    of Kamailio's process.
    """

    modules: tuple[str, ...] = ()
    parameters: tuple[tuple[str, str, Value], ...] = field(default=(), repr=False)  # (module, name, value)
    globals: tuple[tuple[str, Value], ...] = ()
    aliases: tuple[str, ...] = ()  # sockets that are ours to route for, though not here ("udp:10.0.0.1:5060")
    files: Mapping[str, str] = field(default_factory=dict, repr=False)  # these and URLs may hold passwords
    tables: tuple[str, ...] = ()
    statements: tuple[str, ...] = ()
    blocks: tuple[str, ...] = ()
    copies: Mapping[str, Path] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
