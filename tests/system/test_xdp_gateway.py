"""The whole gateway on veth chooses AF_XDP by itself, and its control process tells the workers the next hops."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.system import lab as labs
from tests.system.calls import Call
from tests.system.gateway import Gateway
from tests.system.talk import Talk

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]
PACKETS = 500


@pytest.fixture(scope="module")
def gateway(laboratory: labs.Lab, sip_programs: None) -> Iterator[Gateway]:
    running = Gateway(laboratory).start()
    yield running
    assert "Traceback" not in running.log("sip") + running.log("control") + running.log("media")


def test_a_call_goes_through_the_rings(gateway: Gateway) -> None:
    """Issue 3, 2: status says so; from the first packets on (which ask for the way) both directions leave by rings."""
    assert gateway.status()["port_kind"] == "xdp-native", gateway.status()["why"]
    call = Call(gateway.lab, "AES_CM_128_HMAC_SHA1_80", length_ms=8000).start().wait_answered()
    before = gateway.counters()
    with Talk(call) as talk:
        talk.run(6, PACKETS, 2000).assert_flawless(PACKETS)
    after = gateway.counters()
    risen = {name: after.get(name, 0) - before.get(name, 0) for name in ("received", "ring_received", "ring_sent")}
    assert risen["ring_received"] == risen["received"] >= 2 * PACKETS
    assert risen["ring_sent"] >= 2 * PACKETS * 9 // 10
    call.finish()
