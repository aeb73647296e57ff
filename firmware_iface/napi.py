"""Which interrupt serves which receive queue, as the kernel says (generic netlink `netdev`, Linux 6.8; not every driver
tells). Where it does not, interrupts.py goes by their names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pyroute2.netlink import genlmsg

from firmware_iface.netlink import GenericConversation
from firmware_iface.xdp import FAMILY

QUEUE_GET, NAPI_GET = 10, 11  # NETDEV_CMD_*
RECEIVE = 0  # NETDEV_QUEUE_TYPE_RX


class QueueMessage(genlmsg):  # type: ignore[misc]
    nla_map = (
        ("NETDEV_A_QUEUE_UNSPEC", "none"),
        ("NETDEV_A_QUEUE_ID", "uint32"),
        ("NETDEV_A_QUEUE_IFINDEX", "uint32"),
        ("NETDEV_A_QUEUE_TYPE", "uint32"),
        ("NETDEV_A_QUEUE_NAPI_ID", "uint32"),
    )


class NapiMessage(genlmsg):  # type: ignore[misc]
    nla_map = (
        ("NETDEV_A_NAPI_UNSPEC", "none"),
        ("NETDEV_A_NAPI_IFINDEX", "uint32"),
        ("NETDEV_A_NAPI_ID", "uint32"),
        ("NETDEV_A_NAPI_IRQ", "uint32"),
    )


def receive_queues() -> dict[int, int]:
    """Interrupt number -> receive queue; empty when this kernel does not tell."""
    try:
        return join(_dump(QueueMessage, QUEUE_GET), _dump(NapiMessage, NAPI_GET))
    except OSError:
        return {}


def join(queues: Iterable[Any], instances: Iterable[Any]) -> dict[int, int]:
    """Queues name their NAPI instance, instances their interrupt."""
    interrupts = {one.get_attr("NETDEV_A_NAPI_ID"): one.get_attr("NETDEV_A_NAPI_IRQ") for one in instances}
    return {
        interrupt: one.get_attr("NETDEV_A_QUEUE_ID")
        for one in queues
        if one.get_attr("NETDEV_A_QUEUE_TYPE") == RECEIVE
        and (interrupt := interrupts.get(one.get_attr("NETDEV_A_QUEUE_NAPI_ID")))
    }


def _dump(message: type[Any], command: int) -> list[Any]:
    question = message()
    question["cmd"], question["version"] = command, 1
    with GenericConversation(FAMILY, message) as kernel:
        return kernel.dump(question, kernel.family)
