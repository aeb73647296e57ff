"""kill -9 of the control process with DTLS-SRTP calls up: keyed legs go on, unfinished ones begin again with the
certificate that their peer was told of. Ports 31600-31749."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.appliance.processes import Phone, media_port, rtp
from tests.system.dtls_calls import House, house, our_port, talk
from tests.system.dtls_phone import DtlsPhone, our_fingerprint
from tests.system.gateway import arguments, descendants

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("restart"), 31600, (31620, 31699), calls=15) as built:
        yield built


def restart(gateway: House) -> None:
    gateway.channel.close()
    gateway.box.start_control()
    gateway.connect()


def calls(gateway: House) -> list[tuple[str, DtlsPhone, Phone, int, tuple[str, int], str]]:
    """Two, one of each role: call-id, phone, plain phone, our ports towards them, our fingerprint."""
    made = []
    for setup in ("active", "passive"):
        phone, plain = gateway.phone(setup), gateway.plain()
        name, offered = gateway.offer(plain.sdp())
        answered = gateway.answer(name, phone.sdp())
        made.append((name, phone, plain, media_port(answered), our_port(offered), our_fingerprint(offered)))
    return made


@pytest.mark.row("F1")
def test_in_mid_call(gateway: House) -> None:
    """Media flows while nobody is in control, and after; the next one ends the calls and frees all of them."""
    made = calls(gateway)
    for _, phone, plain, to_plain, to_phone, _ in made:
        phone.handshake(to_phone if phone.setup == "active" else None)
        talk(plain, phone, to_plain, to_phone)
    gateway.box.kill_control()
    for _, phone, plain, to_plain, to_phone, _ in made:
        talk(plain, phone, to_plain, to_phone, first=10)
    restart(gateway)
    for name, phone, plain, to_plain, to_phone, _ in made:
        leg = gateway.get(name).streams[0].b
        assert leg.dtls.state == "keyed" and gateway.get(name).adopted
        assert f"{leg.dtls.fingerprint_hash} {leg.dtls.fingerprint}" == phone.fingerprint
        talk(plain, phone, to_plain, to_phone, first=20)
        gateway.end(name)
        assert gateway.gone(name)


def test_before_the_handshake(gateway: House) -> None:
    """The peer's ClientHello comes while nobody is in control; ours is lost with who sent it. It goes on with the
    certificate of before."""
    made = calls(gateway)
    gateway.box.kill_control()
    for _, phone, _, _, to_phone, _ in made:
        if phone.setup == "active":
            phone.step(to_phone, wait=0.1)
        else:
            _lose(phone)
    restart(gateway)
    for name, phone, plain, to_plain, to_phone, ours in made:
        phone.handshake(to_phone if phone.setup == "active" else None, seconds=10)
        assert phone.peer_fingerprint() == ours
        talk(plain, phone, to_plain, to_phone)
        gateway.end(name)


def test_in_the_middle_of_a_handshake(gateway: House) -> None:
    """Its state is lost with its process. The call is there, the peer begins again, and that is enough."""
    phone, plain = gateway.phone(), gateway.plain()
    name, offered = gateway.offer(plain.sdp())
    answered = gateway.answer(name, phone.sdp())
    while not any(data[13] == 2 for data in _records(phone.socket, phone, our_port(offered))):
        pass  # until the ServerHello is there, which it does not get to see
    gateway.box.kill_control()
    restart(gateway)
    phone.begin()
    phone.handshake(our_port(offered))
    talk(plain, phone, media_port(answered), our_port(offered))
    assert "Traceback" not in gateway.box.log
    plain.send(rtp(99), media_port(answered))
    gateway.end(name)


def _lose(phone: DtlsPhone) -> None:
    """All that is on its way to a phone."""
    phone.socket.settimeout(0.1)
    with pytest.raises(TimeoutError):
        while phone.socket.recv(4096):
            pass


def _hello(phone: DtlsPhone, old: bytes = b"") -> bytes:
    """The next ClientHello that comes to the phone and is no copy of `old` (the same random) from its socket."""
    phone.socket.settimeout(20)
    while True:
        data = phone.socket.recv(4096)
        if data[0] == 22 and data[13] == 1 and data[27:59] != old[27:59]:
            return data


def _records(wire: socket.socket, phone: DtlsPhone, to: tuple[str, int]) -> list[bytes]:
    """One exchange: what came; a HelloVerifyRequest is answered, a ServerHello is kept from the phone."""
    for datagram in phone.pull():
        wire.sendto(datagram, to)
    wire.settimeout(1)
    data = wire.recv(4096)
    if 20 <= data[0] < 64 and data[13] != 2:
        phone.push(data)
    return [data]


@pytest.mark.parametrize("late", [False, True], ids=["silent", "late"])
def test_handshakes_in_a_process_of_their_own(tmp_path: Path, late: bool) -> None:
    """Both roles; the process dies in the middle of a handshake: its peer begins again. One that had not answered our
    ClientHello gets another and notices nothing; one whose answer to the dead process comes late does no harm by it."""
    with house(tmp_path, 31700, (31710, 31749), calls=8, more="[dtls]\nprocesses = 1\nmtu = 600") as gateway:
        for name, phone, plain, to_plain, to_phone, _ in calls(gateway):
            phone.handshake(to_phone if phone.setup == "active" else None)
            talk(plain, phone, to_plain, to_phone)
            gateway.end(name)
        assert gateway.box.control is not None
        ((name, phone, plain, to_plain, to_phone, _), other) = calls(gateway)
        while not any(data[13] == 2 for data in _records(phone.socket, phone, to_phone)):
            pass
        old = _hello(other[1])
        if late:
            other[1].push(old)
        (process,) = [pid for pid in descendants(gateway.box.control.pid) if "appliance.handshakes" in arguments(pid)]
        os.kill(process, signal.SIGKILL)
        gateway.wait(lambda: "handshake_process_ended" in gateway.box.log)
        _lose(phone)
        phone.begin()
        _hello(other[1], old)  # of the new process: lost, and repeated
        if late:
            for datagram in other[1].pull():
                other[1].socket.sendto(datagram, other[4])
            other[1].begin()
        for one in ((name, phone, plain, to_plain, to_phone), other[:-1]):
            one[1].handshake(one[4] if one[1].setup == "active" else None, seconds=10)
            talk(one[2], one[1], one[3], one[4])
        assert "Traceback" not in gateway.box.log
