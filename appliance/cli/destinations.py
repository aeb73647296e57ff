"""`srtpgw destinations list|add|update|set|remove|import|reload|ping|test`: destination sets of the SIP edge."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from appliance.cli.client import TIMEOUT_S, connected
from appliance.cli.options import DEFAULT_SOCKET, JsonOption, SocketOption
from appliance.cli.output import print_json, print_table, tree

IdArgument = Annotated[int, typer.Argument(metavar="ID", help="As `destinations list` prints it.", min=1)]
SetOption = Annotated[int, typer.Option("--set", help="Id of the set.", min=0)]
PriorityOption = Annotated[int, typer.Option(help="The highest first.")]
AttrsOption = Annotated[str, typer.Option(help="duid=gw1;weight=50;maxload=100;socket=udp:192.0.2.1:5060 ...")]
FlagsOption = Annotated[int, typer.Option(help="1 inactive, 4 disabled, 8 probing, 16 no DNS, 32 no ping.", min=0)]


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(group, name="destinations", help="Destination sets of the SIP edge (Kamailio's dispatcher).")
    group.command("list")(list_)
    group.command("add")(add)
    group.command("update")(update)
    group.command("set")(set_)
    group.command("remove")(remove)
    group.command("import")(import_)
    group.command("reload")(reload)
    group.command("ping")(ping)
    group.command("test")(test)


def list_(
    setid: Annotated[int | None, typer.Option("--set", help="Only this set.", min=0)] = None,
    socket: SocketOption = Path(DEFAULT_SOCKET), as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Every destination: state, latency, load."""
    from srtpgw.v1 import destinations_pb2 as pb

    with connected(socket) as channel:
        found = _stub(channel).List(pb.ListDestinationsRequest(setid=setid), timeout=TIMEOUT_S)
    _print(found, as_json)


