"""The E-model with its default values (row J12): known points of ITU-T G.107 and G.113."""

from __future__ import annotations

import pytest

from appliance.telemetry.e_model import heard, loss_percent, mos, rating


@pytest.mark.parametrize(
    ("factor", "score"), [(93.2, 4.41), (90, 4.34), (80, 4.03), (70, 3.60), (60, 3.10), (50, 2.58)]
)
def test_scores_of_g107_annex_b(factor: float, score: float) -> None:
    """Table B.1: the categories of user satisfaction."""
    assert mos(factor) == pytest.approx(score, abs=0.01)


@pytest.mark.parametrize(("loss", "impairment"), [(0, 0), (1, 3.6), (2, 7.0), (5, 15.8), (10, 27.1), (20, 42.1)])
def test_loss_of_g711_with_concealment(loss: float, impairment: float) -> None:
    """Ie,eff at random loss with Bpl 25.1."""
    assert 93.2 - rating(loss) == pytest.approx(impairment, abs=0.06)


def test_limits() -> None:
    assert (mos(-5), mos(0), mos(120), heard(0, 10), heard(100, 0)) == (1.0, 1.0, 4.5, 0.0, 4.41)
    assert (loss_percent(0, 0), loss_percent(95, 5), rating(100)) == (0.0, 5.0, pytest.approx(17.26, abs=0.05))
    assert all(heard(100, lost) >= heard(100, lost + 1) for lost in range(500))
