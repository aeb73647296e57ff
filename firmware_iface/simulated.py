"""Machines that are not there: the same values as `inventory.read` gives, from a description of a few lines.

    [machine]                          # all of it optional
    sockets = 2
    cores_per_socket = 8
    threads_per_core = 1
    isolated = "2-7,10-15"
    features = ["AES-NI", "VAES"]
    huge_2m = 512                      # per node
    capabilities = ["NET_ADMIN", "NET_RAW", "BPF"]

    [[nic]]
    name = "enp1s0"
    driver = "i40e"                    # ability follows the driver unless said otherwise
    queues = 16
    node = 1
    ntuple = true
    interrupts = 100                   # first number; one per queue
    [[nic]]
    name = "enp1s0.7"
    vlan = 7
    parent = "enp1s0"
"""

from __future__ import annotations

import errno
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from firmware_iface import nic as nics
from firmware_iface import sysfs, xdp
from firmware_iface.cpu import Core, Cpu
from firmware_iface.ethtool import Channels, Driver, Rss
from firmware_iface.interrupts import Interrupt
from firmware_iface.inventory import Machine
from firmware_iface.isolation import Isolation
from firmware_iface.links import Link
from firmware_iface.memory import HugePages, Memory
from firmware_iface.nic import Nic, Steering
from firmware_iface.privileges import Privileges
from firmware_iface.rules import EXACT, Rule, spread

NTUPLE_DRIVERS = frozenset({"bnxt_en", "enic", "i40e", "ice", "igb", "igc", "ixgbe", "mlx4_en", "mlx5_core", "sfc"})
MACHINE_KEYS = frozenset(
    {"sockets", "cores_per_socket", "threads_per_core", "isolated", "tickless", "features", "model", "huge_2m",
     "huge_1g", "capabilities", "kernel", "btf", "jit"}
)  # fmt: skip
NIC_KEYS = frozenset(
    {"name", "driver", "kind", "queues", "queues_max", "node", "ntuple", "active", "room", "up", "carrier",
     "speed_mbps", "offloads", "mtu", "mac", "interrupts", "vlan", "parent", "xdp"}
)  # fmt: skip


class FlowRules:
    """The flow rules of a made-up NIC (`steering.FlowTable`): takes masks or not, chooses places or not, runs full."""

    def __init__(self, room: int = 64, masks: bool = True, chooses: bool = False, entries: int = 128) -> None:
        self._room, self._masks, self._chooses, self._entries = room, masks, chooses, entries
        self.table: dict[int, Rule | None] = {}
        self.indirection: tuple[int, ...] = ()

    def room(self) -> tuple[int, bool]:
        if not self._room:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        return self._room, self._chooses

    def rules(self) -> dict[int, Rule | None]:
        return dict(self.table)

    def insert(self, rule: Rule, location: int | None) -> int:
        if not self._masks and rule.mask != EXACT:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        if location is None and not self._chooses:
            raise OSError(errno.EINVAL, "Invalid argument")
        if len(self.table) >= self._room:
            raise OSError(errno.ENOSPC, "No space left on device")
        place = min(set(range(self._room)) - set(self.table)) if location is None else location
        self.table[place] = rule
        return place

    def remove(self, location: int) -> None:
        if location not in self.table:
            raise OSError(errno.ENOENT, "No such file or directory")
        del self.table[location]

    def spread(self, queues: Sequence[int]) -> None:
        if not self._entries:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        self.indirection = spread(self._entries, queues)


def load(path: Path) -> Machine:
    """From a TOML file. OSError, ValueError."""
    return machine(tomllib.loads(path.read_text()))


def machine(description: Mapping[str, Any]) -> Machine:
    """From a description as above. ValueError names what is not understood."""
    _known(description, frozenset({"machine", "nic"}), "the description")
    shape = description.get("machine", {})
    _known(shape, MACHINE_KEYS, "[machine]")
    entries = description.get("nic", [])
    links: list[Link] = []
    for place, entry in enumerate(entries):
        _known(entry, NIC_KEYS, "[[nic]]")
        links.append(_link(place, entry, links))
    isolated = sysfs.parse_list(str(shape.get("isolated", "")))
    return Machine(
        cpu=_cpu(shape, isolated),
        nics=tuple(_nic(link, entry, tuple(links)) for link, entry in zip(links, entries, strict=True)),
        memory=_memory(shape),
        isolation=Isolation(
            isolated=tuple(sorted(isolated)),
            tickless=tuple(sorted(sysfs.parse_list(str(shape.get("tickless", ""))))),
            smt=int(shape.get("threads_per_core", 1)) > 1,
            clocksource="tsc",
        ),
        privileges=Privileges(
            kernel=str(shape.get("kernel", "6.12.0")),
            capabilities=tuple(shape.get("capabilities", ("NET_ADMIN", "NET_RAW", "IPC_LOCK", "BPF"))),
            btf=bool(shape.get("btf", True)),
            jit=bool(shape.get("jit", True)),
        ),
    )


