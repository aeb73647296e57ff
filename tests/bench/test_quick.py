"""The bench runs from end to end: both gateways, every figure, table, JSON and plot; no thresholds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench.__main__ import main
from tests.bench.subjects import RTPENGINE


@pytest.mark.system
def test_quick_bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--quick", "--base-port", "27000", "--results", str(tmp_path)]) == 0
    document = json.loads((tmp_path / "bench.json").read_text())
    assert [one["name"] for one in document["subjects"]] == ["srtpgw", *(["rtpengine"] if RTPENGINE else [])]
    for one in document["subjects"]:
        assert not one["faults"]
        for name in ("packets_per_s", "cpu_ns_per_packet", "p50_us", "p99_us", "set_ups_per_s"):
            assert len(one[name]) == 1 and one[name][0] > 0, name
    assert all(row["engine protect"] > 0 for row in document["crypto_ns"].values())
    assert (tmp_path / "bench.svg").read_text().startswith("<?xml")
    assert "packets/s" in capsys.readouterr().out
