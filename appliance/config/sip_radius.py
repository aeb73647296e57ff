"""`[sip_radius]`: passwords and accounting by RADIUS."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator

from appliance.config.rows import Effect, Table, row
from appliance.config.types import HostPort, Words

MOST_SERVERS = 8  # of radcli


def _servers(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        HostPort.parse(name)
    if len(names) > MOST_SERVERS:
        raise ValueError(f"at most {MOST_SERVERS}")
    return names


class SipRadius(Table):
    """RADIUS (RFC 2865, RFC 2866) by Kamailio's modules. Passwords are then asked for with MD5 alone, which is what
    RADIUS servers have, and users of the database count no more. A Kamailio process waits for each answer."""

    servers: Annotated[Words, AfterValidator(_servers)] = row(
        (), help="Who knows passwords: address and port (192.0.2.5:1812), the next ones when it is silent. Empty: the "
        "database.", effect=Effect.RESTART,
    )  # fmt: skip
    accounting: Annotated[Words, AfterValidator(_servers)] = row(
        (), help="Who is told the beginning and the end of each call (192.0.2.5:1813). Empty: nobody.",
        effect=Effect.RESTART,
    )  # fmt: skip
    secret_file: Path | None = row(
        None, help="File with the secret shared with these servers.", effect=Effect.RESTART
    )
    digest: Literal["draft", "rfc5090"] = row(
        "draft", help="How digests are written: as FreeRADIUS has them (draft-sterman-aaa-sip-00), or as RFC 5090.",
        effect=Effect.RESTART,
    )  # fmt: skip
    timeout_s: int = row(
        1, help="How long one of them may be silent.", unit="seconds", effect=Effect.RESTART, ge=1, le=30
    )
    tries: int = row(2, help="Requests to one that is silent.", unit="requests", effect=Effect.RESTART, ge=2, le=6)
