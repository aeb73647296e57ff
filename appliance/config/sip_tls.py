"""`[sip_tls]`, `[[sip_tls_domains]]`, `[[sip_tls_peers]]`: TLS of the SIP edge beyond the one certificate of `[sip]`
(rows J01 to J05).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator

from appliance.config import tls_words
from appliance.config.rows import Effect, Table, row
from appliance.config.types import OptionalSipSocket, Words

HOST_NAME = re.compile(r"^(\*\.)?[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$")


def _host_name(value: str) -> str:
    """RFC 6066 section 3: a DNS name, never an address. `*.` before it: every name below it."""
    text = value.strip().lower()
    if text and (not HOST_NAME.match(text) or len(text) > 253 or text.replace(".", "").isdecimal()):
        raise ValueError(f"{value!r} is not a host name such as sip.example.org or *.example.org")
    return text


def _one_host(value: str) -> str:
    if value.strip().startswith("*"):
        raise ValueError(f"{value!r}: one name is sent, not a pattern")
    return _host_name(value)


Ciphers = Annotated[str, AfterValidator(tls_words.ciphers)]
VerifyClient = Literal["auto", "off", "optional", "require"]
VERIFY_HELP = (
    "Ask TLS clients for a certificate of client_ca: never (off), and check it if there is one (optional), and end the "
    "handshake without (require); auto: require where client_ca is given."
)


class SipTls(Table):
    """TLS of the SIP edge as a whole. The default certificate, versions and ciphers are in [sip]."""

    verify_client: VerifyClient = row("auto", help=VERIFY_HELP, effect=Effect.RESTART)
    crl: Path | None = row(
        None, help="Revoked certificates of client_ca, PEM; every authority in the chain needs one.",
        effect=Effect.RESTART,
    )  # fmt: skip
    max_connections: int = row(
        1024, help="TLS connections at one time; further ones are closed at once.", unit="connections",
        effect=Effect.RESTART, ge=1, le=1_000_000,
    )  # fmt: skip
    handshake_s: int = row(
        30, help="A TLS connection without a SIP message in this time is closed: a handshake that stops half-way, a "
        "client that only connects.", unit="seconds", effect=Effect.RESTART, ge=2, le=3600,
    )  # fmt: skip
    idle_s: int = row(
        3600, help="A TLS connection on which nothing came or went for so long is closed.", unit="seconds",
        effect=Effect.RESTART, ge=30, le=86_400,
    )  # fmt: skip
    reload_poll_s: float = row(
        10.0,
        help="How often certificate files are looked at; changed ones are checked and taken over without an end to any "
        "connection. 0: only by `srtpgw certificates reload`.",
        unit="seconds", effect=Effect.RESTART, ge=0, le=3600,
    )  # fmt: skip
    expiry_warning_days: int = row(
        14, help="Warn of certificates that end within so many days.", unit="days", effect=Effect.RESTART, ge=0, le=365
    )


class SipTlsDomain(Table):
    """A certificate of its own for clients that ask for a server name (SNI, RFC 6066). Unknown names get [sip]'s."""

    server_name: Annotated[str, AfterValidator(_host_name)] = row(
        help="Name that clients ask for; *.example.org: every name below it.", effect=Effect.RESTART, min_length=1
    )
    listen: OptionalSipSocket = row(
        "", help="Only on this socket, one of sip.listen; empty: on every tls and wss socket.", effect=Effect.RESTART
    )
    certificate: Path = row(help="Certificate chain, PEM.", effect=Effect.RESTART)
    key: Path = row(help="Private key of the certificate, PEM, without a passphrase.", effect=Effect.RESTART)
    tls_ciphers: Ciphers = row("", help="OpenSSL cipher string; empty: as sip.tls_ciphers.", effect=Effect.RESTART)
    client_ca: Path | None = row(
        None, help="Authorities of client certificates, PEM; unset: as sip.client_ca.", effect=Effect.RESTART
    )
    verify_client: VerifyClient = row("auto", help=VERIFY_HELP, effect=Effect.RESTART)
    crl: Path | None = row(
        None, help="Revoked certificates, PEM; unset: as sip_tls.crl with sip.client_ca.", effect=Effect.RESTART
    )


class SipTlsPeer(Table):
    """How we connect to a trunk over TLS. Without a row: no name is sent, sip.client_ca (if given) is who we trust."""

    trunk: str = row(help="Name of the trunk.", effect=Effect.RESTART, min_length=1)
    server_name: Annotated[str, AfterValidator(_one_host)] = row(
        "", help="Server name that we ask it for (SNI); empty: none.", effect=Effect.RESTART
    )
    ca: Path | None = row(
        None, help="Authorities its certificate must come from, PEM; unset: sip.client_ca, without it nothing is "
        "verified.", effect=Effect.RESTART,
    )  # fmt: skip
    crl: Path | None = row(None, help="Revoked certificates of `ca`, PEM.", effect=Effect.RESTART)
    names: Words = row(
        (),
        help="Names its certificate must have one of (RFC 5922: DNS name, IP address or SIP URI's host); no names: any "
        "certificate of `ca`.",
        effect=Effect.NEXT_CALL,
    )
    certificate: Path | None = row(
        None, help="Certificate that we show to it, PEM; unset: [sip]'s.", effect=Effect.RESTART
    )
    key: Path | None = row(None, help="Private key of that certificate, PEM.", effect=Effect.RESTART)
