"""M13: bounded room for bans; who gives way."""

from __future__ import annotations

import ipaddress
import random

import pytest

from kernels.control.ban_table import FOREVER, BanTable, Network


def net(text: str) -> Network:
    return ipaddress.ip_network(text)


ONE, TWO, THREE = net("192.0.2.1/32"), net("192.0.2.2/32"), net("2001:db8::/64")


def test_ends_in_order_of_time() -> None:
    table = BanTable()
    for network, until in ((ONE, 30.0), (TWO, 10.0), (THREE, FOREVER)):
        assert table.put(network, until) is None
    assert table.expired(9.9) == []
    assert table.expired(10.0) == [TWO]
    assert table.expired(1e12) == [ONE]
    assert list(table) == [THREE]


def test_a_ban_that_is_set_anew_has_one_end() -> None:
    table = BanTable()
    table.put(ONE, 10)
    table.put(ONE, 20)
    assert table.expired(15) == []
    assert (len(table), table.until(ONE)) == (1, 20)
    table.put(ONE, 5)
    assert table.expired(5) == [ONE]


def test_full_the_first_to_end_gives_way() -> None:
    """The oldest among equals; a new ban that ends before all others is not taken."""
    table = BanTable(most=2)
    table.put(ONE, FOREVER)
    table.put(TWO, 100)
    assert table.put(THREE, 200) == TWO
    assert table.put(TWO, 50) == TWO
    assert set(table) == {ONE, THREE}
    assert table.put(TWO, FOREVER) == THREE
    assert table.put(THREE, FOREVER) == ONE
    assert table.given_way == 4


def test_a_storm_of_the_same_ban_takes_no_room() -> None:
    table = BanTable()
    for i in range(10_000):
        table.put(ONE, float(i))
    assert len(table._order) < 200
    assert table.expired(9_998.0) == []


@pytest.mark.parametrize("seed", range(5))
def test_like_a_plain_dictionary(seed: int) -> None:
    """Whatever order of bans, ends and expiry: what is there is what a dictionary says."""
    chance, table, plain = random.Random(seed), BanTable(most=1000), dict[Network, float]()
    nets = [net(f"198.51.100.{i}/32") for i in range(100)]
    for now in range(2_000):
        network = chance.choice(nets)
        match chance.randrange(3):
            case 0:
                assert table.remove(network) == (plain.pop(network, None) is not None)
            case _:
                plain[network] = float(now + chance.randrange(1, 300))
                table.put(network, plain[network])
        gone = set(table.expired(now))
        assert gone == {one for one, until in plain.items() if until <= now}
        plain = {one: until for one, until in plain.items() if one not in gone}
    assert {one: table.until(one) for one in table} == plain
