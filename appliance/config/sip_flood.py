"""`[sip_flood]`: sources that send more than anybody should. Names are those of Kamailio's module pike."""

from __future__ import annotations

from appliance.config.rows import Effect, Table, row
from appliance.config.types import Networks


class SipFlood(Table):
    """Anti-flood: a source with too many requests is banned; nothing of it is answered until the ban ends. Trunks that
    are recognised by their address are known sources, and never counted."""

    enabled: bool = row(
        True, help="Count requests by source (WITH_ANTIFLOOD of the sample configuration).", effect=Effect.RESTART
    )
    sampling_time_unit: int = row(
        2, help="Requests are counted over this time.", unit="seconds", effect=Effect.RESTART, ge=1, le=3600
    )
    reqs_density_per_unit: int = row(
        30, help="Requests of one source in that time that are surely let through. pike, which counts in a tree, bans "
        "an IPv4 source somewhere between this number and three times as many, IPv6 up to nine times.",
        unit="requests", effect=Effect.RESTART, ge=1, le=1_000_000,
    )  # fmt: skip
    remove_latency: int = row(
        4, help="A source that is silent for so long is forgotten by pike; not the time of a ban.", unit="seconds",
        effect=Effect.RESTART, ge=1, le=3600,
    )  # fmt: skip
    exact: bool = row(
        False, help="Count each source by itself: banned at the first request above the density. Takes more memory "
        "than pike's tree when sources are forged.", effect=Effect.RESTART,
    )  # fmt: skip
    ban_s: int = row(
        300, help="How long a ban holds from the last time the source was found to flood.", unit="seconds",
        effect=Effect.RESTART, ge=1, le=31_536_000,
    )  # fmt: skip
    known: Networks = row(
        (), help="Further sources that are never counted or banned, such as PSTN gateways.", effect=Effect.RESTART
    )
