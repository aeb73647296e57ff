"""The table of requirement rows: what counts as naming one, and that gaps are shown."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import rows

ROOT = Path(__file__).parent.parent

TESTS = '''
"""Rows H01, H02 of a module."""
import pytest

def unconcerned():
    """C13."""

def test_by_docstring():
    """C12: one."""

def test_by_comment():
    C14 = 1  # SDES-3
    assert C14

@pytest.mark.row("G30")
def test_by_marker():
    """C01 is not what it proves."""

@pytest.mark.parametrize("case", ["C05"])
def test_by_id(case):
    assert False

class TestGroup:
    """SDP-4."""
    def test_of_class(self):
        pytest.skip("not here")

def test_of_module():
    pass

def test_besides():
    """H02."""
'''


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("C13, SDES-20: re-key", {"C13", "SDES-20"}),
        ("B09-B12", {"B09", "B10", "B11", "B12"}),
        ("B01..B03, A02", {"B01", "B02", "B03", "A02"}),
        ("SDES-11 to 13", {"SDES-11", "SDES-12", "SDES-13"}),
        ("SDES-23-SDES-24", {"SDES-23", "SDES-24"}),
        ("A03 to 17", {"A03"}),
        ("O00..O02, I03", {"O00", "O01", "O02", "I03"}),
        ("L08, L09, M1, M13, A00, L16/8000", {"L08", "M13"}),
        ("A1, B6, C7 of security-and-faults", set()),
        ("SHA256 C130 A99 AB12 G72x", set()),
        ("G7.22, B.2, RFC 3711 A.3", set()),
    ],
    ids=lambda value: "",
)
def test_naming(text: str, found: set[str]) -> None:
    assert rows.cited(text) == found


def test_table(tmp_path: Path) -> None:
    """One run of pytest with the plugin: results per row, unnamed rows as such, unconcerned tests not run."""
    (tmp_path / "test_sample.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    row: rows\n")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "tests.rows", "-p", "no:cacheprovider", "--rows", "C,SDES,SDP,G,H",
         "--rootdir", str(tmp_path), str(tmp_path)],
        capture_output=True, text=True, cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        check=False,
    )  # fmt: skip
    table = {line.split()[0]: line.split(maxsplit=1)[1] for line in run.stdout.splitlines() if rows.cited(line[:8])}
    assert table["C12"].startswith("1 passed") and table["SDES-3"].startswith("1 passed")
    assert table["G30"].startswith("1 passed") and table["C05"].startswith("1 failed")
    assert table["SDP-4"].startswith("1 skipped")
    assert table["C01"].startswith("no test") and table["C14"].startswith("no test")
    assert "sample (whole)" in run.stdout.partition("H01 ")[2].partition("H02 ")[0]
    assert table["H02"].startswith("1 passed")
    assert len(table) == sum(rows.FAMILIES[family] for family in ("C", "SDES", "SDP", "G", "H"))


def test_edge_families() -> None:
    """Rows I-P as spec/mission.md has them: 118 of them, O from O00 on."""
    table = rows.Table("IJKLMNOP", {})
    assert [name for name in table.rows if name.endswith("00")] == ["O00"]
    assert len(table.rows) == 10 + 12 + 10 + 8 + 13 + 14 + 38 + 13


def test_descriptions(tmp_path: Path) -> None:
    """From the tables of the specification; without them the table has no words and all its rows."""
    (tmp_path / "mission.md").write_text("| C02 | `tag` of a \\| line | §4.1 | echoed |\n| C99x | no | - | - |\n")
    assert rows.described(tmp_path) == {"C02": "tag of a | line"}
    assert rows.described(tmp_path / "absent") == {}
