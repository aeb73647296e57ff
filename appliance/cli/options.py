"""Options that many commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_SOCKET = "/run/srtpgw/control.sock"  # paths.run of the schema; a test holds the two together

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
SocketOption = Annotated[
    Path, typer.Option("--socket", envvar="SRTPGW_SOCKET", help="Control socket of the gateway.", show_default=True)
]
FilesArgument = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[FILE]...", help="Files or directories; none: /etc/srtpgw, else the embedded default."),
]
