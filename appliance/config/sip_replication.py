"""`[sip_replication]`: what the SIP edges of a fleet tell each other."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

from appliance.config.rows import Effect, Table, row
from appliance.config.types import OptionalSipSocket, Words

MOST_PEERS = 5  # Kamailio's own limit of addresses to begin with; further ones are heard of from these
_PEER = re.compile(r"^sips?:(\d+\.\d+\.\d+\.\d+|\[[0-9A-Fa-f:.]+\]):\d{1,5}(;transport=(udp|tcp|tls))?$")


def _peers(uris: tuple[str, ...]) -> tuple[str, ...]:
    for uri in uris:
        if not _PEER.match(uri):
            raise ValueError(f"{uri!r} is not the socket of another gateway, such as sip:192.0.2.2:5090")
    if len(uris) > MOST_PEERS:
        raise ValueError(f"at most {MOST_PEERS}")
    return uris


class SipReplication(Table):
    """Counts and blocks of REGISTER, told to the other gateways of a fleet (Kamailio's module dmq)."""

    listen: OptionalSipSocket = row(
        "", help="Our socket for it, one of sip.listen; empty: off. In a network of the gateways' own, or TLS: whoever "
        "can send to it from a peer's address can block and unblock users.",
        effect=Effect.RESTART,
    )  # fmt: skip
    peers: Annotated[Words, AfterValidator(_peers)] = row(
        (), help="Sockets of the other gateways (sip:192.0.2.2:5090). Only these are listened to.",
        effect=Effect.RESTART,
    )  # fmt: skip

    @property
    def enabled(self) -> bool:
        return self.listen is not None
