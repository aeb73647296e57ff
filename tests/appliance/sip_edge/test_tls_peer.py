"""Names in certificates, and what is done about peers that have the wrong ones (J01, J05; RFC 5922)."""

from __future__ import annotations

import functools
import tempfile
import urllib.parse
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from appliance.sip_edge.ksr.routing import RoutingTable, Trunk
from appliance.sip_edge.ksr.rules.tls_peer import TlsPeer, TlsRules, matches, names_in, names_of_der
from tests.appliance.sip_edge.certificates import Authority
from tests.appliance.sip_edge.fake_ksr import FakeKSR

PEER = TlsPeer("carrier", "sbc.example.net", ("sbc.example.net",))
TABLE = RoutingTable((Trunk("carrier", ("192.0.2.0/24",)),), tls=TlsRules((PEER,)))
NAMES = ["one.example", "two.example", "192.0.2.7", "2001:db8::7", "sip:one.example", "sip:alice@one.example"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def shown(authority: Authority, name: str, names: list[str]) -> str:
    """A certificate as $tls_peer_urlencoded_cert has it."""
    return urllib.parse.quote(authority.issue(name, names).chain.read_text())


def test_all_names_of_a_certificate(authority: Authority) -> None:
    """RFC 5922 section 7.1: every subject alternative name, in any number; the common name only without them."""
    assert names_in(shown(authority, "ignored", NAMES)) == tuple(NAMES)
    assert names_in(shown(authority, "common.example", [])) == ("common.example",)
    assert names_in(shown(authority, "Müller", [])) == ("Müller",)
    assert names_in("") == names_in("no certificate") == ()


@given(st.binary(max_size=80), st.integers(0, 400), st.integers(1, 60))
def test_damaged_certificates_raise_nothing_else(damage: bytes, at: int, length: int) -> None:
    """What peers show is theirs: ValueError or IndexError, whatever it is."""
    good = _good()
    for octets in (damage, good[:at] + damage + good[at + length :]):
        try:
            names_of_der(octets)
        except (ValueError, IndexError):
            continue


@functools.cache
def _good() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return Authority(Path(folder)).issue("x", NAMES).certificate.public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    ("wanted", "presented", "good"),
    [
        ("sbc.example.net", "SBC.example.NET", True),
        ("sbc.example.net", "sip:sbc.example.net", True),
        ("sbc.example.net", "sips:sbc.example.net;transport=tls", True),
        ("sbc.example.net", "sip:user@sbc.example.net", False),  # RFC 5922 section 7.1: a user's
        ("sbc.example.net", "*.example.net", False),  # section 7.2
        ("2001:DB8::7", "2001:db8:0::7", True),
        ("192.0.2.1", "192.0.2.10", False),
        ("sbc.example.net", "sbc.example.net.evil.example", False),
    ],
)
def test_which_name_proves_which(wanted: str, presented: str, good: bool) -> None:
    """J01: RFC 5922 section 7.2."""
    assert matches((wanted,), ("other.example", presented)) == good


def test_no_wish_is_always_met() -> None:
    assert matches((), ()) and not matches(("a.example",), ())


def test_a_new_connection_gets_its_domain_and_name(ksr: FakeKSR) -> None:
    """J01: client certificate and SNI of the trunk, for every request that leaves (also BYE and ACK)."""
    from appliance.sip_edge.ksr import tls_peer

    ksr.variables |= {"$sndto(proto)": 3, "$sndto(ip)": "192.0.2.1"}
    tls_peer.sends(TABLE)
    assert ksr.variables["$xavp(tls=>server_id)"] == "carrier"
    assert ksr.variables["$xavp(tls[0]=>server_name)"] == "sbc.example.net"


@pytest.mark.parametrize(("proto", "address"), [(1, "192.0.2.1"), (3, "198.51.100.1")])
def test_others_are_left_alone(ksr: FakeKSR, proto: int, address: str) -> None:
    from appliance.sip_edge.ksr import tls_peer

    ksr.variables |= {"$sndto(proto)": proto, "$sndto(ip)": address}
    tls_peer.sends(TABLE)
    assert not [name for name in ksr.variables if name.startswith("$xavp")]


def arrives(ksr: FakeKSR, certificate: str, verified: int = 1) -> None:
    ksr.variables |= {"$proto": "tls", "$si": "192.0.2.1", "$sp": 5061, "$conid": 7, "$ci": "one", "$rm": "INVITE"}
    ksr.variables["$tls_peer_urlencoded_cert"] = certificate
    ksr.answers["tls.is_peer_verified"] = verified


def test_a_reply_of_the_right_peer_is_taken(ksr: FakeKSR, authority: Authority) -> None:
    """J01."""
    from appliance.sip_edge.ksr import tls_peer

    arrives(ksr, shown(authority, "x", ["sbc.example.net"]))
    assert tls_peer.takes(TABLE)
    assert tls_peer.names() == ("sbc.example.net",)


@pytest.mark.parametrize(("names", "verified"), [(["other.example"], 1), (["sbc.example.net"], -1)])
def test_a_reply_of_another_peer_is_not(ksr: FakeKSR, authority: Authority, names: list[str], verified: int) -> None:
    """J01, RFC 5922 section 7.3: dropped, counted, told, connection closed, and nothing more is sent there."""
    from appliance.sip_edge.ksr import tls_peer

    arrives(ksr, shown(authority, "x", names), verified)
    assert not tls_peer.takes(TABLE)
    assert ksr.called("htable.sht_inc") == [("rules", "tls_peer_name")]
    assert ksr.called("tcpops.tcp_close_connection_id") == [(7,)]
    assert '"trunk": "carrier"' in ksr.log[-1]
    assert ksr.called("htable.sht_seti")[-1] == ("tlsstrangers", "192.0.2.1:5061", 1)
    ksr.variables |= {"$nh(d)": "192.0.2.1", "$nh(p)": 5061}
    ksr.answers["htable.sht_get"] = 1
    assert not tls_peer.may_go(TABLE)
    ksr.answers["htable.sht_get"] = None
    assert tls_peer.may_go(TABLE)


def test_nobody_is_named_without_tls(ksr: FakeKSR) -> None:
    """J05: access by certificate is given no name over UDP."""
    from appliance.sip_edge.ksr import tls_peer

    ksr.variables["$proto"] = "udp"
    assert tls_peer.names() == ()
    assert not ksr.called("tls.is_peer_verified")
