"""The dispatcher's algorithms by their numbers: rows O03-O17, O22, O30, O37."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import pytest

from appliance.placement import algorithms
from appliance.placement.algorithms import Candidate, Turn, kamailio_hash, order

FOUR = [Candidate() for _ in range(4)]
MANY = 10_000
CHI_SQUARE_99 = 11.345  # 3 degrees of freedom


def chosen(algorithm: int, candidates: Sequence[Candidate], count: int) -> int:
    return order(algorithm, candidates, Turn(count))[0]


def shares(algorithm: int, candidates: Sequence[Candidate], calls: int, start: int = 0) -> list[int]:
    found = Counter(chosen(algorithm, candidates, count) for count in range(start, start + calls))
    return [found[place] for place in range(len(candidates))]


@pytest.mark.parametrize("algorithm", [0, 1, 2, 3, 5, 7])
def test_hashes_spread_and_stay(algorithm: int) -> None:
    """O03, O04, O05, O06, O08, O10: the same text, the same place; 10^4 random ones: each of four 25 % +-2."""
    rolls = random.Random(algorithm)
    keys = [f"{rolls.getrandbits(64):x}@{rolls.randrange(256)}.example" for _ in range(MANY)]
    found = Counter(order(algorithm, FOUR, Turn(keys=(key,)))[0] for key in keys)
    assert all(abs(found[place] / MANY - 0.25) <= 0.02 for place in range(4)), found
    first = order(algorithm, FOUR, Turn(0, keys=(keys[0],)))
    assert all(order(algorithm, FOUR, Turn(count, keys=(keys[0],))) == first for count in range(50))


@pytest.mark.parametrize(
    ("words", "value"), [(("bob", "server.com"), 3883463682), (("abc",), 7167810)]
)
def test_the_hash_is_kamailios(words: tuple[str, ...], value: int) -> None:
    """O03, O35: as Kamailio 5.6.3 answered to dispatcher.hash."""
    assert kamailio_hash(*words) == value


def test_a_hash_moves_nobody_elses_calls() -> None:
    """O03: when one is away, only its own calls go elsewhere, to the one behind it."""
    away = [Candidate(able=place != 2) for place in range(4)]
    for number in range(500):
        turn = Turn(keys=(f"call-{number}",))
        before, after = order(0, FOUR, turn)[0], order(0, away, turn)[0]
        assert after == (3 if before == 2 else before)


def test_round_robin_is_strict() -> None:
    """O07: strict order, each floor or ceiling of n/k; among those able only."""
    assert [chosen(4, FOUR, count) for count in range(10)] == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    assert sorted(shares(4, FOUR, 10)) == [2, 2, 3, 3]
    away = [Candidate(able=place != 1) for place in range(4)]
    assert shares(4, away, 9) == [3, 0, 3, 3]
    assert order(4, away, Turn(1)) == [2, 3, 0]


def test_without_credentials_round_robin() -> None:
    """O08: algorithm 5 hashes the authorization username; without one it takes turns."""
    assert [chosen(5, FOUR, count) for count in range(5)] == [0, 1, 2, 3, 0]


def test_random_is_fair() -> None:
    """O09: chi-square over 10^4 within 99 %."""
    rolls = random.Random(7)
    found = Counter(order(6, FOUR, Turn(draw=rolls.random()))[0] for _ in range(MANY))
    chi_square = sum((found[place] - MANY / 4) ** 2 / (MANY / 4) for place in range(4))
    assert chi_square < CHI_SQUARE_99
    away = [Candidate(able=place != 1) for place in range(4)]
    found = Counter(order(6, away, Turn(draw=rolls.random()))[0] for _ in range(MANY))
    assert found[1] == 0
    assert all(abs(found[place] / MANY - 1 / 3) < 0.02 for place in (0, 2, 3)), found


def test_by_priority() -> None:
    """O11: the highest first, then the next lower ones; equals as they stand."""
    ranked = [Candidate(priority=priority) for priority in (5, 9, 1, 9)]
    assert order(8, ranked, Turn(3)) == [1, 3, 0, 2]
    ranked[1] = Candidate(able=False, priority=9)
    assert order(8, ranked, Turn(3)) == [3, 0, 2]


@pytest.mark.parametrize("start", [0, 1, 37, 12_345])
def test_weights_are_exact(start: int) -> None:
    """O12, O20: 50/30/20: every 100 consecutive calls exactly 50/30/20."""
    weighed = [Candidate(weight=weight) for weight in (50, 30, 20)]
    assert shares(9, weighed, 100, start) == [50, 30, 20]


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ((30, 20), [30, 70]),  # the rest goes to the last
        ((60, 60, 20), [60, 40, 0]),  # above 100 ignored
        ((50, 101, 20), [50, 0, 50]),  # 101 is none
        ((0, 0, 0), [0, 0, 100]),
    ],
)
def test_weights_that_do_not_add_up(weights: tuple[int, ...], expected: list[int]) -> None:
    """O12: as Kamailio's dp_init_weights."""
    assert shares(9, [Candidate(weight=weight) for weight in weights], 100) == expected


