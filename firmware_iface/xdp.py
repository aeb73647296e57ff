"""What XDP can do on a NIC: as the kernel says (generic netlink `netdev`, Linux 6.3), else as known of the driver."""

from __future__ import annotations

from dataclasses import dataclass

from pyroute2.netlink import genlmsg

from firmware_iface.netlink import GenericConversation

FAMILY = "netdev"
DEV_GET = 1
BASIC, REDIRECT, TRANSMIT, ZERO_COPY, OFFLOAD, SEGMENTS = 1, 2, 4, 8, 16, 32  # enum netdev_xdp_act

# Drivers with XDP of their own, and those with AF_XDP zero-copy: for kernels that do not answer.
COPIES_NOTHING = frozenset({"i40e", "ice", "ixgbe", "igc", "mlx5_core", "nfp", "stmmac", "st_gmac", "tsnep_eth"})
NATIVE = COPIES_NOTHING | {
    "bnxt_en", "dpaa2-eth", "ena", "fec", "gve", "hv_netvsc", "igb", "ixgbevf", "mana", "mlx4_en", "mvneta", "mvpp2",
    "nicvf", "qede", "sfc", "tun", "veth", "virtio_net", "vmxnet3",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class XdpAbility:
    """How XDP runs on a NIC. Generic mode always works; it is slower than native."""

    native: bool = False
    zero_copy: bool = False
    redirect: bool = False
    segments: bool = False  # packets in several buffers (jumbo)
    known_by: str = "driver"  # kernel: it said so; driver: known of drivers of this name


class NetdevMessage(genlmsg):  # type: ignore[misc]
    nla_map = (
        ("NETDEV_A_DEV_UNSPEC", "none"),
        ("NETDEV_A_DEV_IFINDEX", "uint32"),
        ("NETDEV_A_DEV_PAD", "none"),
        ("NETDEV_A_DEV_XDP_FEATURES", "uint64"),
        ("NETDEV_A_DEV_XDP_ZC_MAX_SEGS", "uint32"),
        ("NETDEV_A_DEV_XDP_RX_METADATA_FEATURES", "uint64"),
        ("NETDEV_A_DEV_XSK_FEATURES", "uint64"),
    )


def kernel_says() -> dict[int, XdpAbility]:
    """By interface index; empty when this kernel does not tell."""
    question = NetdevMessage()
    question["cmd"], question["version"] = DEV_GET, 1
    try:
        with GenericConversation(FAMILY, NetdevMessage) as kernel:
            answers = kernel.dump(question, kernel.family)
    except OSError:
        return {}
    return {
        answer.get_attr("NETDEV_A_DEV_IFINDEX"): of_flags(answer.get_attr("NETDEV_A_DEV_XDP_FEATURES") or 0)
        for answer in answers
    }


def of_flags(flags: int) -> XdpAbility:
    return XdpAbility(
        native=bool(flags & BASIC),
        zero_copy=bool(flags & ZERO_COPY),
        redirect=bool(flags & REDIRECT),
        segments=bool(flags & SEGMENTS),
        known_by="kernel",
    )


def of_driver(driver: str) -> XdpAbility:
    return XdpAbility(native=driver in NATIVE, zero_copy=driver in COPIES_NOTHING, redirect=driver in NATIVE)
