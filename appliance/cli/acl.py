"""`srtpgw acl list|add|remove|import|reload|test|file`: who may use the SIP edge."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from appliance.cli.client import TIMEOUT_S, connected
from appliance.cli.exits import Exit, fail
from appliance.cli.options import DEFAULT_SOCKET, JsonOption, SocketOption
from appliance.cli.output import print_json, print_table, tree
from appliance.cli.paging import listed

PAGE = 5000
PIECE = 200 * 1024  # octets; the server takes no longer message
LOADING_S = 60.0  # a large import, the wait for reload_delta

TableOption = Annotated[
    str, typer.Option("--table", "-t", help="address, trusted (peers) or grp (groups of users).", metavar="TABLE")
]
GroupOption = Annotated[str, typer.Option("--group", "-g", help="Only this group: a number, of users its name.")]
TagOption = Annotated[str, typer.Option(help="Goes with the calls; in trusted the name of a trunk.")]


def register(app: typer.Typer) -> None:
    acl = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(acl, name="acl", help="Who may use the SIP edge: address groups, trusted peers, groups of users.")
    for name, command in (("list", list_), ("add", add), ("trust", trust), ("member", member), ("remove", remove),
                          ("import", import_), ("reload", reload), ("test", test), ("file", file)):  # fmt: skip
        acl.command(name)(command)


def list_(
    table: TableOption = "address", group: GroupOption = "", socket: SocketOption = Path(DEFAULT_SOCKET),
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Rows of a table, with the numbers that `remove` takes."""
    with connected(socket) as channel:
        rows = list(_read(_stub(channel), table, group))
    if as_json:
        print_json([tree(row) for row in rows])
    elif table == "trusted":
        print_table((">id", "source", "proto", "From", "Request-URI", "tag", ">priority"), (
            (row.id, row.src_ip, row.proto, row.from_pattern, row.ruri_pattern, row.tag, row.priority) for row in rows
        ))  # fmt: skip
    elif table == "grp":
        print_table((">id", "user", "domain", "group"), ((row.id, row.username, row.domain, row.group) for row in rows))
    else:
        columns = (">id", ">group", "address", ">port", "tag")
        print_table(columns, ((row.id, row.group, row.address, row.port or "any", row.tag) for row in rows))


def add(
    group: Annotated[int, typer.Argument(help="Group number, from 1.", min=1)],
    addresses: Annotated[list[str], typer.Argument(help="Addresses, networks (CIDR), host names.")],
    port: Annotated[int, typer.Option(help="Only this source port; 0: any.", min=0, max=65535)] = 0,
    tag: TagOption = "",
    replace: Annotated[bool, typer.Option("--replace", help="Instead of all that the group has now.")] = False,
    socket: SocketOption = Path(DEFAULT_SOCKET),
    as_json: JsonOption = False,
) -> None:
    """Put addresses into a group, all of them or none."""
    from srtpgw.v1 import access_pb2

    rows = [access_pb2.Address(group=group, address=address, port=port, tag=tag) for address in addresses]
    with connected(socket) as channel:
        stub = _stub(channel)
        if replace:
            asked = access_pb2.ReplaceAddressesRequest(group=group, addresses=rows)
            done = stub.ReplaceAddresses(asked, timeout=LOADING_S)
        else:
            done = stub.AddAddresses(access_pb2.AddAddressesRequest(addresses=rows), timeout=LOADING_S)
    _print(done, as_json)


def trust(
    source: Annotated[str, typer.Argument(help="Source address.")],
    proto: Annotated[str, typer.Option(help="any, udp, tcp, tls, ws, wss, sctp, none.")] = "any",
    from_pattern: Annotated[str, typer.Option("--from", help="Expression that From must match.")] = "",
    ruri_pattern: Annotated[str, typer.Option("--to", help="Expression that the Request-URI must match.")] = "",
    tag: TagOption = "",
    priority: Annotated[int, typer.Option(help="Higher ones are tried first.")] = 0,
    socket: SocketOption = Path(DEFAULT_SOCKET),
    as_json: JsonOption = False,
) -> None:
    """Trust a peer: its requests need no password."""
    from srtpgw.v1 import access_pb2

    peer = access_pb2.TrustedPeer(src_ip=source, proto=proto, from_pattern=from_pattern, ruri_pattern=ruri_pattern,
                                  tag=tag, priority=priority)  # fmt: skip
    with connected(socket) as channel:
        done = _stub(channel).AddTrusted(access_pb2.AddTrustedRequest(peers=[peer]), timeout=LOADING_S)
    _print(done, as_json)


