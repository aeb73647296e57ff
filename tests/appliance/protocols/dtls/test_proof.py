"""A server believes no client's flight that somebody else can have written: what is forged in the peer's name changes
nothing (RFC 6347 section 4.1.2.7; security-and-faults A3, D4, D5)."""

from __future__ import annotations

from random import Random

import pytest

from appliance.calls.media import LocalCertificate
from appliance.handshakes.table import Table
from appliance.protocols.dtls import certificates, records, signatures
from appliance.protocols.dtls.outputs import Failed, KeysReady, Reason
from appliance.protocols.dtls.proof import DOUBT_S
from tests.appliance.protocols.dtls.test_answer import KEYS, _certificate
from tests.appliance.protocols.dtls.wire import (
    CLIENT,
    NOW,
    OURS,
    THEIRS,
    End,
    Wire,
    fingerprint,
    message,
    pair,
    record,
    wish,
)
from tests.system.dtls_peers import rsa_certificate

pytestmark = pytest.mark.row("D11", "A3")
RSA = rsa_certificate(2048)
OTHER = certificates.make(NOW)


def flight_for_another(certificate: LocalCertificate = OURS) -> bytes:
    """A good one, in another handshake."""
    one, two = pair(wire := Wire(), wish(True, certificate), wish(False, THEIRS, certificate))
    one.start()
    wire.run(until=0.025)
    assert two.events == []
    return one.sent[-1]


def pieces(flight: bytes) -> list[bytes]:
    return [one.data for one in records.records(flight)]


def forged() -> dict[str, bytes]:
    """What a stranger writes who knows addresses and numbers; with `known` the certificate too."""
    known, stranger = pieces(flight_for_another()), pieces(flight_for_another(OTHER))
    return {
        "certificate": stranger[0],
        "known certificate": known[0],
        "no certificate": record(22, message(11, bytes(3), 1), number=5),
        "no certificate, key exchange": record(22, message(11, bytes(3), 1), number=5) + stranger[1],
        "no certificate at all": record(22, message(11, b"\0\0\5\0\0\2zz", 1), number=5),
        "key exchange": known[1],
        "bad point": record(22, message(16, b"\x20" + bytes(32), 2), number=4),
        "signature": known[2],
        "signature of nobody": record(22, message(15, b"\4\3\0\2xx", 3), number=3),
        "flight": b"".join(stranger),
        "flight without its end": b"".join(known[:2]),
        "other type": record(22, message(15, b"x" * 70, 1), number=4),
        "hello": record(22, message(1, bytes(60), 1), number=4),
        "other length": record(22, message(11, b"x" * 10, 1, length=900), number=4),
        "far number": record(20, b"\1", number=2**48 - 1),
        "finished": record(22, bytes(60), epoch=1, number=0),
    }


@pytest.fixture(scope="module")
def attacks() -> dict[str, bytes]:
    return forged()


@pytest.mark.parametrize("name", forged())
@pytest.mark.parametrize("when", [0.011, 0.021, 0.029])
def test_one_forged_record(attacks: dict[str, bytes], name: str, when: float) -> None:
    """In the peer's name, between our flight and its own: keys, no alert, and no repetition more than there is."""
    one, two = pair(wire := Wire())
    one.start()
    wire.run(until=when)
    two.receive(attacks[name])
    wire.run(until=20.0)
    assert one.keys.send == two.keys.receive
    assert len(two.sent) == 2 and len(one.sent) == 2


@pytest.mark.parametrize("known", [True, False], ids=["fingerprint known", "not yet"])
def test_a_flight_with_the_peers_certificate(known: bool) -> None:
    """Where anything else has come before, or the fingerprint has not, the signature is looked at."""
    one, two = pair(wire := Wire(), None, wish(False, THEIRS, OURS if known else None))
    one.start()
    wire.run(until=0.012)
    if known:
        two.receive(pieces(flight_for_another())[2])
    for _ in range(50):
        two.receive(flight_for_another())
    wire.run(until=1.0)
    if not known:
        assert two.association.holds_keys
        two.give(two.association.expect([fingerprint(OURS)], 1.0))
    assert one.keys.send == two.keys.receive and one.association.ended == pytest.approx(0.04)


