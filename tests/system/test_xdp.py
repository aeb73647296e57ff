"""The `xdp` port on real multi-queue veth (issue 3, items 2 and 3; rows F11, A13 of missions and faults)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernels.rig import drain, rtp
from tests.system.veth import Veth
from tests.system.xdp_rig import XdpGateway, gateway

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]
COUNT = 500


@pytest.fixture
def veth() -> Iterator[Veth]:
    with Veth() as made:
        yield made


def talk(running: XdpGateway, first: int = 0, count: int = COUNT) -> None:
    """`count` packets each way, one by one; every payload arrives as it was, in order."""
    for sequence in range(first, first + count):
        running.alice.sendto(rtp(sequence), running.ports["alice"])
        secured = running.bob.recv(2048)
        assert running.bob_opens.unprotect_rtp(secured) == rtp(sequence)
        running.bob.sendto(running.bob_seals.protect_rtp(rtp(sequence, ssrc=7)), running.ports["bob"])
        assert running.alice.recv(2048) == rtp(sequence, ssrc=7)


@pytest.mark.parametrize("mode", ["native", "generic"])
@pytest.mark.parametrize(("a", "b"), [(4, 4), (4, 6), (6, 6)])
def test_a_call_through_the_rings(veth: Veth, tmp_path: Path, mode: str, a: int, b: int) -> None:
    """RTP to SRTP and back, IPv4 and IPv6, through AF_XDP both ways: no packet by kernel sockets."""
    with gateway(veth, tmp_path, xdp_mode=mode) as running:
        assert running.plane.info.port_kind == f"xdp-{mode}", running.plane.info.why
        running.call(a, b)
        talk(running)
        assert drain(running.alice, 0.05) == drain(running.bob, 0.05) == []
        counters = running.counters()
        assert counters["received"] == counters["forwarded"] == 2 * COUNT
        assert counters["ring_received"] == counters["ring_sent"] == 2 * COUNT
