"""`[sip_dispatcher]` and `[[destination_sets]]`: Kamailio's dispatcher module, by its own names where it has them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator

from appliance.config.rows import Effect, Table, row
from appliance.config.types import OptionalSipSocket, Words
from appliance.sip_edge.ksr.rules.balance import ROUND_ROBIN, TIMEOUT

ALGORITHMS = {
    "hash-call-id": 0, "hash-from-uri": 1, "hash-to-uri": 2, "hash-request-uri": 3, "round-robin": 4,
    "hash-auth-username": 5, "random": 6, "hash-pvar": 7, "priority": 8, "weight": 9, "call-load": 10,
    "relative-weight": 11, "parallel": 12, "latency": 13, "round-robin-or-serial": 14, "srv": 15, "overload": 64,
}  # fmt: skip

_COLUMN = r"^[A-Za-z_][A-Za-z0-9_]{0,62}$"
_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"
_OUTCOME = re.compile(rf"^([3-6]\d\d|[3-6]xx|{TIMEOUT})$")
_REPLY_CODES = re.compile(r"^((class|code)=\d{1,3}(;(class|code)=\d{1,3})*;?)?$")
_VARIABLES = re.compile(r'^[^"\n]*$')


def _algorithm(value: Any) -> Any:
    if isinstance(value, str) and not value.isdecimal():
        if value not in ALGORITHMS:
            raise ValueError(f"{value!r} is no algorithm: a number, or one of {', '.join(ALGORITHMS)}")
        return ALGORITHMS[value]
    return value


def _outcomes(value: tuple[str, ...]) -> tuple[str, ...]:
    for word in value:
        if not _OUTCOME.match(word):
            raise ValueError(f'{word!r} is no outcome: a code such as "500", a class such as "5xx", or "{TIMEOUT}"')
    return value


def _reply_codes(value: str) -> str:
    if not _REPLY_CODES.match(value):
        raise ValueError(f"{value!r}: write class=2;code=403;code=488")
    return value


def _template(value: str) -> str:
    if not _VARIABLES.match(value):
        raise ValueError("no quotation marks")
    if value and "$" not in value:
        raise ValueError(f"{value!r} has no variable, such as $fU@$ci: all calls would go to one destination")
    return value


Algorithm = Annotated[int, BeforeValidator(_algorithm)]
Outcomes = Annotated[Words, AfterValidator(_outcomes)]
ReplyCodes = Annotated[str, AfterValidator(_reply_codes)]
Template = Annotated[str, AfterValidator(_template)]


class SipDispatcher(Table):
    """Destination sets of the SIP edge (Kamailio's dispatcher): how they are read and how their members are watched."""

    enabled: bool = row(True, help="Load destination sets.", effect=Effect.RESTART)
    list_file: Path | None = row(
        None,
        help="Kamailio's dispatcher.list to read the sets from, instead of the table of [sip_database]; they are then "
        "changed in that file only.",
        effect=Effect.RESTART,
    )
    table_name: str = row("dispatcher", help="Table of the sets.", effect=Effect.RESTART, pattern=_COLUMN)
    setid_col: str = row("setid", help="Its column for the set's id.", effect=Effect.RESTART, pattern=_COLUMN)
    destination_col: str = row("destination", help="Its column for the URI.", effect=Effect.RESTART, pattern=_COLUMN)
    flags_col: str = row("flags", help="Its column for the flags.", effect=Effect.RESTART, pattern=_COLUMN)
    priority_col: str = row("priority", help="Its column for the priority.", effect=Effect.RESTART, pattern=_COLUMN)
    attrs_col: str = row("attrs", help="Its column for the attributes.", effect=Effect.RESTART, pattern=_COLUMN)
    algorithm: Algorithm = row(
        ROUND_ROBIN, help="Algorithm of sets that have no [[destination_sets]], number or word.", unit="algorithm",
        effect=Effect.RESTART, ge=0, le=999,
    )  # fmt: skip
    flags: int = row(
        2, help="1: hashes of URIs take the user part only; 2: another destination is tried when one fails.",
        unit="bits", effect=Effect.RESTART, ge=0, le=3,
    )  # fmt: skip
    use_default: bool = row(
        False, help="Keep the last destination of each set for when all others are away.", effect=Effect.RESTART
    )
    force_dst: bool = row(True, help="Overwrite a next hop that is already set.", effect=Effect.RESTART)
    hash_pvar: Template = row(
        "", help='Kamailio variables hashed by algorithm 7, "$fU@$ci"; a set\'s own `hash` goes before.',
        effect=Effect.RESTART,
    )  # fmt: skip
    ds_ping_interval: int = row(
        5, help="How often destinations are pinged; 0: never.", unit="seconds", effect=Effect.RESTART, ge=0, le=3600
    )
    ds_ping_method: str = row(
        "OPTIONS", help="Method of pings.", effect=Effect.RESTART, pattern=r"^(OPTIONS|INFO|NOTIFY)$"
    )
    ds_ping_from: str = row(
        "sip:dispatcher@localhost", help="From URI of pings; a destination's ping_from goes before.",
        effect=Effect.RESTART, pattern=r"^sips?:[^\s\"<>]+$",
    )  # fmt: skip
    ds_ping_reply_codes: ReplyCodes = row(
        "class=2", help="Replies that say a destination is alive, class=2;code=403.", effect=Effect.RESTART
    )
    ds_ping_fr_timeout: int = row(
        1000, help="Time for the reply to a ping.", unit="milliseconds", effect=Effect.RESTART, ge=100, le=30_000
    )
    ds_probing_threshold: int = row(
        2, help="Failures until a destination is inactive.", unit="failures", effect=Effect.RESTART, ge=1, le=100
    )
    ds_inactive_threshold: int = row(
        3, help="Good pings until it is active again.", unit="pings", effect=Effect.RESTART, ge=1, le=100
    )
    ds_probing_mode: Literal[0, 1, 2, 3] = row(
        1,
        help="Who is pinged: 0 those with the probing flag, once; 1 all; 2 inactive ones with the probing flag; 3 "
        "those with the probing flag, always.",
        unit="mode",
        effect=Effect.RESTART,
    )
    ds_ping_latency_stats: bool = row(True, help="Measure the latency of pings.", effect=Effect.RESTART)
    ds_latency_estimator_alpha: int = row(
        900, help="Memory of the short-term latency (EWMA), thousandths.", unit="thousandths", effect=Effect.RESTART,
        ge=1, le=1000,
    )  # fmt: skip
    ds_hash_expire: int = row(
        7200, help="How long a call counts as load of its destination (algorithm 10) when its end was never heard.",
        unit="seconds", effect=Effect.RESTART, ge=8, le=604_800,
    )  # fmt: skip
    ds_default_socket: OptionalSipSocket = row(
        None, help="Socket for pings and calls to destinations without `socket`; empty: by route.",
        effect=Effect.RESTART,
    )  # fmt: skip
    outbound_proxy: str = row(
        "", help="SIP URI that pings go through.", effect=Effect.RESTART, pattern=r"^(sips?:[^\s\"<>]+)?$"
    )
    refresh_ms: int = row(
        1000, help="How old the latencies and weights that choose may be; changes of state count at once.",
        unit="milliseconds", effect=Effect.RESTART, ge=10, le=60_000,
    )  # fmt: skip


class DestinationSet(Table):
    """How one destination set is used; trunks name it as "set:ID" or by its name. Its members are in Kamailio's table
    (`srtpgw destinations`)."""

    id: int = row(help="The set's id in the table.", unit="id", effect=Effect.RESTART, ge=0, le=2_147_483_647)
    name: str = row("", help="Name for trunks, logs and metrics.", effect=Effect.RESTART, pattern=rf"{_NAME}|^$")
    algorithm: Algorithm = row(
        ROUND_ROBIN, help="How a destination is chosen: Kamailio's number, or a word (round-robin, weight, call-load, "
        "priority, ...).", unit="algorithm", effect=Effect.RESTART, ge=0, le=999,
    )  # fmt: skip
    hash: Template = row(
        "", help='What algorithm 7 hashes, in Kamailio\'s variables: "$fU@$ci"; empty: sip_dispatcher.hash_pvar.',
        effect=Effect.RESTART,
    )  # fmt: skip
    failover: Outcomes = row(
        ("500", TIMEOUT), help='Outcomes after which the next destination is tried: codes, classes ("5xx"), "timeout" '
        "(no reply at all).", effect=Effect.RESTART,
    )  # fmt: skip
    mark: Literal["", "i", "ip", "t", "tp"] = row(
        "ip", help="State of a destination that failed (ds_mark_dst): i inactive, t trying (inactive after "
        "ds_probing_threshold), p probing; empty: unchanged.", effect=Effect.RESTART,
    )  # fmt: skip
    mark_on: Outcomes = row((TIMEOUT,), help="Outcomes that mark it.", effect=Effect.RESTART)
    answer_timeout_ms: int = row(
        2000, help="Time for a destination's first reply, then the next one is tried; 0: sip.answer_timeout_ms.",
        unit="milliseconds", effect=Effect.RESTART, ge=0, le=300_000,
    )  # fmt: skip
    limit: int = row(0, help="Destinations tried for one call; 0: all.", unit="destinations", effect=Effect.RESTART,
                     ge=0, le=1000)  # fmt: skip
    congestion_control: bool = row(
        False, help="Weigh every destination down by its congestion (attribute cc=1): algorithms 11 and 13.",
        effect=Effect.RESTART,
    )  # fmt: skip
