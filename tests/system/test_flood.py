"""Anti-flood on the wire: Kamailio as rendered, sources of 127.0.0.0/8 (rows M01-M12)."""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.sip_edge.management.ban_htable import TableBans
from appliance.sip_edge.rpc import SOCKET, Rpc
from kernels.control.ban_table import FOREVER
from tests.system.kamailio_rig import Edge, Phone, counted, running
from tests.system.lab import wait_for
from tests.system.sip_request import options

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

PORT, ANOTHER = 27800, 27810
DENSITY = 16


@pytest.fixture(scope="module")
def pike(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """The reference's density; a long unit, so that a test's burst lies in one or two; short bans."""
    with running(
        tmp_path_factory.mktemp("pike"), PORT,
        sip_flood={"reqs_density_per_unit": DENSITY, "sampling_time_unit": 2, "remove_latency": 4, "ban_s": 2,
                   "known": ["127.0.7.0/24"]},
        trunks=[{"name": "carrier", "match": ["127.0.8.0/24"]}, {"name": "users", "match": ["0.0.0.0/0"],
                                                                  "authenticate": "digest"}],
    ) as edge:  # fmt: skip
        yield edge


def answered(source: str, number: int, port: int = PORT) -> int:
    """How many of `number` requests, one after the other, were answered before the first that was not."""
    with Phone(port, source) as phone:
        for count in range(number):
            if not phone.ask(phone.request(), patience=0.3):
                return count
    return number


def test_a_flood_is_detected_between_once_and_three_times_the_density(pike: Edge) -> None:
    """M02, M04, M06, M09: from x to 3x; then silence, one alert for one ban, event and counter name the rule."""
    before = counted(pike, "flood_detected")
    assert DENSITY <= answered("127.0.1.2", 4 * DENSITY) <= 3 * DENSITY
    assert counted(pike, "flood_detected") == before + 1
    assert pike.log().count("ALERT: pike blocking OPTIONS from sip:me@127.0.0.1 (IP:127.0.1.2:") == 1
    event = [one for one in pike.events("sip_banned") if one["source"] == "127.0.1.2"]
    assert [(one["reason"], one["seconds"]) for one in event] == [("flood", 2)]
    swallowed = counted(pike, "flood_banned")
    assert answered("127.0.1.2", 1) == 0
    assert counted(pike, "flood_banned") == swallowed + 1
    assert pike.rpc("tm.stats")["waiting"] == 0


def test_another_source_is_not_affected(pike: Edge) -> None:
    """M02: the tree counts sources apart."""
    answered("127.0.1.3", 4 * DENSITY)
    assert answered("127.0.2.3", 1) == 1


def test_a_ban_ends(pike: Edge) -> None:
    """M05, M06: the entry expires, and a source that was quiet meanwhile is answered again."""
    assert answered("127.0.1.4", 4 * DENSITY) < 4 * DENSITY
    wait_for(lambda: answered("127.0.1.4", 1) == 1, 8, pike.log)


@pytest.mark.parametrize(
    "source", [pytest.param("127.0.7.2", id="setting"), pytest.param("127.0.8.2", id="trunk"),
               pytest.param("127.0.0.1", id="myself")],
)  # fmt: skip
def test_known_sources_are_never_counted(pike: Edge, source: str) -> None:
    """M07, M08, P10: networks of the setting, trunks by address, and we ourselves."""
    assert answered(source, 5 * DENSITY) == 5 * DENSITY


def test_a_trunk_for_everybody_makes_nobody_known(pike: Edge) -> None:
    """M07: users who log in come from anywhere, and are counted."""
    assert answered("127.0.9.9", 4 * DENSITY) < 4 * DENSITY


def test_top_talkers(pike: Edge) -> None:
    """M11, M01: pike.top shows who sends how much."""
    with Phone(PORT, "127.0.3.3") as phone:
        for _ in range(DENSITY - 2):
            phone.ask(phone.request())
    found = pike.rpc("pike.top", "ALL")
    assert "127.0.3.3" in str(found)


def test_a_silent_source_is_forgotten(pike: Edge) -> None:
    """M03: after remove_latency pike's tree has it no more."""
    with Phone(PORT, "127.0.4.4") as phone:
        for _ in range(DENSITY):
            phone.ask(phone.request())
    assert "127.0.4.4" in str(pike.rpc("pike.top", "ALL"))
    wait_for(lambda: "127.0.4.4" not in str(pike.rpc("pike.top", "ALL")), 12, pike.log)


def test_exact_mode_and_a_ban_that_outlives_its_cause(tmp_path: Path) -> None:
    """M02: at x + 1; M06: the ban holds for its time although the unit is over."""
    flood = {"exact": True, "reqs_density_per_unit": 5, "sampling_time_unit": 1, "ban_s": 30}
    with running(tmp_path, ANOTHER, sip_flood=flood) as edge:
        assert answered("127.0.1.2", 20, ANOTHER) == 5
        time.sleep(1.5)
        assert answered("127.0.1.2", 1, ANOTHER) == 0
        assert edge.rpc("htable.delete", "ipban", "127.0.1.2") is not None
        assert answered("127.0.1.2", 1, ANOTHER) == 1


async def test_a_banned_network_is_not_heard_without_a_kernel(tmp_path: Path) -> None:
    """M13, M06, M10: what an operator bans holds in Kamailio alone; networks of several lengths, both families."""
    listen = [f"udp:127.0.0.1:{ANOTHER}", f"udp:[::1]:{ANOTHER}"]
    with running(tmp_path, ANOTHER, sip={"listen": listen}) as edge:
        bans = TableBans(Rpc(edge.config.run / SOCKET))
        for network in ("127.0.1.0/24", "127.0.2.0/23", "127.0.9.9/32", "2001:db8::/32"):
            bans.change(ipaddress.ip_network(network), FOREVER)
        await bans.carry()
        assert bans.why == ""
        heard = {source: answered(source, 1, ANOTHER) for source in (
            "127.0.1.7", "127.0.2.1", "127.0.3.255", "127.0.9.9", "127.0.4.1", "127.0.9.8")}  # fmt: skip
        assert heard == {"127.0.1.7": 0, "127.0.2.1": 0, "127.0.3.255": 0, "127.0.9.9": 0, "127.0.4.1": 1,
                         "127.0.9.8": 1}  # fmt: skip
        assert counted(edge, "flood_banned") == 4
        assert _answered_by_ipv6()
        bans.change(ipaddress.ip_network("::/64"), FOREVER)
        bans.change(ipaddress.ip_network("127.0.2.0/23"), None)
        await bans.carry()
        assert not _answered_by_ipv6()
        assert (answered("127.0.2.1", 1, ANOTHER), answered("127.0.1.7", 1, ANOTHER)) == (1, 0)


def _answered_by_ipv6() -> bool:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as link:
        link.settimeout(0.5)
        link.sendto(options("[::1]", 9, "edge"), ("::1", ANOTHER))
        try:
            return link.recv(4096).startswith(b"SIP/2.0 200")
        except TimeoutError:
            return False


def test_off_is_off(tmp_path: Path) -> None:
    """M12: WITH_ANTIFLOOD not defined: no module, no table, nobody counted."""
    with running(tmp_path, ANOTHER, sip_flood={"enabled": False}) as edge:
        assert answered("127.0.1.2", 100, ANOTHER) == 100
        assert "code" in edge.rpc("pike.top", "ALL")
        assert "code" in edge.rpc("htable.get", "ipban", "x")