@pytest.mark.parametrize("told", [True, False])
def test_the_fingerprint_comes_in_time(monkeypatch: pytest.MonkeyPatch, told: bool) -> None:
    """After the ClientHello and before the flight: no second look at the signature."""
    times = looks(monkeypatch)
    one, two = pair(wire := Wire(), wish(True, legacy=True), wish(None, THEIRS, None))
    one.start()
    wire.run(until=0.015)
    if told:
        two.give(two.association.expect([fingerprint(OURS)], wire.now))
    wire.run(until=1.0)
    assert two.association.ended == pytest.approx(0.03)
    assert len(times) == (not told)


@pytest.mark.parametrize("cookie", [True, False])
def test_sprayed_before_the_hello(cookie: bool) -> None:
    """Who does not see when the handshake is has to begin before it; whole flights, with the certificate."""
    wire = Wire()
    events: list[KeysReady | Failed] = []
    client = End(wire, wish(True))
    table = Table(
        bytes(32), lambda key, to, data: wire.carry(data, client.receive), lambda *told: events.append(told[2])
    )
    table.open(1, wish(False, THEIRS, OURS), cookie, CLIENT)
    client.peer = lambda data: table.datagram(1, CLIENT, data, wire.now)
    flight = flight_for_another()
    numbers = {False: flight, True: _with_cookie(flight)}
    for tick in range(200):
        wire.at(tick / 2000, lambda: client.peer(numbers[cookie]))
    wire.at(0.01, client.start)
    wire.run(until=20.0)
    (told,) = events
    assert isinstance(told, KeysReady) and told.receive == client.keys.send


def _with_cookie(flight: bytes) -> bytes:
    """Its message numbers are one higher after a HelloVerifyRequest."""
    made = b""
    for one in records.records(flight):
        data = one.data
        if one.type == 22 and one.epoch == 0:
            data = data[:17] + (int.from_bytes(data[17:19], "big") + 1).to_bytes(2, "big") + data[19:]
        made += data
    return made


@pytest.mark.parametrize(("client", "mtu"), [(OURS, 1200), (RSA, 548)], ids=["ec", "rsa-548"])
@pytest.mark.parametrize("seed", range(20))
def test_pieces_of_forged_flights(attacks: dict[str, bytes], client: LocalCertificate, mtu: int, seed: int) -> None:
    """Before, between and behind the pieces of the genuine one, also with other lengths and types. What they spoil is
    forgotten, and comes again."""
    source, rate = Random(seed), 0.3 if mtu == 1200 else 0.1
    wire = Wire()
    one, two = End(wire, wish(True, client), mtu=mtu), End(wire, wish(False, THEIRS, client), mtu=mtu)
    two.peer = one.receive

    def in_pieces(data: bytes) -> None:
        for found in records.records(data):
            if source.random() < rate and two.association.begun:
                two.receive(source.choice(list(attacks.values())))
            if source.random() < rate / 2 and two.association.begun:
                kind, size = source.choice([1, 11, 15, 16]), source.randrange(0, 3000)
                piece = source.randbytes(source.randrange(0, size + 1))
                two.receive(record(22, message(kind, piece, source.randrange(0, 6), length=size)))
            two.receive(found.data)

    one.peer = in_pieces
    one.start()
    wire.run(until=29.0)
    assert one.keys.send == two.keys.receive


# ---------------------------------------------------------------- what is told all the same


@pytest.mark.row("D03", "DTLS-4")
def test_a_wrong_certificate_is_told_at_once() -> None:
    """Its owner has signed our random, so it is no forgery: an alert, with the arrival of the flight."""
    one, two = pair(wire := Wire(), None, wish(False, THEIRS, OTHER))
    one.start()
    wire.run(until=20.0)
    assert two.failure.reason == Reason.FINGERPRINT_MISMATCH and two.association.ended == pytest.approx(0.03)
    assert one.failure.reason == Reason.ALERT


