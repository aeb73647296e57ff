"""Next hops on a real kernel: resolution, a peer that changes its MAC, routes, links, IPv6, several interfaces."""

from __future__ import annotations

import asyncio
import os
import threading
from dataclasses import replace

import pytest

from firmware_iface.nexthop import Change, NextHop, State, Want
from firmware_iface.nexthops import NextHops
from tests.firmware_iface.wires import FAR, NEAR, Wires, run_inside, until

pytestmark = pytest.mark.system
PEER = "10.78.1.2"


class Follower:
    """NextHops and what a consumer keeps from its changes."""

    def __init__(self, **addresses: str) -> None:
        self.kept: dict[Want, NextHop] = {}
        self.hops = NextHops(addresses or {"access": "10.78.1.1", "access6": "fd78::1"}, self.take)

    def take(self, change: Change) -> None:
        assert change.rows or change.gone
        for row in change.rows:
            self.kept[Want(row.interface, row.destination)] = row
        for want in change.gone:
            del self.kept[want]

    def row(self, destination: str = PEER, interface: str = "access") -> NextHop:
        """As the table has it; what was told is the same but for a usable state."""
        told = self.kept.get(Want(interface, destination), NextHop(interface, destination))
        found = [row for row in self.hops.rows() if (row.interface, row.destination) == (interface, destination)]
        return found[0] if found and replace(told, state=found[0].state) == found[0] else told

    async def until_state(self, *states: State, destination: str = PEER, interface: str = "access") -> NextHop:
        await until(lambda: self.row(destination, interface).state in states, self.hops.rows)
        assert [want.destination for want in sorted(self.kept)] == [row.destination for row in self.hops.rows()]
        return self.row(destination, interface)


def follow(end: str, work: object, **addresses: str) -> None:
    async def main() -> None:
        before = threading.active_count()
        follower = Follower(**addresses)
        await follower.hops.start()
        try:
            await work(follower)  # type: ignore[operator]
        finally:
            follower.hops.stop()
        assert threading.active_count() == before

    run_inside(end, main)


def test_neighbour_is_resolved_without_a_packet_of_ours(wires: Wires) -> None:
    async def work(follower: Follower) -> None:
        follower.hops.want("access", PEER)
        follower.hops.want("access6", "fd78::2")
        row = await follower.until_state(State.REACHABLE)
        assert (row.source_mac, row.destination_mac) == (wires.mac(NEAR), wires.mac(FAR))
        assert (row.vlan, row.mtu, row.gateway, row.usable) == (None, 1500, "", True)
        assert f"{row.device}: wire" in wires.ip(NEAR, "link", "show", "wire")
        six = await follower.until_state(State.REACHABLE, State.STALE, destination="fd78::2", interface="access6")
        assert six.destination_mac == wires.mac(FAR)
        assert not follower.hops.probing

    follow(NEAR, work)


def test_peer_with_a_new_mac(wires: Wires) -> None:
    async def work(follower: Follower) -> None:
        follower.hops.want("access", PEER)
        await follower.until_state(State.REACHABLE)
        wires.ip(FAR, "link", "set", "wire", "address", "02:00:00:00:78:99")
        wires.ip(NEAR, "neigh", "replace", PEER, "dev", "wire", "lladdr", "02:00:00:00:78:99", "nud", "stale")
        await until(lambda: follower.row().destination_mac == "02:00:00:00:78:99", follower.hops.rows)

    follow(NEAR, work)


def test_stale_neighbour_is_confirmed_again(wires: Wires) -> None:
    wires.python(
        NEAR, "-c",
        "from pathlib import Path; Path('/proc/sys/net/ipv4/neigh/wire/delay_first_probe_time').write_text('1')",
    )  # fmt: skip

    async def work(follower: Follower) -> None:
        follower.hops.want("access", PEER)
        await follower.until_state(State.REACHABLE)
        wires.ip(NEAR, "neigh", "change", PEER, "dev", "wire", "nud", "stale")
        assert (await follower.until_state(State.STALE)).usable
        await follower.until_state(State.REACHABLE)

    follow(NEAR, work)


def test_nobody_there(wires: Wires) -> None:
    async def work(follower: Follower) -> None:
        follower.hops.want("access", "10.78.1.77")
        row = await follower.until_state(State.FAILED, destination="10.78.1.77")
        assert not row.usable and "does not answer" in row.why and not row.destination_mac
        wires.ip(FAR, "address", "add", "10.78.1.77/24", "dev", "wire")  # a phone is plugged in: asked for again
        await follower.until_state(State.REACHABLE, destination="10.78.1.77")

    follow(NEAR, work)


