"""pytest plugin: which tests prove which requirement rows, as a table at the end.

`make test-negotiation` and `make test-edge` use it:

    pytest -p tests.rows --rows A,B,C,D,G,H,SDP,SDES,DTLS,ICE

runs the tests that name a row of these families, and prints every row of them: what it is, its tests, how they ended.
A row that no test names is in the table too, as "no test".

A test names a row by `@pytest.mark.row("C13", "SDES-20")`, in its id (`test_rule[C05]`), or in its docstring and
comments. A row that only the docstring of the module or class names counts for those tests in it that name none, and
is shown as such. Ranges count (B01..B17, C01-C06, "SDES-11 to 13").
"""

from __future__ import annotations

import inspect
import io
import re
import shutil
import textwrap
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

FAMILIES = {"A": 25, "B": 19, "C": 14, "D": 14, "G": 31, "H": 16, "I": 10, "J": 12, "K": 10, "L": 8, "M": 13, "N": 14,
            "O": 37, "P": 13, "SDP": 18, "SDES": 24, "DTLS": 22, "ICE": 8}  # fmt: skip
"""Last row of each family in spec/mission.md (letters) and spec/key-management.md section 2 (words)."""

FIRST = {"O": 0}  # the others begin at 1

ATTACKS = frozenset({*(f"A{n}" for n in range(10, 15)), *(f"B{n}" for n in range(10, 13)),
                     *(f"D{n}" for n in range(10, 13)), *(f"G{n}" for n in range(10, 14))})  # fmt: skip
"""Numbers that spec/security-and-faults.md gives to attacks as well: a text alone does not say which is meant.
Its M1 to M5 have one digit, a citation has two."""

SPECS = ("mission.md", "key-management.md")
WORST = ("failed", "passed", "skipped")  # a row is what its worst test is; all skipped: skipped

_CITED = re.compile(
    r"\b(?P<family>SDP-|SDES-|DTLS-|ICE-|[A-DG-P](?=\d\d))(?P<first>\d{1,2})\b"
    r"(?:(?:\.\.|-| to |–)(?P<again>SDP-|SDES-|DTLS-|ICE-|[A-DG-P])?(?P<last>\d{1,2})\b)?"
)


@dataclass
class Row:
    """One requirement and the tests that name it."""

    id: str
    what: str = ""
    results: dict[str, str] = field(default_factory=dict)  # node id -> outcome
    groups: set[str] = field(default_factory=set)  # of them, those that are here for their module's or class's words

    @property
    def result(self) -> str:
        if not self.results:
            return "no test"
        found = [outcome for outcome in WORST if outcome in self.results.values()]
        counts = ", ".join(f"{list(self.results.values()).count(outcome)} {outcome}" for outcome in found)
        return counts or "not run"


def numbers(family: str) -> range:
    return range(FIRST.get(family, 1), FAMILIES[family] + 1)


def name(family: str, number: int) -> str:
    """A03, SDES-7: as the specification writes it."""
    return f"{family}{number:02d}" if len(family) == 1 else f"{family}-{number}"


def cited(text: str) -> set[str]:
    """Rows that a text names."""
    found: set[str] = set()
    for match in _CITED.finditer(text):
        family, first = match["family"].rstrip("-"), int(match["first"])
        again = match["again"]
        ends_here = match["last"] is None or (again is None and len(family) == 1) or (again or "").rstrip("-") not in (
            "", family)  # fmt: skip
        last = first if ends_here else int(match["last"])
        found.update(name(family, n) for n in range(first, max(first, last) + 1) if n in numbers(family))
    return found


def own_rows(item: pytest.Item) -> set[str]:
    """Rows that a test names itself."""
    marked = {str(row) for marker in item.iter_markers("row") for row in marker.args}
    function = getattr(item, "function", None)
    said = item.nodeid.partition("[")[2] + "\n" + (_spoken(function) if function and not marked else "")
    return marked | cited(said)


