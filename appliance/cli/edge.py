"""`srtpgw edge status|events|audit`: the SIP edge as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from appliance.cli.client import TIMEOUT_S, connected
from appliance.cli.exits import Exit, fail
from appliance.cli.options import DEFAULT_SOCKET, FilesArgument, JsonOption, SocketOption
from appliance.cli.output import print_json, print_line, print_table, tree
from appliance.cli.paging import listed


def register(app: typer.Typer) -> None:
    edge = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(edge, name="edge", help="The SIP edge: is it up, what it decides, who changed it.")
    edge.command("status")(status)
    edge.command("events")(events)
    edge.command("audit")(audit)
    edge.command("rotate-key")(rotate_key)


def status(socket: SocketOption = Path(DEFAULT_SOCKET), as_json: JsonOption = False) -> None:
    """Is Kamailio up; memory, transactions, dialogs, refusals and drops by rule."""
    from srtpgw.v1 import edge_pb2, edge_pb2_grpc

    with connected(socket) as channel:
        stub = edge_pb2_grpc.EdgeServiceStub(channel)
        found = stub.GetStatus(edge_pb2.GetEdgeStatusRequest(), timeout=TIMEOUT_S)
    if as_json:
        print_json(tree(found))
        return
    print_table(("", ""), _facts(found))
    print_table(("rule", ">refused or dropped"), sorted(found.decisions.items()))


def events(
    rule: Annotated[list[str] | None, typer.Option(help="Only this rule; may be repeated.")] = None,
    socket: SocketOption = Path(DEFAULT_SOCKET),
    as_json: JsonOption = False,
) -> None:
    """What the routing script decides, as it happens, a line each; until interrupted."""
    from srtpgw.v1 import edge_pb2, edge_pb2_grpc

    with connected(socket) as channel:
        stub = edge_pb2_grpc.EdgeServiceStub(channel)
        for event in stub.Watch(edge_pb2.WatchEdgeRequest(rules=rule or ())):
            print_line(tree(event)) if as_json else typer.echo(_event(event))


def rotate_key(
    files: FilesArgument = None,
    force: Annotated[bool, typer.Option(help="Also while an earlier key is still taken: its calls are lost.")] = False,
) -> None:
    """A new key for topology hiding, from the SIP edge's next start on; calls that are up go on under the old one.

    Works on the files in paths.state of this machine, as root or Kamailio's account."""
    from appliance.config.faults import ConfigError
    from appliance.config.load import load
    from appliance.errors import GatewayError
    from appliance.sip_edge import mask_keys

    try:
        settings = load(files or ())
        previous = mask_keys.rotate(settings, force=force)
    except (GatewayError, ConfigError, OSError, ValueError) as error:
        fail(Exit.FAILED, str(error))
    typer.echo(f"{previous} is taken for calls that are up until {settings.sip.dialog_timeout_s} s from now.")
    typer.echo("Restart the SIP edge (systemctl restart srtpgw-sip): it makes the new key.")


def audit(
    limit: Annotated[int, typer.Option(help="At most this many; 0: all.", min=0)] = 50,
    socket: SocketOption = Path(DEFAULT_SOCKET),
    as_json: JsonOption = False,
) -> None:
    """Who changed what, the newest first."""
    with connected(socket) as channel:
        found = list(_pages(channel, limit))
    if as_json:
        print_json([tree(record) for record in found])
        return
    columns = (">number", "time", "who", "action", "target", "before", "after")
    print_table(columns, [_row(record) for record in found])


def _pages(channel: Any, limit: int) -> Iterator[Any]:
    from srtpgw.v1 import edge_pb2, edge_pb2_grpc

    return listed(edge_pb2_grpc.EdgeServiceStub(channel).ListAudit, edge_pb2.ListAuditRequest(), "records", limit)


def _facts(found: Any) -> list[tuple[str, str]]:
    database = found.database + (f": {found.database_why}" if found.database_why else "")
    if not found.up:
        return [("edge", f"down: {found.why}"), ("database", database)]
    memory, transactions, dialogs = found.shared_memory, found.transactions, found.dialogs
    replies = " ".join(f"{name}:{number}" for name, number in sorted(transactions.replies.items()))
    return [
        ("edge", f"up for {found.uptime_s} s, pid {found.pid}, {found.version}"),
        ("shared memory", f"{memory.used_octets >> 10} of {memory.total_octets >> 10} KiB, "
                          f"at most {memory.most_used_octets >> 10}"),
        ("transactions", f"{transactions.current} now, {transactions.total} ever; final replies {replies or '-'}"),
        ("dialogs", f"{dialogs.ongoing} ongoing, {dialogs.starting + dialogs.connecting} being set up"),
        *_websocket(found),
        ("database", database),
        ("events refused", str(found.events_refused)),
    ]  # fmt: skip


def _websocket(found: Any) -> list[tuple[str, str]]:
    sessions = found.websocket
    told = f"{sessions.sessions} sessions, at most {sessions.most_sessions}"
    return [("websocket", told)] if found.HasField("websocket") else []


def _event(event: Any) -> str:
    words = [_time(event.time), event.event, event.rule, str(event.status or ""), event.method, event.source]
    words += [event.call_id, *(f"{name}={value}" for name, value in sorted(event.details.items()))]
    return " ".join(word for word in words if word)


def _row(record: Any) -> tuple[object, ...]:
    return (record.number, _time(record.time), record.who, record.action, record.target, record.before, record.after)


def _time(stamp: Any) -> str:
    return datetime.fromtimestamp(stamp.seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
