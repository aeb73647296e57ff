"""NG's `statistics`: the JSON of rtpengine's `list jsonstats`, its keys and the forms of its values (fractions and
some counts are strings there). What we do not have, MOS, is there as zeros."""

from __future__ import annotations

from collections.abc import Mapping

from appliance.api.ng_tally import NgTally, Proxy
from appliance.calls.views import Statistics
from appliance.protocols.ng.value import Value

COMMANDS = {
    "ping": "ping",
    "offer": "offer",
    "answer": "answer",
    "delete": "delete",
    "query": "query",
    "list": "list",
    "start recording": "startrec",
    "stop recording": "stoprec",
    "start forwarding": "startfwd",
    "stop forwarding": "stopfwd",
    "block DTMF": "blkdtmf",
    "unblock DTMF": "unblkdtmf",
    "block media": "blkmedia",
    "unblock media": "unblkmedia",
    "play media": "playmedia",
    "stop media": "stopmedia",
    "play DTMF": "playdtmf",
    "statistics": "stats",
    "silence media": "slnmedia",
    "unsilence media": "unslnmedia",
    "publish": "pub",
    "subscribe request": "subreq",
    "subscribe answer": "subans",
    "unsubscribe": "unsub",
}
"""Command -> rtpengine's short name."""


def statistics(figures: Statistics, tally: NgTally, interfaces: Mapping[str, str]) -> dict[str, Value]:
    return {
        "currentstatistics": _current(figures),
        "totalstatistics": _total(figures),
        "intervalstatistics": _interval(figures, tally),
        "mos": dict.fromkeys(("mos_total", "mos2_total", "mos_average", "mos_stddev"), _fraction(0))
        | {"mos_samples_total": 0},
        "controlstatistics": _control(tally),
        "interfaces": [_interface(figures, name, address) for name, address in interfaces.items()],
        "transcoders": [],
    }


def _current(figures: Statistics) -> dict[str, Value]:
    packets = int(sum(worker.packets_per_s for worker in figures.workers))
    drops = int(sum(worker.drops_per_s for worker in figures.workers))
    return {
        "sessionstotal": figures.calls,
        "sessionsown": figures.calls,
        "sessionsforeign": 0,
        "packetrate": packets,
        "packetrate_user": packets,
        "packetrate_kernel": 0,
        "byterate": 0,  # octets are counted per call only
        "byterate_user": 0,
        "byterate_kernel": 0,
        "errorrate": drops,
        "errorrate_user": drops,
        "errorrate_kernel": 0,
        "media_userspace": figures.calls_answered,
        "media_kernel": 0,
        "media_mixed": 0,
        "transcodedmedia": figures.streams_transcoded,
    }


def _total(figures: Statistics) -> dict[str, Value]:
    counters: dict[str, int] = {}
    for worker in figures.workers:
        for name, count in worker.counters.items():
            counters[name] = counters.get(name, 0) + count
    packets, octets = counters.get("forwarded", 0), counters.get("forwarded_octets", 0)
    failed = sum(count for name, count in counters.items() if name in ("auth_fail", "replay", "malformed"))
    ended = figures.calls_total - figures.calls
    return {
        "uptime": str(int(figures.uptime_s)),
        "managedsessions": figures.calls_total,
        "rejectedsessions": figures.errors.get("no-capacity", 0) + figures.errors.get("overloaded", 0),
        "timeoutsessions": 0,
        "silenttimeoutsessions": 0,
        "finaltimeoutsessions": 0,
        "offertimeoutsessions": 0,
        "regularterminatedsessions": max(0, ended),
        "forcedterminatedsessions": 0,
        "relayedpackets": packets,
        "relayedpackets_user": packets,
        "relayedpackets_kernel": 0,
        "relayedbytes": octets,
        "relayedbytes_user": octets,
        "relayedbytes_kernel": 0,
        "relayedpacketerrors": failed,
        "relayedpacketerrors_user": failed,
        "relayedpacketerrors_kernel": 0,
        "zerowaystreams": 0,
        "onewaystreams": 0,
        "avgcallduration": _fraction(figures.call_seconds_total / ended if ended > 0 else 0),
        "totalcallsduration": _fraction(figures.call_seconds_total),
        "totalcallsduration2": _fraction(0),
        "totalcallsduration_stddev": _fraction(0),
    }


def _interval(figures: Statistics, tally: NgTally) -> dict[str, Value]:
    body: dict[str, Value] = {
        "totalcallsduration": _fraction(0),
        "minmanagedsessions": figures.calls,
        "maxmanagedsessions": figures.calls_most,
    }
    for command in COMMANDS:
        delays = tally.interval(command)
        for name, delay in (("min", delays.least), ("max", delays.most), ("avg", delays.average)):
            body[f"{name}{command}delay"] = _fraction(delay)
            body[f"{name}{command}requestrate"] = str(delays.count)
    return body


def _control(tally: NgTally) -> dict[str, Value]:
    proxies = tally.proxies.items()
    totals = {f"total{short}count": _count(tally, command) for command, short in COMMANDS.items()}
    return {"proxies": [_proxy(host, proxy) for host, proxy in proxies], **totals}


def _count(tally: NgTally, command: str) -> int:
    return sum(proxy.counts[command] for proxy in tally.proxies.values())


def _proxy(host: str, proxy: Proxy) -> dict[str, Value]:
    body: dict[str, Value] = {"proxy": host}
    for command, short in COMMANDS.items():
        body[f"{short}count"] = proxy.counts[command]
        body[f"{short}duration"] = _fraction(proxy.seconds[command])
    return body | {"errorcount": proxy.errors}


def _interface(figures: Statistics, name: str, address: str) -> dict[str, Value]:
    used = sum(worker.ports_used.get(name, 0) for worker in figures.workers)
    free = sum(worker.ports_free.get(name, 0) for worker in figures.workers)
    share = 100 * used / (used + free) if used + free else 0
    ports: dict[str, Value] = {
        "totals": used + free, "used": used, "used_pct": f"{share:.2f}", "free": free, "last": 0, "min": 0, "max": 0,
    }  # fmt: skip
    return {"name": name, "address": address, "ports": ports}


def _fraction(value: float) -> str:
    return f"{value:.6f}"
