"""Anti-flood over IPv4 and IPv6 alike, and how much memory forged sources can take (row M10)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

import pytest

from tests.system.forged import Forger, Source, forger
from tests.system.kamailio_rig import Edge, Phone, counted, running
from tests.system.lab import island, wait_for
from tests.system.targets import HOST

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

PORT, DENSITY, FORGET_S = 27820, 8, 2
MOST = {4: 3, 6: 8}  # by version: how many times the density pike may need (its nodes are octets of the address)
V4, V6 = IPv4Address("127.32.0.0"), IPv6Address("2001:db8::")
PAIRS, STEP = 12_000, 10  # forged sources of each family; after so many of them a known one asks
KNOWN = "127.0.9.1"


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """In a namespace of its own, and so are the tests: replies to forged addresses must not leave the machine."""
    flood = {"reqs_density_per_unit": DENSITY, "sampling_time_unit": 2, "remove_latency": FORGET_S, "ban_s": 30}
    listen = {"listen": [f"udp:{HOST}:{PORT}", f"udp:[::1]:{PORT}"], "workers": 2}
    place, known = tmp_path_factory.mktemp("families"), [{"name": "known", "match": [f"{KNOWN}/32"]}]
    with island("flood"), running(place, PORT, sip_flood=flood, sip=listen, trunks=known) as running_edge:
        yield running_edge


@pytest.fixture(scope="module")
def forge(edge: Edge) -> Iterator[Forger]:
    with forger(PORT) as made:
        yield made


@pytest.mark.row("M10", "M02")
@pytest.mark.parametrize("source", [V4 + 5, V6 + 5], ids=["v4", "v6"])
def test_both_families_are_counted_and_banned(edge: Edge, forge: Forger, source: Source) -> None:
    """One tree, two kinds of address: each source is found within its bounds and banned by its own address."""
    before, sent = counted(edge, "flood_detected"), 0
    while counted(edge, "flood_detected") == before:
        forge.send(source)
        sent += 1
        assert sent <= MOST[source.version] * DENSITY, edge.log()
        time.sleep(0.01)
    assert sent > DENSITY - 1
    # It is counted first, then told.
    wait_for(lambda: [one["source"] for one in edge.events("sip_banned")].count(str(source)) == 1, 10, edge.log)
    swallowed = counted(edge, "flood_banned")
    forge.send(source)
    wait_for(lambda: counted(edge, "flood_banned") == swallowed + 1, 5, edge.log)


@pytest.mark.row("M10", "M03")
def test_forged_sources_take_bounded_memory_and_give_it_back(edge: Edge, forge: Forger) -> None:
    """Each address of a flood is seen once: nobody is banned, a known source is answered all the while, and when pike
    has forgotten them the shared memory is free again."""
    before, most = used(edge), 0
    banned = counted(edge, "flood_detected")
    with Phone(PORT, KNOWN) as phone, Phone(PORT, "::1") as gateway_itself:
        for first in range(0, PAIRS, STEP):
            for number in range(first, first + STEP):
                forge.send(V4 + 256 + number)
                forge.send(V6 + (number << 64))
            assert phone.status(phone.request()) == 200
            assert gateway_itself.status(gateway_itself.request()) == 200  # its socket has caught up too
            most = max(most, used(edge))
    assert counted(edge, "flood_detected") == banned
    assert most - before > 512 << 10, "the flood did not reach pike"
    assert most - before < 8 << 20  # of 32 MiB
    wait_for(lambda: used(edge) - before < 64 << 10, 5 * FORGET_S + 10, lambda: f"{before} -> {used(edge)}")


def used(edge: Edge) -> int:
    """Octets of shared memory in use, without what Kamailio needs to manage them."""
    return int(edge.rpc("core.shmmem")["used"])
