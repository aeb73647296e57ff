"""Trunk look-ups and the JSON they travel in."""

from __future__ import annotations

import pytest

from appliance.sip_edge.ksr import routing
from appliance.sip_edge.ksr.routing import MediaPolicy, RoutingTable, Trunk

TABLE = RoutingTable(
    (
        Trunk("wide", ("10.0.0.0/8", "2001:db8::/32")),
        Trunk("narrow", ("10.1.0.0/16",), outbound=MediaPolicy("mandatory", ("X",)), flags=("SDES-pad",)),
        Trunk("again", ("10.1.0.0/16",)),
    ),
    ng=("127.0.0.1:2223",),
)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("10.1.2.3", "narrow"),
        ("10.2.0.1", "wide"),
        ("2001:db8::1", "wide"),
        ("[2001:db8::1]", "wide"),
        ("192.0.2.1", None),
        ("not an address", None),
    ],
)
def test_the_longest_network_wins_then_the_first(address: str, name: str | None) -> None:
    found = TABLE.by_source(address)
    assert (found.name if found else None) == name


@pytest.mark.parametrize(
    ("uri", "host"),
    [
        ("sip:10.1.0.2:5060", "10.1.0.2"),
        ("sip:user@10.1.0.2;transport=tcp", "10.1.0.2"),
        ("sips:[2001:db8::1]:5061", "2001:db8::1"),
        ("<sip:a@b.example>", "b.example"),
        ("tel:1234", ""),
        ("", ""),
    ],
)
def test_hosts_of_uris(uri: str, host: str) -> None:
    assert routing.host_of(uri) == host


@pytest.mark.parametrize(
    ("uri", "transport"),
    [("sip:a", "udp"), ("sips:a", "tls"), ("sip:a;transport=TCP", "tcp"), ("sip:a;lr;transport=tls", "tls")],
)
def test_transports_of_uris(uri: str, transport: str) -> None:
    assert routing.transport_of(uri) == transport


def test_the_table_survives_its_json() -> None:
    assert routing.load(routing.dump(TABLE)) == TABLE


ON_RED, ON_BLUE = "udp:10.0.0.1:5060", "udp:10.0.0.2:5060"
RED, BLUE, ANY = (
    Trunk("red", ("0.0.0.0/0",), sockets=(ON_RED,), realm="red.example"),
    Trunk("blue", ("0.0.0.0/0",), sockets=(ON_BLUE,), realm="blue.example"),
    Trunk("any", ("192.0.2.0/24",)),
)


@pytest.mark.row("P08")
@pytest.mark.parametrize(
    ("address", "socket", "name"),
    [
        ("198.51.100.1", ON_RED, "red"),
        ("198.51.100.1", ON_BLUE, "blue"),
        ("192.0.2.1", ON_BLUE, "any"),  # the longer network counts first
        ("198.51.100.1", "", "red"),  # whatever arrives where: the first one
        ("198.51.100.1", "udp:10.0.0.3:5060", None),
        ("no address", ON_RED, None),
    ],
)
def test_trunks_by_the_socket_that_a_request_arrives_on(address: str, socket: str, name: str | None) -> None:
    found = RoutingTable((RED, BLUE, ANY)).by_source(address, socket)
    assert (found.name if found else None) == name


def test_trunks_by_realm() -> None:
    table = RoutingTable((ANY, RED, BLUE))
    assert [table.by_realm(realm) for realm in ("red.example", "Blue.Example", "other", "")] == [RED, BLUE, None, None]


@pytest.mark.row("P11", "J01")
@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("sip:sbc.example.net", "udp"),
        ("sip:100@SBC.example.net.;transport=tls", "tls"),
        ("sip:100@sbc.example.net:5071;transport=tls", "udp"),  # another port: some trunk of that name, the first
        ("sip:other.example.net", None),
        ("sip:192.0.2.9;transport=tls", None),
        ("tel:100", None),
    ],
)
def test_trunks_by_the_name_that_a_request_goes_to(uri: str, name: str | None) -> None:
    table = RoutingTable((
        Trunk("none"), Trunk("udp", uri="sip:sbc.example.net"), Trunk("tls", uri="sip:sbc.example.net;transport=tls"),
    ))  # fmt: skip
    found = table.by_next_hop(uri)
    assert (found.name if found else None) == name
