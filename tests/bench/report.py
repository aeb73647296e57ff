"""Figures as a table on the screen, as JSON and as a plot in bench-results/."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench.measure import Figures

Row = tuple[str, Callable[[Figures], float], str]


def middle(values: list[float]) -> float:
    return statistics.median(values) if values else 0.0


ROWS: tuple[Row, ...] = (
    ("packets/s with < 0.1 % loss", lambda f: middle(f.packets_per_s), ",.0f"),
    ("CPU ns per packet at that rate", lambda f: middle(f.cpu_ns_per_packet), ",.0f"),
    ("packets/s that this CPU time allows", lambda f: 1e9 / middle(f.cpu_ns_per_packet or [float("inf")]), ",.0f"),
    ("latency p50 us near half of it", lambda f: middle(f.p50_us), ",.0f"),
    ("latency p99 us near half of it", lambda f: middle(f.p99_us), ",.0f"),
    ("calls set up and deleted per s", lambda f: middle(f.set_ups_per_s), ",.0f"),
    ("process memory per call, octets", lambda f: f.resident_octets_per_call, ",.0f"),
    ("arena per call, octets", lambda f: f.arena_octets_per_call, ",.0f"),
)


def show(figures: list[Figures], crypto: dict[str, dict[str, float]], title: str) -> None:
    console = Console()
    table = Table(title=title)
    table.add_column("medians of the rounds")
    for one in figures:
        table.add_column(one.name, justify="right")
    table.add_column("ratio", justify="right")
    for name, value, form in ROWS:
        values = [value(one) for one in figures]
        cells = [format(number, form) if number else "-" for number in values]
        table.add_row(name, *cells, _ratio(values))
    console.print(table)
    for one in figures:
        for fault in one.faults:
            console.print(f"{one.name}: NOT A RATE: {fault}", style="bold red")
        if one.dead_after_overload:
            console.print(f"{one.name}: streams stayed dead after {one.dead_after_overload} overloads; calls made anew")
        if one.generator_limited:
            console.print(f"{one.name}: the load generator was the limit; nothing was lost there", style="yellow")
    table = Table(title="crypto, ns per packet of 160 octets")
    for heading in ("", "engine protect", "unprotect", "libsrtp protect", "unprotect", "ratio"):
        table.add_column(heading, justify="right")
    for name, row in crypto.items():
        numbers = [row.get(f"{who} {what}", 0.0) for who in ("engine", "libsrtp") for what in ("protect", "unprotect")]
        cells = [f"{number:,.0f}" if number else "-" for number in numbers]
        table.add_row(name, *cells, _ratio([numbers[0], numbers[2]], invert=True))
    console.print(table)


def _ratio(values: list[float], *, invert: bool = False) -> str:
    """Ours (first) over the other; inverted: how many times cheaper ours is."""
    if len(values) < 2 or not all(values[:2]):
        return "-"
    return f"{values[1] / values[0] if invert else values[0] / values[1]:.2f}"


def write(figures: list[Figures], crypto: dict[str, dict[str, float]], facts: dict[str, Any], folder: Path) -> Path:
    """bench.json and bench.svg; the path of the former."""
    folder.mkdir(exist_ok=True)
    path = folder / "bench.json"
    document = {**facts, "subjects": [dataclasses.asdict(one) for one in figures], "crypto_ns": crypto}
    path.write_text(json.dumps(document, indent=2) + "\n")
    _plot(figures, folder / "bench.svg")
    return path


def _plot(figures: list[Figures], path: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    canvas, axes = pyplot.subplots(1, len(ROWS), figsize=(3 * len(ROWS), 3.5))
    for axis, (name, value, form) in zip(axes, ROWS, strict=True):
        bars = axis.bar([one.name for one in figures], [value(one) for one in figures], color=["#1b6ca8", "#b0b0b0"])
        axis.bar_label(bars, labels=[format(value(one), form) for one in figures])
        axis.set_title(name, fontsize=8)
    canvas.tight_layout()
    canvas.savefig(path)
    pyplot.close(canvas)
