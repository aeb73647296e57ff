"""`srtpgw version`."""

from __future__ import annotations

from importlib import metadata

import typer

from appliance.cli.options import JsonOption
from appliance.cli.output import print_json


def register(app: typer.Typer) -> None:
    @app.command("version")
    def version(as_json: JsonOption = False) -> None:
        """Version of this program."""
        number = metadata.version("srtpgw")
        if as_json:
            print_json({"version": number})
        else:
            typer.echo(f"srtpgw {number}")
