"""Which WebSocket session a phone is reached in (rows I09, L01)."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from appliance.sip_edge.ksr.routing import RoutingTable
from appliance.sip_edge.ksr.rules.registrar import RegistrarRules
from tests.appliance.sip_edge.fake_ksr import FakeKSR

pytestmark = pytest.mark.row("I09", "L01")

TABLE = RoutingTable(registrar=RegistrarRules(enabled=True))
ALICE, CONTACT = "sip:alice@example.org", "sip:x@y.invalid;transport=ws"


class Page:
    """What Kamailio knows of it, and what the script makes of that."""

    def __init__(self, ksr: FakeKSR) -> None:
        self.ksr, self.table = ksr, dict[str, str]()
        self.sessions: Any = importlib.import_module("appliance.sip_edge.ksr.sessions")
        ksr.answers.update({
            "htable.sht_gete": lambda _, key: self.table.get(key, ""),
            "htable.sht_sets": lambda _, key, value: self.table.update({key: value}),
            "htable.sht_rm": lambda _, key: self.table.pop(key, None),
        })  # fmt: skip

    def at(self, host: str, port: str, binding: str = "") -> Page:
        self.ksr.variables.update({"$si": host, "$sp": port, "$xavp(rcd=>ruid)": binding})
        return self

    def registers(self, contact: str = CONTACT) -> None:
        self.sessions.remember(ALICE, contact, self.sessions.known(ALICE, contact))

    def called(self, next_hop: str) -> str:
        self.ksr.variables["$du"] = next_hop
        self.sessions.follows(TABLE)
        return str(self.ksr.variables["$du"])


@pytest.fixture
def page(ksr: FakeKSR) -> Page:
    return Page(ksr)


def test_a_dialog_follows_its_page(page: Page) -> None:
    """From network to network; what belongs to nobody's earlier session stays as it is."""
    for host, port in (("192.0.2.1", "1000"), ("192.0.2.2", "2000"), ("2001:db8::1", "3000")):
        page.at(host, port, "ruid").registers()
    for host in ("192.0.2.1:1000", "192.0.2.2:2000"):
        assert page.called(f"sip:{host};transport=ws") == "sip:[2001:db8::1]:3000;transport=ws"
    for host in ("[2001:db8::1]:3000", "192.0.2.9:1000"):
        assert page.called(f"sip:{host};transport=ws") == f"sip:{host};transport=ws"
    assert page.called("") == ""


def test_another_page_of_the_user_is_another_phone(page: Page) -> None:
    page.at("192.0.2.1", "1000", "one").registers()
    page.at("192.0.2.2", "2000", "two").registers("sip:other@z.invalid;transport=ws")
    assert page.called("sip:192.0.2.1:1000;transport=ws") == "sip:192.0.2.1:1000;transport=ws"


def test_an_address_and_port_that_somebody_else_has_now(page: Page) -> None:
    """Nothing that was another's: neither requests to it, nor those that went on from it."""
    page.at("192.0.2.1", "1000", "ruid").registers()
    page.at("192.0.2.2", "2000", "ruid").registers()
    page.at("192.0.2.1", "1000").sessions.opened(TABLE)
    assert page.called("sip:192.0.2.1:1000;transport=ws") == "sip:192.0.2.1:1000;transport=ws"


def test_back_and_forth_ends(page: Page) -> None:
    for port in ("1000", "2000", "1000", "2000", "1000"):
        page.at("192.0.2.1", port, "ruid").registers()
    assert page.called("sip:192.0.2.1:2000;transport=ws") == "sip:192.0.2.1:1000;transport=ws"
    assert page.called("sip:192.0.2.1:1000;transport=ws") == "sip:192.0.2.1:1000;transport=ws"


def test_the_end_of_a_session(page: Page) -> None:
    """Its binding goes, unless it is another session's by now."""
    page.at("192.0.2.1", "1000", "ruid").registers()
    page.at("192.0.2.2", "2000", "ruid").registers()
    page.at("192.0.2.1", "1000").sessions.ended(TABLE)
    assert page.ksr.called("registrar.unregister_ruid") == []
    page.at("192.0.2.2", "2000").sessions.ended(TABLE)
    assert page.ksr.called("registrar.unregister_ruid") == [("location", ALICE, "ruid")]