def add(
    setid: Annotated[int, typer.Argument(metavar="SET", min=0)],
    uri: Annotated[str, typer.Argument(metavar="URI", help="sip:192.0.2.1:5060")],
    flags: FlagsOption = 0, priority: PriorityOption = 0, attrs: AttrsOption = "",
    description: Annotated[str, typer.Option(help="For people.")] = "",
    socket: SocketOption = Path(DEFAULT_SOCKET), as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Put a destination into a set; calls go there at once."""
    from srtpgw.v1 import destinations_pb2 as pb

    row = pb.Destination(setid=setid, destination=uri, flags=flags, priority=priority, attrs=attrs,
                         description=description)  # fmt: skip
    with connected(socket) as channel:
        _done(_stub(channel).Add(pb.AddDestinationRequest(destination=row), timeout=TIMEOUT_S), as_json)


def update(
    number: IdArgument,
    setid: Annotated[int | None, typer.Option("--set", min=0)] = None,
    uri: Annotated[str | None, typer.Option()] = None,
    flags: Annotated[int | None, typer.Option(min=0)] = None,
    priority: Annotated[int | None, typer.Option()] = None,
    attrs: Annotated[str | None, typer.Option()] = None,
    description: Annotated[str | None, typer.Option()] = None,
    socket: SocketOption = Path(DEFAULT_SOCKET), as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Change a destination; what is not given stays."""
    from srtpgw.v1 import destinations_pb2 as pb

    request = pb.UpdateDestinationRequest(id=number, setid=setid, destination=uri, flags=flags, priority=priority,
                                          attrs=attrs, description=description)  # fmt: skip
    with connected(socket) as channel:
        _done(_stub(channel).Update(request, timeout=TIMEOUT_S), as_json)


def set_(
    number: IdArgument,
    state: Annotated[str, typer.Argument(metavar="STATE", help="active, inactive, disabled or probing.")],
    socket: SocketOption = Path(DEFAULT_SOCKET), as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Take a destination out of service or back in; it stays so after a restart."""
    from srtpgw.v1 import destinations_pb2 as pb

    with connected(socket) as channel:
        request = pb.SetDestinationStateRequest(id=number, state=state)
        _done(_stub(channel).SetState(request, timeout=TIMEOUT_S), as_json)


def remove(number: IdArgument, socket: SocketOption = Path(DEFAULT_SOCKET), as_json: JsonOption = False) -> None:
    """Take a destination out of its set."""
    from srtpgw.v1 import destinations_pb2 as pb

    with connected(socket) as channel:
        _done(_stub(channel).Remove(pb.RemoveDestinationRequest(id=number), timeout=TIMEOUT_S), as_json)


def import_(
    file: Annotated[Path, typer.Argument(help="dispatcher.list, SQL, CSV, db_text or kamailio.cfg.", exists=True,
                                         dir_okay=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what is in it.")] = False,
    socket: SocketOption = Path(DEFAULT_SOCKET), as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Take over Kamailio's destination sets: each set of the file replaces the one of that id, all at once.

    Of a kamailio.cfg the parameters are printed as settings of this gateway; nothing is changed then."""
    from appliance.sip_edge.tables import dispatcher_files as files
    from srtpgw.v1 import destinations_pb2 as pb

    try:
        found = files.read(file.read_text(errors="replace"))
    except files.NotUnderstood as error:
        typer.echo(f"{file}: {error}", err=True)
        raise typer.Exit(1) from None
    rows = files.sound(found)
    for warning in found.warnings:
        typer.echo(f"{file}: {warning}", err=True)
    if found.settings or found.algorithms:
        typer.echo(files.settings_text(found), nl=False)
        return
    if dry_run:
        typer.echo(files.listing(rows), nl=False)
        return
    request = pb.ReplaceSetsRequest(
        setids=sorted({row.setid for row in rows}),
        destinations=[pb.Destination(setid=row.setid, destination=row.destination, flags=row.flags,
                                     priority=row.priority, attrs=row.attrs, description=row.description)
                      for row in rows],
    )  # fmt: skip
    with connected(socket) as channel:
        done = _stub(channel).Replace(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(tree(done))
        return
    typer.echo(f"{len(done.destinations)} destinations in {len(request.setids)} sets{_away(done)}")


def reload(socket: SocketOption = Path(DEFAULT_SOCKET)) -> None:
    """Let the SIP edge read the table, or dispatcher.list, again."""
    from srtpgw.v1 import destinations_pb2 as pb

    with connected(socket) as channel:
        _stub(channel).Reload(pb.ReloadDestinationsRequest(), timeout=TIMEOUT_S)


def ping(
    switch: Annotated[str, typer.Argument(metavar="[on|off]", help="Nothing: say how it is.")] = "",
    socket: SocketOption = Path(DEFAULT_SOCKET), as_json: JsonOption = False,
) -> None:  # fmt: skip
    """All pings on or off, until the edge restarts."""
    from srtpgw.v1 import destinations_pb2 as pb

    if switch not in ("", "on", "off"):
        raise typer.BadParameter("on or off")
    request = pb.PingDestinationsRequest(active=switch == "on" if switch else None)
    with connected(socket) as channel:
        found = _stub(channel).Ping(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(tree(found))
    else:
        typer.echo("pings are on" if found.active else "pings are off")


def test(
    setid: Annotated[int, typer.Argument(metavar="SET", min=0)],
    values: Annotated[list[str], typer.Argument(metavar="VALUE...", help="A text to hash; or user and host of a URI.")],
    algorithm: Annotated[int | None, typer.Option(help="Instead of the set's.", min=0)] = None,
    socket: SocketOption = Path(DEFAULT_SOCKET), as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Whom a call would go to, then whom it would fail over to."""
    from srtpgw.v1 import destinations_pb2 as pb

    request = pb.ChooseDestinationRequest(setid=setid, values=values, algorithm=algorithm)
    with connected(socket) as channel:
        found = _stub(channel).Choose(request, timeout=TIMEOUT_S)
    _print(found, as_json)


def _stub(channel: Any) -> Any:
    from srtpgw.v1 import destinations_pb2_grpc

    return destinations_pb2_grpc.DestinationServiceStub(channel)


def _done(change: Any, as_json: bool) -> None:
    if as_json:
        print_json(tree(change))
        return
    row = change.destination
    typer.echo(f"{row.id}: set {row.setid} {row.destination} flags {row.flags} priority {row.priority} {row.attrs}"
               .rstrip() + _away(change))  # fmt: skip


def _away(change: Any) -> str:
    return "" if change.live else "; the SIP edge is down and has it when it starts"


def _print(found: Any, as_json: bool) -> None:
    if as_json:
        print_json([tree(one) for one in found.destinations])
        return
    columns = (">id", ">set", "destination", "state", ">priority", "attrs", ">avg ms", ">est ms", ">max ms",
               ">timeouts", ">load", "description")  # fmt: skip
    print_table(columns, [_line(one) for one in found.destinations])


def _line(one: Any) -> tuple[object, ...]:
    row, latency = one.row, one.latency
    state = type(one).State.Name(one.state).lower() + (" pinged" if one.probing else "")
    measured = [f"{value:.1f}" for value in (latency.average_ms, latency.estimate_ms, latency.most_ms)]
    if not one.HasField("latency"):
        measured = ["-"] * 3
    return (row.id or "-", row.setid, row.destination, state, row.priority, row.attrs, *measured,
            latency.timeouts, one.load, row.description)  # fmt: skip
