"""Sets of destinations and how one is chosen (rows O00-O37).

What Kamailio's dispatcher module knows of its destinations (`dispatcher.list`) is read here; the choice itself is
`appliance.placement.algorithms`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from appliance.placement.algorithms import Candidate

ROUND_ROBIN, PARALLEL, CALL_LOAD, OVERLOAD = 4, 12, 10, 64
HASHES = {0: "$ci", 1: "$fu", 2: "$tu", 3: "$ru", 5: "$au"}  # what is hashed; 7: the set's own template
URIS = frozenset({1, 2, 3})
COUNTERS = "balance"  # htable: calls by set (turns), and `generation`, which each change of a state raises
GENERATION = "generation"
PROFILE = "destination"  # dialog profile: calls by destination
TIMEOUT = "timeout"  # the word for: no reply at all, not even a provisional one
SET = "set:"
LOAD_BUCKETS = 8  # a call's load is forgotten at the latest one bucket after it expires

_URI = re.compile(r"^(sips?):(?:([^@;?]*)@)?(\[[^\]]+\]|[^:;?>]+)(?::(\d+))?", re.IGNORECASE)
_DEFAULT_PORT = {"sip": "5060", "sips": "5061"}


@dataclass(frozen=True)
class DestinationSet:
    """How one set is used. What is in it is Kamailio's table."""

    id: int
    name: str = ""
    algorithm: int = ROUND_ROBIN
    hash: str = ""  # Kamailio's variables, "$fU@$ci": algorithm 7
    failover: tuple[str, ...] = ("500", TIMEOUT)  # codes ("503"), classes ("5xx"), "timeout"
    mark: str = "ip"  # state of one that failed: i(nactive) or t(rying), with p(robing); empty: as it was
    mark_on: tuple[str, ...] = (TIMEOUT,)
    answer_timeout_ms: int = 2000  # until a target's first reply (tm's fr_timer); 0: as everywhere
    limit: int = 0  # targets tried at most; 0: all
    congestion_control: bool = False  # attribute cc=1 of every destination


@dataclass(frozen=True)
class BalanceRules:
    """Sets of destinations and how one is chosen (rows O00-O37)."""

    enabled: bool = False
    sets: tuple[DestinationSet, ...] = ()
    other: DestinationSet = DestinationSet(0)  # how sets that only the table has are used
    user_only: bool = False  # flags bit 1: hashes of URIs leave host and port out
    use_default: bool = False  # the last one of a set is kept for when all others are away
    force_dst: bool = True  # a next hop that is set already is overwritten
    load_expire_s: int = 7200
    refresh_ms: int = 1000  # how old what we know of latencies may be; states are known at once
    ping_method: str = "OPTIONS"
    ping_timeout_ms: int = 1000

    def find(self, word: str) -> DestinationSet | None:
        """The set that a `destination` names: "set:3", "set:gateways", a set's name. None: it names no set."""
        name = word.removeprefix(SET)
        found = next((one for one in self.sets if name in (one.name, str(one.id)) and name), None)
        if found is None and word.startswith(SET) and name.isdecimal():
            return replace(self.other, id=int(name))
        return found if word.startswith(SET) or (found and found.name == word) else None


@dataclass(frozen=True)
class Destination:
    """One row of a set, with what Kamailio knows of it now."""

    uri: str
    state: str  # A(ctive), T(rying), I(nactive), D(isabled)
    probing: bool
    priority: int
    attributes: Mapping[str, str]
    average_ms: float = 0.0
    estimate_ms: float = 0.0

    @property
    def active(self) -> bool:
        return self.state in ("A", "T")

    @property
    def duid(self) -> str:
        """What load is counted under: its own id, else its address."""
        return self.attributes.get("duid") or self.uri

    @property
    def pinged(self) -> bool:
        return self.attributes.get("noping") != "1"

    def number(self, name: str) -> int:
        text = self.attributes.get(name, "").strip()
        return int(text) if text.isdecimal() else 0

    def candidate(self, load: int = 0, *, cc: bool = False) -> Candidate:
        return Candidate(
            able=self.active, priority=self.priority, weight=self.number("weight"), rweight=self.number("rweight"),
            load=load, maxload=self.number("maxload"), estimate_ms=self.estimate_ms, average_ms=self.average_ms,
            cc=cc or self.number("cc") == 1, ocrate=self.number("ocrate"),
        )  # fmt: skip


def attributes(text: str) -> dict[str, str]:
    """Attributes as the table has them, "duid=abc;weight=50"."""
    pairs = (part.partition("=") for part in (text or "").split(";") if part.strip())
    return {name.strip(): value.strip() for name, _, value in pairs}


def listing(result: Any) -> dict[int, tuple[Destination, ...]]:
    """What RPC dispatcher.list answered, by set, in Kamailio's order. KeyError, TypeError, ValueError: not that."""
    sets = (record["SET"] for record in result.get("RECORDS") or ())
    return {int(one["ID"]): tuple(_destination(target["DEST"]) for target in one["TARGETS"]) for one in sets}


def uri_keys(uri: str, user_only: bool) -> tuple[str, ...]:
    """What Kamailio hashes of a URI: user, then host with its port unless that is the default one."""
    found = _URI.match(uri.strip().strip("<>"))
    if not found:
        return (uri,)
    scheme, user, host, port = found[1].lower(), found[2] or "", found[3], found[4] or ""
    place = host if not port or port == _DEFAULT_PORT[scheme] else f"{host}:{port}"
    if user_only and user:
        return (user,)
    return (user, place) if user else (place,)


def matches(words: Sequence[str], status: int, timeout: bool) -> bool:
    """Whether an outcome is among codes ("503"), classes ("5xx") and "timeout"."""
    if timeout:
        return TIMEOUT in words
    return str(status) in words or f"{status // 100}xx" in words


def load_values(duid: str, now_s: float, expire_s: int) -> list[str]:
    """Names that calls of a destination are counted under: one for each part of the time that a load lives for. The
    first is that of a call that begins now; calls of a part that is no longer listed are forgotten (row O13)."""
    part = max(1, -(-expire_s // LOAD_BUCKETS))
    current = int(now_s) // part
    return [f"{duid}@{current - back}" for back in range(LOAD_BUCKETS + 1)]


def _destination(record: Mapping[str, Any]) -> Destination:
    flags, latency = str(record["FLAGS"]), record.get("LATENCY") or {}
    return Destination(
        uri=str(record["URI"]), state=flags[0], probing=flags[1:2] == "P", priority=int(record["PRIORITY"]),
        attributes=attributes((record.get("ATTRS") or {}).get("BODY") or ""),
        average_ms=float(latency.get("AVG") or 0), estimate_ms=float(latency.get("EST") or 0),
    )  # fmt: skip
