"""Who sends most, as pike counts it (module pike, RPC pike.top; row M11)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from appliance.sip_edge.rpc import Rpc


class Filter(StrEnum):
    """pike's own words: HOT is over the limit, WARM on the way there, ALL the rest too."""

    ALL = "ALL"
    HOT = "HOT"
    WARM = "WARM"


@dataclass(frozen=True)
class Talker:
    """One source in pike's tree."""

    address: str
    hits: int  # requests in this sampling unit
    hits_before: int  # and in the one before
    expires_s: int  # until it is forgotten, if it keeps quiet
    status: str  # HOT, WARM, ALL


async def top_talkers(rpc: Rpc, which: Filter, most: int) -> list[Talker]:
    """The `most` with the most hits, highest first. RpcUnavailable; RpcRefused: flood protection is off.

    Of 5.6.3, `pike.top WARM` leaves out warm leaves: all are asked for, and chosen here."""
    found = await rpc.call("pike.top", "HOT" if which is Filter.HOT else "ALL")
    rows = found.get("list", []) if isinstance(found, dict) else []
    talkers = [_talker(row) for row in rows if isinstance(row, dict)]
    chosen = [one for one in talkers if which in (Filter.ALL, one.status)]
    return sorted(chosen, key=lambda one: (-max(one.hits, one.hits_before), one.address))[:most]


def _talker(row: dict[str, Any]) -> Talker:
    return Talker(
        address=str(row.get("ip_addr", "")), hits=int(row.get("leaf_hits_curr", 0)),
        hits_before=int(row.get("leaf_hits_prev", 0)), expires_s=max(0, int(row.get("expires", 0))),
        status=str(row.get("status", "")),
    )  # fmt: skip
