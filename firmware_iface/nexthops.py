"""Next hops of media peers, kept true by netlink in the control process's loop; nexthop.py does the thinking.

    hops = NextHops({"access": "10.77.1.1"}, on_change)      # interface names of the settings -> their local addresses
    await hops.start()
    hops.want("access", "192.0.2.7"); ...; hops.forget("access", "192.0.2.7")     # counted: as often as wanted

`on_change(Change)` gets new and changed rows and what is gone; `rows()` is the whole table. Watching takes no
privilege, asking the kernel to resolve or confirm a neighbour takes CAP_NET_ADMIN: without it `probing` says so, and
unresolved destinations wait for the kernel's own sockets to be used.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from pyroute2.netlink import NLM_F_CREATE, NLM_F_REPLACE
from pyroute2.netlink.rtnl import (
    RTM_DELLINK,
    RTM_DELNEIGH,
    RTM_DELROUTE,
    RTM_GETNEIGH,
    RTM_GETROUTE,
    RTM_NEWLINK,
    RTM_NEWNEIGH,
    RTM_NEWROUTE,
)
from pyroute2.netlink.rtnl.ndmsg import ndmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from firmware_iface import links, monitor
from firmware_iface.monitor import Monitor
from firmware_iface.netlink import Conversation
from firmware_iface.nexthop import Change, Neighbour, NextHop, NextHopTable, Route, Want

LOOKUPS_AT_ONCE = 32  # before the loop gets its turn
REROUTE_AFTER_S = 0.05  # news of routes come in swarms
HOUSEKEEPING_S = 1.0
RTN_UNICAST, RTN_LOCAL = 1, 2
NTF_USE = 0x01
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}


class NextHops:
    """`start`, then `want` and `forget`; `stop`. All in one loop."""

    def __init__(self, addresses: Mapping[str, str], on_change: Callable[[Change], None]) -> None:
        self._addresses = dict(addresses)
        self._on_change = on_change
        self._table = NextHopTable()
        self._wanted: Counter[Want] = Counter()
        self._kernel: Conversation | None = None
        self._monitor: Monitor | None = None
        self._timers: dict[str, asyncio.TimerHandle | asyncio.Handle] = {}
        self._rerouted: set[str] = set()  # networks whose routes changed; "": everything
        self.probing = ""  # why neighbours are not probed; "": they are

    async def start(self) -> None:
        """Listen, then look: nothing that happens in between is missed. OSError."""
        self._kernel = Conversation()
        groups = monitor.LINKS | monitor.NEIGHBOURS | monitor.ROUTING
        self._monitor = Monitor(groups, self._news, self._lost, self._soon)
        self._lost()
        self._monitor.start()
        self._work()
        self._housekeeping()

    def stop(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self._monitor is not None:
            self._monitor.stop()
        if self._kernel is not None:
            self._kernel.close()
        self._monitor = self._kernel = None

    def want(self, interface: str, destination: str) -> None:
        """KeyError: no such interface; ValueError: no IP address."""
        want = self._key(interface, destination)
        self._wanted[want] += 1
        self._table.want(want)
        self._soon()

    def forget(self, interface: str, destination: str) -> None:
        """One `want` less; what nobody wants any more goes."""
        want = self._key(interface, destination)
        if self._wanted[want] > 1:
            self._wanted[want] -= 1
            return
        del self._wanted[want]
        self._table.forget(want)
        self._soon()

    def rows(self) -> tuple[NextHop, ...]:
        return self._table.rows()

    def _key(self, interface: str, destination: str) -> Want:
        if interface not in self._addresses:
            raise KeyError(interface)
        return Want(interface, str(ipaddress.ip_address(destination)))

    # ---- news from the kernel

    def _news(self, message: Any) -> None:
        kind = message["header"]["type"]
        if kind == RTM_NEWLINK and message["family"] == socket.AF_UNSPEC:
            self._table.link(links.decode(message))
        elif kind == RTM_DELLINK and message["family"] == socket.AF_UNSPEC:
            self._table.link_gone(message["index"])
        elif kind in (RTM_NEWNEIGH, RTM_DELNEIGH):
            self._neighbour(message, gone=kind == RTM_DELNEIGH)
        elif kind not in (RTM_NEWLINK, RTM_DELLINK):
            self._rerouted.add(_network(message) if kind in (RTM_NEWROUTE, RTM_DELROUTE) else "")
            self._later("reroute", REROUTE_AFTER_S, self._reroute)

    def _neighbour(self, message: Any, gone: bool) -> None:
        found = _neighbour(message)
        if found is not None:
            (device, address), value = found
            if gone:
                self._table.neighbour_gone(device, address)
            else:
                self._table.neighbour(device, address, value)

    def _reroute(self) -> None:
        self._table.routing_changed(() if "" in self._rerouted else self._rerouted)
        self._rerouted.clear()
        self._work()

    def _lost(self) -> None:
        """At the start, and when the kernel dropped news for want of room."""
        assert self._kernel is not None
        found = {link.index: link for link in links.dump(self._kernel)}
        messages = self._kernel.dump(ndmsg(), RTM_GETNEIGH)
        neighbours = dict(entry for message in messages if (entry := _neighbour(message)) is not None)
        self._table.resynchronise(found, neighbours)

    # ---- work

    def _soon(self) -> None:
        if self._kernel is not None and "work" not in self._timers:
            self._timers["work"] = asyncio.get_running_loop().call_soon(self._work)

    def _later(self, name: str, after_s: float, work: Callable[[], None]) -> None:
        if name not in self._timers:
            loop = asyncio.get_running_loop()

            def run() -> None:
                self._timers.pop(name, None)
                work()

            self._timers[name] = loop.call_later(after_s, run)

    def _housekeeping(self) -> None:
        self._work()
        self._later("housekeeping", HOUSEKEEPING_S, self._housekeeping)

    def _work(self) -> None:
        """A portion of lookups, what is due of probes, and one report."""
        self._timers.pop("work", None)
        if self._kernel is None:
            return
        for want in self._table.lookups(LOOKUPS_AT_ONCE):
            self._table.routed(want, self._route(want))
        if not self.probing:
            for device, address in self._table.probes(asyncio.get_running_loop().time()):
                self._probe(device, address)
        if self._table.waiting:
            self._soon()
        if change := self._table.changes():
            self._on_change(change)

    def _route(self, want: Want) -> Route:
        """`ip route get DESTINATION from OURS`: rules and tables as the kernel applies them."""
        assert self._kernel is not None
        source = self._addresses[want.interface]
        version = ipaddress.ip_address(want.destination).version
        question = rtmsg()
        question["family"] = FAMILY[version]
        question["dst_len"] = question["src_len"] = 32 if version == 4 else 128
        question["attrs"] = [["RTA_DST", want.destination], ["RTA_SRC", source]]
        try:
            if ipaddress.ip_address(source).version != version:
                return Route(0)
            return _route(self._kernel.get(question, RTM_GETROUTE))
        except OSError:  # no route, prohibited, our address is not there: the reason makes no difference to a sender
            return Route(0)

    def _probe(self, device: int, address: str) -> None:
        """As a packet of the kernel's own would: resolve what is unknown, confirm what is stale (NTF_USE)."""
        assert self._kernel is not None
        message = ndmsg()
        message["family"] = FAMILY[ipaddress.ip_address(address).version]
        message["ifindex"], message["flags"] = device, NTF_USE
        message["attrs"] = [["NDA_DST", address]]
        try:
            self._kernel.change(message, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE)
        except PermissionError:
            self.probing = "not permitted (CAP_NET_ADMIN): neighbours are resolved when the kernel itself sends"
            self._table.cannot_probe()
        except OSError as error:
            if error.errno not in (errno.ENODEV, errno.ENETDOWN, errno.EINVAL, errno.ENOBUFS):  # it went meanwhile
                raise


