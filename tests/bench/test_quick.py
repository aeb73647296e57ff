"""The bench runs from end to end: both gateways, every table, JSON and plots; no thresholds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench.__main__ import main
from tests.bench.plan import TABLES
from tests.bench.subjects import RTPENGINE, port_kinds


@pytest.mark.system
@pytest.mark.slow
def test_quick_bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--quick", "--results", str(tmp_path)]) == 0
    document = json.loads((tmp_path / "bench.json").read_text())
    tables = {table["name"]: table for table in document["tables"]}
    assert tuple(tables) == TABLES
    assert all(table["rows"] and not table["faults"] for table in tables.values())
    measured = tables["gateway"]["raw"]["rounds"]
    subjects = {*(["rtpengine"] if RTPENGINE else []), *port_kinds()}
    assert {one["subject"] for one in measured} == subjects
    assert {one["place"] for one in measured} == {"veth", "loopback"}
    for one in measured:
        for name in ("packets_per_s", "cpu_ns", "p50_us", "p99_us", "p999_us"):
            assert len(one[name]) == 1 and one[name][0] > 0, (one["subject"], name)
    assert all(min(ns) > 0 for row in tables["crypto"]["raw"]["rounds"] for pairs in row["ns"].values() for ns in pairs)
    assert all(cost > 0 for costs in tables["growth"]["raw"].values() for cost in costs)
    assert tables["memory"]["figures"]["memory"] > 0
    keyed = tables["handshakes"]["raw"]
    assert ({"rtpengine"} if RTPENGINE else set()) < set(keyed)
    assert all(len(values) == 1 and values[0] > 0 for one in keyed.values() for values in one.values())
    for name in TABLES:
        assert (tmp_path / f"{name}.svg").read_text().startswith("<?xml")
    assert "packets/s" in capsys.readouterr().out