def _cpu(shape: Mapping[str, Any], isolated: frozenset[int]) -> Cpu:
    """Numbered as Linux does on most servers: first threads of all cores, socket by socket, then their siblings."""
    sockets, threads = int(shape.get("sockets", 1)), int(shape.get("threads_per_core", 1))
    per_socket = int(shape.get("cores_per_socket", 4))
    physical = sockets * per_socket
    cores = []
    for index in range(physical * threads):
        first = index % physical
        siblings = tuple(first + thread * physical for thread in range(threads))
        cores.append(Core(index, first // per_socket, siblings, index in isolated))
    features = tuple(shape.get("features", ("AES-NI", "PCLMULQDQ", "AVX2")))
    return Cpu(str(shape.get("model", "simulated")), features, tuple(cores))


def _memory(shape: Mapping[str, Any]) -> Memory:
    pools = []
    for node in range(int(shape.get("sockets", 1))):
        for size, key in ((2048, "huge_2m"), (1 << 20, "huge_1g")):
            pages = int(shape.get(key, 0))
            pools.append(HugePages(node, size, pages, pages))
    return Memory(total_kib=64 << 20, available_kib=48 << 20, huge_pages=tuple(pools), transparent="madvise")


def _link(place: int, entry: Mapping[str, Any], others: list[Link]) -> Link:
    vlan, driver = entry.get("vlan"), str(entry.get("driver", ""))
    parent = next((other for other in others if other.name == entry.get("parent")), None)
    if vlan is not None and parent is None:
        raise ValueError(f"{entry['name']}: a VLAN names a parent that stands before it")
    if "name" not in entry:
        raise ValueError("[[nic]]: name must be given")
    kind = "vlan" if vlan is not None else str(entry.get("kind", "veth" if driver == "veth" else ""))
    return Link(
        index=place + 2,
        name=str(entry["name"]),
        kind=kind,
        mac=str(entry.get("mac", parent.mac if parent else f"02:00:00:00:00:{place + 1:02x}")),
        mtu=int(entry.get("mtu", 1500)),
        up=bool(entry.get("up", True)),
        carrier=bool(entry.get("carrier", True)),
        parent=parent.index if parent else 0,
        vlan=vlan,
        vlan_protocol=0x8100 if vlan is not None else 0,
        rx_queues=int(entry.get("queues", 1)),
        tx_queues=int(entry.get("queues", 1)),
    )


def _nic(link: Link, entry: Mapping[str, Any], everything: tuple[Link, ...]) -> Nic:
    driver, queues = str(entry.get("driver", link.kind)), int(entry.get("queues", 1))
    ntuple = bool(entry.get("ntuple", driver in NTUPLE_DRIVERS))
    return Nic(
        link=link,
        driver=Driver(driver, f"0000:{link.index:02x}:00.0"),
        node=int(entry.get("node", 0)),
        speed_mbps=int(entry.get("speed_mbps", 10_000)),
        channels=Channels(combined=queues, combined_max=int(entry.get("queues_max", queues))),
        rss=Rss(128, tuple(range(queues)), 40),
        offloads=tuple(entry.get("offloads", ())),
        steering=Steering(ntuple, bool(entry.get("active", ntuple)), 0, int(entry.get("room", 8192)))
        if ntuple
        else Steering(why="the driver has no flow rules (rx-ntuple-filter)"),
        xdp=_ability(entry, driver),
        interrupts=_interrupts(link.name, driver, queues, entry.get("interrupts")),
        unsuitable=nics.unsuitable(link, everything),
        vlans=tuple(other.name for other in everything if other.vlan is not None and other.parent == link.index),
    )


def _interrupts(name: str, driver: str, queues: int, first: int | None) -> tuple[Interrupt, ...]:
    if first is None:
        return ()
    return tuple(Interrupt(first + queue, f"{driver}-{name}-TxRx-{queue}", queue, (), 0) for queue in range(queues))


def _ability(entry: Mapping[str, Any], driver: str) -> xdp.XdpAbility:
    """`xdp`: "generic", "native" or "zero-copy"; by default what the driver is known for."""
    said = entry.get("xdp")
    if said is None:
        return xdp.of_driver(driver)
    if said not in ("generic", "native", "zero-copy"):
        raise ValueError(f"{entry['name']}: xdp is generic, native or zero-copy, not {said!r}")
    return xdp.XdpAbility(native=said != "generic", zero_copy=said == "zero-copy", redirect=said != "generic")


def _known(table: Mapping[str, Any], keys: frozenset[str], where: str) -> None:
    unknown = sorted(set(table) - keys)
    if unknown:
        raise ValueError(f"{where}: unknown key {unknown[0]!r}")
