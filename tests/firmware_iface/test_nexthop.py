"""The next-hop table without a kernel: rows, what is asked, what is told. VLANs are proved here."""

from __future__ import annotations

from dataclasses import replace

import pytest

from firmware_iface.links import Link
from firmware_iface.nexthop import (
    KEEP_ALIVE_S,
    LONGEST_RETRY_S,
    RETRY_S,
    Neighbour,
    NextHopTable,
    Route,
    State,
    Want,
)

WIRE = Link(2, "wire", mac="02:00:00:00:00:02", mtu=1500, up=True, carrier=True)
TAGGED = replace(WIRE, index=5, name="wire.7", kind="vlan", mac="02:00:00:00:00:05", parent=2, vlan=7,
                 vlan_protocol=0x8100, mtu=1496)  # fmt: skip
PEER = Want("access", "192.0.2.7")
MAC = "02:00:00:00:00:99"
REACHABLE, STALE, DELAY, PROBE, INCOMPLETE, FAILED, NOARP, PERMANENT = 2, 4, 8, 16, 1, 32, 64, 128


def table(*links: Link, route: Route | None = None, want: Want = PEER) -> NextHopTable:
    made = NextHopTable()
    for link in links or (WIRE,):
        made.link(link)
    made.want(want)
    assert made.lookups(10) == [want] and not made.lookups(10)
    made.routed(want, route or Route(2))
    return made


@pytest.mark.parametrize(
    ("nud", "mac", "state", "usable"),
    [
        (REACHABLE, MAC, State.REACHABLE, True),
        (STALE, MAC, State.STALE, True),
        (DELAY, MAC, State.STALE, True),
        (PROBE, MAC, State.STALE, True),
        (PERMANENT, MAC, State.PERMANENT, True),
        (NOARP, MAC, State.PERMANENT, True),
        (INCOMPLETE, "", State.RESOLVING, False),
        (FAILED, "", State.FAILED, False),
        (0, "", State.RESOLVING, False),
        (REACHABLE, "", State.RESOLVING, False),  # tunnels have neighbours without MAC
    ],
)
def test_state_of_a_neighbour(nud: int, mac: str, state: State, usable: bool) -> None:
    made = table()
    made.neighbour(2, PEER.destination, Neighbour(mac, nud))
    (row,) = made.rows()
    assert (row.state, row.usable, row.destination_mac) == (state, usable, mac if usable else "")
    assert (row.device, row.source_mac, row.mtu, row.vlan) == (2, WIRE.mac, 1500, None)


def test_vlan_names_its_parent_and_the_tag() -> None:
    made = table(WIRE, TAGGED, route=Route(5, "192.0.2.1"))
    made.neighbour(5, "192.0.2.1", Neighbour(MAC, REACHABLE))
    (row,) = made.rows()
    assert (row.device, row.vlan, row.source_mac, row.mtu, row.gateway) == (2, 7, TAGGED.mac, 1496, "192.0.2.1")
    made.link(replace(WIRE, carrier=False))  # the parent's wire: the VLAN's own state follows only later
    assert made.rows()[0].state is State.LINK_DOWN


@pytest.mark.parametrize(
    ("links", "device", "words"),
    [
        ((replace(TAGGED, parent=0),), 5, "another network namespace"),
        ((WIRE, TAGGED, replace(TAGGED, index=6, name="wire.7.8", parent=5, vlan=8)), 6, "stacked"),
        ((WIRE, replace(TAGGED, vlan_protocol=0x88A8)), 5, "stacked"),
        ((replace(WIRE, kind="bond"), TAGGED), 5, "bond"),
        ((replace(WIRE, kind="bridge"),), 2, "bridge"),
        ((replace(WIRE, kind="wireguard", ethernet=False, mac=""),), 2, "tunnels"),
        ((replace(WIRE, master=9, master_kind="bridge"),), 2, "member of a bridge"),
        ((replace(WIRE, ethernet=False, mac=""),), 2, "no Ethernet"),
    ],
)
def test_links_that_frames_cannot_be_put_on(links: tuple[Link, ...], device: int, words: str) -> None:
    made = table(*links, route=Route(device))
    made.neighbour(device, PEER.destination, Neighbour(MAC, REACHABLE))
    (row,) = made.rows()
    assert row.state is State.UNSUITABLE and words in row.why and not row.usable
    assert not row.destination_mac


