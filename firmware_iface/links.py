"""Network links as the kernel's routing netlink tells them: identity, state, VLAN parents, attached XDP programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyroute2.netlink.rtnl import RTM_GETLINK
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

from firmware_iface.netlink import Conversation

IFF_UP, IFF_LOOPBACK, IFF_NOARP, IFF_LOWER_UP = 0x1, 0x8, 0x80, 0x10000
XDP_MODES = {1: "native", 2: "generic", 3: "offload", 4: "several"}  # XDP_ATTACHED_* of linux/if_link.h
ARPHRD_ETHER, ARPHRD_LOOPBACK = 1, 772


@dataclass(frozen=True, slots=True)
class Link:
    """One network interface."""

    index: int
    name: str
    kind: str = ""  # vlan, veth, bond, bridge, dummy, ...; "": a device of its own driver
    mac: str = ""
    mtu: int = 1500
    up: bool = False  # administratively
    carrier: bool = False
    loopback: bool = False
    ethernet: bool = True
    arp: bool = True
    parent: int = 0  # index of the link below (VLAN), in this namespace; 0: none
    vlan: int | None = None
    vlan_protocol: int = 0  # 0x8100 (802.1Q), 0x88a8 (802.1ad)
    master: int = 0  # index of the bond or bridge it is in; 0: none
    master_kind: str = ""  # of the link's place in it: bond, bridge, ...
    xdp: str = ""  # native, generic, offload, several; "": no program
    xdp_program: int = 0  # kernel's id of the program; 0: none
    tx_queues: int = 1
    rx_queues: int = 1

    @property
    def running(self) -> bool:
        return self.up and self.carrier


def read() -> tuple[Link, ...]:
    """Every link of this network namespace, by index. OSError."""
    with Conversation() as kernel:
        return tuple(sorted(dump(kernel), key=lambda link: link.index))


def dump(kernel: Conversation) -> list[Link]:
    return [decode(message) for message in kernel.dump(ifinfmsg(), RTM_GETLINK)]


def decode(message: Any) -> Link:
    """RTM_NEWLINK or RTM_DELLINK -> Link."""
    flags, kind = message["flags"], message["ifi_type"]
    info = message.get_attr("IFLA_LINKINFO")
    name = (info.get_attr("IFLA_INFO_KIND") if info else "") or ""
    data = info.get_attr("IFLA_INFO_DATA") if info and name == "vlan" else None
    xdp, program = _xdp(message.get_attr("IFLA_XDP"))
    elsewhere = message.get_attr("IFLA_LINK_NETNSID") is not None  # parent in another namespace: not ours to use
    return Link(
        index=message["index"],
        name=message.get_attr("IFLA_IFNAME") or "",
        kind=name,
        mac=(message.get_attr("IFLA_ADDRESS") or "") if kind in (ARPHRD_ETHER, ARPHRD_LOOPBACK) else "",
        mtu=message.get_attr("IFLA_MTU") or 0,
        up=bool(flags & IFF_UP),
        carrier=bool(flags & IFF_LOWER_UP),
        loopback=bool(flags & IFF_LOOPBACK),
        ethernet=kind == ARPHRD_ETHER,
        arp=not flags & IFF_NOARP,
        parent=0 if elsewhere or name == "veth" else message.get_attr("IFLA_LINK") or 0,
        vlan=data.get_attr("IFLA_VLAN_ID") if data else None,
        vlan_protocol=_swapped(data.get_attr("IFLA_VLAN_PROTOCOL")) if data else 0,
        master=message.get_attr("IFLA_MASTER") or 0,
        master_kind=(info.get_attr("IFLA_INFO_SLAVE_KIND") if info else "") or "",
        xdp=xdp,
        xdp_program=program,
        tx_queues=message.get_attr("IFLA_NUM_TX_QUEUES") or 1,
        rx_queues=message.get_attr("IFLA_NUM_RX_QUEUES") or 1,
    )


def _xdp(attribute: Any) -> tuple[str, int]:
    if not attribute:
        return "", 0
    mode = attribute.get_attr("IFLA_XDP_ATTACHED")
    if isinstance(mode, str):  # pyroute2 names the modes as iproute2 does
        mode = {"xdp": 1, "xdpgeneric": 2, "xdpoffload": 3, "xdpmulti": 4}.get(mode, 0)
    names = ("IFLA_XDP_PROG_ID", "IFLA_XDP_DRV_PROG_ID", "IFLA_XDP_SKB_PROG_ID", "IFLA_XDP_HW_PROG_ID")
    program = next((found for name in names if (found := attribute.get_attr(name))), 0)
    return XDP_MODES.get(mode or 0, ""), program


def _swapped(value: Any) -> int:
    """IFLA_VLAN_PROTOCOL is in network order; pyroute2 versions differ in whether they turn it."""
    if not isinstance(value, int):
        return 0
    return value if value in (0x8100, 0x88A8) else int.from_bytes((value & 0xFFFF).to_bytes(2, "little"), "big")
