"""`srtpgw users`: who may register and call, their phones, and who is blocked for guessing."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from appliance.cli.acl import LOADING_S, PIECE
from appliance.cli.client import TIMEOUT_S, connected
from appliance.cli.options import DEFAULT_SOCKET, JsonOption, SocketOption
from appliance.cli.output import print_json, print_table, tree
from appliance.cli.paging import listed

UserArgument = Annotated[str, typer.Argument(metavar="USER@REALM", help="Name and realm (the domain in From).")]
FileOption = Annotated[
    Path | None, typer.Option("--password-file", help="File with the password; -: standard input. Else you are asked.")
]
GenerateOption = Annotated[bool, typer.Option("--generate", help="Make a password and print it.")]


def register(app: typer.Typer) -> None:
    users = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(users, name="users", help="Users of the SIP edge, their phones, blocks of REGISTER.")
    for name, command in (
        ("list", list_), ("add", add), ("password", password), ("remove", remove), ("import", import_),
        ("contacts", contacts), ("deregister", deregister), ("blocks", blocks), ("unblock", unblock),
    ):  # fmt: skip
        users.command(name)(command)


def list_(socket: SocketOption = Path(DEFAULT_SOCKET), as_json: JsonOption = False) -> None:
    """Every user, and the digest algorithms they can use."""
    from srtpgw.v1 import subscribers_pb2 as pb

    with connected(socket) as channel:
        found = list(listed(_stub(channel).List, pb.ListSubscribersRequest(), "subscribers"))
    if as_json:
        print_json([tree(one) for one in found])
        return
    rows = [(one.username, one.domain, ", ".join(one.algorithms)) for one in found]
    print_table(("user", "realm", "algorithms"), rows)


def add(user: UserArgument, password_file: FileOption = None, generate: GenerateOption = False,
        socket: SocketOption = Path(DEFAULT_SOCKET)) -> None:  # fmt: skip
    """A new user."""
    _set(user, password_file, generate, socket, new=True)


def password(user: UserArgument, password_file: FileOption = None, generate: GenerateOption = False,
             socket: SocketOption = Path(DEFAULT_SOCKET)) -> None:  # fmt: skip
    """Another password."""
    _set(user, password_file, generate, socket, new=False)


def remove(user: UserArgument, socket: SocketOption = Path(DEFAULT_SOCKET)) -> None:
    """A user is one no more; phones that are registered stay until they have to prove the password again."""
    from srtpgw.v1 import subscribers_pb2 as pb

    name, realm = _split(user)
    with connected(socket) as channel:
        _stub(channel).Remove(pb.RemoveSubscriberRequest(username=name, domain=realm), timeout=TIMEOUT_S)


def import_(
    file: Annotated[Path, typer.Argument(help="Kamailio's table `subscriber`: SQL dump, CSV or db_text.")],
    socket: SocketOption = Path(DEFAULT_SOCKET),
) -> None:
    """Users of a Kamailio, with the hashes that it has."""
    from srtpgw.v1 import subscribers_pb2 as pb

    content = file.read_bytes()
    pieces = (content[start : start + PIECE] for start in range(0, len(content), PIECE))
    with connected(socket) as channel:
        requests = (pb.ImportSubscribersRequest(content=piece) for piece in pieces)
        found = _stub(channel).Import(requests, timeout=LOADING_S)
    typer.echo(f"{found.added} added")


def contacts(socket: SocketOption = Path(DEFAULT_SOCKET), as_json: JsonOption = False) -> None:
    """Phones that are registered now."""
    from srtpgw.v1 import subscribers_pb2 as pb

    with connected(socket) as channel:
        found = _stub(channel).ListContacts(pb.ListContactsRequest(), timeout=TIMEOUT_S).contacts
    if as_json:
        print_json([tree(one) for one in found])
        return
    columns = ("user", "contact", ">expires in s", "phone", "received from")
    print_table(columns, [(one.user, one.uri, str(one.expires_s), one.user_agent, one.received) for one in found])


def deregister(
    user: Annotated[str, typer.Argument(metavar="USER")], socket: SocketOption = Path(DEFAULT_SOCKET)
) -> None:
    """Forget all phones of a user."""
    from srtpgw.v1 import subscribers_pb2 as pb

    with connected(socket) as channel:
        _stub(channel).Deregister(pb.DeregisterRequest(user=user), timeout=TIMEOUT_S)


def blocks(socket: SocketOption = Path(DEFAULT_SOCKET), as_json: JsonOption = False) -> None:
    """Who is blocked for too many REGISTERs."""
    from srtpgw.v1 import subscribers_pb2 as pb

    with connected(socket) as channel:
        found = _stub(channel).ListBlocks(pb.ListBlocksRequest(), timeout=TIMEOUT_S).blocks
    if as_json:
        print_json([tree(one) for one in found])
        return
    print_table(("key", ">attempts", ">since", ">until"), [(one.key, *map(str, (one.attempts, one.since, one.until)))
                                                           for one in found])  # fmt: skip


def unblock(key: Annotated[str, typer.Argument(metavar="KEY")], socket: SocketOption = Path(DEFAULT_SOCKET)) -> None:
    """Let a blocked one try again."""
    from srtpgw.v1 import subscribers_pb2 as pb

    with connected(socket) as channel:
        _stub(channel).Unblock(pb.UnblockRequest(key=key), timeout=TIMEOUT_S)


def _stub(channel: Any) -> Any:
    from srtpgw.v1 import subscribers_pb2_grpc

    return subscribers_pb2_grpc.SubscriberServiceStub(channel)


def _set(user: str, password_file: Path | None, generate: bool, socket: Path, *, new: bool) -> None:
    from srtpgw.v1 import subscribers_pb2 as pb

    name, realm = _split(user)
    with connected(socket) as channel:
        words = {"username": name, "domain": realm, "password": _password(password_file, generate)}
        if new:
            _stub(channel).Add(pb.AddSubscriberRequest(**words), timeout=TIMEOUT_S)
        else:
            _stub(channel).SetPassword(pb.SetPasswordRequest(**words), timeout=TIMEOUT_S)


def _split(user: str) -> tuple[str, str]:
    name, at, realm = user.partition("@")
    if not (name and at and realm):
        raise typer.BadParameter("write USER@REALM")
    return name, realm


def _password(file: Path | None, generate: bool) -> str:
    """Never from the command line: others see that."""
    if generate:
        made = secrets.token_urlsafe(15)
        typer.echo(made)
        return made
    if file is not None:
        return (sys.stdin.read() if str(file) == "-" else file.read_text()).rstrip("\n")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