def test_links_without_address_resolution() -> None:
    made = table(Link(1, "lo", loopback=True, ethernet=False, up=True, carrier=True, mtu=65536), route=Route(1))
    assert made.rows()[0].destination_mac == "00:00:00:00:00:00" and made.rows()[0].usable
    made = table(replace(WIRE, arp=False))
    assert made.rows()[0].destination_mac == WIRE.mac and not made.probes(0.0)


def test_mtu_is_the_smaller_of_route_and_link() -> None:
    assert table(route=Route(2, mtu=1400)).rows()[0].mtu == 1400
    assert table(route=Route(2, mtu=9000)).rows()[0].mtu == 1500


def test_no_route_local_and_a_link_that_is_not_there() -> None:
    assert table(route=Route(0)).rows()[0].state is State.NO_ROUTE
    assert table(route=Route(2, local=True)).rows()[0].state is State.LOCAL
    assert table(route=Route(44)).rows()[0].why == "the link is gone"


def test_unresolved_neighbour_is_asked_for_with_growing_waits() -> None:
    made = table()
    key, now, waits = (2, PEER.destination), 100.0, []
    assert made.probes(now) == [key]
    for _ in range(8):
        start = now
        while not made.probes(now):
            now += 0.25
        waits.append(now - start)
    assert waits[:3] == [RETRY_S, 2 * RETRY_S, 4 * RETRY_S] and waits[-1] == LONGEST_RETRY_S
    made.neighbour(*key, Neighbour(MAC, REACHABLE))
    assert not made.probes(now + 1000)


def test_stale_neighbour_is_asked_for_at_once_and_again() -> None:
    made = table()
    key = (2, PEER.destination)
    made.neighbour(*key, Neighbour(MAC, REACHABLE))
    assert not made.probes(5.0)
    made.neighbour(*key, Neighbour(MAC, STALE))
    assert made.probes(5.0) == [key] and not made.probes(5.0 + KEEP_ALIVE_S / 2)
    assert made.probes(5.0 + KEEP_ALIVE_S) == [key]
    for state in (PERMANENT, DELAY, PROBE):
        made.neighbour(*key, Neighbour(MAC, state))
        assert not made.probes(500.0)


def test_nothing_is_asked_on_a_dead_link_or_of_nobodys_neighbour() -> None:
    made = table(replace(WIRE, carrier=False))
    assert not made.probes(0.0)
    made.link(WIRE)
    made.neighbour(2, "192.0.2.200", Neighbour(MAC, STALE))
    assert made.probes(0.0) == [(2, PEER.destination)]
    made.forget(PEER)
    assert not made.probes(99.0) and not made.rows()


def test_many_destinations_behind_one_gateway_are_one_question() -> None:
    made = NextHopTable()
    made.link(WIRE)
    wants = [Want("access", f"198.51.100.{last}") for last in range(1, 101)]
    for want in wants:
        made.want(want)
        made.routed(want, Route(2, "192.0.2.1"))
    assert made.probes(0.0) == [(2, "192.0.2.1")]
    made.changes()
    made.neighbour(2, "192.0.2.1", Neighbour(MAC, REACHABLE))
    assert len(made.changes().rows) == 100 and all(row.usable for row in made.rows())


def test_changes_tell_each_difference_once() -> None:
    made = table()
    key = (2, PEER.destination)
    assert [row.state for row in made.changes().rows] == [State.RESOLVING] and not made.changes()
    made.neighbour(*key, Neighbour(MAC, REACHABLE))
    made.neighbour(*key, Neighbour(MAC, FAILED))
    made.neighbour(*key, Neighbour(MAC, REACHABLE))
    assert [row.destination_mac for row in made.changes().rows] == [MAC]
    made.neighbour(*key, Neighbour(MAC, FAILED))
    made.neighbour(*key, Neighbour(MAC, REACHABLE))  # back to what was told
    assert not made.changes()
    made.forget(PEER)
    assert made.changes().gone == (PEER,) and not made.changes()
    made.want(PEER)
    made.forget(PEER)  # nobody heard of it
    assert not made.changes()