def member(
    group: Annotated[str, typer.Argument(help="Name of the group.")],
    users: Annotated[list[str], typer.Argument(help="Users, with or without @domain.")],
    socket: SocketOption = Path(DEFAULT_SOCKET),
    as_json: JsonOption = False,
) -> None:
    """Put users into a group: routes may ask for it."""
    from srtpgw.v1 import access_pb2

    split = [user.partition("@") for user in users]
    rows = [access_pb2.Member(username=name, domain=domain, group=group) for name, _, domain in split]
    with connected(socket) as channel:
        done = _stub(channel).AddMembers(access_pb2.AddMembersRequest(members=rows), timeout=LOADING_S)
    _print(done, as_json)


def remove(
    ids: Annotated[list[int] | None, typer.Argument(help="Numbers of rows, as `list` shows them.")] = None,
    table: TableOption = "address",
    group: GroupOption = "",
    socket: SocketOption = Path(DEFAULT_SOCKET),
    as_json: JsonOption = False,
) -> None:
    """Remove rows, or a whole group."""
    from srtpgw.v1 import access_pb2

    with connected(socket) as channel:
        stub = _stub(channel)
        method = {"address": stub.RemoveAddresses, "trusted": stub.RemoveTrusted, "grp": stub.RemoveMembers}
        asked = access_pb2.RemoveRowsRequest(ids=ids or (), group=group)
        done = method[_known(table)](asked, timeout=LOADING_S)
    _print(done, as_json)


def import_(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="SQL dump, CSV, db_text, address or permission file.")],
    table: Annotated[str, typer.Option("--table", "-t", help="Only of this table; of what a CSV is.")] = "",
    replace: Annotated[bool, typer.Option("--replace", help="The tables become what the file says.")] = False,
    subject: Annotated[
        str, typer.Option("--as", help="For a permission file under another name: routing, register_files, uri.")
    ] = "",
    socket: SocketOption = Path(DEFAULT_SOCKET),
    as_json: JsonOption = False,
) -> None:
    """Take over a file of Kamailio's as it is; all of it or nothing."""
    content = _content(path)
    named = _permission_file(path, subject)
    with connected(socket) as channel:
        stub = _stub(channel)
        if named:
            done = stub.ReplacePermissionFile(_permission_pieces(*named, content), timeout=LOADING_S)
        else:
            done = stub.Import(_import_pieces(table, replace, content), timeout=LOADING_S)
    _print(done, as_json)


def reload(socket: SocketOption = Path(DEFAULT_SOCKET), as_json: JsonOption = False) -> None:
    """Let the SIP edge read its tables again, after somebody else changed them."""
    from srtpgw.v1 import access_pb2

    with connected(socket) as channel:
        done = _stub(channel).Reload(access_pb2.ReloadAccessRequest(), timeout=LOADING_S)
    _print(done, as_json)


def test(
    source: Annotated[str, typer.Option(help="Source address of the request.")],
    uri: Annotated[str, typer.Option("--to", help="Request-URI; of a REGISTER the URI of its To.")],
    from_uri: Annotated[str, typer.Option("--from", help="From URI.")] = "",
    port: Annotated[int, typer.Option(help="Source port.", min=1, max=65535)] = 5060,
    transport: Annotated[str, typer.Option(help="udp, tcp, tls, ws, wss.")] = "udp",
    method: Annotated[str, typer.Option(help="INVITE, REFER, REGISTER ...")] = "INVITE",
    refer_to: Annotated[str, typer.Option(help="Refer-To of a REFER.")] = "",
    contact: Annotated[str, typer.Option(help="Contact of a REGISTER.")] = "",
    user: Annotated[str, typer.Option(help="As if this user had given its password.")] = "",
    certificate: Annotated[list[str] | None, typer.Option(help="A name in its TLS certificate.")] = None,
    received_on: Annotated[str, typer.Option("--on", help="Our socket it arrives on (udp:192.0.2.1:5060).")] = "",
    socket: SocketOption = Path(DEFAULT_SOCKET),
    as_json: JsonOption = False,
) -> None:
    """What would happen to a request, and which rule decides. Nothing is sent."""
    from srtpgw.v1 import access_pb2

    asked = access_pb2.TestAccessRequest(
        source=source, port=port, transport=transport, method=method, from_uri=from_uri, uri=uri, refer_to=refer_to,
        contact=contact, user=user, certificate=certificate or (), received_on=received_on,
    )  # fmt: skip
    with connected(socket) as channel:
        found = _stub(channel).Test(asked, timeout=TIMEOUT_S)
    if as_json:
        print_json(tree(found))
        return
    print_table(("", "rule", ""), ((step.verdict, step.rule, step.detail) for step in found.steps))
    typer.echo(_sentence(found))


