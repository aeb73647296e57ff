"""Next hops: a pure table of links, neighbours and routes that turns destinations into rows a packet sender can use.

Fed with what netlink says (`link`, `neighbour`, `routed`, ...), it answers what to ask the kernel next (`lookups`,
`probes`) and what changed (`changes`). It knows no sockets and no clock of its own.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from firmware_iface import nic
from firmware_iface.links import Link

NO_MAC = "00:00:00:00:00:00"
RETRY_S = 1.0  # first wait before an address that does not answer is asked for again; doubles
LONGEST_RETRY_S = 30.0
MOST_NETWORKS = 32  # changed at once and told apart; beyond it everything is looked up again
KEEP_ALIVE_S = 10.0  # a stale neighbour is asked for again after this, whatever became of the last time


class State(StrEnum):
    """What is known about a destination. The first three can be sent to by frames of our own."""

    REACHABLE = "reachable"
    STALE = "stale"  # address known, not confirmed lately: it is being probed
    PERMANENT = "permanent"  # static, or a link without address resolution
    RESOLVING = "resolving"  # asked, no answer yet
    FAILED = "failed"  # nobody answered
    LINK_DOWN = "link-down"
    NO_ROUTE = "no-route"
    LOCAL = "local"  # an address of this machine
    UNSUITABLE = "unsuitable"  # a link that frames cannot be put on (bond, bridge, tunnel): see `why`
    UNKNOWN = "unknown"  # not looked up yet

    @property
    def usable(self) -> bool:
        return self in (State.REACHABLE, State.STALE, State.PERMANENT)


# NUD_* of linux/neighbour.h: reachable 2, stale 4, delay 8, probe 16, failed 32, noarp 64, permanent 128.
_OF_NUD = {
    0x02: State.REACHABLE,
    0x04: State.STALE,
    0x08: State.STALE,
    0x10: State.STALE,
    0x20: State.FAILED,
    0x40: State.PERMANENT,
    0x80: State.PERMANENT,
}
NUD_STALE = 0x04


@dataclass(frozen=True, slots=True, order=True)
class Want:
    """Somebody sends to `destination` from the local address that `interface` (a name of the settings) has."""

    interface: str
    destination: str


@dataclass(frozen=True, slots=True)
class Route:
    """Answer to `ip route get`."""

    device: int  # link index; 0: none
    gateway: str = ""  # "": the destination itself is on the link
    mtu: int = 0  # of the route (path MTU); 0: that of the link
    local: bool = False


@dataclass(frozen=True, slots=True)
class Neighbour:
    mac: str
    state: int  # NUD_*


@dataclass(frozen=True, slots=True)
class NextHop:
    """How to reach one destination. MACs are "02:00:..." strings, empty when not known."""

    interface: str
    destination: str
    device: int = 0  # index of the link whose queues send: a VLAN's parent
    source_mac: str = ""
    destination_mac: str = ""
    vlan: int | None = None
    mtu: int = 0
    gateway: str = ""
    state: State = State.UNKNOWN
    why: str = ""

    @property
    def usable(self) -> bool:
        return self.state.usable


@dataclass(frozen=True, slots=True)
class Change:
    """What is different since the last time. `rows` are new or changed, `gone` are no longer wanted."""

    rows: tuple[NextHop, ...] = ()
    gone: tuple[Want, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.rows or self.gone)


@dataclass(slots=True)
class _Asked:
    """When an unresolved neighbour is asked for again."""

    due: float
    wait: float


class NextHopTable:
    """One owner, no locks. Rows are recomputed for what an event concerns, not for everything."""

    def __init__(self) -> None:
        self._links: dict[int, Link] = {}
        self._neighbours: dict[tuple[int, str], Neighbour] = {}
        self._routes: dict[Want, Route | None] = {}  # every want; None: not looked up yet
        self._lookups: dict[Want, None] = {}  # to be looked up, oldest first
        self._numbers: dict[Want, tuple[int, int]] = {}  # destination as (IP version, number)
        self._unfit: dict[int, str] = {}  # link -> why frames cannot be put on it; found out once
        self._users: dict[tuple[int, str], set[Want]] = {}  # neighbour -> who goes through it
        self._rows: dict[Want, NextHop] = {}
        self._told: dict[Want, NextHop] = {}
        self._touched: set[Want] = set()
        self._asked: dict[tuple[int, str], _Asked] = {}
        self._confirming = True

    # ---- wishes

    def want(self, want: Want) -> None:
        if want not in self._routes:
            address = ipaddress.ip_address(want.destination)
            self._numbers[want] = (address.version, int(address))
            self._routes[want] = None
            self._lookups[want] = None
            self._rows[want] = NextHop(want.interface, want.destination)
            self._touched.add(want)

    def forget(self, want: Want) -> None:
        if want in self._routes:
            self._leave(want)
            del self._routes[want], self._rows[want], self._numbers[want]
            self._lookups.pop(want, None)
            self._touched.add(want)

    # ---- facts

    def link(self, link: Link) -> None:
        before = self._links.get(link.index)
        self._links[link.index] = link
        if before != link:
            self._unfit.clear()
            self._concerned_by_link(link.index)
            if before is None or before.running != link.running:
                self.routing_changed()

    def link_gone(self, index: int) -> None:
        if self._links.pop(index, None) is not None:
            self._unfit.clear()
            for key in [key for key in self._neighbours if key[0] == index]:
                del self._neighbours[key]
            self._concerned_by_link(index)
            self.routing_changed()

    def neighbour(self, device: int, address: str, found: Neighbour) -> None:
        key = (device, address)
        self._neighbours[key] = found
        if _OF_NUD.get(found.state, State.RESOLVING) in (State.REACHABLE, State.PERMANENT):
            self._asked.pop(key, None)
        self._recompute(self._users.get(key, ()))

    def neighbour_gone(self, device: int, address: str) -> None:
        if self._neighbours.pop((device, address), None) is not None:
            self._recompute(self._users.get((device, address), ()))

    def routed(self, want: Want, route: Route) -> None:
        """Answer to a lookup."""
        if want in self._routes:
            self._leave(want)
            self._routes[want] = route
            self._users.setdefault(_through(want, route), set()).add(want)
            self._recompute((want,))

    def routing_changed(self, networks: Collection[str] = ()) -> None:
        """Routes to these networks changed, or (none named) rules, addresses, links: who knows which. What they concern
        is looked up again; its rows stay until then."""
        if not networks or len(networks) > MOST_NETWORKS:
            self._lookups.update(dict.fromkeys(self._routes))
            return
        ranges = [_range(network) for network in networks]
        for want, (version, number) in self._numbers.items():
            if any(version == family and first <= number <= last for family, first, last in ranges):
                self._lookups[want] = None

    def resynchronise(self, links: Mapping[int, Link], neighbours: Mapping[tuple[int, str], Neighbour]) -> None:
        """Events were lost: take the whole truth."""
        for index in self._links.keys() - links.keys():
            self.link_gone(index)
        for link in links.values():
            self.link(link)
        for key in self._neighbours.keys() - neighbours.keys():
            self.neighbour_gone(*key)
        for key, found in neighbours.items():
            self.neighbour(*key, found)
        self.routing_changed()

    def cannot_probe(self) -> None:
        """Nobody asks for stale neighbours any more. Their packets go through the kernel, which then confirms them
        itself: a peer that moved is found again, at the price of a slower path for some seconds."""
        self._confirming = False
        for users in list(self._users.values()):
            self._recompute(users)

    # ---- what to do

    def lookups(self, most: int) -> list[Want]:
        """Destinations to look up now, `most` of them; each is given once."""
        chosen = [want for want, _ in zip(self._lookups, range(most), strict=False)]
        for want in chosen:
            del self._lookups[want]
        return chosen

    @property
    def waiting(self) -> int:
        return len(self._lookups)

    def probes(self, now: float) -> list[tuple[int, str]]:
        """(link, address) of neighbours that the kernel is to resolve or confirm now. Repeats with growing waits."""
        due = []
        for key in self._users:
            if not self._needs_probe(key):
                self._asked.pop(key, None)
                continue
            asked = self._asked.get(key)
            if asked is not None and now < asked.due:
                continue
            known = self._known(key)
            wait = RETRY_S if asked is None else min(2 * asked.wait, LONGEST_RETRY_S)
            if known is not None and known.state == NUD_STALE:
                wait = KEEP_ALIVE_S
            self._asked[key] = _Asked(now + wait, wait)
            due.append(key)
        return due

    def rows(self) -> tuple[NextHop, ...]:
        return tuple(self._rows[want] for want in sorted(self._rows))

    def changes(self) -> Change:
        """Since the last call; empty when rows came back to what was told. A neighbour that turns stale or is confirmed
        is no change: to a sender both are the same, and behind one gateway may be every peer."""
        rows, gone = [], []
        for want in sorted(self._touched):
            row = self._rows.get(want)
            if row is None:
                if self._told.pop(want, None) is not None:
                    gone.append(want)
            elif not _same(self._told.get(want), row) and (row.state is not State.UNKNOWN or want in self._told):
                self._told[want] = row
                rows.append(row)
        self._touched.clear()
        return Change(tuple(rows), tuple(gone))

    # ---- inside

    def _known(self, key: tuple[int, str]) -> Neighbour | None:
        return self._neighbours.get(key)

    def _needs_probe(self, key: tuple[int, str]) -> bool:
        """Only what can be resolved: an own link that is up and has neighbours; not what is fresh or fixed."""
        link = self._links.get(key[0])
        if link is None or not link.running or not link.arp or link.loopback or not key[1]:
            return False
        known = self._known(key)
        return known is None or known.state in (0, NUD_STALE, 0x01, 0x20)

    def _leave(self, want: Want) -> None:
        route = self._routes[want]
        if route is not None:
            key = _through(want, route)
            users = self._users.get(key, set())
            users.discard(want)
            if not users:
                self._users.pop(key, None)
                self._asked.pop(key, None)

    def _concerned_by_link(self, index: int) -> None:
        above = {link.index for link in self._links.values() if link.parent == index} | {index}
        for key, users in list(self._users.items()):
            if key[0] in above:
                self._recompute(users)

    def _recompute(self, wants: Collection[Want]) -> None:
        for want in tuple(wants):
            route = self._routes.get(want)
            if route is not None:
                self._rows[want] = self._row(want, route)
                self._touched.add(want)

    def _row(self, want: Want, route: Route) -> NextHop:
        plain = NextHop(want.interface, want.destination, gateway=route.gateway)
        if route.local:
            return _with(plain, State.LOCAL, "it is an address of this machine")
        link = self._links.get(route.device)
        if link is None:
            return _with(plain, State.NO_ROUTE, "there is no route" if not route.device else "the link is gone")
        below = self._links.get(link.parent) if link.vlan is not None else link
        why = self._why_unfit(link)
        if why or below is None:
            return _with(plain, State.UNSUITABLE, f"{link.name}: {why}")
        state, mac, why = self._resolved(link, _through(want, route))
        if not link.running or not below.running:
            state, why = State.LINK_DOWN, f"{link.name} has no link"
        mtu = min(route.mtu or link.mtu, link.mtu)
        return NextHop(
            want.interface, want.destination, below.index, link.mac, mac, link.vlan, mtu, route.gateway, state, why
        )

    def _why_unfit(self, link: Link) -> str:
        if link.index not in self._unfit:
            self._unfit[link.index] = nic.unsuitable(link, tuple(self._links.values()))
        return self._unfit[link.index]

    def _resolved(self, link: Link, key: tuple[int, str]) -> tuple[State, str, str]:
        if link.loopback:
            return State.PERMANENT, NO_MAC, ""
        if not link.arp:
            return State.PERMANENT, link.mac, ""  # what the kernel writes on links without address resolution
        known = self._known(key)
        state = State.RESOLVING if known is None else _OF_NUD.get(known.state, State.RESOLVING)
        if state is State.STALE and not self._confirming:
            return State.RESOLVING, "", f"{key[1]} on {link.name} is stale: the kernel confirms it when it sends itself"
        if state.usable and known is not None and known.mac:
            return state, known.mac, ""
        if state is State.FAILED:
            return state, "", f"{key[1]} does not answer on {link.name}"
        return State.RESOLVING, "", f"{key[1]} has not answered on {link.name} yet"


def _same(before: NextHop | None, after: NextHop) -> bool:
    if before is None or not (before.usable and after.usable):
        return before == after
    return replace(before, state=after.state) == after


def _range(network: str) -> tuple[int, int, int]:
    """(IP version, first, last)."""
    found = ipaddress.ip_network(network, strict=False)
    return found.version, int(found.network_address), int(found.broadcast_address)


def _through(want: Want, route: Route) -> tuple[int, str]:
    """The neighbour that packets go to first."""
    return (route.device, route.gateway or want.destination)


def _with(row: NextHop, state: State, why: str) -> NextHop:
    return NextHop(row.interface, row.destination, gateway=row.gateway, state=state, why=why)
