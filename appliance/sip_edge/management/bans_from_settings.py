"""Bans as the settings want them, on this media plane."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterable

from appliance.config.schema import Settings
from appliance.placement.dispatcher import Dispatcher
from appliance.sip_edge.management.ban import Address
from appliance.sip_edge.management.ban_kernel import KernelBans
from appliance.sip_edge.management.bans import BanRules, Bans
from appliance.sip_edge.management.edge import Edge
from kernels.control.plane import MediaPlane
from kernels.port.netdev import local_addresses


def bans_of(settings: Settings, edge: Edge, plane: MediaPlane, dispatcher: Dispatcher) -> Bans:
    """Constructed and joined to the plane; not started."""
    wanted = settings.sip_bans.kernel
    kernel = KernelBans(plane, guarded_ports(settings)) if wanted and plane.info.ban_means else None
    if kernel is not None:
        dispatcher.on_ban = kernel.answered
    return Bans(edge, rules(settings, plane), kernel)


def rules(settings: Settings, plane: MediaPlane) -> BanRules:
    """What may be banned, for how long, how many."""
    configured = {address for entry in settings.interfaces if (address := _literal(str(entry.advertised or "")))}
    wanted = settings.sip_bans.kernel

    def ours() -> Iterable[Address]:
        with contextlib.suppress(OSError):
            return {*configured, *local_addresses()}
        return configured

    return BanRules(
        seconds=settings.sip_bans.seconds, most=settings.sip_bans.most, ours=ours,
        trunks={trunk.name: tuple(ipaddress.ip_network(str(one)) for one in trunk.match) for trunk in settings.trunks},
        kernel=plane.info.ban_means if wanted else (),
        kernel_why=plane.info.ban_why if wanted else "sip_bans.kernel is off",
    )  # fmt: skip


def guarded_ports(settings: Settings) -> frozenset[int]:
    """Where SIP is listened for."""
    return frozenset(listen.at.port for listen in settings.sip.listen)


def _literal(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
