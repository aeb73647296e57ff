"""The order in which the subjects see a request, and that each may end it: the script against a fake Kamailio."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest

from appliance.sip_edge.ksr.routing import RoutingTable, Trunk
from tests.appliance.sip_edge.fake_ksr import FakeKSR
from tests.appliance.sip_edge.test_script import PLAIN, TABLE, arrive

BEFORE = ["flood.check", "guard.admits", "limits.admits", "nat.request"]
CALL = ["access.identify", "access.permits", "access.target"]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch, ksr: FakeKSR) -> list[str]:
    """Names of the hooks in the order of their calls; each one does what it does."""
    names: list[str] = []

    def watch(name: str) -> None:
        module_name, function = name.split(".")
        module = importlib.import_module(f"appliance.sip_edge.ksr.{module_name}")
        real: Callable[..., Any] = getattr(module, function)

        def watched(*words: Any) -> Any:
            names.append(name)
            return real(*words)

        monkeypatch.setattr(module, function, watched)

    for name in (*BEFORE, *CALL, "registrar.register", "registrar.lookup", "balance.select", "balance.next"):
        watch(name)
    return names


def edge(table: RoutingTable = TABLE) -> Any:
    return importlib.import_module("appliance.sip_edge.ksr.script").Kamailio(table)


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "SUBSCRIBE", "REFER", "NOTIFY", "INFO"])
def test_a_request_passes_every_door_in_order(ksr: FakeKSR, seen: list[str], method: str) -> None:
    """K10, I07: nothing is relayed before bans, sanity, limits and permissions have seen it."""
    arrive(ksr, method, sdp=PLAIN if method == "INVITE" else "")
    edge().ksr_request_route(None)
    assert seen == BEFORE + CALL
    assert len(ksr.called("tm.t_relay")) == 1


def test_a_register_passes_the_same_doors(ksr: FakeKSR, seen: list[str]) -> None:
    arrive(ksr, "REGISTER")
    edge().ksr_request_route(None)
    assert seen == [*BEFORE, "registrar.register"]
    assert not ksr.called("tm.t_relay")


@pytest.mark.parametrize("door", ["flood.check", "guard.admits", "limits.admits", "access.identify", "access.permits"])
def test_each_door_may_be_shut(ksr: FakeKSR, seen: list[str], monkeypatch: pytest.MonkeyPatch, door: str) -> None:
    """K10: who is stopped at a door is seen by none behind it."""
    module, function = door.split(".")
    shut = None if function == "identify" else False
    monkeypatch.setattr(
        importlib.import_module(f"appliance.sip_edge.ksr.{module}"), function, lambda *_: seen.append(door) or shut
    )
    arrive(ksr, "INVITE", sdp=PLAIN)
    edge().ksr_request_route(None)
    assert seen == [*BEFORE, *CALL][: [*BEFORE, *CALL].index(door) + 1]
    assert not ksr.called("tm.t_relay") and not ksr.called("rtpengine.rtpengine_offer")


def test_a_call_to_the_registrar_is_looked_up(ksr: FakeKSR, seen: list[str]) -> None:
    arrive(ksr, "INVITE", sdp=PLAIN)
    edge(RoutingTable((Trunk("phones", ("10.1.0.0/16",), "registrar"),))).ksr_request_route(None)
    assert seen == [*BEFORE, *CALL, "registrar.lookup"]


@pytest.mark.parametrize("method", ["BYE", "UPDATE", "PRACK"])
def test_what_needs_a_dialog_is_nothing_without_one(ksr: FakeKSR, method: str) -> None:
    """I07; RFC 3261 section 15.1.2."""
    arrive(ksr, method)
    edge().ksr_request_route(None)
    assert ksr.replies[-1][0] == 481


def test_sdp_outside_a_call_goes_nowhere(ksr: FakeKSR) -> None:
    """It would name addresses that the gateway has not read."""
    arrive(ksr, "MESSAGE", sdp=PLAIN)
    edge().ksr_request_route(None)
    assert ksr.replies[-1][0] == 415
    assert not ksr.called("tm.t_relay")
