"""`[sip]`: the SIP edge itself; its subjects have tables of their own (`sip_*.py`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator

from appliance.config import tls_words
from appliance.config.rows import Effect, Table, row
from appliance.config.types import SipSockets


def _tls_versions(value: str) -> str:
    return ",".join(tls_words.versions(value))


class Sip(Table):
    """The SIP edge: Kamailio with our routing script."""

    enabled: bool = row(True, help="Start the SIP edge.", effect=Effect.RESTART)
    listen: SipSockets = row(
        ("udp:127.0.0.1:5060", "tcp:127.0.0.1:5060"),
        help="SIP sockets (udp, tcp, tls, ws, wss).",
        effect=Effect.RESTART,
    )
    certificate: Path | None = row(None, help="Certificate chain for tls and wss, PEM.", effect=Effect.RESTART)
    key: Path | None = row(None, help="Private key of the certificate, PEM.", effect=Effect.RESTART)
    client_ca: Path | None = row(
        None,
        help="Authorities for certificates of TLS peers, PEM; unset: peers are not asked for one.",
        effect=Effect.RESTART,
    )
    tls_versions: Annotated[str, AfterValidator(_tls_versions)] = row(
        "tlsv1.2,tlsv1.3",
        help="TLS versions of tls and wss: one alone, or several, which mean the lowest and all above it (tlsv1, "
        "tlsv1.1, tlsv1.2, tlsv1.3; sslv23: any). SSL is refused.",
        effect=Effect.RESTART,
    )
    allow_legacy_tls: bool = row(
        False, help="Let tls_versions name TLS 1.0 and 1.1, which RFC 8996 forbids.", effect=Effect.RESTART
    )
    tls_ciphers: Annotated[str, AfterValidator(tls_words.ciphers)] = row(
        "", help="OpenSSL cipher string for TLS up to 1.2; empty: OpenSSL's own choice.", effect=Effect.RESTART
    )
    program: str = row("kamailio", help="Kamailio program, name or path.", effect=Effect.RESTART, min_length=1)
    modules: str = row(
        "", help="Directory of Kamailio's modules; empty: found beside the program.", effect=Effect.RESTART
    )
    run: Path | None = row(
        None, help="Run directory, private to Kamailio's account; unset: sip below paths.run.", effect=Effect.RESTART
    )
    user: str = row("", help="Account Kamailio runs as when started by root; empty: stay.", effect=Effect.RESTART)
    workers: int = row(
        4,
        help="Kamailio processes per UDP socket. They wait for the media gateway's answers most of the time, so there "
        "should be more of them than cores.",
        unit="processes", effect=Effect.RESTART, ge=1, le=64,
    )
    memory_manager: Literal["tlsf", "fm", "qm"] = row(
        "tlsf", help="How Kamailio hands out its memory: tlsf and fm in constant time, qm with checks for overruns.",
        effect=Effect.RESTART,
    )  # fmt: skip
    shared_memory_mb: int = row(
        64, help="Kamailio's shared memory.", unit="MiB", effect=Effect.RESTART, ge=16, le=65_536
    )
    private_memory_mb: int = row(
        8, help="Memory of each Kamailio process.", unit="MiB", effect=Effect.RESTART, ge=4, le=1024
    )
    answer_timeout_ms: int = row(
        30_000,
        help="Time for the first reply to an INVITE.",
        unit="milliseconds",
        effect=Effect.RESTART,
        ge=500,
        le=300_000,
    )
    ring_timeout_ms: int = row(
        120_000,
        help="Time for the final reply to an INVITE.",
        unit="milliseconds",
        effect=Effect.RESTART,
        ge=1000,
        le=600_000,
    )
    udp_mtu: int = row(
        0, help="Requests over UDP that are longer go by TCP (RFC 3261 section 18.1.1 says 1300); 0: none do. A peer "
        "that does not listen on TCP cannot be called then.", unit="octets", effect=Effect.RESTART, ge=0, le=65_535,
    )  # fmt: skip
    dialog_timeout_s: int = row(43_200, help="Longest call.", unit="seconds", effect=Effect.RESTART, ge=60, le=604_800)
    user_agent: str = row(
        "srtpgw", help="Our name in SIP headers.", effect=Effect.RESTART, pattern=r"^[\x20-\x7e]{1,64}$"
    )
    log_level: int = row(1, help="Kamailio's own log level (-1 errors .. 3 debug).", effect=Effect.RESTART, ge=-1, le=3)
