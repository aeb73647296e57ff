"""Which cipher back end a process takes, and what it says about that."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from kernels.cipher import probe, select
from kernels.control.configuration import CHOICES

MULTIBUFFER = [name for name in select.names() if name != "openssl"]


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    before = select.selected()
    yield
    if before is not None:
        select.select(before)


def test_every_row_is_here_or_says_why_not() -> None:
    assert {*select.names(), *select.lacking()} == {"vaes", "ipsec-mb", "openssl"}
    assert "openssl" in select.names()
    assert all(select.lacking().values())
    assert set(CHOICES["cipher"]) == {"auto", "multibuffer", *select.names(), *select.lacking()}


@pytest.mark.parametrize("name", select.names())
def test_forced(name: str) -> None:
    assert select.select(name) == select.selected() == name
    assert select.why() == "as set"


@pytest.mark.parametrize("name", ["auto", "multibuffer"])
def test_the_fastest_is_taken_and_says_so(name: str) -> None:
    if not MULTIBUFFER:
        pytest.skip("neither vaes nor ipsec-mb runs on this CPU")
    assert select.select(name) in MULTIBUFFER
    words = select.why()
    assert words.startswith(f"{select.selected()} ")
    assert " ns a packet" in words
    assert all(other in words for other in [*MULTIBUFFER, *select.lacking()])


def test_unknown_names() -> None:
    with pytest.raises(ValueError, match="no cipher back end"):
        select.select("abacus")
    assert select.selected() is None  # a process that goes on regardless must not encrypt with something else


@pytest.mark.parametrize("name", select.names())
def test_the_self_benchmark_measures_something(name: str) -> None:
    assert select.measure_ns(name) > 1


def test_an_import_selects_without_a_measurement() -> None:
    words = "from kernels.cipher import select; print(select.selected(), select.why(), sep=':')"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == f"{select.names()[0]}:first that passes its self-test"


@pytest.mark.parametrize("name", select.names())
@pytest.mark.parametrize("job", [0, 1, 31, 62, 63])
def test_the_batch_test_notices_one_bad_packet(name: str, job: int) -> None:
    """One wrong octet sealed, or one forgery let through, in any place of a batch of 64."""
    assert not probe.batch_agrees(name, wrong_seal=job)
    assert not probe.batch_agrees(name, wrong_verdict=job)
    assert probe.batch_agrees(name)
