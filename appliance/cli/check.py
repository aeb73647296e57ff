"""`srtpgw check`: every mistake in a configuration, with its line."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from appliance.cli.exits import Exit
from appliance.cli.options import FilesArgument, JsonOption
from appliance.cli.output import print_json

if TYPE_CHECKING:
    from appliance.config.load import Loaded


def register(app: typer.Typer) -> None:
    @app.command("check")
    def check(files: FilesArgument = None, as_json: JsonOption = False) -> None:
        """Check a configuration; exit code 1 when it has errors."""
        from appliance.config.load import examine

        loaded = examine(files or ())
        if as_json:
            print_json(_tree(loaded))
        else:
            _print(loaded)
        raise typer.Exit(int(Exit.FAILED if loaded.errors else Exit.OK))


def _print(loaded: Loaded) -> None:
    for fault in loaded.faults:
        typer.echo(str(fault), err=True)
    errors, warnings = len(loaded.errors), len(loaded.faults) - len(loaded.errors)
    read = ", ".join(map(str, loaded.files)) or "the embedded default"
    verdict = "configuration is good" if not errors else "configuration cannot be used"
    typer.echo(f"{verdict}: {errors} error(s), {warnings} warning(s) in {read}")


def _tree(loaded: Loaded) -> dict[str, Any]:
    return {
        "ok": not loaded.errors,
        "files": [str(file) for file in loaded.files],
        "faults": [
            {**asdict(fault), "place": str(fault.place), "source": fault.place.source, "line": fault.place.line}
            for fault in loaded.faults
        ],
    }