def file(
    name: Annotated[str, typer.Argument(help="routing.allow, register_files.deny, uri.deny ...; none: which there are.")
                    ] = "",
    socket: SocketOption = Path(DEFAULT_SOCKET),
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Show a permission file. `import` replaces one."""
    from srtpgw.v1 import access_pb2

    with connected(socket) as channel:
        stub = _stub(channel)
        if name:
            subject, _, side = name.rpartition(".")
            asked = access_pb2.PermissionFileRequest(subject=subject, side=side)
            found = stub.GetPermissionFile(asked, timeout=TIMEOUT_S)
            print_json(tree(found)) if as_json else typer.echo(found.content, nl=False)
            return
        listed = stub.ListPermissionFiles(access_pb2.ListPermissionFilesRequest(), timeout=TIMEOUT_S)
    if as_json:
        print_json([tree(one) for one in listed.files])
        return
    print_table(("name", "there", "path"), (
        (f"{one.subject}.{one.side}", "yes" if one.exists else "no", one.path) for one in listed.files
    ))  # fmt: skip


def _stub(channel: Any) -> Any:
    from srtpgw.v1 import access_pb2_grpc

    return access_pb2_grpc.AccessServiceStub(channel)


def _read(stub: Any, table: str, group: str) -> Iterator[Any]:
    from srtpgw.v1 import access_pb2

    if _known(table) == "trusted":
        yield from stub.ListTrusted(access_pb2.ListTrustedRequest(), timeout=TIMEOUT_S).peers
        return
    if table == "grp":
        yield from stub.ListMembers(access_pb2.ListMembersRequest(group=group), timeout=TIMEOUT_S).members
        return
    if group and not group.isdecimal():
        fail(Exit.USAGE, f"--group {group}: groups of addresses have numbers")
    asked = access_pb2.ListAddressesRequest(group=int(group or 0))
    yield from listed(stub.ListAddresses, asked, "addresses", size=PAGE)


def _known(table: str) -> str:
    if table not in ("address", "trusted", "grp"):
        fail(Exit.USAGE, f"--table {table}: one of address, trusted, grp")
    return table


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        fail(Exit.FAILED, f"{path}: {error.strerror}")


def _permission_file(path: Path, subject: str) -> tuple[str, str] | None:
    """Subject and side of a permission file, by its name; None: it is of another kind."""
    side = {".allow": "allow", ".deny": "deny", ".deby": "deny"}.get(path.suffix)
    if side is None:
        if subject:
            fail(Exit.USAGE, f"{path}: a permission file ends in .allow or .deny")
        return None
    if path.suffix == ".deby":
        typer.echo(f"{path.name}: taken for {path.stem}.deny", err=True)
    usual = {"permissions": "routing", "hosts": "routing", "register": "register_files", "uri": "uri"}
    named = subject or usual.get(path.stem, "")
    if not named:
        fail(Exit.USAGE, f"{path.name}: say what it is for: --as routing, register_files or uri")
    return named, side


def _permission_pieces(subject: str, side: str, content: bytes) -> Iterator[Any]:
    from srtpgw.v1 import access_pb2

    yield access_pb2.ReplacePermissionFileRequest(subject=subject, side=side)
    for start in range(0, len(content), PIECE):
        yield access_pb2.ReplacePermissionFileRequest(content=content[start : start + PIECE])


def _import_pieces(table: str, replace: bool, content: bytes) -> Iterator[Any]:
    from srtpgw.v1 import access_pb2

    yield access_pb2.ImportAccessRequest(table=table, replace=replace)
    for start in range(0, len(content), PIECE):
        yield access_pb2.ImportAccessRequest(content=content[start : start + PIECE])


def _print(done: Any, as_json: bool) -> None:
    if as_json:
        print_json(tree(done))
        return
    for warning in done.warnings:
        typer.echo(f"warning: {warning}", err=True)
    live = "live" if done.live else "counts when the SIP edge starts"
    typer.echo(f"{done.added} added, {done.removed} removed; {live}")


def _sentence(found: Any) -> str:
    if found.status:
        return f"{found.status}: {found.rule} decides"
    trunk = f"trunk {found.trunk}, " if found.trunk else ""
    return f"goes on: {trunk}to {found.destination}" + (f" as {found.user}" if found.user else "")
