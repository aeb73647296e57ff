"""The second attempt: a callee that may be called with or without SRTP refused the secure offer (row H02).

Pure functions, standard library only: this runs in Kamailio's embedded Python.
"""

from __future__ import annotations

from dataclasses import replace

from appliance.sip_edge.ksr.routing import MediaPolicy, Trunk

# How a callee says that it is the offer it does not like (RFC 3261 sections 21.4.13, 21.4.26 and 21.6.4).
NOT_ACCEPTABLE = frozenset({415, 488, 606})


def possible(callee: Trunk, flags: str) -> bool:
    """Whether plain RTP may follow an offer that went to `callee` with these NG flags: its policy leaves the choice,
    and there was something to leave out. A mandatory trunk is never offered plain RTP (C3)."""
    return callee.outbound.mode == "optional" and "SDES-off" not in flags.split()


def plain(callee: Trunk) -> Trunk:
    """`callee` as it is offered to the second time: RTP/AVP, no keys, no opportunistic ones either."""
    flags = tuple(word for word in callee.flags if not word.startswith("OSRTP-offer"))
    return replace(callee, outbound=MediaPolicy("forbidden"), flags=flags)
