"""INFO with candidates at the routing script (G21, RFC 8840): for the gateway, never for the other side."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from appliance.config.schema import Settings
from appliance.sip_edge import from_settings, render
from appliance.sip_edge.ksr.routing import RoutingTable
from appliance.sip_edge.ksr.rules.trickle import FRAGMENT, TO_GATEWAY
from tests.appliance.sip_edge.fake_ksr import FakeKSR
from tests.appliance.sip_edge.test_script import CORE, PHONES, arrive

BODY = "a=ice-ufrag:8hhY\r\na=end-of-candidates\r\n"


@pytest.fixture
def edge(ksr: FakeKSR) -> Any:
    return importlib.import_module("appliance.sip_edge.ksr.script").Kamailio(RoutingTable((PHONES, CORE)))


def info(ksr: FakeKSR, *, kind: str = FRAGMENT, taken: bool = True, in_dialog: bool = True) -> list[str]:
    """Names of the native blocks that it went through."""
    arrive(ksr, "INFO", sdp=BODY, in_dialog=in_dialog)
    ksr.answers["textops.has_body_type"] = -1
    ksr.variables["$cT"] = f"{kind.upper()};charset=utf-8"
    blocks: list[str] = []

    def route(name: str) -> int:
        blocks.append(name)
        return 1 if taken else -1

    ksr.route = route  # type: ignore[attr-defined]
    return blocks


@pytest.mark.row("G21")
@pytest.mark.parametrize(("taken", "status"), [(True, 200), (False, 488)])
def test_candidates_end_at_the_gateway(ksr: FakeKSR, edge: Any, taken: bool, status: int) -> None:
    blocks = info(ksr, taken=taken)
    edge.ksr_request_route(None)
    assert blocks == [TO_GATEWAY]
    assert ksr.replies[-1][0] == status
    assert not ksr.called("tm.t_relay")


def test_any_other_info_is_relayed(ksr: FakeKSR, edge: Any) -> None:
    blocks = info(ksr, kind="application/dtmf-relay")
    edge.ksr_request_route(None)
    assert TO_GATEWAY not in blocks and len(ksr.called("tm.t_relay")) == 1


@pytest.mark.row("G21")
def test_candidates_outside_a_call_are_refused(ksr: FakeKSR, edge: Any) -> None:
    blocks = info(ksr, in_dialog=False)
    edge.ksr_request_route(None)
    assert ksr.replies[-1][0] == 415 and TO_GATEWAY not in blocks
    assert not ksr.called("tm.t_relay")


def test_the_block_is_in_the_configuration(tmp_path: Path) -> None:
    """KEMI of Kamailio 5.6 has no rtpengine_info."""
    settings = Settings.model_validate({"interfaces": [{"name": "default", "address": "127.0.0.1"}]})
    text = render.kamailio_cfg(from_settings.edge_config(settings, tmp_path))
    assert f'route[{TO_GATEWAY}] {{\n\tif (!rtpengine_info("fragment")) return -1;\n\treturn 1;\n}}' in text
