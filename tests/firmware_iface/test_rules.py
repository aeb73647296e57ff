"""Port ranges to flow rules, and plans of changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_iface import rules
from firmware_iface.rules import Plan, Rule, Share


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        (range(0), ()),
        (range(5004, 5005), ((5004, 0xFFFF),)),
        (range(32768, 49152), ((32768, 0xC000),)),
        (range(65536), ((0, 0),)),
        (range(30000, 30010), ((30000, 0xFFF8), (30008, 0xFFFE))),
        (range(1, 8), ((1, 0xFFFF), (2, 0xFFFE), (4, 0xFFFC))),
        (range(65535, 65536), ((65535, 0xFFFF),)),
    ],
)
def test_blocks(ports: range, expected: tuple[tuple[int, int], ...]) -> None:
    assert rules.blocks(ports) == expected


@given(st.integers(0, 65535), st.integers(0, 65536))
def test_blocks_cover_the_range_and_nothing_else(first: int, end: int) -> None:
    ports = range(first, max(first, end))
    found = rules.blocks(ports)
    assert sum(0x10000 - mask for _, mask in found) == len(ports)  # sizes: no overlap when the union is right
    for port in {first - 1, first, (first + end) // 2, end - 1, end} & set(range(65536)):
        assert sum(port & mask == value for value, mask in found) == (port in ports)
    assert all(value & mask == value for value, mask in found)
    assert len(found) <= 30


@pytest.mark.parametrize("ports", [range(0, 10, 2), range(-1, 5), range(65530, 65537)])
def test_no_port_range(ports: range) -> None:
    with pytest.raises(ValueError):
        rules.blocks(ports)


def test_rules_of_both_families_or_of_the_address() -> None:
    assert [rule.family for rule in rules.masked([Share(range(8, 16), 3)])] == [4, 6]
    (four,) = rules.masked([Share(range(8, 16), 3, "192.0.2.1")])
    assert four == Rule(4, 8, 0xFFF8, 3, "192.0.2.1") and four.covers(15) and not four.covers(16)
    assert [rule.family for rule in rules.masked([Share(range(8, 16), 3, "2001:db8::1")])] == [6]
    assert len(rules.exact([Share(range(8, 16), 3)])) == 16


A, B, C = Rule(4, 8, 0xFFF8, 0), Rule(4, 16, 0xFFF0, 1), Rule(6, 8, 0xFFF8, 0)


@pytest.mark.parametrize(
    ("wanted", "present", "ours", "expected"),
    [
        ([A, B], {}, {}, Plan((), (A, B), ())),
        ([A, B], {7: A}, {7: A}, Plan((), (B,), (7,))),
        ([A, B], {7: A, 6: B}, {7: A, 6: B}, Plan((), (), (6, 7))),
        ([A], {7: A, 6: B}, {7: A, 6: B}, Plan((6,), (), (7,))),
        ([], {7: A}, {7: A}, Plan((7,), (), ())),
        ([], {7: A, 1: None}, {}, Plan((), (), ())),  # an operator's: stay
        ([A], {7: A}, {}, Plan((), (), (7,))),  # whoever made it, it does what we want
        ([], {7: B}, {7: A}, Plan((), (), ())),  # somebody put another rule where ours was
        ([C], {7: A, 6: A}, {7: A, 6: A}, Plan((6, 7), (C,), ())),
        ([A, A], {}, {}, Plan((), (A,), ())),
        ([A], {7: A, 6: A}, {7: A, 6: A}, Plan((7,), (), (6,))),  # ours twice: once is enough
    ],
)
def test_plan(wanted: list[Rule], present: dict[int, Rule | None], ours: dict[int, Rule], expected: Plan) -> None:
    assert rules.plan(wanted, present, ours) == expected


def test_free_locations() -> None:
    assert rules.free_locations({15, 13}, 16, 3) == (14, 12, 11)
    with pytest.raises(ValueError, match="3 flow rules needed, room for 2"):
        rules.free_locations({0}, 3, 3)


def test_spread() -> None:
    assert rules.spread(6, (2, 3)) == (2, 3, 2, 3, 2, 3)
    with pytest.raises(ValueError):
        rules.spread(6, ())
