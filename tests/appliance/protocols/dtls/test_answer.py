"""A client believes no server that has not signed its random: forged flights, and answers to a ClientHello that nobody
remembers, change nothing (RFC 6347 section 4.1.2.7; security-and-faults A3, D4, D5)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import count
from random import Random

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from appliance.calls.media import LocalCertificate
from appliance.handshakes.table import Table
from appliance.protocols.dtls import records
from appliance.protocols.dtls.answer import DOUBT_S, verdict
from appliance.protocols.dtls.association import HANDSHAKE_S
from appliance.protocols.dtls.collector import LONGEST_FLIGHT, MOST_MESSAGES, Collector
from appliance.protocols.dtls.flight import REPEATS_S
from appliance.protocols.dtls.outputs import KeysReady, Reason
from appliance.protocols.dtls.signatures import Verdict
from tests.appliance.protocols.dtls.wire import (
    CLIENT,
    NOW,
    OURS,
    SERVER,
    THEIRS,
    End,
    Wire,
    message,
    pair,
    record,
    wish,
)

pytestmark = pytest.mark.row("D11")


def answer_to_another(certificate: LocalCertificate = THEIRS) -> list[bytes]:
    """A flight with a good signature, over the random of somebody else's ClientHello."""
    one, two = pair(wire := Wire(), wish(True), wish(False, certificate, OURS))
    one.start()
    wire.run(until=0.015)
    return two.sent


def waiting() -> tuple[End, End, Wire]:
    """A client whose ClientHello is under way."""
    one, two = pair(wire := Wire())
    one.start()
    return one, two, wire


@pytest.mark.parametrize("certificate", [THEIRS, OURS], ids=["the peer's", "another"])
@pytest.mark.parametrize("times", [1, 5000])
def test_a_flight_for_another_hello(certificate: LocalCertificate, times: int) -> None:
    """Not even an alert, nor a datagram more than is sent anyway (D3); the genuine one completes the handshake."""
    one, two, wire = waiting()
    (foreign,) = answer_to_another(certificate)
    given = [one.association.receive(foreign, SERVER, 0.0) for _ in range(times)]
    assert all(not outputs.datagrams and outputs.event is None for outputs in given)
    wire.run(until=5.0)
    assert one.keys.send == two.keys.receive
    assert len(one.sent) == 2


def test_only_foreign_ones() -> None:
    """The ClientHello is repeated as if nothing had come, and the handshake ends as with a silent peer."""
    one = End(wire := Wire(), wish(True))
    one.start()
    (foreign,) = answer_to_another()
    for tenth in range(1, 290):
        wire.at(tenth / 10 + 0.05, lambda: one.receive(foreign))
    wire.run()
    assert one.failure.reason == Reason.TIMEOUT and one.association.ended == HANDSHAKE_S
    assert len(one.sent) == 1 + len(REPEATS_S)


def test_a_client_that_was_replaced() -> None:
    """The process with the handshake dies when its ClientHello is under way; the next one begins anew from the same
    port. The server's answers to the first come first, and again and again."""
    wire, number = Wire(), count()
    clients: list[End] = []
    events: list[object] = []

    def send(key: int, to: object, data: bytes) -> None:
        wire.carry(data, lambda data: clients[-1].receive(data))

    server = Table(bytes(32), send, lambda key, source, event: events.append(event))
    server.open(1, wish(False, THEIRS, OURS), False, None)

    def tick() -> None:
        server.timeout(wire.now)
        if next(number) < 500:
            wire.at(wire.now + 0.02, tick)

    tick()
    for _ in range(2):
        client = End(wire, wish(True), address=SERVER)
        client.peer = lambda data: server.datagram(1, CLIENT, data, wire.now)
        clients.append(client)
        client.start()
        wire.run(until=wire.now + 0.012)
        client.peer = client.peer if len(clients) == 2 else lambda data: None
    wire.run(until=20.0)
    first, second = clients
    assert first.events == []
    (told,) = events
    assert isinstance(told, KeysReady) and told.receive == second.keys.send


@pytest.mark.parametrize("spoil", range(40))
def test_pieces_of_forged_flights(spoil: int) -> None:
    """Before, between and behind the pieces of the genuine flight, with other lengths and types. What they spoil is
    forgotten, and comes again."""
    source = Random(spoil)
    one, two, wire = waiting()
    foreign = [found.data for found in records.records(answer_to_another()[0])]

    def in_pieces(data: bytes) -> None:
        for found in records.records(data):
            if source.random() < 0.4:
                one.receive(source.choice(foreign))
            if source.random() < 0.2:
                kind, size = source.choice([2, 11, 12, 13, 14]), source.randrange(0, 3000)
                piece = source.randbytes(source.randrange(0, size + 1))
                one.receive(record(22, message(kind, piece, source.randrange(0, 6), length=size)))
            one.receive(found.data)

    two.peer = in_pieces
    one.start()
    wire.run(until=29.0)
    assert one.keys.send == two.keys.receive


