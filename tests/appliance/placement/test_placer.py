"""The placer as a table."""

from __future__ import annotations

import pytest

from appliance.errors import InvalidRequest, NoCapacity, Overloaded
from appliance.placement.placer import ALGORITHMS, Load, Need, Rules, place

NEED = Need(flows=4, cryptos=2, ports={"default": 4})


def load(
    worker: int, calls: int = 0, busy: float = 0.0, available: bool = True, flows: int = 9, ports: int = 9
) -> Load:
    return Load(worker, available, calls, busy, flows, 9, {"default": ports}, int(busy * 10))


def machine(busy: dict[int, float] | None = None, calls: dict[int, int] | None = None) -> list[Load]:
    """Sixteen cores on two nodes, eight each; NICs are said by the rules."""
    busy, calls = busy or {}, calls or {}
    return [
        Load(
            i,
            True,
            calls.get(i, 0),
            busy.get(i, 0.0),
            99,
            99,
            {"lan": 99, "wan": 99},
            int(busy.get(i, 0.0) * 10),
            i // 8,
        )
        for i in range(16)
    ]


ONE_NODE = Rules(admit_below=0.9, nodes={"lan": 1, "wan": 1})
TWO_NODES = Rules(admit_below=0.9, nodes={"lan": 0, "wan": 1})
LAN, WAN = Need(4, 2, {"lan": 4}), Need(4, 2, {"wan": 4})
BOTH = Need(4, 2, {"lan": 2, "wan": 2})


@pytest.mark.parametrize(
    ("loads", "need", "rules", "chosen"),
    [
        (machine(), LAN, ONE_NODE, 8),  # the NICs are on node 1
        (machine(busy={8: 0.5}), LAN, ONE_NODE, 9),
        (machine(busy=dict.fromkeys(range(8, 16), 0.85)), LAN, ONE_NODE, 8),  # near and admitted beats idle and far
        (machine(busy=dict.fromkeys(range(8, 16), 0.95)), LAN, ONE_NODE, 0),  # none near is admitted
        (machine(), WAN, TWO_NODES, 8),
        (machine(), LAN, TWO_NODES, 0),
        (machine(calls={0: 1}), BOTH, TWO_NODES, 1),  # one leg is far whatever we do: load decides
        (machine(busy=dict.fromkeys(range(8), 0.3)), BOTH, TWO_NODES, 8),
        (machine(), LAN, Rules(nodes={"lan": None}), 0),  # unknown: no node is preferred
        (machine(), Need(4, 2, {"lan": 0}), ONE_NODE, 8),  # a call that moves has its ports, and its interfaces
    ],
)
def test_near_to_the_interfaces(loads: list[Load], need: Need, rules: Rules, chosen: int) -> None:
    assert place(loads, need, rules) == chosen


def test_admission_by_measured_load() -> None:
    """F19: refused before what is up suffers; the words name worker, share and limit."""
    loads = machine(busy={i: 0.91 + i / 1000 for i in range(16)})
    with pytest.raises(Overloaded, match=r"worker 0 busy 91%, limit 90%") as refused:
        place(loads, LAN, ONE_NODE)
    assert (refused.value.sip_status, refused.value.reason, refused.value.retry) == (503, "overloaded", True)
    loads[5] = machine(busy={5: 0.89})[5]
    assert place(loads, LAN, ONE_NODE) == 5


@pytest.mark.parametrize(
    ("loads", "chosen"),
    [
        ([load(0), load(1)], 0),
        ([load(0, calls=2), load(1, calls=1)], 1),
        ([load(0, calls=1, busy=0.5), load(1, calls=9, busy=0.1)], 1),
        ([load(0, calls=9, busy=0.51), load(1, calls=1, busy=0.55)], 1),  # close shares: calls decide
        ([load(0, available=False), load(1, calls=9)], 1),
        ([load(0, flows=3), load(1, calls=9)], 1),
        ([load(0, ports=3), load(1, calls=9)], 1),
    ],
)
def test_least_loaded_with_room(loads: list[Load], chosen: int) -> None:
    assert place(loads, NEED) == chosen


@pytest.mark.parametrize(
    ("loads", "need", "why"),
    [
        ([], NEED, "no media worker is available"),
        ([load(0, available=False)], NEED, "no media worker is available"),
        ([load(0, flows=1)], NEED, "every media worker is full"),
    ],
)
def test_refusals_say_why(loads: list[Load], need: Need, why: str) -> None:
    with pytest.raises(NoCapacity, match=why):
        place(loads, need)


def test_an_unknown_interface_is_the_requests_mistake() -> None:
    with pytest.raises(InvalidRequest, match="no such interface: 'wan'"):
        place([load(0)], Need(1, 0, {"wan": 2}))


def test_the_algorithms_of_destination_sets_place_calls() -> None:
    """O37: round robin in turns; by what is left of each core; by default the least loaded, as ever."""
    three = [load(0, calls=9, busy=0.0), load(1, calls=2, busy=0.5), load(2, calls=2, busy=0.5)]
    turns = Rules(algorithm=ALGORITHMS["round-robin"])
    assert [place(three, NEED, turns, count) for count in range(4)] == [0, 1, 2, 0]
    shares = Rules(algorithm=ALGORITHMS["relative-weight"])
    found = [place(three, NEED, shares, count) for count in range(200)]
    assert [found.count(worker) for worker in range(3)] == [100, 50, 50]
    assert [place(three, NEED, Rules(), count) for count in range(3)] == [0, 0, 0]
    assert place(three[1:], NEED, Rules(), 1) == 1
