"""Ports: even RTP, RTCP above it, no soon re-use, nothing lost and nothing given twice."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.errors import NoCapacity
from appliance.placement.ports import PortAllocator


def test_pairs_are_even_and_complete() -> None:
    """RFC 3550 section 11: RTP even, RTCP the next higher port; an odd start is skipped."""
    ports = PortAllocator(range(30001, 30008))
    taken = [ports.take_pair(0.0) for _ in range(3)]
    assert taken == [30002, 30004, 30006] and ports.free == 0
    with pytest.raises(NoCapacity):
        ports.take_pair(0.0)


def test_first_in_first_out_and_rest() -> None:
    ports = PortAllocator(range(30000, 30006), rest_s=5)
    first = ports.take_pair(0)
    ports.give_back((first, first + 1), 0)
    assert ports.take_pair(0) != first and ports.take_pair(0) != first
    with pytest.raises(NoCapacity):
        ports.take_pair(4.9)
    assert ports.take_pair(5.0) == first


def test_singles_split_one_pair() -> None:
    """With rtcp-mux a leg uses one port; two such legs share a pair."""
    ports = PortAllocator(range(30000, 30004))
    assert {ports.take_single(0), ports.take_single(0)} == {30000, 30001}
    assert ports.take_pair(0) == 30002


def test_busy_ports_are_never_given() -> None:
    assert PortAllocator(range(30000, 30006), busy={30003}).capacity == 4


def test_adoption_keeps_ports_out_of_reach() -> None:
    ports = PortAllocator(range(30000, 30004))
    ports.adopt((30000, 30001))
    assert ports.take_pair(0) == 30002
    for wrong in ((30000, 30001), (40000,)):
        with pytest.raises(NoCapacity):
            ports.adopt(wrong)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["pair", "single", "back", "half"]), max_size=60), st.randoms(use_true_random=False))
def test_never_twice_never_lost(steps: list[str], random: object) -> None:
    """Property: owners never overlap; when all is given back and rested, all can be taken again."""
    ports, owned, now = PortAllocator(range(30000, 30012), rest_s=2), [], 0.0
    for step in steps:
        now += 1
        try:
            if step == "pair":
                port = ports.take_pair(now)
                owned.append({port, port + 1})
            elif step == "single":
                owned.append({ports.take_single(now)})
            elif owned:
                ports.give_back(owned.pop(random.randrange(len(owned))), now)  # type: ignore[attr-defined]
        except NoCapacity:
            pass
        flat = [port for ports_of_one in owned for port in ports_of_one]
        assert len(flat) == len(set(flat)) == ports.used
    for mine in owned:
        ports.give_back(mine, now)
    assert {ports.take_pair(now + 10) for _ in range(6)} == set(range(30000, 30012, 2))
