"""NICs: everything that decides whether and how media can run on them, as plain data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from firmware_iface import interrupts, links, napi, sysfs, xdp
from firmware_iface.ethtool import Channels, Device, Driver, Rings, Rss
from firmware_iface.interrupts import Interrupt
from firmware_iface.links import Link
from firmware_iface.xdp import XdpAbility

# Kinds of links that have no queues of their own to take packets from, and what to use instead.
UNSUITABLE = {
    "bond": "a bond's packets come in on its members; put media on a member, or use kernel sockets",
    "team": "a team's packets come in on its members; put media on a member, or use kernel sockets",
    "bridge": "a bridge forwards in the kernel; put media on a port that is in no bridge, or use kernel sockets",
    "tun": "tunnels end in the kernel; use kernel sockets",
    "wireguard": "tunnels end in the kernel; use kernel sockets",
    "vxlan": "tunnels end in the kernel; use kernel sockets",
    "geneve": "tunnels end in the kernel; use kernel sockets",
    "gre": "tunnels end in the kernel; use kernel sockets",
    "gretap": "tunnels end in the kernel; use kernel sockets",
    "ipip": "tunnels end in the kernel; use kernel sockets",
    "sit": "tunnels end in the kernel; use kernel sockets",
    "macvlan": "shares its parent's queues; use kernel sockets",
    "ipvlan": "shares its parent's queues; use kernel sockets",
    "vrf": "routes between other links; use kernel sockets",
    "dummy": "has no wire",
    "ifb": "has no wire",
}
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Steering:
    """Can the NIC be told which queue takes which UDP port?"""

    ntuple: bool = False  # flow rules can be had
    active: bool = False  # and are on
    rules: int = 0  # set now, whoever set them
    room: int = 0  # for so many; 0: unknown
    why: str = ""  # why not, in words


@dataclass(frozen=True, slots=True)
class Nic:
    """One network interface with all that belongs to it."""

    link: Link
    driver: Driver = field(default_factory=Driver)
    node: int = 0  # NUMA node
    speed_mbps: int = 0  # 0: unknown
    channels: Channels = field(default_factory=Channels)
    rings: Rings = field(default_factory=Rings)
    rss: Rss = field(default_factory=Rss)
    offloads: tuple[str, ...] = ()  # that are on, of ethtool.OFFLOADS
    steering: Steering = field(default_factory=Steering)
    xdp: XdpAbility = field(default_factory=XdpAbility)
    interrupts: tuple[Interrupt, ...] = ()
    unsuitable: str = ""  # why AF_XDP cannot run on it; "": it can
    vlans: tuple[str, ...] = ()  # names of VLAN links on top of it

    @property
    def name(self) -> str:
        return self.link.name

    @property
    def queues(self) -> int:
        """Receive queues in use."""
        return self.channels.receive or self.link.rx_queues

    def interrupt(self, queue: int) -> Interrupt | None:
        """That of a receive queue."""
        return next((found for found in self.interrupts if found.queue == queue), None)


def read(root: Path = Path("/")) -> tuple[Nic, ...]:
    """Every link of this network namespace, by index. OSError when the kernel refuses netlink."""
    found = links.read()
    abilities = xdp.kernel_says()
    known, queues = interrupts.table(root), napi.receive_queues()
    return tuple(
        _nic(root, link, found, abilities, lambda name: interrupts.of_device(root, name, known, queues))
        for link in found
    )


def _nic(
    root: Path,
    link: Link,
    everything: tuple[Link, ...],
    abilities: Mapping[int, XdpAbility],
    interrupts_of: Callable[[str], tuple[Interrupt, ...]],
) -> Nic:
    folder = root / "sys/class/net" / link.name
    ours = sysfs.number(folder / "ifindex") == link.index  # else /sys is that of another network namespace
    with Device(link.name) as device:
        driver = _or(Driver(link.kind), device.driver)
        channels = _or(Channels(), device.channels)
        rings, rss = _or(Rings(), device.rings), _or(Rss(), device.rss)
        offloads, steering = _or((), device.offloads), _steering(device)
    return Nic(
        link=link,
        driver=driver,
        node=max(0, sysfs.number(folder / "device/numa_node")) if ours else 0,
        speed_mbps=max(0, sysfs.number(folder / "speed")) if ours else 0,
        channels=channels,
        rings=rings,
        rss=rss,
        offloads=offloads,
        steering=steering,
        xdp=abilities.get(link.index) or xdp.of_driver(driver.name),
        interrupts=interrupts_of(link.name) if ours else (),
        unsuitable=unsuitable(link, everything),
        vlans=tuple(other.name for other in everything if other.vlan is not None and other.parent == link.index),
    )


def unsuitable(link: Link, everything: tuple[Link, ...]) -> str:
    """Why AF_XDP cannot carry media on this link; "" when it can (a VLAN: on its parent)."""
    if link.kind in UNSUITABLE:
        return UNSUITABLE[link.kind]
    if link.master_kind in ("bond", "team", "bridge"):
        return f"it is a member of a {link.master_kind}: the {link.master_kind} takes its packets"
    if not link.ethernet and not link.loopback:
        return "it is no Ethernet"
    if link.vlan is not None:
        parent = next((other for other in everything if other.index == link.parent), None)
        if parent is None:
            return "its parent is in another network namespace"
        if parent.vlan is not None or link.vlan_protocol == 0x88A8:
            return "stacked VLANs go through kernel sockets"
        return unsuitable(parent, everything)
    return ""


def _steering(device: Device) -> Steering:
    try:
        available, active = device.ntuple()
        if not available:
            return Steering(why="the driver has no flow rules (rx-ntuple-filter)")
        rules, room, _ = device.flow_table()
        return Steering(True, active, rules, room)
    except OSError as error:
        return Steering(why=f"the driver does not take flow rules ({error.strerror or error})")


def _or(default: T, ask: object) -> T:
    """What `ask` answers, or `default` where the driver does not know the question."""
    try:
        answer: T = ask()  # type: ignore[operator]
    except OSError:
        return default
    return answer
