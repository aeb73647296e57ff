"""The quick form of `make fuzz`: a few thousand inputs of fixed seeds for each parser, what was found before, and the
driver itself (C01, C7, SDES-16; security-and-faults C1, C2)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from random import Random
from types import SimpleNamespace

import pytest

from tests.fuzz.drive import Figures, drive
from tests.fuzz.mutate import LONGEST, MUTATIONS, Corpus
from tests.fuzz.targets import TARGETS, Target

ROOT = Path(__file__).parents[2]
FOUND = sorted((Path(__file__).parent / "found").iterdir())
BY_NAME = {target.name: target for target in TARGETS}


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("seed", [3711, 4568])
def test_nothing_but_the_documented_error(target: Target, seed: int) -> None:
    """Both kinds of inputs occur, else the target would be fed with nothing but noise."""
    figures = drive(target, 2000, seed)
    assert figures.findings == []
    assert figures.inputs >= 2000
    assert min(figures.accepted, figures.refused) > 100


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.name)
def test_found_before(path: Path) -> None:
    """Inputs that something else came out of once; the name begins with the target's."""
    target = BY_NAME[max((name for name in BY_NAME if path.name.startswith(name)), key=len)]
    figures = Figures(target.name)
    figures.judge(target, path.read_bytes())
    assert figures.findings == []


def test_a_mistake_is_found() -> None:
    """A parser that raises IndexError on an empty line, and whose result is wrong when it begins with b."""

    def careless(data: bytes) -> bytes:
        if b"\n\n" in data:
            raise IndexError("list index out of range")
        if not data:
            raise ValueError("documented")
        return data

    def check(data: bytes, result: bytes) -> None:
        assert not result.startswith(b"b"), "contradicts itself"

    target = Target("careless", Corpus([b"a\nb\nc\n"], [b"\n"]), careless, (ValueError,), check)
    figures = drive(target, 5000, 1)
    kinds = {what.partition(":")[0]: data for what, data in figures.findings}
    assert set(kinds) == {"IndexError", "afterwards AssertionError"}
    assert b"\n\n" in kinds["IndexError"] and kinds["afterwards AssertionError"].startswith(b"b")
    assert figures.refused > 0


def test_a_slow_input_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The quickest of several runs counts; a run that was disturbed once is no finding."""
    clock, disturbed = [0], [True]

    def run(data: bytes) -> None:
        clock[0] += 25_000_000 if data == b"slow" or (data == b"unlucky" and disturbed[0]) else 1_000_000
        disturbed[0] = disturbed[0] and data != b"unlucky"

    monkeypatch.setattr("tests.fuzz.drive.time", SimpleNamespace(thread_time_ns=lambda: clock[0]))
    figures = Figures("slow")
    target = Target("slow", Corpus([b""]), run, ())
    for data in (b"quick", b"unlucky"):
        figures.judge(target, data)
    assert figures.slowest_ms == 1.0
    figures.judge(target, b"slow")
    assert (figures.slowest, figures.slowest_ms, figures.inputs) == (b"slow", 25.0, 3)


def test_the_same_seed_gives_the_same_inputs() -> None:
    corpus = BY_NAME["sdp"].corpus
    one, two, other = ([corpus.next(source) for _ in range(200)] for source in (Random(1), Random(1), Random(2)))
    assert one == two != other
    assert len(set(one)) > 150


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_mutations_take_anything(mutation: object) -> None:
    """Also nothing, and never more than the bound."""
    corpus = Corpus([b"", b"v=0\r\no=-\r\n", b"1" * LONGEST], [b"word"])
    source = Random(3)
    for data in corpus.seeds * 20:
        assert len(mutation(source, data, corpus)) <= 2 * LONGEST  # type: ignore[operator]
    assert all(len(corpus.next(source)) <= LONGEST for _ in range(50))


def test_the_command(tmp_path: Path) -> None:
    """A table with a line for the target, and exit code 0 because nothing is found."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "crypto", "--inputs", "300", "--seconds", "5", "--seed", "1"],
        capture_output=True, text=True, check=True, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    (row,) = [line.split() for line in run.stdout.splitlines() if line.startswith("crypto ") and " ms " in line]
    assert int(row[1]) >= 300 and row[4] == "0"