@pytest.mark.parametrize("forged", [
    record(20, b"\1", number=2**48 - 1), record(22, message(14, b"", 4), number=2**47),
    record(22, message(4, bytes(90), 5), number=2**40),
])  # fmt: skip
@pytest.mark.parametrize("when", [0.005, 0.015, 0.025, 0.035])
def test_numbers_far_ahead(forged: bytes, when: float) -> None:
    """Nobody protects the numbers of plaintext records; OpenSSL would take the genuine ones for old."""
    one, two, wire = waiting()
    wire.run(until=when)
    one.receive(forged)
    wire.run(until=20.0)
    assert one.keys.send == two.keys.receive


@pytest.mark.parametrize("genuine", [True, False])
def test_what_cannot_be_checked(genuine: bool) -> None:
    """A flight of DTLS 1.0: no reason to give up as long as another one may come; else it is judged by OpenSSL."""
    one, two, wire = waiting()
    (flight,) = answer_to_another()
    old = flight.replace(b"\xfe\xfd", b"\xfe\xff")
    one.receive(old)
    if not genuine:
        one.peer = lambda data: None
        wire = one.wire = Wire()
        one.give(one.association.timeout(0.0))
    wire.run(until=20.0)
    if genuine:
        assert one.keys.send == two.keys.receive
    else:
        assert one.failure.reason == Reason.VERSION and one.association.ended == DOUBT_S


def _certificate(key: object) -> LocalCertificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "peer")])
    own_hash = None if isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey) else hashes.SHA256()
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())  # type: ignore[attr-defined]
        .serial_number(1).not_valid_before(NOW).not_valid_after(NOW + timedelta(days=1)).sign(key, own_hash)  # type: ignore[arg-type]
    )  # fmt: skip
    private = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())  # type: ignore[attr-defined]
    return LocalCertificate(made.public_bytes(Encoding.DER), private)


KEYS: dict[str, Callable[[], object]] = {
    "rsa": lambda: rsa.generate_private_key(65537, 2048), "p-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "p-521": lambda: ec.generate_private_key(ec.SECP521R1()), "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ed448": ed448.Ed448PrivateKey.generate,
}  # fmt: skip


@pytest.mark.parametrize("kind", ["rsa", "p-384", "p-521"])
def test_keys_of_every_kind(kind: str) -> None:
    """Checked, not let through for want of knowing: it takes no second."""
    theirs = _certificate(KEYS[kind]())
    one, two = pair(wire := Wire(), wish(True, peer=theirs), wish(False, theirs, OURS))
    one.start()
    wire.run(until=0.5)
    assert one.keys.send == two.keys.receive
    again = End(Wire(), wish(True, peer=theirs))
    again.start()
    for data in answer_to_another(theirs):
        again.receive(data)
    assert again.events == [] and again.association._doubt is None


_PSS = {hashes.SHA256: b"\x08\x04", hashes.SHA384: b"\x08\x05", hashes.SHA512: b"\x08\x06"}


@pytest.mark.parametrize(("kind", "algorithm", "how"), [
    *[("rsa", code, (padding.PSS(padding.MGF1(way()), way.digest_size), way())) for way, code in _PSS.items()],
    ("rsa", b"\4\1", (padding.PKCS1v15(), hashes.SHA256())), ("rsa", b"\6\1", (padding.PKCS1v15(), hashes.SHA512())),
    ("p-384", b"\5\3", (ec.ECDSA(hashes.SHA384()),)), ("p-521", b"\6\3", (ec.ECDSA(hashes.SHA512()),)),
    ("ed25519", b"\x08\x07", ()), ("ed448", b"\x08\x08", ()),
])  # fmt: skip
def test_signatures(kind: str, algorithm: bytes, how: tuple[object, ...]) -> None:
    """RFC 8422 section 5.4: over both randoms and the parameters. OpenSSL's servers have no Ed25519 in DTLS."""
    key = KEYS[kind]()
    ours, theirs, parameters = b"c" * 32, b"s" * 32, b"\3\0\x1d\x20" + b"p" * 32
    signature = key.sign(ours + theirs + parameters, *how)  # type: ignore[attr-defined]
    certificate = _certificate(key).certificate
    chain = (len(certificate) + 3).to_bytes(3, "big") + len(certificate).to_bytes(3, "big") + certificate
    exchange = parameters + algorithm + len(signature).to_bytes(2, "big") + signature
    flight = [(0, 2, b"\xfe\xfd" + theirs + bytes(8)), (1, 11, chain), (2, 12, exchange), (3, 14, b"")]
    assert verdict(flight, ours) is Verdict.OURS
    assert verdict(flight, b"d" * 32) is Verdict.FOREIGN
    flight[2] = (2, 12, exchange[:4] + b"q" + exchange[5:])
    assert verdict(flight, ours) is Verdict.FOREIGN
    flight[2] = (2, 12, parameters + b"\2\1" + exchange[38:])  # SHA-1: not known
    assert verdict(flight, ours) is Verdict.UNKNOWN


def test_what_is_kept_is_bounded() -> None:
    source, collector = Random(7), Collector()
    for _ in range(3000):
        size = source.randrange(1, 16_384)
        collector.add(
            records.records(record(22, message(source.choice([2, 11, 12]), b"x", source.randrange(21), length=size)))
        )
        assert len(collector._messages) <= MOST_MESSAGES
        assert sum(len(one.octets) for one in collector._messages.values()) <= LONGEST_FLIGHT
