"""`srtpgw bans list|add|remove|top`: sources that are not heard, and who sends most."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from appliance.cli.client import TIMEOUT_S, connected
from appliance.cli.options import DEFAULT_SOCKET, JsonOption, SocketOption
from appliance.cli.output import print_json, print_table, tree
from appliance.cli.paging import pages

NetworkArgument = Annotated[str, typer.Argument(metavar="NETWORK", help="An address, or a network (192.0.2.0/24).")]
COLUMNS = ("target", "kind", "rule", "since", "until", ">dropped", "enforced by", "who", "reason")


class Filter(StrEnum):
    """pike's words."""

    ALL = "all"
    HOT = "hot"
    WARM = "warm"


def register(app: typer.Typer) -> None:
    bans = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(bans, name="bans", help="Banned sources, blocks of REGISTER, top talkers.")
    bans.command("list")(list_)
    bans.command("add")(add)
    bans.command("remove")(remove)
    bans.command("top")(top)


def list_(
    address: Annotated[str, typer.Option(help="Only what concerns this address.")] = "",
    limit: Annotated[int, typer.Option(help="At most this many; 0: all.", min=0)] = 0,
    socket: SocketOption = Path(DEFAULT_SOCKET),
    as_json: JsonOption = False,
) -> None:
    """Who is banned or blocked, why, until when, how much was dropped; and how bans are kept."""
    found, state = [], None
    with connected(socket) as channel:
        for page in _pages(channel, address, limit):
            found += page.bans
            state = page.state
    if as_json:
        print_json({"bans": [tree(one) for one in found], "state": tree(state) if state else {}})
        return
    print_table(COLUMNS, [_row(one) for one in found])
    for line in _notes(state):
        typer.echo(line)


def add(
    network: NetworkArgument,
    seconds: Annotated[int, typer.Option("--for", metavar="SECONDS", help="0: sip_bans.seconds.", min=0)] = 0,
    permanent: Annotated[bool, typer.Option("--permanent", help="Until it is removed.")] = False,
    reason: Annotated[str, typer.Option(help="For whoever reads the list.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Also a network that a trunk is in.")] = False,
    socket: SocketOption = Path(DEFAULT_SOCKET),
    as_json: JsonOption = False,
) -> None:
    """Ban an address or a network; one that is banned gets the new end."""
    from srtpgw.v1 import bans_pb2, bans_pb2_grpc

    with connected(socket) as channel:
        request = bans_pb2.BanRequest(
            network=network, seconds=seconds, permanent=permanent, reason=reason, force=force
        )  # fmt: skip
        made = bans_pb2_grpc.BanServiceStub(channel).Ban(request, timeout=TIMEOUT_S)
    print_json(tree(made)) if as_json else print_table(COLUMNS, [_row(made)])


def remove(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="As `list` shows it.")],
    kind: Annotated[str, typer.Option(help="ban or register_block.")] = "ban",
    socket: SocketOption = Path(DEFAULT_SOCKET),
    as_json: JsonOption = False,
) -> None:
    """Lift a ban or a block, everywhere and at once."""
    from srtpgw.v1 import bans_pb2, bans_pb2_grpc

    with connected(socket) as channel:
        stub = bans_pb2_grpc.BanServiceStub(channel)
        lifted = stub.Unban(bans_pb2.UnbanRequest(target=target, kind=kind), timeout=TIMEOUT_S)
    print_json(tree(lifted)) if as_json else typer.echo(f"{lifted.target} is free")


def top(
    filter_: Annotated[Filter, typer.Option("--filter", help="hot: over pike's limit; warm: on the way.")] = Filter.ALL,
    limit: Annotated[int, typer.Option(help="At most this many.", min=1, max=1000)] = 50,
    socket: SocketOption = Path(DEFAULT_SOCKET),
    as_json: JsonOption = False,
) -> None:
    """Sources by the requests that pike counted, the busiest first."""
    from srtpgw.v1 import bans_pb2, bans_pb2_grpc

    with connected(socket) as channel:
        which = bans_pb2.TopTalkersRequest.Filter.Value(filter_.name)
        request = bans_pb2.TopTalkersRequest(filter=which, limit=limit)
        found = bans_pb2_grpc.BanServiceStub(channel).TopTalkers(request, timeout=TIMEOUT_S).talkers
    if as_json:
        print_json([tree(one) for one in found])
        return
    columns = ("address", ">hits", ">unit before", "status", ">forgotten in s", "banned")
    rows = [(t.address, t.hits, t.hits_before, t.status, t.expires_s, "yes" if t.banned else "") for t in found]
    print_table(columns, rows)


def _pages(channel: Any, address: str, limit: int) -> Iterator[Any]:
    from srtpgw.v1 import bans_pb2, bans_pb2_grpc

    return pages(bans_pb2_grpc.BanServiceStub(channel).List, bans_pb2.ListBansRequest(address=address), "bans", limit)


def _row(one: Any) -> tuple[object, ...]:
    until = _time(one.until) if one.HasField("until") else "for ever"
    where = " ".join(one.enforced)
    return (one.target, one.kind, one.rule, _time(one.since), until, one.dropped, where, one.who, one.reason)


def _notes(state: Any) -> Iterator[str]:
    """What an operator has to know about bans as a whole."""
    by = ", ".join(f"{name} {count}" for name, count in sorted(state.dropped.items())) or "nothing"
    yield f"{state.bans} of at most {state.most} bans; dropped by {by}; {state.connections_ended} connections ended"
    yield f"kernel: {state.kernel_why}"
    for word, why in (
        ("connections are not ended", state.connections_why), ("not all in Kamailio", state.kamailio_why),
        ("not kept over a restart", state.database_why),
    ):  # fmt: skip
        if why:
            yield f"{word}: {why}"
    counts = ((state.gave_way, "gave way for want of room"), (state.refused, "of own addresses or trunks not taken"),
              (state.lost, "times too many at once"))  # fmt: skip
    for count, word in counts:
        if count:
            yield f"{count} {word}"


def _time(stamp: Any) -> str:
    return datetime.fromtimestamp(stamp.seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if stamp.seconds else "-"
