"""DTLS-SRTP through the whole gateway on loopback: holder, worker, control and handshakes, against OpenSSL. The other
leg is plain RTP, SDES or DTLS too. Ports 31400-31599."""

from __future__ import annotations

import asyncio
import random
import re
import select
import socket
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path

import aioice
import aioice.ice
import aioice.stun
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from OpenSSL import SSL

from kernels.srtp.session import Session
from kernels.srtp.transform import Transform
from srtpgw.v1 import system_pb2, system_pb2_grpc
from tests.appliance.processes import Phone, media_port, rtp
from tests.system.dtls_calls import AVP, House, house, our_port, talk, their_port
from tests.system.dtls_phone import PROFILES, DtlsPhone, certificate, our_fingerprint

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]
RTCP = bytes.fromhex("80c80006") + bytes.fromhex("11223344") + bytes(20)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("dtls"), 31400, (31420, 31599)) as built:
        yield built
        assert "Traceback" not in built.box.log and '"level": "error"' not in built.box.log


@pytest.fixture(autouse=True)
def phones(gateway: House) -> Iterator[None]:
    yield
    gateway.close_phones()


def call(gateway: House, phone: DtlsPhone) -> tuple[str, Phone, int, tuple[str, int]]:
    """Plain RTP at a, the phone at b: call-id, the plain phone, our port towards it, our address towards the phone."""
    plain = gateway.plain()
    name, offered = gateway.offer(plain.sdp())
    answered = gateway.answer(name, phone.sdp())
    return name, plain, media_port(answered), our_port(offered)


# --- one leg -------------------------------------------------------------------------------------------------------


@pytest.mark.row("D01", "DTLS-8", "DTLS-10", "DTLS-20", "A9")
@pytest.mark.parametrize("setup", ["active", "passive"])
@pytest.mark.parametrize("profile", [b"SRTP_AEAD_AES_128_GCM", b"SRTP_AES128_CM_SHA1_80"])
def test_a_phone_of_either_role(gateway: House, setup: str, profile: bytes) -> None:
    """Nothing passes before the handshake, everything after it, RTP and RTCP, and the keys are nowhere to be read."""
    phone = gateway.phone(setup, profile=profile)
    name, plain, to_plain, to_phone = call(gateway, phone)
    plain.send(rtp(1), to_plain)
    phone.socket.sendto(rtp(1), to_phone)
    time.sleep(0.05)
    if setup == "active":
        phone.handshake(to_phone)
    else:
        phone.handshake(None)
    assert all(data[0] >> 6 != 2 for data, _ in phone.heard)  # media would have been plain
    gateway.events.wait(name, "KEYED")
    talk(plain, phone, to_plain, to_phone)
    plain.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        plain.socket.recv(2048)
    phone.send(RTCP, to_phone, rtcp=True)
    leg = gateway.get(name).streams[0].b
    assert leg.key_method == leg.DTLS and leg.dtls.state == "keyed"
    assert leg.dtls.role == ("server" if setup == "active" else "client")
    assert f"{leg.dtls.fingerprint_hash} {leg.dtls.fingerprint}" == phone.fingerprint
    assert leg.dtls.suite == leg.receive.suite == leg.send.suite
    most = 1 << (31 if b"SHA1" in profile else 48)
    assert {context.each_key[0].rtp_left + context.each_key[0].rtp_packets for context in (leg.receive, leg.send)} == {
        most
    }
    shown = f"{gateway.box.log} {gateway.get(name)} {gateway.events.seen}"
    for secret in phone.secrets:
        assert not any(word in shown for word in (secret.hex(), b64encode(secret[:15]).decode(), repr(secret)[2:-1]))
    gateway.end(name)


def test_the_command_line_shows_it(gateway: House) -> None:
    phone = gateway.phone()
    name, plain, to_plain, to_phone = call(gateway, phone)
    phone.handshake(to_phone)
    talk(plain, phone, to_plain, to_phone)
    words = [sys.executable, "-m", "appliance.cli.main", "calls", "show", name, "--socket",
             str(gateway.box.run / "control.sock")]  # fmt: skip
    shown = subprocess.run(words, capture_output=True, text=True, check=True, timeout=20).stdout
    for word in ("dtls", "server", "keyed", "AEAD_AES_128_GCM", phone.fingerprint[:19]):
        assert word in shown, shown
    gateway.end(name)