@pytest.mark.parametrize("then", ["nothing", "the peer"])
def test_no_certificate(attacks: dict[str, bytes], then: str) -> None:
    """DTLS-3: anybody can write an empty one: it counts when nothing better comes."""
    one, two = pair(wire := Wire())
    one.start()
    wire.run(until=0.012)
    genuine, wire_s = one.peer, wire.now
    one.peer = lambda data: None if then == "nothing" else wire.at(wire.now + DOUBT_S / 2, lambda: genuine(data))
    two.receive(attacks["no certificate, key exchange"])
    wire.run(until=20.0)
    if then == "nothing":
        assert two.failure.reason == Reason.NO_CERTIFICATE and two.association.ended == pytest.approx(wire_s + DOUBT_S)
    else:
        assert one.keys.send == two.keys.receive


def test_a_peer_that_signs_wrongly() -> None:
    """With the right certificate, and nothing else has come: it is told by an alert. So could be somebody who knows the
    certificate and sends a whole flight between our flight and the peer's: that remains."""
    one, two = pair(wire := Wire())
    one.start()
    wire.run(until=0.012)
    two.receive(flight_for_another())
    assert two.failure.reason == Reason.MALFORMED and two.sent[-1][0] == 21


# ---------------------------------------------------------------- what it costs


def looks(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Signatures that are looked at by us, from now on."""
    judge = signatures.judge
    times: list[object] = []

    def counted(*what: bytes) -> signatures.Verdict:
        times.append(what)
        return judge(*what)

    monkeypatch.setattr(signatures, "judge", counted)
    return times


@pytest.mark.parametrize(("client", "mtu", "wary", "looked"), [
    (OURS, 1200, False, 0), (OURS, 1200, True, 1), (RSA, 548, False, 1),
])  # fmt: skip
def test_only_in_doubt(
    monkeypatch: pytest.MonkeyPatch, client: LocalCertificate, mtu: int, wary: bool, looked: int
) -> None:
    """An ordinary handshake pays for no second look at the signature."""
    times = looks(monkeypatch)
    wire = Wire()
    one = End(wire, wish(True, client, legacy=True), mtu=mtu)  # it does not look at our flight
    two = End(wire, wish(False, THEIRS, client), mtu=mtu, wary=wary)
    one.peer, two.peer = two.receive, one.receive
    one.start()
    wire.run(until=20.0)
    assert one.keys.send == two.keys.receive
    assert len(times) == looked


@pytest.mark.parametrize("kind", ["rsa", "p-384", "p-521"])
def test_keys_of_every_kind(kind: str) -> None:
    """Looked at, not let through for want of knowing: it takes no second."""
    client = _certificate(KEYS[kind]())
    wire = Wire()
    one, two = End(wire, wish(True, client)), End(wire, wish(False, THEIRS, client), wary=True)
    one.peer, two.peer = two.receive, one.receive
    one.start()
    wire.run(until=0.5)
    assert one.keys.send == two.keys.receive


def test_what_comes_before_the_rest() -> None:
    """A flight of several datagrams, the last of them first: ChangeCipherSpec and Finished wait for the rest."""
    wire = Wire()
    one = End(wire, wish(True, RSA), mtu=548)
    two = End(wire, wish(False, THEIRS, RSA), mtu=548)
    two.peer = one.receive
    held: list[bytes] = []

    def turned(data: bytes) -> None:
        held.append(data)
        if records.records(data)[-1].epoch:
            order = held[::-1]
            held.clear()
            for late in order:
                two.receive(late)

    one.peer = lambda data: turned(data) if two.association._other else two.receive(data)
    one.start()
    wire.run(until=0.05)
    assert one.keys.send == two.keys.receive
