"""The [sip_bans] table: sources that the SIP edge does not hear."""

from __future__ import annotations

from appliance.config.rows import Effect, Table, row


class SipBans(Table):
    """Banned sources: in Kamailio's own table and, before it, in the kernel (XDP, sk_lookup)."""

    kernel: bool = row(
        True, help="Drop in the kernel, where that is permitted, what banned sources send.", effect=Effect.RESTART
    )
    seconds: int = row(
        3_600, help="How long a ban holds that an operator sets without saying how long.", unit="s",
        effect=Effect.RESTART, ge=1, le=31_536_000,
    )  # fmt: skip
    most: int = row(
        16_384, help="Bans at one time; beyond it the one that ends first gives way.", unit="bans",
        effect=Effect.RESTART, ge=16, le=65_536,
    )  # fmt: skip
