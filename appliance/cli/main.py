"""`srtpgw`: one file per noun, imported when it is used. Exit codes: appliance.cli.exits, docs/api.md."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import typer
from typer.core import TyperGroup

# Command -> module; each has `register(app: typer.Typer) -> None`. The order is that of --help.
COMMANDS: dict[str, str] = {
    "up": "appliance.cli.up",
    "demo": "appliance.cli.demo",
    "check": "appliance.cli.check",
    "status": "appliance.cli.status",
    "calls": "appliance.cli.calls",
    "workers": "appliance.cli.workers",
    "hardware": "appliance.cli.hardware",
    "edge": "appliance.cli.edge",
    "acl": "appliance.cli.acl",
    "destinations": "appliance.cli.destinations",
    "certificates": "appliance.cli.certificates",
    "bans": "appliance.cli.bans",
    "users": "appliance.cli.users",
    "config": "appliance.cli.config",
    "version": "appliance.cli.version",
}


class LazyGroup(TyperGroup):
    """A group whose commands are imported by name, so that `srtpgw version` does not pay for gRPC."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [name for name, module in COMMANDS.items() if importlib.util.find_spec(module) is not None]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        module = COMMANDS.get(cmd_name)
        if module is None or importlib.util.find_spec(module) is None:
            return None
        app = typer.Typer()
        importlib.import_module(module).register(app)
        return typer.main.get_group(app).commands[cmd_name]


app = typer.Typer(cls=LazyGroup, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback(epilog="Exit codes: 0 done, 1 failed or refused, 2 wrong usage, 3 gateway not running, 4 not found.")
def _srtpgw() -> None:
    """The SRTP gateway: RTP to SRTP and back."""


def main() -> None:
    app(prog_name="srtpgw")


if __name__ == "__main__":
    main()
