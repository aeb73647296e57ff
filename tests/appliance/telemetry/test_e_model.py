"""The E-model with its default values (row J12): known points of ITU-T G.107 and G.113."""

from __future__ import annotations

import pytest

from appliance.telemetry.e_model import heard, loss_percent, mos, one_way, rating


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


@pytest.mark.parametrize(
    ("delay", "impairment"),
    [(0, 0), (50, 1.2), (100, 2.4), (150, 3.6), (177.3, 4.26), (200, 7.3), (300, 20.7), (400, 34.1)],
)
def test_delay(delay: float, impairment: float) -> None:
    """Id of Cole and Rosenbluth, "Voice over IP performance monitoring" (2001), equation 5."""
    assert 93.2 - rating(0, delay) == pytest.approx(impairment, abs=0.05)


def test_delay_and_loss_add_up() -> None:
    assert rating(2, 200) == pytest.approx(93.2 - 7.01 - 7.30, abs=0.05)
    assert heard(2, 200) == pytest.approx(3.98, abs=0.005)


def test_what_delay_is_made_of() -> None:
    """Half of both legs' round trips, and the jitter buffer: as its phone says, else two mean deviations."""
    assert (one_way(0), one_way(120), one_way(120, 15), one_way(120, 15, 80)) == (0, 60, 90, 140)


def test_limits() -> None:
    assert (mos(-5), mos(0), mos(120), heard(100.0), heard(0.0), heard(0, 5000)) == (1.0, 1.0, 4.5, 1.18, 4.41, 1.0)
    assert (loss_percent(0, 0), loss_percent(95, 5), rating(100)) == (0.0, 5.0, pytest.approx(17.26, abs=0.05))
    assert all(heard(loss) >= heard(loss + 1) for loss in range(100))
    assert all(heard(1, delay) >= heard(1, delay + 10) for delay in range(0, 1000, 10))
