"""The routing table of a running script, when its file is replaced (row P12)."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from appliance.sip_edge import reloading
from appliance.sip_edge.ksr.routing import RoutingTable
from tests.appliance.sip_edge.fake_ksr import FakeKSR

pytestmark = pytest.mark.row("P12")

ONE, OTHER = RoutingTable(user_agent="one"), RoutingTable(user_agent="other")


@pytest.fixture
def clock(ksr: FakeKSR, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def fresh(place: Path) -> Any:
    reloading.carry_out(ONE, place, "")
    table = importlib.import_module("appliance.sip_edge.ksr.fresh").FreshTable(place / "routing.json")
    assert table.now() == ONE
    return table


def test_within_a_second(tmp_path: Path, clock: list[float]) -> None:
    table = fresh(tmp_path)
    reloading.carry_out(OTHER, tmp_path, "")
    clock[0] += 0.5
    assert table.now() == ONE
    clock[0] += 0.6
    assert table.now() == OTHER
    kept = table.now()
    clock[0] += 5
    assert table.now() is kept  # nothing is read without need


@pytest.mark.parametrize("text", ["", "{", "[]", '{"trunks": 1}', None])
def test_no_table_at_all(tmp_path: Path, clock: list[float], ksr: FakeKSR, text: str | None) -> None:
    """Told once; the one before holds."""
    table = fresh(tmp_path)
    (tmp_path / "routing.json").unlink()
    if text is not None:
        (tmp_path / "routing.json").write_text(text)
    for _ in range(3):
        clock[0] += 2
        assert table.now() == ONE
    assert len([line for line in ksr.log if "table_unreadable" in line]) == (0 if text is None else 1)
