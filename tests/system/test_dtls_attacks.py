"""Attackers with real sockets against handshakes, on every kind of port: the race for a ClientHello (A3) at rates that
the gateway's own counters confirm, and a flood from forged sources (D3)."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.appliance.processes import media_port, rtp
from tests.system.attack_rig import KINDS, THIRD, Attacked, attacked, our_port, settled
from tests.system.test_dtls_calls import ICE_LINES, check
from tests.system.veth import FAR

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]
CALLS = int(os.environ.get("SRTPGW_ATTACKED_CALLS", "8"))  # of each of 24 cases


@pytest.fixture(scope="module", params=KINDS)
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    with attacked(tmp_path_factory.mktemp("attacked"), request.param) as built:
        assert f'"port_kind": "{KINDS[request.param]}"' in built.box.log
        yield built
        assert "Traceback" not in built.box.log and '"level": "error"' not in built.box.log


@pytest.fixture(autouse=True)
def phones(house: Attacked) -> Iterator[None]:
    yield
    house.close_phones()


@pytest.mark.row("A3")
@pytest.mark.parametrize("rate", [50, 5000])
@pytest.mark.parametrize("host", [THIRD, FAR[4]], ids=["third address", "the caller's, other port"])
@pytest.mark.parametrize("ice", [False, True], ids=["no ICE", "ICE"])
def test_every_handshake_completes(house: Attacked, rate: int, host: str, ice: bool) -> None:
    """The attacker is at the port before the phone is and takes every cookie; no flight of the phone's has to be
    repeated, no alert, no teardown. As much came to the gateway as the attacker says, at the rate that he says."""
    attacker, names = house.attacker(host, rate), []
    before = settled(house)
    for _ in range(CALLS):
        phone, plain = house.far(), house.far_plain()
        name, offered = house.offer(plain.sdp(), **({"ICE": "force"} if ice else {}))
        names.append(name)
        attacker.attack(media_port(offered))
        attacker.wait(max(2, int(0.03 * rate)))
        answered = house.answer(name, phone.sdp(more=ICE_LINES if ice else ""))
        if ice:
            check(phone.socket, offered, to=our_port(offered))
        phone.handshake(our_port(offered))
        assert phone.repeated == 0
        house.events.wait(name, "KEYED")
        phone.send(rtp(1), our_port(offered))
        assert plain.socket.recv(2048) == rtp(1)
        plain.socket.sendto(rtp(2), our_port(answered))
        assert phone.receive() == rtp(2)
        attacker.pause()
        house.end(name)
        house.close_phones()
    sent, seconds = attacker.end()
    after = settled(house)
    came = sum(after.get(name, 0) - before.get(name, 0) for name in ("received", "overflows"))
    assert sent + CALLS >= 0.9 * rate * seconds and came >= 0.95 * sent, (sent, seconds, came)
    bad = {"FINGERPRINT_MISMATCH", "HANDSHAKE_FAILED", "FAILED"}
    assert not [name for name in names if bad & set(house.events.of(name))]
