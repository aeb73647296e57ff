"""`srtpgw workers list|drain|undrain`: one row per core that carries media; emptying one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from appliance.cli.client import TIMEOUT_S, connected
from appliance.cli.options import DEFAULT_SOCKET, JsonOption, SocketOption
from appliance.cli.output import print_json, print_table, tree

# of a received packet, other than a drop (kernels/flow/counters.pxd)
ENDS = ("forwarded", "punted", "handed_over", "ice_answered", "ice_refused", "cookies", "interrupted")
NumberArgument = Annotated[int, typer.Argument(metavar="N", help="Number of the worker.", min=0)]


def register(app: typer.Typer) -> None:
    workers = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(workers, name="workers", help="Workers: the processes that carry media.")
    workers.callback()(_group)
    workers.command("list")(list_)
    workers.command("drain")(drain)
    workers.command("undrain")(undrain)


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
    _print(found)


def drain(number: NumberArgument, socket: SocketOption = Path(DEFAULT_SOCKET), as_json: JsonOption = False) -> None:
    """Empty a worker: no new calls on it, those it has move to others. `list` shows when it is empty."""
    _set(number, socket, as_json, drained=True)


def undrain(number: NumberArgument, socket: SocketOption = Path(DEFAULT_SOCKET), as_json: JsonOption = False) -> None:
    """Let a worker take calls again."""
    _set(number, socket, as_json, drained=False)


def _set(number: int, socket: Path, as_json: bool, drained: bool) -> None:
    from srtpgw.v1 import system_pb2, system_pb2_grpc

    with connected(socket) as channel:
        stub = system_pb2_grpc.SystemServiceStub(channel)
        method = stub.DrainWorker if drained else stub.UndrainWorker
        found = method(system_pb2.WorkerRequest(worker=number), timeout=TIMEOUT_S)
    if as_json:
        print_json([tree(worker) for worker in found.workers])
    else:
        _print(found)


def _print(found: Any) -> None:
    columns = (
        "worker",
        ">core",
        "state",
        ">pid",
        ">busy",
        ">calls",
        ">flows",
        ">contexts",
        ">ports",
        ">packets",
        ">per s",
        ">cycles",
        ">drops",
        ">out/in",
        ">headroom",
    )
    print_table(columns, [_row(worker) for worker in found.workers])
    for worker in found.workers:
        if worker.note:
            typer.echo(f"worker {worker.index}: {worker.note}")


def _row(worker: Any) -> tuple[object, ...]:
    used, free = sum(worker.ports_used.values()), sum(worker.ports_free.values())
    return (
        worker.index,
        worker.cpu,
        worker.state,
        worker.pid,
        f"{worker.busy:.0%}",
        worker.calls,
        f"{worker.flows_used}/{worker.flows}",
        f"{worker.cryptos_used}/{worker.cryptos}",
        f"{used}/{used + free}",
        worker.counters.get("received", 0),
        f"{worker.packets_per_s:.0f}",
        f"{worker.cycles_per_packet:.0f}" if worker.HasField("cycles_per_packet") else "-",
        _drops(worker.counters),
        f"{worker.counters.get('handed_over', 0)}/{worker.counters.get('taken_over', 0)}",
        _headroom(worker),
    )


def _headroom(worker: Any) -> str:
    """Share of the core, and the packets a second that fit in it."""
    left = f"{worker.headroom:.0%}"
    if worker.HasField("headroom_packets_per_s"):
        left += f" {worker.headroom_packets_per_s:.0f}/s"
    return left


def _drops(counters: Any) -> int:
    """All drops: what was received and came to no other end."""
    counts = dict(counters)
    kept: int = sum(counts.get(name, 0) for name in ENDS)
    return max(0, int(counts.get("received", 0)) - kept)
