"""`srtpgw status`: what runs, since when, how much of it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import typer

from appliance.cli.client import TIMEOUT_S, connected
from appliance.cli.options import DEFAULT_SOCKET, JsonOption, SocketOption
from appliance.cli.output import print_json, print_table, tree


def register(app: typer.Typer) -> None:
    @app.command("status")
    def status(socket: SocketOption = Path(DEFAULT_SOCKET), as_json: JsonOption = False) -> None:
        """How the gateway is."""
        from srtpgw.v1 import system_pb2, system_pb2_grpc

        with connected(socket) as channel:
            found = system_pb2_grpc.SystemServiceStub(channel).GetStatus(
                system_pb2.GetStatusRequest(), timeout=TIMEOUT_S
            )
        if as_json:
            print_json(tree(found))
        else:
            _print(found)


def _print(found: Any) -> None:
    up = timedelta(seconds=int(found.uptime_s))
    running = sum(worker.state == "run" for worker in found.workers)
    rows = [
        ("version", found.version),
        ("state", "draining: no new calls" if found.draining else "serving"),
        ("up", up),
        ("packets by", f"{found.port_kind} ({found.why})" if found.why else found.port_kind),
        ("cipher", found.cipher),
        ("workers", f"{running} of {len(found.workers)} running"),
        ("calls", f"{found.calls} now, {found.calls_answered} answered, {found.calls_most} at most"),
        ("since start", f"{found.calls_total} calls, {found.calls_adopted} adopted, {found.calls_failed} failed"),
        ("requests", _counts(found.requests)),
        ("refused", _counts(found.errors)),
    ]
    print_table(("gateway", ""), rows)


def _counts(counts: Any) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(counts.items())) or "none"
