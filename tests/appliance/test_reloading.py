"""SIGHUP of the control process (row P12)."""

from __future__ import annotations

import pytest

from appliance import reloading
from appliance.config.schema import Settings

pytestmark = pytest.mark.row("P12")


def test_by_whom_and_when() -> None:
    new = Settings(
        media={"calls": 77, "admit_below": 0.5}, ng={"allow": ["192.0.2.0/24"]}, security={"vbr": "allow"},
        sip={"workers": 9}, sip_websocket={"max_sessions": 7}, trunks=[{"name": "x"}],
    )  # fmt: skip
    plan = reloading.plan(Settings(), new)
    assert plan.at_once == ("ng.allow",)
    assert plan.next_call == ("media.admit_below", "security.vbr")
    assert plan.restart == ("media.calls",)
    assert set(plan.sip_edge) == {"sip.workers", "sip_websocket.max_sessions", "trunks"}
    assert (plan.settings.media.calls, plan.settings.media.admit_below) == (Settings().media.calls, 0.5)
    assert plan.settings.trunks == new.trunks and plan.settings.sip == Settings().sip


def test_nothing() -> None:
    assert reloading.plan(Settings(), Settings()) == reloading.Plan(Settings())
