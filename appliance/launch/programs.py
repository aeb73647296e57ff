"""The processes of the gateway as programs for the supervisor, made from its settings."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from appliance.config.interfaces import Interface
from appliance.config.schema import Settings
from appliance.config.types import HostPort
from appliance.launch import probes
from appliance.launch.child import Program
from appliance.sip_edge import from_settings, kamailio
from firmware_iface import cpu

HOLDER, CONTROL, EDGE = "media", "control", "sip"


def programs(settings: Settings, config: Sequence[Path]) -> list[Program]:
    """Media holder and control, in the order they need each other. The SIP edge (`EdgeProcess`) comes after them."""
    return [_holder(settings), _control(settings, config)]


def sip_edge_possible(settings: Settings) -> bool:
    """Whether the SIP edge is wanted and Kamailio with its Python module is installed."""
    modules = Path(settings.sip.modules or from_settings.module_folder())
    wanted = settings.sip.enabled and kamailio.find(settings.sip.program) is not None
    return wanted and (modules / "app_python3.so").exists()


def holder_config(settings: Settings) -> dict[str, Any]:
    """The media holder's JSON (docs/architecture.md): plain values, nothing of `appliance`."""
    return {
        "socket": str(settings.paths.media_socket),
        "cores": worker_cores(settings.media.cores),
        "port": settings.media.backend,
        "xdp_mode": settings.media.xdp_mode,
        "busy_poll_us": settings.media.busy_poll_us,
        "cipher": settings.media.cipher,
        "interfaces": [_interface(one) for one in settings.interfaces],
        "ports": [settings.media.ports.first, settings.media.ports.last],
        "calls": settings.media.calls,
        "user": settings.media.user,
        "log": settings.log.level,
        "learning_ms": int(settings.media.learning_s * 1000),
    }


def _interface(one: Interface) -> dict[str, Any]:
    named: dict[str, Any] = {"name": one.name, "address": one.address}
    return named if one.ports is None else {**named, "ports": [one.ports.first, one.ports.last]}


def worker_cores(wanted: str | Sequence[int]) -> list[int]:
    """Cores for media workers; "auto": those that the processor's inventory leaves to them."""
    return list(cpu.worker_cores(cpu.read()) if isinstance(wanted, str) else wanted)


def _holder(settings: Settings) -> Program:
    path = settings.paths.run / "media.json"
    socket = settings.paths.media_socket

    def prepare() -> list[str]:
        socket.unlink(missing_ok=True)
        path.write_text(json.dumps(holder_config(settings), indent=1))
        return [sys.executable, "-m", "kernels.control.holder", str(path)]

    return Program(HOLDER, prepare, socket.is_socket, essential=True)


def _control(settings: Settings, config: Sequence[Path]) -> Program:
    words = [sys.executable, "-m", "appliance.gateway"]
    for path in config:
        words += ["--config", str(path)]
    answers = [_ng_probe(address) for address in settings.ng.listen[:1]]
    socket = settings.paths.control_socket
    return Program(CONTROL, lambda: words, lambda: probes.unix_socket(socket) and all(probe() for probe in answers))


def _ng_probe(address: HostPort) -> Callable[[], bool]:
    return lambda: probes.ng(reachable(address), address.port)


def reachable(address: HostPort) -> str:
    """An address to reach a listener by: the wildcard is reached on loopback."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)  # noqa: S104
