"""Tables on the screen with verdicts, everything as JSON, one plot per table as SVG."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as Grid

from tests.bench.figures import FIGURES, Figure
from tests.bench.results import Chart, Table

WORDS = {"aim reached": "bold green", "hold reached": "green", "NOT REACHED": "bold red", "aim not reached": "yellow"}


def show(tables: Sequence[Table], console: Console | None = None, *, judge: bool = True) -> None:
    """judge: say what of FIGURES is reached; a quick run cannot know."""
    console = console or Console(width=max(Console().width, 200))
    for table in tables:
        grid = Grid(title=f"{table.name}: {table.title}")
        for heading in table.columns:
            grid.add_column(heading, no_wrap=heading != "remarks")
        for row in table.rows:
            grid.add_row(*["-" if cell is None else str(cell) for cell in row])
        console.print(grid)
        for note in table.notes:
            console.print(f"{table.name}: {note}", markup=False)
        for fault in table.faults:
            console.print(f"{table.name}: NOT A RATE: {fault}", style="bold red", markup=False)
    if judge:
        console.print(_verdicts(tables))


def verdicts(tables: Sequence[Table]) -> list[tuple[Figure, float | None, str]]:
    """Every figure with what was measured and what that means."""
    values = {key: value for table in tables for key, value in table.figures.items()}
    return [(figure, values.get(figure.key), figure.verdict(values.get(figure.key))) for figure in FIGURES]


def _verdicts(tables: Sequence[Table]) -> Grid:
    grid = Grid(title="what is to be reached (FIGURES section 3)")
    for heading in ("figure", "measured", "hold", "aim", "verdict"):
        grid.add_column(heading)
    for figure, value, words in verdicts(tables):
        cells = [_quantity(number, figure.unit) for number in (value, figure.hold, figure.aim)]
        grid.add_row(figure.text, *cells, words, style=WORDS.get(words, ""))
    return grid


def _quantity(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}x" if unit == "x" else f"{value:,.1f} {unit}"


def write(tables: Sequence[Table], facts: dict[str, Any], folder: Path) -> Path:
    """bench.json and <table>.svg; the path of the former."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "bench.json"
    judged = {
        figure.key: {"text": figure.text, "measured": value, "hold": figure.hold, "aim": figure.aim, "verdict": words}
        for figure, value, words in verdicts(tables)
    }
    document = {**facts, "figures": judged, "tables": [dataclasses.asdict(table) for table in tables]}
    path.write_text(json.dumps(document, indent=1) + "\n")
    for table in tables:
        charts = [chart for chart in table.charts if chart.labels and chart.series]
        if charts:
            _plot(charts, folder / f"{table.name}.svg")
    return path


def _plot(charts: list[Chart], path: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    width = max(6.0, 1.1 * max(len(chart.labels) for chart in charts))
    canvas, axes = pyplot.subplots(len(charts), 1, figsize=(width, 4.5 * len(charts)), squeeze=False)
    for axis, chart in zip(axes[:, 0], charts, strict=True):
        if chart.over:
            _lines(axis, chart)
        else:
            _bars(axis, chart)
        axis.set_title(chart.title, fontsize=10)
        axis.set_ylabel(chart.unit)
        axis.set_ylim(bottom=0)
        axis.legend(fontsize=7)
    canvas.tight_layout()
    canvas.savefig(path)
    pyplot.close(canvas)


def _bars(axis: Any, chart: Chart) -> None:
    breadth = 0.8 / len(chart.series)
    for number, (name, values) in enumerate(chart.series.items()):
        bars = axis.bar([place + number * breadth for place in range(len(values))], values, breadth, label=name)
        axis.bar_label(bars, labels=[f"{value:,.0f}" if value else "-" for value in values], fontsize=6)
    middles = [place + 0.4 - breadth / 2 for place in range(len(chart.labels))]
    axis.set_xticks(middles, chart.labels, fontsize=6, rotation=0 if any("\n" in text for text in chart.labels) else 20)


def _lines(axis: Any, chart: Chart) -> None:
    numbers = [float(label) for label in chart.labels]
    for name, values in chart.series.items():
        axis.plot(numbers, values, marker="o", label=name)
    axis.set_xscale("log")
    axis.set_xlabel(chart.over)
