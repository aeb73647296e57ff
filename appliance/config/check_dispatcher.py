"""Contradictions in [sip_dispatcher] and [[destination_sets]]."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from appliance.config.faults import Severity
from appliance.config.finding import Finding
from appliance.config.sip_dispatcher import ALGORITHMS
from appliance.sip_edge.ksr.rules.balance import SET

if TYPE_CHECKING:
    from appliance.config.schema import Settings

HASH_PVAR, RELATIVE_WEIGHT, LATENCY = 7, 11, 13


def dispatcher(settings: Settings) -> Iterator[Finding]:
    yield from _sets(settings)
    yield from _targets(settings)
    yield from _watching(settings)


def _sets(settings: Settings) -> Iterator[Finding]:
    seen: dict[str | int, int] = {}
    for place, one in enumerate(settings.destination_sets):
        for key, value in (("id", one.id), ("name", one.name)):
            if value != "" and value in seen:
                yield Finding(("destination_sets", place, key), f"{value!r} is already taken")
            seen[value] = place
        if one.name.isdecimal():
            yield Finding(("destination_sets", place, "name"), f"{one.name!r} reads like an id", "begin with a letter")
        if one.algorithm == HASH_PVAR and not (one.hash or settings.sip_dispatcher.hash_pvar):
            yield Finding(
                ("destination_sets", place, "hash"), "algorithm 7 hashes nothing", 'hash = "$fU@$ci", for example'
            )
        if one.algorithm not in ALGORITHMS.values():
            yield Finding(
                ("destination_sets", place, "algorithm"), f"there is no algorithm {one.algorithm}",
                "the first destination that is active takes every call", Severity.WARNING,
            )  # fmt: skip
    if settings.sip_dispatcher.algorithm == HASH_PVAR and not settings.sip_dispatcher.hash_pvar:
        yield Finding(("sip_dispatcher", "hash_pvar"), "algorithm 7 hashes nothing", '"$fU@$ci", for example')


def _targets(settings: Settings) -> Iterator[Finding]:
    names = {one.name for one in settings.destination_sets} | {str(one.id) for one in settings.destination_sets}
    for place, trunk in enumerate(settings.trunks):
        if not trunk.destination.startswith(SET):
            continue
        word = trunk.destination.removeprefix(SET)
        if word not in names and not word.isdecimal():
            yield Finding(("trunks", place, "destination"), f"there is no destination set {word!r}")
        if not settings.sip_dispatcher.enabled:
            yield Finding(("trunks", place, "destination"), "needs sip_dispatcher.enabled = true")


def _watching(settings: Settings) -> Iterator[Finding]:
    watch = settings.sip_dispatcher
    path = watch.list_file
    if path is not None and not path.is_file():
        yield Finding(("sip_dispatcher", "list_file"), f"{path} is not there")
    for place, one in enumerate(settings.destination_sets):
        if one.mark and one.mark_on and not watch.ds_ping_interval:
            yield Finding(
                ("destination_sets", place, "mark"), "nothing brings a marked destination back",
                'sip_dispatcher.ds_ping_interval = 5, or mark = ""', Severity.WARNING,
            )  # fmt: skip
        weighed = one.algorithm == LATENCY or one.congestion_control
        if weighed and not (watch.ds_ping_interval and watch.ds_ping_latency_stats):
            yield Finding(
                ("destination_sets", place, "algorithm"), "no latency is measured",
                "sip_dispatcher.ds_ping_interval and ds_ping_latency_stats", Severity.WARNING,
            )  # fmt: skip
