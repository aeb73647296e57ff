"""`[sip_registrar]`, `[sip_register_block]`: phones that register here, and who tries too often."""

from __future__ import annotations

from typing import Literal

from appliance.config.rows import Effect, Table, row
from appliance.config.types import Words


class SipRegistrar(Table):
    """REGISTER (RFC 3261 section 10). Users prove their password ([sip_auth]); calls to `registrar` go to their
    phones."""

    enabled: bool = row(False, help="Take registrations.", effect=Effect.RESTART)
    domains: Words = row(
        (), help="Domains that users register in; a REGISTER for another one is refused. Empty: any.",
        effect=Effect.RESTART,
    )  # fmt: skip
    trunk: str = row(
        "", help="Trunk whose media policy registered phones have; empty: the one whose network a phone is in.",
        effect=Effect.RESTART,
    )  # fmt: skip
    max_contacts: int = row(
        5, help="Phones of one user; further ones are refused.", unit="contacts", effect=Effect.RESTART, ge=1, le=100
    )
    default_expires: int = row(
        3600, help="Where a phone does not say for how long.", unit="seconds", effect=Effect.RESTART, ge=60, le=86_400
    )
    min_expires: int = row(
        60, help="Shorter registrations are refused with 423.", unit="seconds", effect=Effect.RESTART, ge=0, le=86_400
    )
    max_expires: int = row(
        7200, help="Longer registrations are made shorter.", unit="seconds", effect=Effect.RESTART, ge=60, le=604_800
    )


class SipRegisterBlock(Table):
    """Block against floods of REGISTER and guessing of passwords. A registration that succeeds ends the count."""

    enabled: bool = row(True, help="Count registrations that did not succeed.", effect=Effect.RESTART)
    attempts: int = row(
        30, help="So many are handled; the next one is blocked.", unit="requests", effect=Effect.RESTART,
        ge=1, le=100_000,
    )  # fmt: skip
    window_s: int = row(
        300, help="Only if the last attempt is less than this ago; else counting begins anew.", unit="seconds",
        effect=Effect.RESTART, ge=1, le=86_400,
    )  # fmt: skip
    block_s: int = row(
        900, help="How long a block holds.", unit="seconds", effect=Effect.RESTART, ge=1, le=31_536_000
    )
    key: Literal["user", "ip", "both"] = row(
        "both", help="What is counted: the user (strangers can lock a user out), the source address (users behind one "
        "NAT share the count), or the pair.", effect=Effect.RESTART,
    )  # fmt: skip
    most: int = row(
        50_000, help="So many are counted at a time, of which half only with a nonce of ours in their credentials; "
        "further ones, which must be of a flood from forged sources, are not counted until others are forgotten.",
        unit="entries", effect=Effect.RESTART, ge=100, le=1_000_000,
    )  # fmt: skip
