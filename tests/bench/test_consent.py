"""The measurement of consent checks runs and sees every one answered; its figures mean nothing here."""

from __future__ import annotations

from pathlib import Path

from tests.bench import consent


def test_a_few_legs(tmp_path: Path) -> None:
    """ICE-7: 40 legs, each checked several times."""
    measured = consent.measure(tmp_path, 40, 200, 1.0)
    assert (measured.legs, measured.answered, measured.consent) == (40, 1.0, 1.0)
    assert measured.busy_share > 0
