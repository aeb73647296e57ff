"""`srtpgw certificates list|reload|ciphers`: what the SIP edge shows to its TLS peers."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from appliance.cli.client import TIMEOUT_S, connected
from appliance.cli.options import DEFAULT_SOCKET, JsonOption, SocketOption
from appliance.cli.output import print_json, print_table, tree


def register(app: typer.Typer) -> None:
    certificates = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(certificates, name="certificates", help="Certificates and ciphers of SIP over TLS.")
    certificates.command("list")(list_)
    certificates.command("reload")(reload)
    certificates.command("ciphers")(ciphers)


def list_(socket: SocketOption = Path(DEFAULT_SOCKET), as_json: JsonOption = False) -> None:
    """Every certificate: names, end, file; or why it cannot be used."""
    from srtpgw.v1 import certificates_pb2, certificates_pb2_grpc

    with connected(socket) as channel:
        stub = certificates_pb2_grpc.CertificateServiceStub(channel)
        found = stub.ListCertificates(certificates_pb2.ListCertificatesRequest(), timeout=TIMEOUT_S)
    if as_json:
        print_json([tree(one) for one in found.certificates])
    else:
        _print(found.certificates)


def reload(socket: SocketOption = Path(DEFAULT_SOCKET), as_json: JsonOption = False) -> None:
    """Take over what the files hold now; no connection ends."""
    from srtpgw.v1 import certificates_pb2, certificates_pb2_grpc

    with connected(socket) as channel:
        stub = certificates_pb2_grpc.CertificateServiceStub(channel)
        done = stub.ReloadCertificates(certificates_pb2.ReloadCertificatesRequest(), timeout=TIMEOUT_S)
    if as_json:
        print_json(tree(done))
        return
    _print(done.certificates)
    typer.echo("taken over" if done.live else "the SIP edge is not running; it has them when it starts")


def ciphers(
    text: Annotated[str | None, typer.Argument(metavar="CIPHERS", help="OpenSSL cipher string.")] = None,
    socket: SocketOption = Path(DEFAULT_SOCKET),
    as_json: JsonOption = False,
) -> None:
    """What a cipher string means here, in order of preference; without one: that of the running gateway."""
    from srtpgw.v1 import certificates_pb2, certificates_pb2_grpc

    with connected(socket) as channel:
        stub = certificates_pb2_grpc.CertificateServiceStub(channel)
        found = stub.ListCiphers(certificates_pb2.ListCiphersRequest(ciphers=text), timeout=TIMEOUT_S)
    if as_json:
        print_json(tree(found))
        return
    print_table(("cipher", "from", ">bits", ""),
                [(one.name, one.protocol, one.bits, one.description) for one in found.expansion])  # fmt: skip


def _print(certificates: Any) -> None:
    columns = ("domain", "names", "ends", ">days", ">chain", "issuer", "file")
    print_table(columns, [_row(one) for one in certificates])
    for one in certificates:
        for text in (*one.warnings, *filter(None, [one.why])):
            typer.echo(f"{one.domain}: {text}")


def _row(one: Any) -> tuple[object, ...]:
    if one.why:
        return (one.domain, "-", "-", "-", "-", "-", one.file)
    ends = datetime.fromtimestamp(one.not_after.seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return (one.domain, " ".join(one.names), ends, f"{one.days_left:.0f}", one.chain, one.issuer, one.file)
