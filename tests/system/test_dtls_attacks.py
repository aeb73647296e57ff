"""Attackers with real sockets against handshakes, on every kind of port: the race for a ClientHello (A3 to A5) at rates
that the gateway's own counters confirm, a flood from forged sources (D3), every first octet in every phase (A12)."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Iterator

import pytest

from tests.appliance.processes import media_port, rtp
from tests.kernels.rig import drain
from tests.namespaces import inside
from tests.system.attack_rig import KINDS, THIRD, Attacked, attacked, far_socket, our_port, settled
from tests.system.test_dtls_calls import ICE_LINES, check
from tests.system.veth import FAR

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]
CALLS = int(os.environ.get("ATTACKED_CALLS", "8"))  # of each of 24 cases
FLOOD = 100_000  # datagrams, in a second
ICE = {"ICE": "force"}
BAD = {"FINGERPRINT_MISMATCH", "HANDSHAKE_FAILED", "FAILED"}
PHASES = ("offered", "answered", "keyed")


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


class Call:
    """Plain RTP at one leg, the phone at the other. `ice`: the phone has it; `elsewhere`: its pair is none that it
    signalled (a relay's address, a NAT's)."""

    def __init__(self, house: Attacked, *, ice: bool = False, elsewhere: bool = False) -> None:
        self.house, self.ice, self.elsewhere = house, ice, elsewhere
        self.phone, self.plain = house.far(), house.far_plain()
        self.name, self.offered = house.offer(self.plain.sdp(), **(ICE if ice else {}))
        self.to_phone = our_port(self.offered)

    def answer(self) -> None:
        sdp = self.phone.sdp(more=ICE_LINES if self.ice else "")
        if self.elsewhere:
            sdp = re.sub(r"m=audio \d+ ", "m=audio 9 ", sdp)
        self.to_plain = our_port(self.house.answer(self.name, sdp))
        if self.ice:
            check(self.phone.socket, self.offered, to=self.to_phone)

    def complete(self, first: int = 1) -> None:
        """The handshake, if there was none yet, and media both ways, numbered from `first` on."""
        if not self.phone.keyed:
            self.phone.handshake(self.to_phone, 10)
        self.house.events.wait(self.name, "KEYED")
        self.phone.send(rtp(first), self.to_phone)
        assert self.plain.socket.recv(2048) == rtp(first)
        self.plain.socket.sendto(rtp(first + 1), self.to_plain)
        assert self.phone.receive() == rtp(first + 1)

    def end(self) -> None:
        self.house.end(self.name)
        assert not BAD & set(self.house.events.of(self.name))
        self.house.close_phones()


def risen(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {name: count - before.get(name, 0) for name, count in after.items() if count != before.get(name, 0)}


@pytest.mark.row("A3", "A5")
@pytest.mark.parametrize("rate", [50, 5000])
@pytest.mark.parametrize("host", [THIRD, FAR[4]], ids=["third address", "the caller's, other port"])
@pytest.mark.parametrize("ice", [False, True], ids=["no ICE", "ICE"])
def test_every_handshake_completes(house: Attacked, rate: int, host: str, ice: bool) -> None:
    """The attacker is at the port before the phone is and takes every cookie; no flight of the phone's has to be
    repeated, no alert, no teardown; with ICE every second one comes from an address that only its check made known. As
    much came to the gateway as the attacker says, at the rate that he says."""
    attacker = house.attacker(host, rate)
    before = settled(house)
    for number in range(CALLS):
        call = Call(house, ice=ice, elsewhere=ice and number % 2 == 1)
        attacker.attack(media_port(call.offered))
        attacker.wait(max(2, int(0.03 * rate)))
        call.answer()
        call.complete()
        assert call.phone.repeated == 0
        attacker.pause()
        call.end()
    sent, seconds = attacker.end()
    found = risen(before, settled(house))
    came = found["received"] + found.get("overflows", 0)
    assert sent + CALLS >= 0.9 * rate * seconds and came >= 0.95 * sent, (sent, seconds, found)


@pytest.mark.row("A4", "DTLS-2")
def test_a_client_hello_before_the_answer(house: Attacked) -> None:
    """Under attack nobody can know yet whose ClientHello is the right one; whatever came of it, its repetition
    completes the handshake once the answer has named the phone."""
    attacker = house.attacker(THIRD, 5000)
    for _ in range(3):
        call = Call(house)
        attacker.attack(media_port(call.offered))
        attacker.wait(150)
        early = time.monotonic() + 0.3
        while time.monotonic() < early:
            call.phone.step(call.to_phone, wait=0.05)
        call.answer()
        call.complete()
        attacker.pause()
        call.end()
    attacker.end()


@pytest.mark.row("D3", "DTLS-6")
def test_a_flood_of_forged_sources(house: Attacked) -> None:
    """10^5 ClientHellos in a second, each from another forged source, at one call's port. Its own handshake and another
    call's complete meanwhile; a tenth at most of what came in goes out, and memory does not grow with the flood."""
    calls = [Call(house) for _ in range(2)]
    for call in calls:
        call.answer()
    before, memory = settled(house), house.resident_kib()
    with house.flood(media_port(calls[0].offered), FLOOD, FLOOD) as flood:
        octets_in, octets_out = house.octets()
        flood.start()
        time.sleep(0.2)
        for call in calls:
            call.complete()
        sent, seconds = flood.wait()
    found = risen(before, settled(house))
    came = sum(found.get(name, 0) for name in ("received", "overflows", "ring_lost"))
    assert sent == FLOOD and came > FLOOD // 2, (sent, seconds, found)
    now_in, now_out = house.octets()
    assert now_out - octets_out <= (now_in - octets_in) / 10
    assert found["punted"] < 2000
    assert house.resident_kib() - memory < 8192
    for call in calls:
        call.end()


@pytest.mark.row("A12", "D10")
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("ice", [False, True], ids=["no ICE", "ICE"])
def test_every_first_octet(house: Attacked, phase: str, ice: bool) -> None:
    """0..255 from a stranger and from the phone itself, in each phase of a call (RFC 7983): STUN 0..3, ZRTP 16..19 and
    DTLS 20..63 to whom they concern, RTP and RTCP 128..191 to nobody without keys, the rest dropped as unknown. Then
    the handshake completes as if nothing had been."""
    call = Call(house, ice=ice)
    if phase != "offered":
        call.answer()
    if phase == "keyed":
        call.complete()
    stranger = inside(house.veth.far, lambda: far_socket(THIRD))
    before = settled(house)
    spray(stranger, call.to_phone)
    of_stranger = risen(before, middle := settled(house))
    spray(call.phone.socket, call.to_phone)
    of_phone = risen(middle, settled(house))
    for found, known in ((of_stranger, False), (of_phone, phase != "offered")):
        assert found["received"] == 256
        assert found["unknown_kind"] == 256 - 4 - 4 - 44 - 64, found
        assert found.get("stun", 0) == (4 if ice else 0), found
        told = 0 if ice and not known else 48 if ice else 52
        assert found.get("punted", 0) + found.get("punt_rate", 0) == told, found
        assert not known or "punt_rate" not in found, found
        assert "forwarded" not in found, found
    assert drain(call.plain.socket, 0.05) == []
    call.plain.socket.settimeout(2)
    call.phone.heard.clear()
    if phase == "offered":
        call.answer()
    call.complete(10)
    stranger.close()
    call.end()


def spray(wire: socket.socket, to: tuple[str, int]) -> None:
    """A datagram of each first octet."""
    for first in range(256):
        wire.sendto(bytes([first]) + os.urandom(60), to)
