"""Rows of address, trusted and grp: what gets in, what does not, and why (rows N08-N10, N13)."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.sip_edge.tables import access_rows
from appliance.sip_edge.tables.access_rows import Address, address, address_file, member, overlaps, subnets, trusted


@pytest.mark.row("N08")
@pytest.mark.parametrize(
    ("values", "row"),
    [
        ({"ip_addr": "10.0.0.0/8"}, Address(1, "10.0.0.0", 8)),
        ({"grp": "3", "ip_addr": "10.0.0.0", "mask": "8", "port": 5, "tag": "a"}, Address(3, "10.0.0.0", 8, 5, "a")),
        ({"ip_addr": "10.0.0.1", "mask": 0}, Address(1, "10.0.0.1", 32)),  # as Kamailio: a single address
        ({"ip_addr": "10.0.0.1", "mask": None}, Address(1, "10.0.0.1", 32)),
        ({"ip_addr": "2001:DB8:0::/32"}, Address(1, "2001:db8::", 32)),
        ({"ip_addr": "[2001:db8::1]"}, Address(1, "2001:db8::1", 128)),
        ({"ip_addr": "gw.example.com"}, Address(1, "gw.example.com", 32)),
    ],
)
def test_taken(values: dict[str, Any], row: Address) -> None:
    assert address(values) == row


@pytest.mark.row("N08")
@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"ip_addr": "10.0.0.1/8"}, "bits behind the prefix"),
        ({"ip_addr": "0.0.0.0/0"}, "two halves"),
        ({"ip_addr": "10.0.0.0/33"}, "prefix length"),
        ({"ip_addr": "10.0.0.0", "mask": 64}, "at most 32"),
        ({"ip_addr": "10.0.0.256"}, "no address"),
        ({"ip_addr": "10.0.0"}, "no address"),
        ({"ip_addr": ""}, "no address"),
        ({"ip_addr": "-bad-"}, "no address"),
        ({"ip_addr": "host/8"}, "no address"),
        ({"ip_addr": "10.0.0.1", "grp": 0}, "grp 0"),
        ({"ip_addr": "10.0.0.1", "grp": "x"}, "no number"),
        ({"ip_addr": "10.0.0.1", "port": 65536}, "port 65536"),
        ({"ip_addr": "10.0.0.1", "tag": "x" * 65}, "tag is longer"),
        ({"ip_addr": "10.0.0.1", "tag": "a\nb"}, "control"),
    ],
)
def test_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        address(values)


def test_an_import_cuts_bits_behind_the_prefix_as_kamailio_does_when_it_compares() -> None:
    assert address({"ip_addr": "10.0.0.77", "mask": 24}, lenient=True) == Address(1, "10.0.0.0", 24)
    assert address({"ip_addr": "2001:db8::1", "mask": 32}, lenient=True) == Address(1, "2001:db8::", 32)


@pytest.mark.row("N09")
@pytest.mark.parametrize("proto", ["any", "udp", "tcp", "tls", "ws", "wss", "sctp", "none", "UDP"])
def test_transports(proto: str) -> None:
    assert trusted({"src_ip": "192.0.2.1", "proto": proto}).proto == proto.lower()


@pytest.mark.row("N09")
@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"src_ip": "192.0.2.1", "proto": "dccp"}, "proto"),
        ({"src_ip": "10.0.0.0/8", "proto": "any"}, "networks belong into"),
        ({"src_ip": "host.example", "proto": "any"}, "no address"),
        ({"src_ip": "192.0.2.1", "proto": "any", "from_pattern": "("}, "from_pattern"),
        ({"src_ip": "192.0.2.1", "proto": "any", "ruri_pattern": "x" * 65}, "ruri_pattern is longer"),
    ],
)
def test_untrusted_rows(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        trusted(values)


def test_one_spelling_of_a_trusted_source() -> None:
    """README 4.11: the source is compared as text."""
    assert trusted({"src_ip": "2001:DB8::0001", "proto": "any"}).src_ip == "2001:db8::1"


@pytest.mark.row("J07")
def test_members() -> None:
    assert str(member({"username": "alice", "domain": "a.example", "grp": "pstn"})) == "alice@a.example in pstn"
    with pytest.raises(ValueError, match="grp is empty"):
        member({"username": "alice", "grp": " "})


@pytest.mark.row("N13")
def test_overlaps_between_groups_are_told() -> None:
    wide, narrow = Address(1, "10.0.0.0", 8), Address(2, "10.1.0.0", 16)
    assert overlaps([narrow, wide]) == ["group 2 10.1.0.0/16 lies in group 1 10.0.0.0/8"]
    assert overlaps([wide, Address(1, "10.1.0.0", 16)]) == []  # one group
    assert overlaps([wide, Address(2, "11.0.0.0", 8)]) == []
    assert overlaps([Address(1, "10.0.0.0", 8, 5060), Address(2, "10.1.0.0", 16, 5070)]) == []  # never both


def test_only_networks_count_for_max_subnets() -> None:
    assert subnets([Address(1, "10.0.0.0", 8), Address(1, "10.0.0.1", 32), Address(1, "host", 32)]) == 1


@pytest.mark.row("N10")
def test_address_file() -> None:
    """The sample of README section 6."""
    text = "# comment\n1 127.0.0.1 32 0 tag1\n1 10.0.0.10 # rest\n\n2 192.168.1.0 24 0 tag2\n3 [1:5ee::900d:c0de]\n"
    assert [row for _, row in address_file(text)] == [
        Address(1, "127.0.0.1", 32, 0, "tag1"), Address(1, "10.0.0.10", 32), Address(2, "192.168.1.0", 24, 0, "tag2"),
        Address(3, "1:5ee::900d:c0de", 128),
    ]  # fmt: skip
    with pytest.raises(ValueError, match="line 2"):
        list(address_file("1 10.0.0.1\n1\n"))


@given(st.ip_addresses(), st.integers(1, 128))
def test_networks_come_back(host: ipaddress.IPv4Address | ipaddress.IPv6Address, prefix: int) -> None:
    network = ipaddress.ip_network((host, min(prefix, host.max_prefixlen)), strict=False)
    assert address({"ip_addr": str(network)}).network == network


@given(st.dictionaries(st.sampled_from(["grp", "ip_addr", "mask", "port", "tag", "src_ip", "proto"]),
                       st.one_of(st.none(), st.integers(), st.text(max_size=20))))  # fmt: skip
def test_whatever_is_given_is_a_row_or_a_reason(values: dict[str, Any]) -> None:
    for read in access_rows.READERS.values():
        try:
            assert read(values).key
        except ValueError as error:
            assert str(error)
