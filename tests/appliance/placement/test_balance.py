"""When an imbalance is worth moving calls for."""

from __future__ import annotations

from appliance.placement.balance import PATIENCE, Balance, Shift
from appliance.placement.placer import Load


def loads(*busy: float, calls: int = 100, available: bool = True) -> list[Load]:
    return [Load(i, available, calls, share, 9, 9, {}) for i, share in enumerate(busy)]


def looks(balance: Balance, count: int, *busy: float, calls: int = 100) -> list[Shift | None]:
    return [balance.look(loads(*busy, calls=calls)) for _ in range(count)]


def test_only_what_lasts() -> None:
    balance = Balance()
    assert looks(balance, PATIENCE - 1, 0.8, 0.2, 0.5) == [None] * (PATIENCE - 1)
    assert looks(balance, 1, 0.5, 0.45, 0.5) == [None]  # over: begin anew
    assert looks(balance, PATIENCE, 0.8, 0.2, 0.5)[-1] == Shift(0, 1, 37)
    assert looks(balance, PATIENCE - 1, 0.8, 0.2, 0.5) == [None] * (PATIENCE - 1)  # its effect is awaited


def test_another_pair_begins_anew() -> None:
    balance = Balance()
    looks(balance, PATIENCE - 1, 0.8, 0.2, 0.5)
    assert looks(balance, 1, 0.2, 0.8, 0.5) == [None]


def test_small_differences_and_single_calls_stay() -> None:
    assert looks(Balance(), 2 * PATIENCE, 0.5, 0.3) == [None] * 2 * PATIENCE
    assert looks(Balance(), 2 * PATIENCE, 0.9, 0.0, calls=1) == [None] * 2 * PATIENCE
    assert looks(Balance(), 2 * PATIENCE, 0.9) == [None] * 2 * PATIENCE


def test_a_drained_worker_is_no_goal() -> None:
    balance = Balance()
    able, drained = loads(0.9, 0.8), loads(0, 0, 0.0, available=False)[2:]
    assert [balance.look([*able, *drained]) for _ in range(PATIENCE)] == [None] * PATIENCE


def test_not_too_many_at_once() -> None:
    assert looks(Balance(), PATIENCE, 0.9, 0.0, calls=1000)[-1] == Shift(0, 1, 50)
