"""`srtpgw config show` and `srtpgw config reference`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated, Any

import typer

from appliance.cli.exits import Exit
from appliance.cli.options import FilesArgument, JsonOption
from appliance.cli.output import print_json, print_table


def register(app: typer.Typer) -> None:
    config = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(config, name="config", help="What can be set, and what is.")
    config.command("show")(show)
    config.command("reference")(reference)


def show(files: FilesArgument = None, as_json: JsonOption = False) -> None:
    """Every setting as it counts, and where it was written."""
    from appliance.config.explain import spelled
    from appliance.config.load import examine

    loaded = examine(files or ())
    if loaded.settings is None:
        for fault in loaded.errors:
            typer.echo(str(fault), err=True)
        raise typer.Exit(int(Exit.FAILED))
    values = loaded.settings.model_dump(mode="json")
    if as_json:
        print_json(values)
        return
    for where, value in _leaves(values, ()):
        written = where in loaded.layers.places
        place = loaded.layers.place(where) if written else "built-in default"
        typer.echo(f"{spelled(where)} = {json.dumps(value, ensure_ascii=False)}  # {place}")


def reference(
    as_json: JsonOption = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print docs/configuration.md.")] = False,
) -> None:
    """Every setting there is: type, default, unit, limits, when it takes effect."""
    from appliance.config import reference as rows

    if markdown:
        typer.echo(rows.markdown(), nl=False)
    elif as_json:
        print_json([asdict(table) for table in rows.tables()])
    else:
        for table in rows.tables():
            title = f"[[{table.name}]]" if table.listed else f"[{table.name}]"
            print_table(
                ("key", "type", "default", "unit", "takes effect", "meaning"),
                [(row.key, row.type, row.default, row.unit, row.effect, row.help) for row in table.rows],
                title,
            )


def _leaves(value: Any, where: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    if isinstance(value, dict):
        for key, below in value.items():
            yield from _leaves(below, (*where, key))
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for place, below in enumerate(value):
            yield from _leaves(below, (*where, place))
    else:
        yield where, value
