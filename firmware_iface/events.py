"""What happens to the machine while it runs, each with a sentence. Pure: differences of links become events."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from firmware_iface.links import Link


class Kind(StrEnum):
    NIC_ADDED = "nic-added"
    NIC_REMOVED = "nic-removed"
    LINK_UP = "link-up"
    LINK_DOWN = "link-down"
    RENAMED = "renamed"
    MAC_CHANGED = "mac-changed"
    MTU_CHANGED = "mtu-changed"
    XDP_ATTACHED = "xdp-attached"
    XDP_REPLACED = "xdp-replaced"
    XDP_REMOVED = "xdp-removed"
    DEVICE_ADDED = "device-added"
    DEVICE_REMOVED = "device-removed"


@dataclass(frozen=True, slots=True)
class Event:
    kind: Kind
    device: str  # interface name or bus address
    text: str
    at: float = 0.0  # seconds since the epoch


def differences(before: Link | None, after: Link | None) -> tuple[Event, ...]:
    """What became of one link (same index)."""
    if before is None or after is None:
        return _came_or_went(before, after)
    found = []
    if before.name != after.name:
        found.append(Event(Kind.RENAMED, after.name, f"{before.name} is called {after.name} now"))
    if before.running != after.running:
        kind = Kind.LINK_UP if after.running else Kind.LINK_DOWN
        found.append(Event(kind, after.name, _link_words(after)))
    if before.mac != after.mac:
        found.append(Event(Kind.MAC_CHANGED, after.name, f"{after.name} has MAC {after.mac}, before {before.mac}"))
    if before.mtu != after.mtu:
        found.append(Event(Kind.MTU_CHANGED, after.name, f"{after.name} has MTU {after.mtu}, before {before.mtu}"))
    return (*found, *_xdp(before, after))


def _came_or_went(before: Link | None, after: Link | None) -> tuple[Event, ...]:
    if after is not None:
        return (Event(Kind.NIC_ADDED, after.name, f"{after.name} appeared"),)
    if before is not None:
        return (Event(Kind.NIC_REMOVED, before.name, f"{before.name} is gone"),)
    return ()


def _link_words(link: Link) -> str:
    if link.running:
        return f"{link.name} has a link"
    return f"{link.name} lost its link" if link.up else f"{link.name} was taken down"


def _xdp(before: Link, after: Link) -> tuple[Event, ...]:
    was, is_ = before.xdp_program, after.xdp_program
    if was == is_:
        return ()
    if not is_:
        return (Event(Kind.XDP_REMOVED, after.name, f"the XDP program {was} was taken off {after.name}"),)
    if not was:
        return (Event(Kind.XDP_ATTACHED, after.name, f"XDP program {is_} on {after.name}, {after.xdp} mode"),)
    return (Event(Kind.XDP_REPLACED, after.name, f"XDP program {was} on {after.name} was replaced by {is_}"),)
