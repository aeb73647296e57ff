"""Which of our sockets a request leaves by (rows J01, O23, P08): the pure choice, and the order of who says it."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from appliance.sip_edge.ksr.routing import RoutingTable, Trunk
from appliance.sip_edge.ksr.rules import sockets
from tests.appliance.sip_edge.fake_ksr import FakeKSR

OURS = ("udp:10.0.1.1:5060", "tcp:10.0.1.1:5060", "tls:10.0.1.1:5061", "tls:10.0.2.1:5061", "tls:10.0.2.1:5071",
        "tls:[fd00::1]:5061")  # fmt: skip


@pytest.mark.row("J01")
@pytest.mark.parametrize(
    ("preferred", "transport", "address", "wanted"),
    [
        ((), "tls", "10.0.2.1", OURS[3]),
        ((), "tls", "fd00::1", OURS[5]),
        ((), "tls", "10.0.9.1", ""),  # by an address that we do not listen on: as Kamailio likes
        ((), "tls", "", ""),
        ((OURS[4],), "tls", "10.0.1.1", OURS[4]),
        ((OURS[2], OURS[4]), "tls", "10.0.2.1", OURS[4]),
        ((OURS[0],), "tls", "10.0.2.1", OURS[3]),
        ((), "tcp", "10.0.1.1", ""),  # there is but one
        ((), "udp", "10.0.1.1", ""),
        ((), "wss", "10.0.1.1", ""),
    ],
)
def test_the_choice(preferred: tuple[str, ...], transport: str, address: str, wanted: str) -> None:
    assert sockets.chosen(OURS, preferred, transport, address) == wanted


@pytest.mark.parametrize(
    ("transport", "host", "port", "wanted"),
    [
        ("tls", "10.0.2.1", "5071", OURS[4]),
        ("tls", "10.0.2.1", "", OURS[3]),
        ("tls", "fd00::1", "5061", OURS[5]),
        ("tls", "10.0.9.1", "5061", ""),
        ("udp", "10.0.1.1", "5060", ""),
    ],
)
def test_the_one_that_a_route_names(transport: str, host: str, port: str, wanted: str) -> None:
    assert sockets.named(OURS, transport, host, port) == wanted


@pytest.fixture
def outgoing(ksr: FakeKSR, monkeypatch: pytest.MonkeyPatch) -> Any:
    module = importlib.import_module("appliance.sip_edge.ksr.outgoing")
    monkeypatch.setattr(module, "routed", lambda host: "10.0.2.1" if host == "10.0.2.9" else "")
    return module


@pytest.mark.row("O23", "P08")
def test_who_says_it(ksr: FakeKSR, outgoing: Any) -> None:
    table, hop = RoutingTable(sockets=OURS), "sip:10.0.2.9;transport=tls"
    for chosen, receiver, wanted in (
        ("", Trunk("a"), OURS[3]),
        ("", Trunk("a", sockets=(OURS[2],)), OURS[2]),
        ("", Trunk("a", sockets=(OURS[2],), listen=OURS[4]), OURS[4]),
        (OURS[5], Trunk("a", listen=OURS[4]), OURS[5]),
    ):
        ksr.variables["$fs"] = chosen
        outgoing.leaves(table, receiver, hop)
        assert ksr.variables["$fs"] == wanted
    ksr.variables.update({"$fs": "", "$route_uri": "sip:10.0.2.1:5071;transport=tls;lr"})
    outgoing.within(table, Trunk("a"), hop)
    assert ksr.variables["$fs"] == OURS[4]
