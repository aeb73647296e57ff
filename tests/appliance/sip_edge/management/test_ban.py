"""M13: which networks may be banned."""

from __future__ import annotations

import ipaddress

import pytest

from appliance.errors import InvalidRequest
from appliance.sip_edge.management.ban import Protected, check, network

OURS = [ipaddress.ip_address(text) for text in ("192.0.2.1", "2001:db8::1", "127.0.0.1")]
TRUNKS = {"carrier": (ipaddress.ip_network("198.51.100.0/28"),), "core": (ipaddress.ip_network("2001:db8:1::/64"),)}


@pytest.mark.parametrize(
    ("text", "meant"),
    [("203.0.113.7", "203.0.113.7/32"), (" 203.0.113.0/24 ", "203.0.113.0/24"), ("2001:DB8::7", "2001:db8::7/128"),
     ("[2001:db8::7]", "2001:db8::7/128"), ("::ffff:203.0.113.7", "203.0.113.7/32"),
     ("::ffff:203.0.113.0/120", "203.0.113.0/24")],
)  # fmt: skip
def test_spellings(text: str, meant: str) -> None:
    assert str(network(text)) == meant


@pytest.mark.parametrize("text", ["", "example.org", "203.0.113.7/24", "203.0.113.7/33", "203.0.113", "fe80::1%eth0",
                                  "10.0.0.0/-1", "::/0/0", "203.0.113.7:5060"])  # fmt: skip
def test_no_network(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        network(text)
    assert caught.value.field == "network"


@pytest.mark.parametrize("text", ["192.0.2.1", "192.0.2.0/24", "0.0.0.0/0", "::/0", "2001:db8::/32", "127.0.0.0/8"])
@pytest.mark.parametrize("force", [False, True])
def test_never_our_own(text: str, force: bool) -> None:
    """Not even by force."""
    with pytest.raises(Protected, match="address of this gateway"):
        check(network(text), OURS, TRUNKS, force=force)


@pytest.mark.parametrize("text", ["198.51.100.3", "198.51.100.0/28", "198.51.100.0/24", "2001:db8:1::5"])
def test_a_trunk_only_by_force(text: str) -> None:
    with pytest.raises(Protected, match="of trunk"):
        check(network(text), OURS, TRUNKS, force=False)
    check(network(text), OURS, TRUNKS, force=True)


def test_anybody_else() -> None:
    for text in ("198.51.100.16", "203.0.113.0/24", "2001:db8:2::/48", "127.0.0.5"):
        check(network(text), OURS, TRUNKS, force=False)