@pytest.mark.row("DTLS-9")
@pytest.mark.parametrize("setup", ["active", "passive"])
@pytest.mark.parametrize("ice", [False, True], ids=["no ICE", "ICE"])
def test_rtcp_has_an_association_of_its_own(gateway: House, setup: str, ice: bool) -> None:
    """Without mux: two handshakes, two sets of keys; RTCP under RTP's keys does not pass."""
    phone = gateway.phone(setup)
    identity = phone.certificate, phone.key, phone.fingerprint
    control = gateway.phone(setup, port=phone.port + 1, identity=identity)
    plain = gateway.plain()
    plain_control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    plain_control.bind(("127.0.0.1", plain.port + 1))
    plain_control.settimeout(2)
    name, offered = gateway.offer(plain.sdp(), rtcp_mux=["reject"], **({"ICE": "force"} if ice else {}))
    answered = gateway.answer(name, phone.sdp(mux=False, more=ICE_LINES if ice else ""))
    to_phone, to_control = our_port(offered), their_port(offered)
    if ice:
        check(phone.socket, offered)
    phone.handshake(to_phone if setup == "active" else None)
    talk(plain, phone, media_port(answered), to_phone)
    phone.send(RTCP, to_control, rtcp=True)  # keyed for the other component
    if ice:
        check(control.socket, offered, to_control)
    control.handshake(to_control if setup == "active" else None)
    gateway.wait(lambda: gateway.get(name).streams[0].b.dtls.rtcp_state == "keyed")
    control.send(RTCP, to_control, rtcp=True)
    assert plain_control.recv(2048) == RTCP
    plain_control.setblocking(False)
    with pytest.raises(BlockingIOError):
        plain_control.recv(2048)
    plain_control.sendto(RTCP, ("127.0.0.1", media_port(answered) + 1))
    assert control.receive(rtcp=True) == RTCP
    plain_control.close()
    gateway.end(name)


@pytest.mark.row("D03", "DTLS-4", "D1")
@pytest.mark.parametrize("setup", ["active", "passive"])
def test_a_wrong_fingerprint_ends_the_call(gateway: House, setup: str) -> None:
    phone = gateway.phone(setup)
    plain = gateway.plain()
    name, offered = gateway.offer(plain.sdp())
    gateway.answer(name, phone.sdp(fingerprint=certificate()[2]))
    with pytest.raises(SSL.Error):
        phone.handshake(our_port(offered) if setup == "active" else None)
        phone.step(None, wait=1)  # a client learns of it by an alert after its Finished
    told = gateway.events.wait(name, "FINGERPRINT_MISMATCH")
    assert "stream 0, leg b, rtp" in told.reason and "fingerprint_mismatch" in told.reason
    gateway.wait(lambda: gateway.gone(name))
    assert gateway.events.of(name)[-1] == "FAILED"


@pytest.mark.row("A4", "DTLS-2")
@pytest.mark.parametrize("wrong", [False, True])
def test_a_client_hello_before_the_answer(gateway: House, wrong: bool) -> None:
    """The handshake runs, its keys are held back until the fingerprint is known; or it was not the right one."""
    phone, plain = gateway.phone(), gateway.plain()
    name, offered = gateway.offer(plain.sdp())
    phone.handshake(our_port(offered))
    phone.send(rtp(1), our_port(offered))
    time.sleep(0.3)
    plain.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        plain.socket.recv(2048)
    assert gateway.get(name).streams[0].b.receive.suite == ""
    plain.socket.settimeout(2)
    answered = gateway.answer(name, phone.sdp(fingerprint=certificate()[2] if wrong else ""))
    if wrong:
        gateway.events.wait(name, "FINGERPRINT_MISMATCH")
        gateway.wait(lambda: gateway.gone(name))
    else:
        talk(plain, phone, media_port(answered), our_port(offered), first=2)
        gateway.end(name)


# --- two legs ------------------------------------------------------------------------------------------------------


