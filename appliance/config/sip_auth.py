"""`[sip_auth]`: passwords of users (SIP digest)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from appliance.config.rows import Effect, Table, row
from appliance.config.types import Words
from appliance.sip_edge.ksr.rules.auth import ALGORITHMS


def _algorithms(names: tuple[str, ...]) -> tuple[str, ...]:
    known = {name.upper(): name for name in ALGORITHMS}
    unknown = [name for name in names if name.upper() not in known]
    if unknown or not names:
        raise ValueError(f"{', '.join(unknown) or 'nothing'}: there are {', '.join(ALGORITHMS)}")
    return tuple(dict.fromkeys(known[name.upper()] for name in names))


class SipAuth(Table):
    """Digest authentication (RFC 3261 section 22, RFC 7616, RFC 8760). The database holds hashes of name, realm and
    password, never passwords."""

    realm: str = row(
        "", help="Realm that users are asked for; empty: the domain they write in From.", effect=Effect.RESTART,
        pattern=r"^[A-Za-z0-9.:_-]{0,64}$",
    )  # fmt: skip
    algorithms: Annotated[Words, AfterValidator(_algorithms)] = row(
        ("SHA-256", "MD5"),
        help="Algorithms offered, the preferred one first: SHA-512-256, SHA-256, MD5. A phone that knows only MD5 and "
        "takes the first offer it sees needs MD5 first or alone; so do users imported with MD5 hashes.",
        effect=Effect.RESTART,
    )  # fmt: skip
    nonce_expire_s: int = row(
        300, help="How long a nonce is taken; then the phone is asked anew (stale).", unit="seconds",
        effect=Effect.RESTART, ge=10, le=86_400,
    )  # fmt: skip
    check_from: bool = row(
        True, help="The user in From (in To of a REGISTER) must be the one whose password it was; else 403.",
        effect=Effect.RESTART,
    )  # fmt: skip
    secret_file: Path | None = row(
        None, help="File with the secret that nonces are signed with, the same on all gateways of a fleet; unset: one "
        "of this gateway's own, made at the first start.", effect=Effect.RESTART,
    )  # fmt: skip