def attributed(items: Iterable[pytest.Item]) -> dict[str, tuple[set[str], set[str]]]:
    """Node id -> rows that the test names, rows that only what stands over it names."""
    own = {item.nodeid: own_rows(item) for item in items}
    taken: dict[str, set[str]] = {}  # by file: rows that some test in it names
    for item in items:
        taken.setdefault(str(item.path), set()).update(own[item.nodeid])
    return {
        item.nodeid: (own[item.nodeid], set() if own[item.nodeid] else _over(item) - taken[str(item.path)])
        for item in items
    }


def _over(item: pytest.Item) -> set[str]:
    owners = (getattr(item, "cls", None), getattr(item, "module", None))
    return next((found for owner in owners if (found := cited(inspect.getdoc(owner) or ""))), set())


def _spoken(function: object) -> str:
    """Docstring and comments: names in code are no citations."""
    doc = inspect.getdoc(function) or ""
    try:
        source = textwrap.dedent(inspect.getsource(function))  # type: ignore[arg-type]
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (OSError, TypeError, tokenize.TokenError, IndentationError):
        return doc
    return "\n".join([doc, *(token.string for token in tokens if token.type == tokenize.COMMENT)])


def described(folder: Path) -> dict[str, str]:
    """First words of every row, where the specification lies beside the repository; else nothing."""
    found: dict[str, str] = {}
    for spec in SPECS:
        path = folder / spec
        for line in path.read_text().splitlines() if path.is_file() else ():
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)]
            if len(cells) > 3 and cited(cells[1]) == {cells[1]}:
                found.setdefault(cells[1], cells[2].replace("`", "").replace("\\|", "|"))
    return found


class Table:
    """Collects while pytest runs."""

    def __init__(self, families: Iterable[str], descriptions: dict[str, str]) -> None:
        self.rows = {
            row: Row(row, descriptions.get(row, ""))
            for family in families
            for row in (name(family, n) for n in numbers(family))
        }

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        chosen, others = [], []
        found = attributed(items)
        for item in items:
            own, over = found[item.nodeid]
            named = (own | over) & self.rows.keys()
            (chosen if named else others).append(item)
            for row in named:
                self.rows[row].results[item.nodeid] = "not run"
                if row not in own:
                    self.rows[row].groups.add(item.nodeid)
        items[:] = chosen
        config.hook.pytest_deselected(items=others)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.outcome == "passed":
            return
        for row in self.rows.values():
            if report.nodeid in row.results:
                row.results[report.nodeid] = report.outcome

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("requirement rows")
        for line in self.lines(shutil.get_terminal_size((150, 50)).columns):
            terminalreporter.write_line(line)

    def lines(self, width: int) -> Iterator[str]:
        """The table: id, result, what it is; beneath it the tests."""
        for row in self.rows.values():
            note = " (may mean the attack of this number)" if row.id in ATTACKS and row.results else ""
            head = f"{row.id:8} {row.result:24} {row.what}{note}"
            yield head if len(head) <= width else head[: width - 4] + " ..."
            functions = dict.fromkeys(_short(nodeid, group=nodeid in row.groups) for nodeid in row.results)
            yield from textwrap.wrap(
                ", ".join(functions), width, initial_indent=" " * 9, subsequent_indent=" " * 9, break_on_hyphens=False
            )
        without = [row.id for row in self.rows.values() if not row.results]
        yield f"{len(self.rows)} rows, {len(self.rows) - len(without)} with tests; without: {' '.join(without) or '-'}"


def _short(nodeid: str, *, group: bool) -> str:
    """Module and function: the cases of one test are one entry, and so are the tests of a module that names the row."""
    path, _, rest = nodeid.partition("[")[0].partition("::")
    module = Path(path).stem.removeprefix("test_")
    return f"{module} (whole)" if group else f"{module}::{rest.removeprefix('test_')}"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rows", default=",".join(FAMILIES), help="Families of requirement rows to run and to show.")


def pytest_configure(config: pytest.Config) -> None:
    families = [family for family in config.getoption("--rows").split(",") if family]
    unknown = [family for family in families if family not in FAMILIES]
    if unknown:
        raise pytest.UsageError(f"--rows: no family {', '.join(unknown)}; there are {', '.join(FAMILIES)}")
    config.pluginmanager.register(Table(families, described(config.rootpath.parent / "shared" / "spec")), "rows-table")
