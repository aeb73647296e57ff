"""Settings of DTLS-SRTP handshakes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from appliance.config.rows import Effect, Table, row


class Dtls(Table):
    """DTLS-SRTP handshakes with peers. Which legs use it, and how, is a trunk's or a request's to say."""

    processes: Literal["auto"] | Annotated[int, Field(ge=0, le=64)] = row(
        "auto",
        help="Processes that compute handshakes; 0: the control process does it itself. auto: one for each core that "
        "carries no media, at most four; 0 where there is none.",
        unit="processes",
        effect=Effect.RESTART,
    )  # fmt: skip
    mtu: int = row(
        1200, help="Longest datagram of a handshake that we send.", unit="octets",
        effect=Effect.RESTART, ge=256, le=1472,
    )  # fmt: skip
    timeout_s: float = row(
        30.0,
        help="Event handshake_failed when no handshake has given keys so long after the answer. A peer that comes "
        "later is served all the same.",
        unit="seconds", effect=Effect.NEXT_CALL, ge=1, le=300,
    )  # fmt: skip
    end_failed: bool = row(
        True,
        help="End a call when handshakes fail and leave it no stream: nobody is heard, and nobody can be. false: it "
        "stays without media, for a re-INVITE to heal. A peer with another certificate than its SDP says always ends "
        "its call.",
        effect=Effect.NEXT_CALL,
    )  # fmt: skip
