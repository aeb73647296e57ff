"""Values that mypy keeps frozen, and copies of them with other fields."""

from __future__ import annotations

from dataclasses import field, replace

import pytest

from appliance.calls.media import Address, LegMedia
from appliance.values import changed, frozen, remembered
from kernels.control.commands import InstallFlow


@frozen
class Point:
    x: int
    y: int = 0
    secret: bytes = field(default=b"", repr=False)


def test_equal_values_are_equal_and_hash_so() -> None:
    assert Point(1, 2) == Point(1, 2) != Point(1, 3)
    assert len({Point(1), Point(1), Point(2)}) == 2
    assert repr(Point(1, secret=b"k")) == "Point(x=1, y=0)"
    with pytest.raises(AttributeError):
        Point(1).z = 3  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("value", "changes"),
    [
        (Point(1, 2, b"k"), {"y": 5}),
        (LegMedia("default", Address("192.0.2.1", 4000), mux=True), {"secure": True, "remote_rtp": None}),
        (InstallFlow(1, "default", 30000, True, True, None, 2, 2, None, None), {"slot": 3, "ice": True}),
    ],
)
def test_changed_does_what_replace_does(value: object, changes: dict[str, object]) -> None:
    before = replace(value)  # type: ignore[type-var]
    assert changed(value, **changes) == replace(value, **changes) != value == before  # type: ignore[type-var]
    with pytest.raises(KeyError):
        changed(value, no_such_field=1)


def test_what_is_made_of_a_value_is_made_once() -> None:
    """By identity, and no more of it than said is kept."""
    made: list[Point] = []

    def length(point: Point) -> int:
        made.append(point)
        return point.x + point.y

    find, points = remembered(length, most=2), [Point(1), Point(1), Point(3)]
    assert [find(one) for one in points[:2] * 3] == [1] * 6
    assert len(made) == 2
    assert [find(one) for one in points * 2] == [1, 1, 3] * 2
    assert len(made) <= 8