def test_the_share_of_one_that_is_away_goes_to_the_next() -> None:
    """O12."""
    weighed = [Candidate(weight=50), Candidate(able=False, weight=30), Candidate(weight=20)]
    assert shares(9, weighed, 100) == [50, 0, 50]


def test_least_loaded_first() -> None:
    """O13, O19: fewest calls first; at maxload never, not by failover either (bug 800); 0 is unlimited (bug 2297)."""
    loads = [Candidate(load=5), Candidate(load=2), Candidate(load=1, maxload=1), Candidate(load=9, maxload=0)]
    assert order(10, loads, Turn()) == [1, 0, 3]
    assert order(10, [Candidate(load=2, maxload=2)], Turn()) == []


def test_equal_loads_take_turns() -> None:
    """O13."""
    assert [chosen(10, FOUR, count) for count in range(5)] == [0, 1, 2, 3, 0]


@pytest.mark.parametrize("start", [0, 3, 777])
def test_relative_weights(start: int) -> None:
    """O14, O21, O30: 1/2/1 is 25/50/25; the third inactive: 33/67/0."""
    weighed = [Candidate(rweight=rweight) for rweight in (1, 2, 1)]
    assert shares(11, weighed, 100, start) == [25, 50, 25]
    weighed[2] = Candidate(able=False, rweight=1)
    assert shares(11, weighed, 300, start) == [100, 200, 0]


@pytest.mark.parametrize(("number", "rweight"), [(150, 1), (150, 50), (26, 50), (101, 100)])
def test_many_destinations_stay_even(number: int, rweight: int) -> None:
    """O14: more than 100 destinations, or more than 25 with weight 50 (bug 2698): every one the same."""
    crowd = [Candidate(rweight=rweight)] * number
    assert shares(11, crowd, number * rweight) == [rweight] * number


def test_rweight_out_of_range_is_left_out() -> None:
    """O14, O21: 0 and 101 are no rweight; nobody with one: turns."""
    assert shares(11, [Candidate(rweight=1), Candidate(rweight=101), Candidate()], 30) == [30, 0, 0]
    assert shares(11, [Candidate(), Candidate()], 4) == [2, 2]


def congested(weight: int, average: float, estimate: float) -> Candidate:
    return Candidate(weight=weight, rweight=50, average_ms=average, estimate_ms=estimate, cc=True)


@pytest.mark.row("O22")
def test_congestion_lowers_the_weight() -> None:
    """O22, O20: AVG 20, EST 45, weight 50: 25; EST 80: 0, it is skipped."""
    calm = congested(50, 20, 20)
    assert algorithms.active_rweights([congested(50, 20, 45), calm]) == [25, 50]
    assert algorithms.active_rweights([congested(50, 20, 80), calm]) == [0, 50]
    assert shares(11, [congested(50, 20, 80), calm], 100) == [0, 100]
    assert shares(11, [congested(50, 20, 45), calm], 75) == [25, 50]


@pytest.mark.row("O22")
def test_all_congested_by_ratio() -> None:
    """O22: all above the threshold: by the ratio of congestion, 100 ms to 50 ms is 1 to 2."""
    assert algorithms.active_rweights([congested(50, 20, 120), congested(50, 20, 70)]) == [24, 48]


