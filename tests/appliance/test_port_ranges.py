"""Interfaces with media ports of their own (row P08) over NG, with real processes and sockets, on two workers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.appliance.processes import Machine, NgClient, Phone, machine, media_port, rtp

pytestmark = pytest.mark.row("P08")
NG = 33_850
EVERYWHERE, RED, BLUE = (33_860, 33_899), (33_900, 33_915), (33_920, 33_959)
INTERFACES: tuple[dict[str, Any], ...] = (
    {"name": "default", "address": "127.0.0.1"},
    {"name": "red", "address": "127.0.0.2", "ports": list(RED)},
    {"name": "blue", "address": "127.0.0.3", "ports": list(BLUE)},
)
SETTINGS = "".join(
    f'[[interfaces]]\nname = "{one["name"]}"\naddress = "{one["address"]}"\n'
    + ('ports = "{}-{}"\n'.format(*one["ports"]) if "ports" in one else "")
    for one in INTERFACES
)
CALLS = 4  # red has room for them: sixteen ports, two workers


@pytest.fixture(params=["udp-sockets", "udp-wildcard"])
def gateway(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Machine, NgClient]]:
    changes: dict[str, Any] = {"interfaces": INTERFACES, "port": request.param, "cores": (0, 1)}
    with machine(tmp_path, NG, EVERYWHERE, calls=16, more=SETTINGS, **changes) as started:
        yield started


def host(sdp: str) -> str:
    """Of the m-line; the session's is not ours."""
    return re.findall(r"c=IN IP4 (\S+)", sdp)[-1]


def test_media_ports_are_those_of_the_interface(gateway: tuple[Machine, NgClient]) -> None:
    """Calls on both workers between red and blue: each leg on its interface's address and ports, media both ways from
    the right source; when red's ports are used up the next call is refused, and the default interface still has its."""
    built, client = gateway
    calls = []
    for number in range(CALLS):
        a, b = Phone(), Phone()
        words = {"call_id": f"c{number}", "from_tag": "a"}
        offered = client.ask("offer", **words, sdp=a.sdp(), direction=["red", "blue"])
        answered = client.ask("answer", **words, to_tag="b", sdp=b.sdp())
        assert (host(offered["sdp"]), host(answered["sdp"])) == ("127.0.0.3", "127.0.0.2")
        assert BLUE[0] <= media_port(offered["sdp"]) <= BLUE[1]
        assert RED[0] <= media_port(answered["sdp"]) <= RED[1]
        calls.append((a, b, media_port(answered["sdp"]), media_port(offered["sdp"])))
    assert len({here // 8 for _, _, here, _ in calls}) == 2  # both workers
    for a, b, here, there in calls:
        with closing(a), closing(b):
            a.socket.sendto(rtp(1, payload=b"to blue"), ("127.0.0.2", here))
            assert b.socket.recvfrom(2048) == (rtp(1, payload=b"to blue"), ("127.0.0.3", there))
            b.socket.sendto(rtp(2, payload=b"to red"), ("127.0.0.3", there))
            assert a.socket.recvfrom(2048) == (rtp(2, payload=b"to red"), ("127.0.0.2", here))
    with closing(Phone()) as late:
        words = {"from_tag": "a", "sdp": late.sdp()}
        used_up = [client.ask("offer", call_id=f"d{n}", **words, direction=["red", "blue"]) for n in range(5)]
        assert used_up[-1]["result"] == "error"
        other = client.ask("offer", call_id="e", **words, direction=["blue", "default"])
        assert EVERYWHERE[0] <= media_port(other["sdp"]) <= EVERYWHERE[1]
    assert "Traceback" not in built.log