def _network(message: Any) -> str:
    """Destination of a route, such as "192.0.2.0/24"."""
    everything = "0.0.0.0" if message["family"] == socket.AF_INET else "::"  # noqa: S104
    return f"{message.get_attr('RTA_DST') or everything}/{message['dst_len']}"


def _route(message: Any) -> Route:
    if message["type"] == RTN_LOCAL:
        return Route(message.get_attr("RTA_OIF") or 0, local=True)
    if message["type"] != RTN_UNICAST:
        return Route(0)
    metrics, via = message.get_attr("RTA_METRICS"), message.get_attr("RTA_VIA")
    gateway = message.get_attr("RTA_GATEWAY") or (via or {}).get("addr") or ""
    mtu = metrics.get_attr("RTAX_MTU") if metrics else 0
    return Route(message.get_attr("RTA_OIF") or 0, str(gateway), mtu or 0)


def _neighbour(message: Any) -> tuple[tuple[int, str], Neighbour] | None:
    """None: an entry of another kind (bridge forwarding, proxies)."""
    address = message.get_attr("NDA_DST")
    if not address or message["family"] not in (socket.AF_INET, socket.AF_INET6):
        return None
    return (message["ifindex"], str(address)), Neighbour(message.get_attr("NDA_LLADDR") or "", message["state"])