def test_parallel_is_all() -> None:
    """O15: every one that is active."""
    assert order(12, [Candidate(), Candidate(able=False), Candidate()], Turn(5)) == [0, 2]


def test_the_readmes_table_of_algorithm_13() -> None:
    """O17: ADJUSTED = PRIORITY - LATENCY/PRIORITY: 30 27 28 30 29 30 24, and a third of the calls for each 30."""
    table = [(21, 30), (91, 27), (61, 28), (19, 30), (32, 29), (0, 30), (201, 24)]
    gateways = [Candidate(priority=30, estimate_ms=latency) for latency, _ in table]
    assert [algorithms.adjusted_priority(one) for one in gateways] == [adjusted for _, adjusted in table]
    assert shares(13, gateways, 99) == [33, 0, 0, 33, 0, 33, 0]
    assert order(13, gateways, Turn())[3:] == [4, 2, 1, 6]


def test_algorithm_13_with_congestion_control() -> None:
    """O17: the latency is what is above the average then; never below priority 1."""
    assert algorithms.adjusted_priority(Candidate(priority=30, average_ms=100, estimate_ms=191, cc=True)) == 27
    assert algorithms.adjusted_priority(Candidate(priority=3, estimate_ms=500)) == 1


def test_round_robin_or_serial() -> None:
    """O17: algorithm 14: in turns among the highest, the lower ones for failover."""
    ranked = [Candidate(priority=priority) for priority in (1, 5, 5)]
    assert [order(14, ranked, Turn(count)) for count in range(2)] == [[1, 2, 0], [2, 1, 0]]


def test_like_srv_records() -> None:
    """O17: algorithm 15: highest priority, within it by weight (RFC 2782)."""
    ranked = [Candidate(priority=5, weight=3), Candidate(priority=5, weight=1), Candidate(priority=1, weight=90)]
    assert shares(15, ranked, 40) == [30, 10, 0]
    assert order(15, ranked, Turn())[-1] == 2
    ranked[:2] = [Candidate(able=False, priority=5), Candidate(able=False, priority=5)]
    assert order(15, ranked, Turn()) == [2]


def test_overload_control_skips() -> None:
    """O17: 64: of 100 calls of its turn `ocrate` go to the next one; all that ask for nothing get nothing."""
    pair = [Candidate(ocrate=20), Candidate()]
    assert shares(64, pair, 200) == [80, 120]
    assert order(64, [Candidate(ocrate=100)], Turn()) == []


@pytest.mark.parametrize("algorithm", [16, 63, 999])
def test_an_unknown_algorithm_takes_the_first_active(algorithm: int) -> None:
    """O16."""
    assert order(algorithm, [Candidate(able=False), Candidate(), Candidate()], Turn(9))[0] == 1


@pytest.mark.parametrize("algorithm", [*algorithms.ALGORITHMS, 999])
def test_nobody_there(algorithm: int) -> None:
    """O31: an empty set, and one whose members are all away."""
    away = [Candidate(able=False, weight=50, rweight=50, priority=3)] * 3
    assert order(algorithm, [], Turn(5, 0.5, ("key",))) == []
    assert order(algorithm, away, Turn(5, 0.5, ("key",))) == []


@pytest.mark.parametrize("algorithm", [one for one in algorithms.ALGORITHMS if one not in (10, 64)])
def test_failover_reaches_everybody_once(algorithm: int) -> None:
    """O31: each one active, once."""
    crowd = [Candidate(able=place != 1, weight=20, rweight=20, priority=place) for place in range(5)]
    for count in range(30):
        assert sorted(order(algorithm, crowd, Turn(count, count / 30, (f"{count}",)))) == [0, 2, 3, 4]


@pytest.mark.parametrize("total", [1, 2, 3, 7, 50, 100, 150, 7500])
def test_a_walk_meets_everything_once(total: int) -> None:
    assert sorted(algorithms.interleaved(count, total) for count in range(5, 5 + total)) == list(range(total))
