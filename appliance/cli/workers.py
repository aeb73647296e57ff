"""`srtpgw workers list`: one row per core that carries media."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from appliance.cli.client import TIMEOUT_S, connected
from appliance.cli.options import DEFAULT_SOCKET, JsonOption, SocketOption
from appliance.cli.output import print_json, print_table, tree


def register(app: typer.Typer) -> None:
    workers = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(workers, name="workers", help="Workers: the processes that carry media.")
    workers.callback()(_group)
    workers.command("list")(list_)


def _group() -> None:
    """Workers: the processes that carry media."""


def list_(socket: SocketOption = Path(DEFAULT_SOCKET), as_json: JsonOption = False) -> None:
    """Every worker: core, state, load, what is placed on it."""
    from srtpgw.v1 import system_pb2, system_pb2_grpc

    with connected(socket) as channel:
        found = system_pb2_grpc.SystemServiceStub(channel).GetStatus(system_pb2.GetStatusRequest(), timeout=TIMEOUT_S)
    if as_json:
        print_json([tree(worker) for worker in found.workers])
        return
    columns = (
        "worker",
        ">core",
        "state",
        ">pid",
        ">restarts",
        ">busy",
        ">calls",
        ">flows",
        ">contexts",
        ">ports",
        ">packets",
        ">drops",
    )
    print_table(columns, [_row(worker) for worker in found.workers])


def _row(worker: Any) -> tuple[object, ...]:
    used, free = sum(worker.ports_used.values()), sum(worker.ports_free.values())
    return (
        worker.index,
        worker.cpu,
        worker.state,
        worker.pid,
        worker.restarts,
        f"{worker.busy:.0%}",
        worker.calls,
        f"{worker.flows_used}/{worker.flows}",
        f"{worker.cryptos_used}/{worker.cryptos}",
        f"{used}/{used + free}",
        worker.counters.get("received", 0),
        _drops(worker.counters),
    )


def _drops(counters: Any) -> int:
    """All drops: what was received and neither sent on nor handed up (kernels/flow/counters.pxd)."""
    counts = dict(counters)
    kept: int = sum(counts.get(name, 0) for name in ("forwarded", "punted", "interrupted"))
    return max(0, int(counts.get("received", 0)) - kept)
