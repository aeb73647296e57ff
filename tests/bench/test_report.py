"""Verdicts, ratios and the forms of the report, on made-up measurements."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from tests.bench import gateway, latency, subjects
from tests.bench.figures import FIGURES
from tests.bench.report import show, verdicts, write
from tests.bench.results import Table, middle, over, spread
from tests.bench.rounds import Measured, Rounds, representative

BY_KEY = {figure.key: figure for figure in FIGURES}


@pytest.mark.parametrize(
    ("key", "value", "verdict"),
    [
        ("crypto_cm128", 30.0, "aim reached"), ("crypto_cm128", 26.0, "aim reached"),
        ("crypto_cm128", 12.0, "hold reached"), ("crypto_cm128", 11.9, "NOT REACHED"),
        ("cpu_xdp", 0.12, "aim reached"), ("cpu_xdp", 0.15, "hold reached"), ("cpu_xdp", 0.19, "NOT REACHED"),
        ("growth", 1.5, "hold reached"), ("growth", 1.51, "NOT REACHED"), ("growth", 1.0, "aim reached"),
        ("latency_ratio", 0.9, "hold reached"), ("latency_p99", 249.0, "aim reached"),
        ("latency_p99", 251.0, "aim not reached"), ("memory", 30.0, "hold reached"), ("memory", None, "not measured"),
    ],
)  # fmt: skip
def test_verdicts(key: str, value: float | None, verdict: str) -> None:
    assert BY_KEY[key].verdict(value) == verdict


def test_an_aim_is_never_easier_than_its_hold() -> None:
    for figure in FIGURES:
        if figure.aim is not None and figure.hold is not None:
            assert (figure.aim > figure.hold) == figure.more_is_better, figure.key


def test_medians_and_noise() -> None:
    assert middle([]) is None and middle([3.0, 1.0, 2.0]) == 2.0
    assert spread([]) is None and spread([90.0, 100.0, 120.0]) == pytest.approx(0.3)
    assert over(1.0, None) is None and over(1.0, 0.0) is None and over(6.0, 3.0) == 2.0


def rounds() -> Rounds:
    def one(name: str, rates: list[float], cpu: float, p99: float) -> Measured:
        return Measured("veth", "call", name, rates, [cpu] * len(rates), [p99 / 2], [p99], [2 * p99])

    broken = Measured("veth", "call", "xdp-generic", faults=["at 9/s: 3 lost"])
    limited = one("xdp", [350.0, 400.0, 380.0], 2.0, 9.0)
    limited.generator_limited = True
    return Rounds([one("rtpengine", [60.0, 64.0, 62.0], 13.0, 50.0), one("udp", [120.0, 130.0], 7.0, 60.0),
                   one("udp-wildcard", [160.0], 6.0, 40.0), limited, broken])  # fmt: skip


def test_gateway_table() -> None:
    """Ratios against rtpengine in the same place and scenario, the best of a family counts; a spoilt run is no rate."""
    table = gateway.table(rounds())
    assert table.figures == {
        "gateway_udp": pytest.approx(160 / 62), "cpu_udp": pytest.approx(6 / 13),
        "gateway_xdp": pytest.approx(380 / 62), "cpu_xdp": pytest.approx(2 / 13),
    }  # fmt: skip
    rows = {row[2]: row for row in table.rows}
    assert rows["rtpengine"][4] is None and rows["xdp"][3:6] == ("380", "6.13", "2")
    assert "generator-limited" in str(rows["xdp"][8]) and "NOT A RATE" in str(rows["xdp-generic"][8])
    assert rows["xdp-generic"][3] is None and table.faults == ["veth call xdp-generic: at 9/s: 3 lost"]


def test_loopback_has_figures_of_its_own() -> None:
    made = rounds()
    for one in rounds().measured[:2]:
        one.place, one.packets_per_s = "loopback", [2 * rate for rate in one.packets_per_s[:1]]
        made.measured.append(one)
    found = gateway.table(made).figures
    assert found["gateway_udp_loopback"] == pytest.approx(2.0) and found["gateway_udp"] == pytest.approx(160 / 62)
    assert found["cpu_udp_loopback"] == pytest.approx(7 / 13)


def test_latency_table() -> None:
    table = latency.table(rounds())
    assert table.figures == {"latency_p99": 9.0, "latency_ratio": pytest.approx(9 / 50)}
    assert table.rows[0][3:] == ("31", "25", "50", "100", None)


def test_without_a_reference_there_are_no_ratios() -> None:
    alone = Rounds(rounds().measured[1:])
    assert gateway.table(alone).figures == {} and latency.table(alone).figures == {"latency_p99": 9.0}
    assert gateway.table(Rounds()).rows == [] and latency.table(Rounds()).figures == {}


def test_report_says_what_is_reached(tmp_path: Path) -> None:
    tables = [gateway.table(rounds()), latency.table(rounds()), Table("empty", "nothing", ("a",))]
    told = {figure.key: words for figure, _, words in verdicts(tables)}
    assert told["gateway_xdp"] == "hold reached" and told["growth"] == "not measured"
    console = Console(width=200, record=True, quiet=False, file=(tmp_path / "screen").open("w"))
    show(tables, console)
    text = console.export_text()
    assert "NOT A RATE: veth call xdp-generic" in text and "6.13x" in text and "hold reached" in text
    document = json.loads(write(tables, {"kernel": "k"}, tmp_path / "out").read_text())
    assert document["figures"]["cpu_xdp"]["verdict"] == "hold reached"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"bench.json", "gateway.svg", "latency.svg"}


def test_a_representative_of_each_family() -> None:
    every = ["udp-sockets", "udp-wildcard", "xdp-native", "xdp-generic"]
    assert representative(every) == ["udp-wildcard", "xdp-native"]
    assert representative(["udp-sockets", "xdp-generic"]) == ["udp-sockets", "xdp-generic"]
    assert representative(["udp"]) == ["udp"] and representative([]) == []


def test_what_fell_back_is_told_and_counts_as_what_it_is() -> None:
    made = rounds()
    made.measured[3].runs = "udp, openssl (no right to XDP)"
    table = gateway.table(made)
    assert "gateway_xdp" not in table.figures and table.figures["gateway_udp"] == pytest.approx(380 / 62)
    assert "runs udp, openssl (no right to XDP)" in str(table.rows[3][8])


def test_port_back_ends_are_those_of_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = ("auto", "udp", "udp-sockets", "udp-wildcard", "xdp")
    choices = {"port": kinds, "xdp_mode": ("auto", "zerocopy", "native", "generic")}
    monkeypatch.setattr(subjects, "CHOICES", choices)
    assert subjects.port_kinds() == ["udp-sockets", "udp-wildcard", "xdp-native", "xdp-generic"]
    assert subjects._back_ends()["xdp-generic"] == {"port": "xdp", "xdp_mode": "generic"}
