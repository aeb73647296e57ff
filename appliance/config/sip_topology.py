"""`[sip_topology]`: what one side of the SIP edge may learn of the other (rows K04 to K06)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, SecretStr

from appliance.config.rows import Effect, Table, row
from appliance.config.types import OptionalIPLiteral, SipSockets

REDIS = re.compile(
    r"^redis://(?::(?P<word>[^@/;\"\s]+)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(?P<port>\d{1,5})(?:/(?P<db>\d{1,3}))?$"
)


def _redis(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if text and not REDIS.match(text):
        raise ValueError("not a Redis URL: redis://HOST:PORT/NUMBER or redis://:PASSWORD@HOST:PORT/NUMBER")
    return value


class SipTopology(Table):
    """Topology hiding. `mask` (Kamailio's topoh) writes what is hidden under a key into the messages themselves:
    nothing is stored, and every edge with the same key can route a dialog. `strip` (topos) takes it out and keeps it in
    a database or Redis that edges may share."""

    mode: Literal["mask", "strip"] = row("mask", help="How it is hidden.", effect=Effect.RESTART)
    mask_key_file: Path | None = row(
        None, help="File with the secret of `mask`, the same on every edge that is to route the same dialogs; only its "
        "owner and group may read it. Unset: one is made in paths.state.", effect=Effect.RESTART,
    )  # fmt: skip
    previous_key_file: Path | None = row(
        None, help="File with the secret that was in use before: dialogs that began under it are still routed until "
        "sip.dialog_timeout_s after the file was last written. Unset: that of `srtpgw edge rotate-key`, if any.",
        effect=Effect.RESTART,
    )  # fmt: skip
    mask_ip: OptionalIPLiteral = row(
        "127.0.0.8", help="Address that stands for every hidden one; no host may have it.", effect=Effect.RESTART
    )
    mask_callid: bool = row(True, help="Mask Call-IDs too, which often hold an address.", effect=Effect.RESTART)
    storage: Literal["db", "redis"] = row(
        "db", help="Where `strip` keeps dialogs: in sip_database (PostgreSQL or MySQL), or in Redis.",
        effect=Effect.RESTART,
    )  # fmt: skip
    redis_url: Annotated[SecretStr, AfterValidator(_redis)] = row(
        lambda: SecretStr(""), help="redis://HOST:PORT/NUMBER or redis://:PASSWORD@HOST:PORT/NUMBER. Is never shown. "
        "Best given as SRTPGW_SIP_TOPOLOGY__REDIS_URL.", effect=Effect.RESTART,
    )  # fmt: skip
    branch_expire: int = row(
        180, help="How long `strip` remembers a transaction; above sip.ring_timeout_ms.", unit="seconds",
        effect=Effect.RESTART, ge=30, le=3600,
    )  # fmt: skip
    dialog_expire: int = row(
        0, help="How long `strip` remembers a dialog; 0: sip.dialog_timeout_s and an hour.", unit="seconds",
        effect=Effect.RESTART, ge=0, le=1_209_600,
    )  # fmt: skip
    contact_mode: int = row(
        0, help="Where `strip` writes its key in a Contact: 0 as the user part, 1 as a parameter.", unit="mode",
        effect=Effect.RESTART, ge=0, le=1,
    )  # fmt: skip
    aliases: SipSockets = row(
        (), help="Sockets of other edges with the same key or storage: a dialog that began there is routed here.",
        effect=Effect.RESTART,
    )  # fmt: skip
    hide_addresses: bool = row(
        True, help="Addresses of a peer or of ours towards it, in From, To, Request-URI and headers that name parties, "
        "do not reach the other side: there they are the address that this side knows. Names stay.",
        effect=Effect.RESTART,
    )  # fmt: skip
    hide_user_agent: bool = row(
        True, help="User-Agent and Server of one side are taken out of messages to the other.", effect=Effect.RESTART
    )
