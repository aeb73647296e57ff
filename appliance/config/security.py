"""`[security]`: what no trunk may loosen by accident."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator

from appliance.config.rows import Effect, Table, row
from appliance.config.trunks import no_padding


class Security(Table):
    """What no trunk may loosen by accident. The defaults are the safe ones."""

    sdes_requires_tls: bool = row(
        True, help="Never offer or take SDES keys over SIP that is not TLS (or WSS).", effect=Effect.NEXT_CALL
    )
    log_srtp_keys: Path | None = row(
        None,
        help="File that every SRTP master key is written to, to decrypt captures in a lab (mode 0600); unset: nowhere. "
        "Who reads it hears the calls.",
        effect=Effect.RESTART,
    )
    vbr: Annotated[Literal["forbid", "allow"], BeforeValidator(no_padding)] = row(
        "forbid",
        help="Variable bit rate codecs on secured media, whose packet lengths tell what is said (RFC 6562): opus is "
        "told cbr=1, others are dropped (forbid); allow: they pass. A trunk's own word goes before.",
        effect=Effect.NEXT_CALL,
    )
    allow_null_auth: bool = row(
        False, help="Allow suites without authentication everywhere; better per trunk.", effect=Effect.NEXT_CALL
    )
    allow_null_cipher: bool = row(
        False, help="Allow suites without encryption everywhere; better per trunk.", effect=Effect.NEXT_CALL
    )
    allow_gcm_8: bool = row(
        False, help="Allow the 8-octet-tag AEAD suites everywhere; better per trunk.", effect=Effect.NEXT_CALL
    )