def test_route_change_looks_everything_up_and_keeps_rows_until_then() -> None:
    made = table()
    made.neighbour(2, PEER.destination, Neighbour(MAC, REACHABLE))
    made.routing_changed()
    assert made.waiting == 1 and made.rows()[0].usable
    assert made.lookups(10) == [PEER]
    made.routed(PEER, Route(2, "192.0.2.1"))
    assert made.rows()[0].state is State.RESOLVING
    made.neighbour(2, PEER.destination, Neighbour(MAC, FAILED))  # no longer its business
    made.neighbour(2, "192.0.2.1", Neighbour(MAC, REACHABLE))
    assert made.rows()[0].usable


def test_a_changed_route_concerns_its_network_alone() -> None:
    made = NextHopTable()
    wants = [Want("a", name) for name in ("192.0.2.1", "192.0.2.200", "198.51.100.1", "2001:db8::1", "2001:db8:1::1")]
    for want in wants:
        made.want(want)
    assert made.lookups(99) == wants
    made.routing_changed(["192.0.2.128/25", "2001:db8::/48"])
    assert made.lookups(99) == [wants[1], wants[3]]
    made.routing_changed(["0.0.0.0/0"])
    assert made.lookups(99) == wants[:3]
    made.routing_changed([f"10.0.{number}.0/24" for number in range(200)])  # too many to tell apart
    assert made.lookups(99) == wants
    made.routing_changed()
    assert made.waiting == 5


def test_a_neighbour_that_turns_stale_is_no_change_to_a_sender() -> None:
    made = table()
    key = (2, PEER.destination)
    made.neighbour(*key, Neighbour(MAC, REACHABLE))
    assert made.changes().rows
    made.neighbour(*key, Neighbour(MAC, STALE))
    assert not made.changes() and made.rows()[0].state is State.STALE
    made.neighbour(*key, Neighbour("02:00:00:00:00:98", STALE))
    assert [row.destination_mac for row in made.changes().rows] == ["02:00:00:00:00:98"]
    made.neighbour(*key, Neighbour("", FAILED))
    assert [row.usable for row in made.changes().rows] == [False]


def test_without_probes_a_stale_neighbour_is_the_kernels() -> None:
    made = table()
    key = (2, PEER.destination)
    made.neighbour(*key, Neighbour(MAC, STALE))
    assert made.rows()[0].usable
    made.cannot_probe()
    assert not made.rows()[0].usable and "stale" in made.rows()[0].why
    made.neighbour(*key, Neighbour(MAC, REACHABLE))
    assert made.rows()[0].usable


def test_what_is_not_looked_up_yet_is_not_told() -> None:
    made = NextHopTable()
    made.want(PEER)
    assert not made.changes() and made.rows()[0].state is State.UNKNOWN


def test_lookups_come_in_portions() -> None:
    made = NextHopTable()
    for last in range(10):
        made.want(Want("access", f"192.0.2.{last}"))
    assert [len(made.lookups(4)) for _ in range(4)] == [4, 4, 2, 0]


def test_resynchronise_takes_the_whole_truth() -> None:
    made = table(WIRE, TAGGED)
    made.neighbour(2, PEER.destination, Neighbour(MAC, REACHABLE))
    made.resynchronise({2: replace(WIRE, mac="02:00:00:00:00:77")}, {})
    (row,) = made.rows()
    assert (row.source_mac, row.state) == ("02:00:00:00:00:77", State.RESOLVING)
    assert made.waiting == 1
    made.resynchronise({2: WIRE}, {(2, PEER.destination): Neighbour(MAC, STALE)})
    assert made.rows()[0].state is State.STALE
    made.resynchronise({}, {})
    assert made.rows()[0].state is State.NO_ROUTE


def test_answer_to_a_lookup_nobody_wants_any_more() -> None:
    made = table()
    made.forget(PEER)
    made.routed(PEER, Route(2))
    assert not made.rows() and not made.probes(0.0)