def test_routes_come_and_go(wires: Wires) -> None:
    async def work(follower: Follower) -> None:
        follower.hops.want("access", "192.0.2.7")
        await follower.until_state(State.NO_ROUTE, destination="192.0.2.7")
        wires.ip(NEAR, "route", "add", "192.0.2.0/24", "via", PEER, "mtu", "1400")
        row = await follower.until_state(State.REACHABLE, destination="192.0.2.7")
        assert (row.gateway, row.mtu, row.destination_mac) == (PEER, 1400, wires.mac(FAR))
        wires.ip(FAR, "address", "add", "10.78.1.3/24", "dev", "wire")
        wires.ip(NEAR, "route", "replace", "192.0.2.0/24", "via", "10.78.1.3")
        await until(lambda: follower.row("192.0.2.7").gateway == "10.78.1.3", follower.hops.rows)
        await follower.until_state(State.REACHABLE, destination="192.0.2.7")
        wires.ip(NEAR, "rule", "add", "to", "192.0.2.0/24", "prohibit")
        await follower.until_state(State.NO_ROUTE, destination="192.0.2.7")

    follow(NEAR, work)


def test_gateway_of_the_other_family(wires: Wires) -> None:
    """RFC 5549 routes: IPv4 through an IPv6 neighbour."""

    async def work(follower: Follower) -> None:
        wires.ip(NEAR, "route", "add", "198.51.100.0/24", "via", "inet6", "fd78::2", "dev", "wire")
        follower.hops.want("access", "198.51.100.9")
        row = await follower.until_state(State.REACHABLE, State.STALE, destination="198.51.100.9")
        assert (row.gateway, row.destination_mac) == ("fd78::2", wires.mac(FAR))

    follow(NEAR, work)


def test_link_down_and_up(wires: Wires) -> None:
    async def work(follower: Follower) -> None:
        follower.hops.want("access", PEER)
        await follower.until_state(State.REACHABLE)
        wires.ip(FAR, "link", "set", "wire", "down")  # no carrier: routes stay in place, nothing gets through
        row = await follower.until_state(State.LINK_DOWN)
        assert not row.usable and "wire has no link" in row.why
        wires.ip(FAR, "link", "set", "wire", "up")
        await follower.until_state(State.REACHABLE)
        wires.ip(NEAR, "link", "set", "wire", "down")
        await follower.until_state(State.LINK_DOWN, State.NO_ROUTE)
        wires.ip(NEAR, "link", "delete", "wire")
        await follower.until_state(State.NO_ROUTE)

    follow(NEAR, work)


def test_own_address_and_unsuitable_links(wires: Wires) -> None:
    wires.ip(NEAR, "link", "add", "bridge78", "type", "bridge")
    wires.ip(NEAR, "address", "add", "10.79.1.1/24", "dev", "bridge78")
    wires.ip(NEAR, "link", "set", "bridge78", "up")

    async def work(follower: Follower) -> None:
        follower.hops.want("access", "10.78.1.1")
        follower.hops.want("office", "10.79.1.5")
        assert not (await follower.until_state(State.LOCAL, destination="10.78.1.1")).usable
        row = await follower.until_state(State.UNSUITABLE, destination="10.79.1.5", interface="office")
        assert "bridge" in row.why

    follow(NEAR, work, access="10.78.1.1", office="10.79.1.1")


def test_wishes_are_counted(wires: Wires) -> None:
    async def work(follower: Follower) -> None:
        follower.hops.want("access", PEER)
        follower.hops.want("access", PEER)
        await follower.until_state(State.REACHABLE)
        follower.hops.forget("access", PEER)
        await asyncio.sleep(0.1)
        assert [row.destination for row in follower.hops.rows()] == [PEER]
        follower.hops.forget("access", PEER)
        await until(lambda: not follower.kept, follower.hops.rows)
        follower.hops.forget("access", PEER)  # once too often harms nobody
        with pytest.raises(KeyError):
            follower.hops.want("nowhere", PEER)
        with pytest.raises(ValueError):
            follower.hops.want("access", "peer.example")

    follow(NEAR, work)


def test_without_the_privilege_it_watches_and_says_so(wires: Wires) -> None:
    """The control process has no capabilities: neighbours that the kernel itself resolved still arrive."""
    script = f"""
import asyncio, os
from firmware_iface.nexthops import NextHops
async def main():
    hops = NextHops({{"access": "10.78.1.1"}}, lambda change: None)
    await hops.start()
    hops.want("access", "{PEER}")
    while not hops.probing: await asyncio.sleep(0.02)
    assert not hops.rows()[0].usable
    print(hops.probing, flush=True)
    import socket
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"", ("{PEER}", 9999))  # the media plane's socket sends
    while not hops.rows()[0].usable: await asyncio.sleep(0.02)
    print(hops.rows()[0].destination_mac)
os.setgroups([]); os.setgid(65534); os.setuid(65534)
asyncio.run(asyncio.wait_for(main(), 20))
"""
    assert os.geteuid() == 0
    told, mac = wires.python(NEAR, "-c", script).splitlines()
    assert "CAP_NET_ADMIN" in told and mac == wires.mac(FAR)