@pytest.mark.row("DTLS-19")
def test_dtls_on_both_legs(gateway: House) -> None:
    """The offerer is told that we are active (early media). Phones are shown the certificate that stays, so that they
    may notice a change; where there is ICE, as browsers have it, one of the call's own."""
    a, b = gateway.phone("passive"), gateway.phone("active", profile=b"SRTP_AES128_CM_SHA1_80")
    name, offered = gateway.offer(a.sdp(setup="actpass"))
    answered = gateway.answer(name, b.sdp())
    assert "a=setup:active" in answered and our_fingerprint(answered) == our_fingerprint(offered)
    another, fresh = gateway.offer(gateway.plain().sdp(), ICE="force")
    assert our_fingerprint(fresh) != our_fingerprint(offered)
    gateway.end(another)
    b.handshake(our_port(offered))
    a.handshake(None)
    gateway.wait(lambda: {leg.dtls.state for leg in _legs(gateway, name)} == {"keyed"})
    a.send(rtp(1), our_port(answered))
    assert b.receive() == rtp(1)
    b.send(rtp(2), our_port(offered))
    assert a.receive() == rtp(2)
    gateway.end(name)


def test_dtls_to_sdes(gateway: House) -> None:
    a, b = gateway.phone("passive"), gateway.plain()
    words = {"protocol": "RTP/SAVP", "SDES": ["only-AES_CM_128_HMAC_SHA1_80"]}
    name, offered = gateway.offer(a.sdp(setup="actpass"), **words)
    answered = gateway.answer(name, b.answer(offered))
    a.handshake(None)
    talk(b, a, media_port(offered), our_port(answered))
    legs = _legs(gateway, name)
    assert [leg.KeyMethod.Name(leg.key_method) for leg in legs] == ["DTLS", "SDES"]
    gateway.end(name)


def _legs(gateway: House, name: str) -> list:  # type: ignore[type-arg]
    stream = gateway.get(name).streams[0]
    return [stream.a, stream.b]


# --- OpenSSL's own client ------------------------------------------------------------------------------------------


