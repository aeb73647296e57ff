"""Which interface has which IP address."""

from __future__ import annotations

from pyroute2.netlink.rtnl import RTM_GETADDR
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg

from firmware_iface import links
from firmware_iface.netlink import Conversation


def read() -> dict[str, str]:
    """Local address -> name of its interface, in this network namespace. OSError."""
    with Conversation() as kernel:
        names = {link.index: link.name for link in links.dump(kernel)}
        found = {}
        for message in kernel.dump(ifaddrmsg(), RTM_GETADDR):
            address = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
            if address:
                found[str(address)] = names.get(message["index"], "")
        return found
