"""Whether this holder uses AF_XDP rings, and if not, why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernels.control.configuration import Configuration
from kernels.control.journal import Journal
from kernels.control.sockets import MediaSockets
from kernels.port.netdev import find_device

if TYPE_CHECKING:
    from kernels.control.rings import RingPlane


def choose_rings(configuration: Configuration, media: MediaSockets, journal: Journal) -> tuple[RingPlane | None, str]:
    """The rings, or None and the reason: one warning when something stands in their way."""
    if configuration.port not in ("auto", "xdp"):
        return None, media.why
    unsuited = [reason for one in media.interfaces if (reason := _unsuited(one.address))]
    if len(unsuited) == len(media.interfaces) and configuration.port == "auto":
        return None, f"{media.why}; no rings: {unsuited[0]}"  # nothing is wrong with that
    try:
        from kernels.control.rings import RingPlane

        rings = RingPlane(configuration, media)
    except (OSError, ImportError, MemoryError) as error:
        why = "not built: libbpf-dev and libxdp-dev were missing" if isinstance(error, ImportError) else _words(error)
        journal.write("warning", "no xdp", why=why, instead="kernel sockets")
        return None, f"{media.why}; no xdp: {why}"
    for name, reason in rings.excluded.items():
        journal.write("warning", "no xdp", interface=name, why=reason, instead="kernel sockets")
    devices = ", ".join(f"{state.device.name} ({state.mode})" for state in rings.devices)
    return rings, f"AF_XDP on {devices}; beside it {media.why}"


def _unsuited(address: str) -> str:
    try:
        find_device(address)
    except OSError as error:
        return str(error)
    return ""


def _words(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
