"""`[sip_nat]`: peers behind NAT."""

from __future__ import annotations

from appliance.config.rows import Effect, Table, row


class SipNat(Table):
    """Peers behind NAT. Answers always go where a request came from (rport). Where a peer names an address that it is
    not reached by, requests to it go where its own came from; media is learnt as the trunk's `latching` says."""

    enabled: bool = row(True, help="Look for peers behind NAT.", effect=Effect.RESTART)
    nat_uac_test: int = row(
        18, help="What shows it, as in nathelper of Kamailio: 1 a private Contact, 2 another address than in Via, "
        "8 a private address in SDP, 16 another port than in Via. A private Contact from a public source always does.",
        unit="bits", effect=Effect.RESTART, ge=0, le=511,
    )  # fmt: skip
