"""How a command ends. The numbers are part of the interface: docs/api.md lists them."""

from __future__ import annotations

from enum import IntEnum
from typing import NoReturn

import typer


class Exit(IntEnum):
    OK = 0
    FAILED = 1  # refused, or (check) the configuration has errors
    USAGE = 2  # wrong words on the command line
    NOT_RUNNING = 3  # no gateway answers on the socket
    NOT_FOUND = 4  # there is no such call


def fail(code: Exit, message: str) -> NoReturn:
    """Say why on standard error and end."""
    typer.echo(f"srtpgw: {message}", err=True)
    raise typer.Exit(int(code))