@pytest.mark.row("D5", "DTLS-8")
def test_openssl_s_client(gateway: House, tmp_path: Path) -> None:
    """`openssl s_client -use_srtp`: the keys it exports open and protect our media; that it closes its association
    afterwards does not touch media."""
    phone, plain = gateway.phone(), gateway.plain()
    pem = tmp_path / "client.pem"
    pem.write_bytes(
        phone.certificate.public_bytes(Encoding.PEM)
        + phone.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    name, offered = gateway.offer(plain.sdp())
    answered = gateway.answer(name, phone.sdp())
    host, port = our_port(offered)
    phone.socket.close()  # s_client has its port for a while
    words = ["openssl", "s_client", "-dtls1_2", "-connect", f"{host}:{port}", "-bind", f"127.0.0.1:{phone.port}",
             "-use_srtp", "SRTP_AES128_CM_SHA1_80", "-cert", str(pem), "-key", str(pem),
             "-keymatexport", "EXTRACTOR-dtls_srtp", "-keymatexportlen", "60"]  # fmt: skip
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as client:
        gateway.events.wait(name, "KEYED")
        out, _ = client.communicate(b"Q\n", timeout=10)
    found = re.search(rb"Keying material: ([0-9A-F]+)", out)
    assert found and b"SRTP Extension negotiated, profile=SRTP_AES128_CM_SHA1_80" in out, out.decode()
    material = bytes.fromhex(found[1].decode())
    transform = Transform("AES_CM", "HMAC_SHA1", 16, 14, 10, 10)
    ours = Session(transform, material[:16], material[32:46], send=True)
    theirs = Session(transform, material[16:32], material[46:60], send=False)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        wire.bind(("127.0.0.1", phone.port))
        wire.settimeout(2)
        sealed = ours.protect_rtp(rtp(1))
        assert isinstance(sealed, bytes)
        wire.sendto(sealed, (host, port))
        assert plain.receive() == rtp(1)
        plain.send(rtp(2), media_port(answered))
        while (data := wire.recv(2048))[0] >> 6 != 2:
            pass
        assert theirs.unprotect_rtp(data) == rtp(2)
    gateway.end(name)


# --- attackers and bad networks ------------------------------------------------------------------------------------


@pytest.mark.row("A3", "D3")
@pytest.mark.parametrize("rate", [50, 5000])
@pytest.mark.parametrize("host", ["127.0.0.66", "127.0.0.1"], ids=["third address", "the caller's, other port"])
@pytest.mark.parametrize("ice", [False, True], ids=["no ICE", "ICE"])
def test_an_attacker_cannot_win_the_race(gateway: House, rate: int, host: str, ice: bool) -> None:
    """25 of 25, and 200 of 200 over the table: the attacker is there before the phone and takes every cookie it is
    given. Nobody is told of anything but keys."""
    words = [sys.executable, "-m", "tests.system.dtls_attacker", host, str(rate)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as attacker:
        assert attacker.stdin is not None and attacker.stdout is not None
        names = []
        for _ in range(25):
            phone, plain = gateway.phone(), gateway.plain()
            name, offered = gateway.offer(plain.sdp(), **({"ICE": "force"} if ice else {}))
            names.append(name)
            attacker.stdin.write(f"{media_port(offered)}\n")
            attacker.stdin.flush()
            time.sleep(0.03)
            answered = gateway.answer(name, phone.sdp(more=ICE_LINES if ice else ""))
            if ice:
                check(phone.socket, offered)
            phone.handshake(our_port(offered))
            talk(plain, phone, media_port(answered), our_port(offered))
            gateway.end(name)
            gateway.close_phones()
        attacker.stdin.write("\n")
        attacker.stdin.flush()
        assert int(attacker.stdout.readline().split()[0]) > 25 * 0.03 * rate * 0.5
    bad = {"FINGERPRINT_MISMATCH", "HANDSHAKE_FAILED", "FAILED"}
    assert not [name for name in names if bad & set(gateway.events.of(name))]


ICE_LINES = "a=ice-ufrag:phone\r\na=ice-pwd:passwordpasswordpassword\r\n"


def check(wire: socket.socket, offered: str, to: tuple[str, int] | None = None, *, nominate: bool = True) -> None:
    """A connectivity check by aioice's codec, until it is answered."""
    ufrag, password = (re.search(rf"a=ice-{word}:(\S+)", offered)[1] for word in ("ufrag", "pwd"))  # type: ignore[index]
    request = aioice.stun.Message(aioice.stun.Method.BINDING, aioice.stun.Class.REQUEST)
    request.attributes["USERNAME"] = f"{ufrag}:phone"
    request.attributes["PRIORITY"] = 1
    request.attributes["ICE-CONTROLLING"] = 1
    if nominate:
        request.attributes["USE-CANDIDATE"] = None
    request.add_message_integrity(password.encode())
    for _ in range(20):
        wire.sendto(bytes(request), to or our_port(offered))
        wire.settimeout(0.1)
        try:
            data = wire.recv(2048)
            if data[:2] == b"\x01\x01":
                answer = aioice.stun.parse_message(data)
                assert answer.check_message_integrity(password.encode())
                assert answer.transaction_id == request.transaction_id
                return
        except TimeoutError:
            continue
    raise TimeoutError("no answer to a check")


class Relay:
    """A wire that loses and reorders, both ways, between a phone and the gateway."""

    def __init__(self, gateway: tuple[str, int], seed: int, loss: float = 0.3) -> None:
        self._random, self._loss = random.Random(seed), loss
        self.near, self._far = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        self.near.bind(("127.0.0.1", 0))
        self._far.bind(("127.0.0.1", 0))
        self._gateway, self._phone = gateway, ("127.0.0.1", 9)
        self._late: list[tuple[float, Callable[[], object]]] = []
        self.lost = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    @property
    def address(self) -> tuple[str, int]:
        return self.near.getsockname()  # type: ignore[no-any-return]

    def _run(self) -> None:
        while not self._stop.is_set():
            ready, _, _ = select.select([self.near, self._far], [], [], 0.01)
            for wire in ready:
                data, source = wire.recvfrom(4096)
                if wire is self.near:
                    self._phone = source
                if self._random.random() < self._loss and data[0] >> 6 != 2:
                    self.lost += 1
                else:
                    out, to = (self._far, self._gateway) if wire is self.near else (self.near, self._phone)
                    when = time.monotonic() + self._random.choice((0, 0, 0.01, 0.03))
                    self._late.append((when, lambda out=out, data=data, to=to: out.sendto(data, to)))  # type: ignore[misc]
            now = time.monotonic()
            for entry in [entry for entry in self._late if entry[0] <= now]:
                self._late.remove(entry)
                entry[1]()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self.near.close()
        self._far.close()


@pytest.mark.row("D4", "D08", "D11")
@pytest.mark.parametrize(("profile", "setup", "ice"), [
    (profile, setup, (at + (setup == "active")) % 2 == 0)
    for at, profile in enumerate(PROFILES) for setup in ("active", "passive")
])  # fmt: skip
def test_loss_and_reordering(gateway: House, setup: str, profile: bytes, ice: bool) -> None:
    """30 % lost each way, in either role, with a cookie or over a pair, under every profile. Our side repeats early, so
    that the peer's slow timer hardly ever decides."""
    phone, plain = gateway.phone(setup, profile=profile), gateway.plain()
    name, offered = gateway.offer(plain.sdp(), **({"ICE": "force"} if ice else {}))
    relay = Relay(our_port(offered), seed=1 if setup == "active" else 4)
    try:
        relay._phone = ("127.0.0.1", phone.port)
        there = f"m=audio {relay._far.getsockname()[1]} "
        answered = gateway.answer(name, re.sub(r"m=audio \d+ ", there, phone.sdp(more=ICE_LINES if ice else "")))
        if ice:
            check(phone.socket, offered, relay.address)
        phone.handshake(relay.address if setup == "active" else None, seconds=30)
        gateway.wait(lambda: phone.settle(relay.address, 0.1) or _legs(gateway, name)[1].dtls.state == "keyed", 30)
        talk(plain, phone, media_port(answered), relay.address)
        assert gateway.get(name).streams[0].b.dtls.suite == SUITES[profile] and relay.lost
    finally:
        relay.close()
    gateway.end(name)


SUITES = {
    b"SRTP_AEAD_AES_128_GCM": "AEAD_AES_128_GCM", b"SRTP_AEAD_AES_256_GCM": "AEAD_AES_256_GCM",
    b"SRTP_AES128_CM_SHA1_80": "AES_CM_128_HMAC_SHA1_80", b"SRTP_AES128_CM_SHA1_32": "AES_CM_128_HMAC_SHA1_32",
}  # fmt: skip


@pytest.mark.row("D5")
def test_forged_alerts_in_mid_call(gateway: House) -> None:
    """A plaintext alert from the peer's own address, or a stranger's, changes nothing."""
    phone = gateway.phone()
    name, plain, to_plain, to_phone = call(gateway, phone)
    phone.handshake(to_phone)
    talk(plain, phone, to_plain, to_phone)
    alert = bytes.fromhex("15fefd0000000000000009") + b"\0\2" + b"\2\x28"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for wire in (phone.socket, stranger):
            wire.sendto(alert, to_phone)
            wire.sendto(alert.replace(b"\2\x28", b"\1\0"), to_phone)
    time.sleep(0.1)
    talk(plain, phone, to_plain, to_phone, first=100)
    assert gateway.get(name).streams[0].b.dtls.state == "keyed"
    gateway.end(name)


@pytest.mark.row("A3", "D4", "D5")
@pytest.mark.parametrize("when", ["before the hello", "before the flight"])
@pytest.mark.parametrize("ice", [False, True], ids=["no ICE", "ICE"])
def test_forged_flights_in_the_phones_name(gateway: House, when: str, ice: bool) -> None:
    """Who can send from the phone's address sends its own certificate, key exchange and signature, whole and in pieces,
    under every message number that may be next. Nobody is told of anything but keys."""
    forged = flights_of_somebody()
    phone, plain = gateway.phone(), gateway.plain()
    name, offered = gateway.offer(plain.sdp(), **({"ICE": "force"} if ice else {}))
    answered = gateway.answer(name, phone.sdp(more=ICE_LINES if ice else ""))
    if ice:
        check(phone.socket, offered)
    if when == "before the flight":
        hold = phone.pull()  # the ClientHello
        while not (waiting := [data for data in hold if data[13] != 1]):
            for data in hold:
                phone.socket.sendto(data, our_port(offered))
            phone.socket.settimeout(2)
            data, _ = phone.socket.recvfrom(4096)
            if 20 <= data[0] < 64:
                phone.push(data)
            hold = phone.pull()
    else:
        waiting = []
    for data in forged:
        phone.socket.sendto(data, our_port(offered))
    for data in waiting:
        phone.socket.sendto(data, our_port(offered))
    phone.handshake(our_port(offered))
    talk(plain, phone, media_port(answered), our_port(offered))
    assert not {"FINGERPRINT_MISMATCH", "HANDSHAKE_FAILED", "FAILED"} & set(gateway.events.of(name))
    gateway.end(name)


def flights_of_somebody() -> list[bytes]:
    """What a client answers a server with, its message numbers from 1 and from 2, at once and record by record."""
    ends = DtlsPhone("active"), DtlsPhone("passive")
    try:
        for data in ends[0].pull():
            ends[1].push(data)
        for data in ends[1].pull():
            ends[0].push(data)
        flight = b"".join(ends[0].pull())
    finally:
        for end in ends:
            end.close()
    records, at = [], 0
    while at < len(flight):
        size = 13 + int.from_bytes(flight[at + 11 : at + 13], "big")
        records.append(flight[at : at + size])
        at += size
    assert [one[13] for one in records[:3]] == [11, 16, 15]
    later = [one[:18] + bytes([one[18] + 1]) + one[19:] for one in records[:3]]
    return [*records, *later, b"".join(records), b"".join(later)]


# --- STUN, ICE -----------------------------------------------------------------------------------------------------


@pytest.mark.row("DTLS-16")
def test_pinholes_without_ice(gateway: House) -> None:
    """We are passive: a binding request comes by itself. Ours are answered, without credentials, not without end."""
    phone = gateway.phone()
    name, _, _, to_phone = call(gateway, phone)
    phone.step(None, wait=1)
    ((data, source),) = [one for one in phone.heard if one[0][0] < 4]
    asked = aioice.stun.parse_message(data)
    assert source == to_phone and (asked.message_method, asked.message_class) == (1, aioice.stun.Class.REQUEST)
    assert "USERNAME" not in asked.attributes
    phone.heard.clear()
    request = aioice.stun.Message(aioice.stun.Method.BINDING, aioice.stun.Class.REQUEST)
    for _ in range(100):
        phone.socket.sendto(bytes(request), to_phone)
    for _ in range(120):
        phone.step(None, wait=0.005)
    answers = [aioice.stun.parse_message(data) for data, _ in phone.heard]
    assert 5 <= len(answers) <= 20
    assert {one.attributes["XOR-MAPPED-ADDRESS"] for one in answers} == {("127.0.0.1", phone.port)}
    gateway.end(name)


@pytest.mark.row("A5", "DTLS-15")
def test_from_an_address_that_nobody_signalled(gateway: House) -> None:
    """A peer-reflexive candidate: once its check was answered its handshake is taken; before, it is not. We are the
    server here; the phone goes on over another pair in the middle of it."""
    phone, plain = gateway.phone(), gateway.plain()
    name, offered = gateway.offer(plain.sdp(), ICE="force")
    assert "a=ice-lite" in offered
    elsewhere = re.sub(r"m=audio \d+ ", "m=audio 9 ", phone.sdp(more=ICE_LINES)).replace("127.0.0.1", "127.0.0.99")
    answered = gateway.answer(name, elsewhere)
    with pytest.raises(TimeoutError):
        phone.handshake(our_port(offered), 0.3)
    phone.begin()
    check(phone.socket, offered)
    phone.handshake(our_port(offered))
    talk(plain, phone, media_port(answered), our_port(offered))
    leg = gateway.get(name).streams[0].b
    assert leg.ice.lite and leg.ice.consent and leg.ice.consent_age_s < 30
    assert (leg.ice.pair_rtp.host, leg.ice.pair_rtp.port) == ("127.0.0.1", phone.port)
    gateway.end(name)


@pytest.mark.row("DTLS-15")
def test_we_are_active_over_ice(gateway: House) -> None:
    """Our ClientHello leaves when a pair is valid, nominated or not, and media when it is selected."""
    phone, plain = gateway.phone("passive"), gateway.plain()
    name, offered = gateway.offer(plain.sdp(), ICE="force")
    answered = gateway.answer(name, phone.sdp(more=ICE_LINES))
    phone.step(None, wait=0.2)
    assert phone.heard == []
    check(phone.socket, offered, nominate=False)
    phone.handshake(None)
    check(phone.socket, offered)
    talk(plain, phone, media_port(answered), our_port(offered))
    gateway.end(name)


def test_a_full_agent(gateway: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """aioice as the controlling agent of a phone, its handshake and media over the pair that it selects."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **_: ["127.0.0.1"])
    phone, plain = gateway.phone(), gateway.plain()
    name, offered = gateway.offer(plain.sdp(), ICE="force")

    async def run() -> None:
        agent = aioice.Connection(ice_controlling=True, stun_server=None)
        await agent.gather_candidates()
        lines = [f"a=candidate:{candidate.to_sdp()}" for candidate in agent.local_candidates]
        lines += [f"a=ice-ufrag:{agent.local_username}", f"a=ice-pwd:{agent.local_password}", ""]
        answered = gateway.answer(name, phone.sdp(more="\r\n".join(lines)))
        agent.remote_is_lite = True
        agent.remote_username = re.search(r"a=ice-ufrag:(\S+)", offered)[1]  # type: ignore[index]
        agent.remote_password = re.search(r"a=ice-pwd:(\S+)", offered)[1]  # type: ignore[index]
        for text in re.findall(r"a=candidate:(.+)\r", offered):
            await agent.add_remote_candidate(aioice.Candidate.from_sdp(text))
        await agent.add_remote_candidate(None)
        await agent.connect()
        while not phone.keyed:
            for datagram in phone.pull():
                await agent.send(datagram)
            if not phone.keyed:
                phone.push(await asyncio.wait_for(agent.recv(), 3))
        assert phone.send_session is not None and phone.receive_session is not None
        await agent.send(phone.send_session.protect_rtp(rtp(1)))
        assert await asyncio.to_thread(plain.receive) == rtp(1)
        plain.send(rtp(2), media_port(answered))
        assert phone.receive_session.unprotect_rtp(await asyncio.wait_for(agent.recv(), 3)) == rtp(2)
        await agent.close()

    asyncio.run(run())
    gateway.end(name)


# --- later ---------------------------------------------------------------------------------------------------------


@pytest.mark.row("D12", "DTLS-12", "DTLS-13")
def test_a_new_association(gateway: House) -> None:
    """A re-INVITE with another certificate and port: a new association; what is sent under the old keys passes until
    the first packet under the new ones."""
    old = gateway.phone()
    name, plain, to_plain, to_phone = call(gateway, old)
    old.handshake(to_phone)
    talk(plain, old, to_plain, to_phone)
    new = gateway.phone()
    _, offered = gateway.offer(new.sdp(setup="actpass"), call_id=name, protocol=AVP, tag="b", to_tag="a")
    assert offered
    answered = gateway.answer(name, plain.sdp(), tags=("b", "a"))
    new.setup = "passive" if "a=setup:active" in answered else "active"
    new.begin()
    to_new = our_port(answered)
    new.handshake(to_new if new.setup == "active" else None)
    gateway.wait(lambda: len(gateway.get(name).streams[0].b.receive_also) == 1)
    old.send(rtp(50), to_phone)
    assert plain.receive() == rtp(50)
    talk(plain, new, to_plain, to_new, first=60)
    gateway.wait(lambda: len(gateway.get(name).streams[0].b.receive_also) == 0)
    drops = dict(gateway.get(name).streams[0].b.drops)
    old.send(rtp(51), to_phone)
    gateway.wait(lambda: dict(gateway.get(name).streams[0].b.drops) != drops)
    plain.socket.settimeout(0.1)
    with pytest.raises(TimeoutError):
        while plain.receive() != rtp(51):
            pass
    gateway.end(name)


def test_nothing_stays_behind(gateway: House) -> None:
    """After all the others: no call, no flow, no association."""
    assert gateway.ng.ask("list")["calls"] == []
    status = system_pb2_grpc.SystemServiceStub(gateway.channel).GetStatus(system_pb2.GetStatusRequest(), timeout=5)
    assert [(worker.flows_used, worker.cryptos_used) for worker in status.workers] == [(0, 0)]
