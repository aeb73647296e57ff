"""Who asks and what they may, in order, against a fake KSR (rows N01-N14, J07, J08, P10, P11)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from appliance.sip_edge.ksr import access, dialog, digest, tls_peer
from appliance.sip_edge.ksr.routing import RoutingTable, Trunk
from appliance.sip_edge.ksr.rules.access import STEP, AccessRules, Group
from appliance.sip_edge.ksr.rules.routes import Route
from tests.appliance.sip_edge.fake_ksr import FakeKSR

PHONES = Trunk("phones", ("10.0.0.0/8",), "registrar", authenticate="digest")
CARRIER = Trunk("carrier", ("192.0.2.0/24",), "sip:10.1.1.1", uri="sip:192.0.2.1")
CORE = Trunk("core", ("198.51.100.1/32",), "set:1", authenticate="certificate", peer_names=("core.example",))
CARRIERS, OFFICE = Group(1, "carriers", trunk="carrier", gateway=True), Group(2, "office", trusted=True)
OUTCASTS, UNTRUSTED = Group(3, "outcasts", deny=True), Group(4, "guests", trusted=False)
ON = AccessRules(address=True, trusted=True, groups=(CARRIERS, OFFICE, OUTCASTS, UNTRUSTED))
TABLE = RoutingTable((PHONES, CARRIER, CORE), access=ON)


class Kamailio:
    """Rows of `address` and `trusted` behind the fake's verbs."""

    def __init__(self, ksr: FakeKSR, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ksr, self.groups, self.trusted = ksr, {}, False  # type: ignore[var-annotated]
        self.tag = ""
        self.user: str | None = None
        self.blocks: dict[str, int] = {}
        ksr.answers["permissions.allow_address_group"] = lambda host, port: self.groups.get(host, -1)
        ksr.answers["permissions.allow_address"] = lambda g, host, port: 1 if self.groups.get(host) == g else -1
        ksr.answers["permissions.allow_trusted"] = self._trusted
        ksr.answers["group.is_user_in"] = -1
        ksr.route = lambda name: self.blocks.get(name, 1)  # type: ignore[attr-defined]
        self.challenged: list[str] = []
        self.patch = monkeypatch
        monkeypatch.setattr(digest, "authenticate", self._authenticate)

    def request(self, source: str, method: str = "INVITE", **variables: Any) -> None:
        self.ksr.variables.update({"$si": source, "$sp": 5060, "$rm": method, "$proto": "udp", "$rU": "100",
                                   "$ci": "id", "$fd": "a.example"})  # fmt: skip
        self.ksr.variables.update({f"${name}": value for name, value in variables.items()})

    def shows(self, *names: str) -> None:
        """A verified certificate with these names."""
        self.patch.setattr(tls_peer, "names", lambda: names)

    def _trusted(self) -> int:
        if self.trusted:
            self.ksr.variables["$avp(peer_tag)"] = self.tag
        return 1 if self.trusted else -1

    def _authenticate(self, table: RoutingTable, realm: str, *, own: str = "") -> str | None:
        self.challenged.append(realm)
        return self.user


@pytest.fixture
def kamailio(ksr: FakeKSR, monkeypatch: pytest.MonkeyPatch) -> Kamailio:
    return Kamailio(ksr, monkeypatch)


def name(trunk: Trunk | None) -> str:
    return trunk.name if trunk else ""


def test_off_by_default_no_table_is_asked(kamailio: Kamailio, ksr: FakeKSR) -> None:
    kamailio.request("192.0.2.1")
    table = RoutingTable((CARRIER,))
    assert access.identify(table) == CARRIER
    assert access.permits(table, CARRIER)
    assert access.target(table, CARRIER) == "sip:10.1.1.1"
    assert access.may_register(table)
    assert not [call for call in ksr.calls if call[0].startswith(("permissions", "group"))]


@pytest.mark.row("N02", "J08")
@pytest.mark.parametrize(
    ("group", "trusted", "asked"),
    [(-1, False, True), (2, False, False), (4, False, True), (-1, True, False), (4, True, False), (99, False, False)],
    ids=["stranger", "office", "guest", "trusted peer", "guest but trusted", "group without a meaning"],
)
def test_a_trusted_address_needs_no_password(kamailio: Kamailio, group: int, trusted: bool, asked: bool) -> None:
    kamailio.request("10.0.0.5")
    kamailio.groups["10.0.0.5"], kamailio.trusted, kamailio.user = group, trusted, "alice"
    assert name(access.identify(TABLE)) == "phones"
    assert kamailio.challenged == (["a.example"] if asked else [])


@pytest.mark.row("N14")
@pytest.mark.parametrize("source", ["10.0.0.5", "192.0.2.1"])
def test_without_ip_auth_everybody_gives_a_password(kamailio: Kamailio, source: str) -> None:
    kamailio.request(source)
    kamailio.groups[source], kamailio.trusted = 2, True
    assert access.identify(replace(TABLE, access=replace(ON, ip_auth=False))) is None
    assert kamailio.challenged == ["a.example"]


@pytest.mark.row("N03", "P10")
def test_a_groups_trunk(kamailio: Kamailio) -> None:
    kamailio.request("203.0.113.9")
    kamailio.groups["203.0.113.9"] = 1
    assert name(access.identify(TABLE)) == "carrier"
    assert access.gateway(TABLE)


@pytest.mark.row("N09", "N10")
def test_the_tag_of_a_trusted_peer_names_its_trunk_and_goes_with_the_call(kamailio: Kamailio, ksr: FakeKSR) -> None:
    kamailio.request("203.0.113.9")
    kamailio.trusted, kamailio.tag = True, "carrier"
    assert name(access.identify(TABLE)) == "carrier"
    assert ksr.variables["$dlg_var(peer_tag)"] == "carrier"
    assert '"tag": "carrier"' in ksr.log[-1]


@pytest.mark.row("N09")
@pytest.mark.parametrize(("default", "trunk"), [("", ""), ("core", "core")])
def test_a_trusted_peer_whose_tag_names_no_trunk(kamailio: Kamailio, ksr: FakeKSR, default: str, trunk: str) -> None:
    kamailio.request("203.0.113.9", proto="tls")
    kamailio.shows("core.example")
    kamailio.trusted, kamailio.tag = True, "something"
    assert name(access.identify(replace(TABLE, access=replace(ON, trusted_trunk=default)))) == trunk
    assert ksr.replies == ([] if trunk else [(403, "Forbidden")])


def test_nobodys_source_is_404(kamailio: Kamailio, ksr: FakeKSR) -> None:
    kamailio.request("203.0.113.9")
    assert access.identify(TABLE) is None
    assert ksr.replies == [(404, "Not Found")]
    assert ksr.called("htable.sht_inc") == [("rules", "no_trunk")]


@pytest.mark.row("N08")
def test_denied_group_comes_first(kamailio: Kamailio, ksr: FakeKSR) -> None:
    kamailio.request("192.0.2.1")  # though it is in a trunk's network
    kamailio.groups["192.0.2.1"] = 3
    assert access.identify(TABLE) is None
    assert ksr.replies == [(403, "Forbidden")]
    assert '"reason": "address_denied"' in ksr.log[-1]


@pytest.mark.row("N13")
def test_longest_prefix(kamailio: Kamailio) -> None:
    """The view's numbers: a group is only the one of the longest prefix."""
    table = replace(TABLE, access=replace(ON, longest=True))
    kamailio.request("203.0.113.9")
    kamailio.groups["203.0.113.9"] = 16 * STEP + 1
    assert name(access.identify(table)) == "carrier"
    kamailio.groups["203.0.113.9"] = 8 * STEP + 3
    assert access.identify(table) is None


@pytest.mark.row("J05")
@pytest.mark.parametrize(
    ("names", "trunk"), [(("Core.Example",), "core"), (("x.example", "core.example"), "core"), (("other.example",), ""),
                         ((), "")],
)  # fmt: skip
def test_certificate(kamailio: Kamailio, ksr: FakeKSR, names: tuple[str, ...], trunk: str) -> None:
    kamailio.request("198.51.100.1", proto="tls")
    kamailio.shows(*names)
    assert name(access.identify(TABLE)) == trunk
    assert ksr.replies == ([] if trunk else [(403, "Forbidden")])


@pytest.mark.row("N04", "N05", "N07")
@pytest.mark.parametrize(
    ("block", "rule"), [("perm_routing", "permissions_routing"), ("perm_uri", "permissions_uri"), ("", "")]
)
def test_permission_files(kamailio: Kamailio, ksr: FakeKSR, block: str, rule: str) -> None:
    rules = AccessRules(routing=True, uri=True, uri_check=("$rt",))
    kamailio.request("10.0.0.5", "REFER", rt="<sip:0900@x>")
    kamailio.blocks[block] = -1
    assert access.permits(RoutingTable(access=rules), PHONES) is (rule == "")
    assert ksr.replies == ([(403, "Forbidden")] if rule else [])
    assert ksr.called("htable.sht_inc") == ([("rules", rule)] if rule else [])
    if block != "perm_routing":
        assert ksr.variables[access.URI] == "sip:0900@x"


@pytest.mark.row("N07")
def test_without_a_refer_to_nothing_is_compared(kamailio: Kamailio) -> None:
    kamailio.request("10.0.0.5")
    kamailio.blocks["perm_uri"] = -1
    assert access.permits(RoutingTable(access=AccessRules(uri=True, uri_check=("$rt",))), PHONES)


ROUTES = (
    Route("pstn", prefix="00", group="pstn", strip=2, prepend="+", destination="trunk:carrier"),
    Route("barred", prefix="0900", deny=True),
    Route("plain", prefix="1", destination="set:2"),
)


@pytest.mark.row("J07")
@pytest.mark.parametrize(("user", "whose"), [("alice", "sip:alice@a.example"), ("", "sip:bob@b.example")])
def test_group_membership(kamailio: Kamailio, ksr: FakeKSR, user: str, whose: str) -> None:
    table = replace(TABLE, routes=ROUTES, access=replace(ON, members=True))
    kamailio.request("10.0.0.5", rU="004930", fu="sip:bob@b.example", **{"dlg_var(user)": user})
    assert access.target(table, PHONES) is None
    assert (ksr.replies, ksr.called("group.is_user_in")) == ([(403, "Forbidden")], [(whose, "pstn")])
    ksr.answers["group.is_user_in"] = 1
    assert access.target(table, PHONES) == "sip:192.0.2.1"
    assert ksr.variables["$rU"] == "+4930"


@pytest.mark.row("P11")
@pytest.mark.parametrize(("user", "where"), [("123", "set:2"), ("0900", None), ("200", "registrar")])
def test_routes(kamailio: Kamailio, user: str, where: str | None) -> None:
    kamailio.request("10.0.0.5", rU=user)
    assert access.target(replace(TABLE, routes=ROUTES[1:]), PHONES) == where


@pytest.mark.row("N06")
@pytest.mark.parametrize(
    ("contact", "status"),
    [
        ("<sip:bob@10.0.0.5:5070>", 0),
        ("<sip:bob@192.0.2.77>", 403),  # in a trunk's networks
        ("<sip:bob@192.000.2.077>", 403),
        ("<sip:bob@203.0.113.9>", 403),  # in a group that is a gateway
        ("<sip:bob@10.0.0.5>, <sip:x@203.0.113.9>", 403),
        ("*", 0),
        ("<tel:+49>", 400),
    ],
)
def test_no_contact_at_a_gateway(kamailio: Kamailio, ksr: FakeKSR, contact: str, status: int) -> None:
    kamailio.request("10.0.0.5", "REGISTER", **{"hdrc(Contact)": 1, "(hdr(Contact)[0])": contact})
    kamailio.groups["203.0.113.9"] = 1
    assert access.may_register(replace(TABLE, access=replace(ON, register_protect=True))) is (status == 0)
    assert [code for code, _ in ksr.replies] == ([status] if status else [])


@pytest.mark.row("N06")
@pytest.mark.parametrize(("port", "block"), [(False, "perm_register"), (True, "perm_register_uri")])
def test_registration_files(kamailio: Kamailio, ksr: FakeKSR, port: bool, block: str) -> None:
    table = RoutingTable(access=AccessRules(register_files=True, register_include_port=port))
    kamailio.request("10.0.0.5", "REGISTER", **{"hdrc(Contact)": 1, "(hdr(Contact)[0])": "<sip:bob@10.0.0.9:5090;x=y>"})
    assert access.may_register(table)
    assert ksr.variables.get(access.URI) == ("sip:bob@10.0.0.9:5090" if port else None)
    kamailio.blocks[block] = -1
    assert not access.may_register(table)
    assert ksr.replies == [(403, "Forbidden")]


@pytest.mark.row("N07")
@pytest.mark.parametrize("allowed", [True, False])
def test_a_transfer_inside_a_dialog(kamailio: Kamailio, ksr: FakeKSR, allowed: bool) -> None:
    kamailio.request("10.0.0.5", "REFER", rt="<sip:0900@x>")
    kamailio.blocks["perm_uri"] = 1 if allowed else -1
    dialog.within(RoutingTable(access=AccessRules(uri=True, uri_check=("$rt",))), "REFER")
    assert bool(ksr.called("tm.t_relay")) is allowed
    assert ksr.replies == ([] if allowed else [(403, "Forbidden")])
