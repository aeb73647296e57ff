"""Handshakes between two associations of ours, and everything that must not become one (D02-D04, D08, D09, DTLS-2 to 8,
DTLS-17, DTLS-20; attacks A4, D1, D4 to D7)."""

from __future__ import annotations

import gc
import weakref
from itertools import product

import pytest

from appliance.calls.media import Fingerprint
from appliance.protocols.dtls import certificates, records
from appliance.protocols.dtls.association import ALERT_PATIENCE_S, HANDSHAKE_S, LINGER_S
from appliance.protocols.dtls.flight import REPEATS_S
from appliance.protocols.dtls.outputs import NOTHING, Failed, KeysReady, Reason
from tests.appliance.protocols.dtls.wire import (
    CLIENT,
    NOW,
    OURS,
    THEIRS,
    End,
    Wire,
    client_hello,
    fingerprint,
    message,
    pair,
    record,
    wish,
)

SUITES = {
    "AEAD_AES_256_GCM": (32, 12), "AEAD_AES_128_GCM": (16, 12),
    "AES_CM_128_HMAC_SHA1_80": (16, 14), "AES_CM_128_HMAC_SHA1_32": (16, 14),
}  # fmt: skip


@pytest.mark.row("D08", "D09", "DTLS-7", "DTLS-8")
@pytest.mark.parametrize("suite", SUITES)
def test_each_profile(suite: str) -> None:
    """What one sends with is what the other receives with, and the two directions differ."""
    one, two = pair(wire := Wire(), wish(True, suites=(suite,)))
    one.start()
    wire.run()
    assert one.keys.suite == two.keys.suite == suite
    assert (one.keys.send, one.keys.receive) == (two.keys.receive, two.keys.send)
    (mine,), (yours,) = one.keys.send.keys, one.keys.receive.keys
    assert (len(mine.key), len(mine.salt)) == (len(yours.key), len(yours.salt)) == SUITES[suite]
    assert len({mine.key, yours.key, mine.salt, yours.salt}) == 4
    assert (one.keys.peer, two.keys.peer) == (fingerprint(THEIRS), fingerprint(OURS))


@pytest.mark.row("D08")
@pytest.mark.parametrize(("client", "server", "chosen"), [
    ((), (), "AEAD_AES_256_GCM"),
    (("AES_CM_128_HMAC_SHA1_80", "AEAD_AES_128_GCM"), (), "AEAD_AES_128_GCM"),
    (("AES_CM_128_HMAC_SHA1_32", "AES_CM_128_HMAC_SHA1_80"), (), "AES_CM_128_HMAC_SHA1_80"),
    ((), ("AES_CM_128_HMAC_SHA1_80", "AEAD_AES_256_GCM"), "AES_CM_128_HMAC_SHA1_80"),
    ((), ("NULL_HMAC_SHA1_80", "AES_192_CM_HMAC_SHA1_80", "AEAD_AES_128_GCM"), "AEAD_AES_128_GCM"),
])  # fmt: skip
def test_the_servers_order_decides(client: tuple[str, ...], server: tuple[str, ...], chosen: str) -> None:
    """GCM first without a wish; what DTLS has no profile for, or may not have, is not offered."""
    one, two = pair(wire := Wire(), wish(True, suites=client), wish(False, THEIRS, OURS, suites=server))
    one.start()
    wire.run()
    assert one.keys.suite == two.keys.suite == chosen


@pytest.mark.row("D08", "DTLS-7")
def test_no_common_profile() -> None:
    one, two = pair(
        wire := Wire(), wish(True, suites=("AEAD_AES_128_GCM",)),
        wish(False, THEIRS, OURS, suites=("AES_CM_128_HMAC_SHA1_80",)),
    )  # fmt: skip
    one.start()
    wire.run()
    assert two.failure.reason == one.failure.reason == Reason.NO_PROFILE


@pytest.mark.parametrize("suite", ["NULL_HMAC_SHA1_80", "AES_256_CM_HMAC_SHA1_80", "AEAD_AES_128_GCM_8"])
@pytest.mark.parametrize("active", [True, False])
def test_nothing_to_offer(suite: str, active: bool) -> None:
    """DTLS-18: suites without a profile, or with one that is refused, are no reason to fall back to others."""
    one = End(wire := Wire(), wish(active, suites=(suite,)))
    one.start()
    wire.run()
    assert one.failure.reason == Reason.NO_PROFILE and one.sent == []


@pytest.mark.row("DTLS-20")
@pytest.mark.parametrize("suite", SUITES)
def test_lifetimes(suite: str) -> None:
    one, _ = pair(wire := Wire(), wish(True, suites=(suite,)))
    one.start()
    wire.run()
    (key,) = one.keys.send.keys
    assert key.rtp_lifetime == (2**48 if "GCM" in suite else 2**31)
    assert key.rtcp_lifetime == 2**31


# ---------------------------------------------------------------- fingerprints (D03, D04, DTLS-2 to 6; attack D1)

OTHER = certificates.make(NOW)


@pytest.mark.row("D03", "DTLS-4")
@pytest.mark.parametrize("wrong", ["client", "server"])
def test_a_wrong_certificate(wrong: str) -> None:
    """The one who notices says so in an alert, before anybody has keys."""
    client = wish(True, peer=OTHER) if wrong == "server" else wish(True)
    server = wish(False, THEIRS, OTHER if wrong == "client" else OURS)
    one, two = pair(wire := Wire(), client, server)
    one.start()
    wire.run()
    noticed, told = (two, one) if wrong == "client" else (one, two)
    assert noticed.failure.reason == Reason.FINGERPRINT_MISMATCH
    assert told.failure.reason == Reason.ALERT and "unknown_ca" in told.failure.detail.replace(" ", "_")
    assert any(data[0] == 21 for data in noticed.sent)


@pytest.mark.row("D04", "DTLS-5", "DTLS-6")
@pytest.mark.parametrize("name", ["sha-224", "sha-256", "sha-384", "sha-512", "SHA-256", "Sha-512", "sha-1", "SHA-1"])
def test_hashes(name: str) -> None:
    """Any of them, in any case; sha-1 because this wish has it (its trunk allows it)."""
    expected = Fingerprint(name, fingerprint(OURS, name).value)
    one, two = pair(wire := Wire(), None, wish(False, THEIRS, None, fingerprints=(expected,)))
    one.start()
    wire.run()
    assert two.keys.peer == Fingerprint(name.lower(), expected.value)


@pytest.mark.row("D03", "DTLS-5")
@pytest.mark.parametrize("names", [("md5",), ("md2",), ("md5", "MD2"), ("sha256",), ("",)])
def test_hashes_that_must_not_be_used(names: tuple[str, ...]) -> None:
    """Not even begun."""
    value = fingerprint(OURS, "sha-1").value
    one, two = pair(
        wire := Wire(), None, wish(False, THEIRS, None, fingerprints=[Fingerprint(n, value) for n in names])
    )
    one.start()
    wire.run()
    assert two.failure.reason == Reason.FINGERPRINT_MISMATCH and two.sent == []


@pytest.mark.row("D04", "DTLS-6")
@pytest.mark.parametrize(("listed", "good"), [
    ([("sha-256", OTHER), ("sha-256", OURS)], True),  # any match of the strongest hash
    ([("sha-512", OURS), ("sha-1", OTHER)], True),
    ([("sha-512", OTHER), ("sha-256", OURS)], False),  # a weaker hash says nothing
    ([("sha-256", OTHER), ("sha-1", OURS)], False),
    ([("sha-256", OTHER), ("sha-256", THEIRS)], False),
])  # fmt: skip
def test_several_fingerprints(listed: list[tuple[str, object]], good: bool) -> None:
    prints = tuple(fingerprint(certificate, name) for name, certificate in listed)  # type: ignore[arg-type]
    one, two = pair(wire := Wire(), None, wish(False, THEIRS, None, fingerprints=prints))
    one.start()
    wire.run()
    assert isinstance(two.events[0], KeysReady) is good
    assert good or two.failure.reason == Reason.FINGERPRINT_MISMATCH


@pytest.mark.row("DTLS-2")
@pytest.mark.parametrize("active", [True, False])
def test_keys_are_held_back(active: bool) -> None:
    """The handshake is over long before the answer with the fingerprint (attack A4: role not known either)."""
    early = wish(True, peer=None) if active else wish(None, THEIRS, None)
    one, two = pair(wire := Wire(), early if active else None, None if active else early)
    one.start()
    wire.run(until=9.0)
    held, other = (one, two) if active else (two, one)
    assert held.events == [] and held.association.holds_keys and isinstance(other.events[0], KeysReady)
    assert held.association._connection is None  # nothing of it is needed any more
    assert held.association.expect((), 9.0) == NOTHING
    held.give(held.association.expect([fingerprint(THEIRS if active else OURS)], 9.0))
    assert held.keys.receive == other.keys.send
    assert held.association.expect([fingerprint(OTHER)], 9.1) == NOTHING  # one event


@pytest.mark.row("DTLS-2", "DTLS-4", "D03")
def test_held_back_and_wrong() -> None:
    """close_notify under the keys of the association: OpenSSL is gone, the record was written beforehand."""
    one, two = pair(wire := Wire(), None, wish(None, THEIRS, None))
    one.start()
    wire.run(until=9.0)
    two.give(two.association.expect([fingerprint(OTHER)], 9.0))
    assert two.failure.reason == Reason.FINGERPRINT_MISMATCH
    assert [(r.type, r.epoch) for r in records.records(two.sent[-1])] == [(21, 1)]
    wire.run(until=90.0)
    assert two.association.spent


def test_told_between_certificate_and_keys() -> None:
    """The client's flight is there without its Finished when the fingerprint comes: judged at the end."""
    one, two = pair(wire := Wire(), None, wish(False, THEIRS, None))
    one.start()
    whole = one.peer
    one.peer = lambda data: whole(b"".join(r.data for r in records.records(data) if r.epoch == 0))
    wire.run(until=0.05)
    assert two.association.progressed and two.events == []
    two.give(two.association.expect([fingerprint(OTHER)], wire.now))
    one.peer = whole
    wire.run(until=5.0)
    assert two.failure.reason == Reason.FINGERPRINT_MISMATCH


# ---------------------------------------------------------------- time and memory (D4, D11)


@pytest.mark.parametrize("active", [True, False])
def test_a_silent_peer(active: bool) -> None:
    """Bounded: 30 s, so many copies, each under record numbers of its own; then nothing is left."""
    end, other = pair(wire := Wire())
    if not active:
        end, other = other, end
        other.start()
    other.peer = lambda data: None
    end.start()
    if not active:
        end.receive(other.sent[0])
    heard: dict[bytes, float] = {}
    end.peer = lambda data: heard.update({data: wire.now - 0.01})
    wire.run(until=200.0)
    assert [round(at, 3) for at in heard.values()][-len(REPEATS_S) :] == list(REPEATS_S)
    assert end.failure.reason == Reason.TIMEOUT
    assert end.association.ended == HANDSHAKE_S and end.association.spent
    assert end.association.next_timeout is None


@pytest.mark.row("D11")
def test_the_last_flight_is_kept() -> None:
    """A client that did not hear our Finished repeats its flight; we answer without a connection, for a while."""
    one, two = pair(wire := Wire())
    one.start()
    wire.run(until=0.015)
    two.peer, answer = (lambda data: None), two.peer  # the last flight goes astray
    wire.run(until=0.05)
    assert two.association._connection is None
    two.peer = answer
    wire.run(until=5.0)
    assert one.keys.send == two.keys.receive
    wire.run(until=LINGER_S + 5.0)
    assert two.association.spent and two.association.receive(one.sent[-1], CLIENT, wire.now) == NOTHING


def test_answers_are_bounded() -> None:
    """Ten thousand copies of a flight within ten seconds are answered sixteen times (D3: no amplifier)."""
    one, two = pair(wire := Wire())
    one.start()
    wire.run(until=1.0)
    flight = next(data for data in one.sent if len(data) > 400)
    answers = [two.association.receive(flight, CLIENT, 1.0 + n / 1000) for n in range(10_000)]
    assert sum(len(given.datagrams) for given in answers) == 16


# ---------------------------------------------------------------- what strangers can send (D4, D5, D7)


@pytest.mark.parametrize(("level", "description"), [(2, 40), (1, 0), (2, 0), (2, 255), (1, 41)])
@pytest.mark.parametrize("when", ["during", "after"])
def test_a_forged_alert(level: int, description: int, when: str) -> None:
    """D5: the handshake goes on, and afterwards nothing changes."""
    one, two = pair(wire := Wire())
    one.start()
    wire.run(until=0.015 if when == "during" else 1.0)
    for end in (one, two):
        end.receive(record(21, bytes([level, description]), number=7))
    wire.run(until=5.0)
    assert one.keys.send == two.keys.receive


def test_a_real_alert() -> None:
    """A peer that gives up in plaintext and says no more: told after a second, not after thirty."""
    one = End(wire := Wire(), wish(True))
    one.start()
    wire.at(0.5, lambda: one.receive(record(21, bytes([2, 40]))))
    wire.run()
    assert one.failure == Failed(Reason.ALERT, "handshake_failure")
    assert one.association.ended == 0.5 + ALERT_PATIENCE_S


@pytest.mark.row("DTLS-17")
@pytest.mark.parametrize("forged", [
    pytest.param(record(22, message(0, b""), number=9), id="renegotiate"),
    pytest.param(client_hello(b"\1" * 32), id="hello"),
    pytest.param(record(22, message(20, bytes(12)), number=9), id="finished"),
    pytest.param(record(23, b"application data before Finished", number=9), id="data"),
    pytest.param(record(24, b"\1\x40\0", number=9), id="heartbeat"),  # CVE-2014-0160
    pytest.param(record(20, b"\1", number=9), id="ccs"),  # CVE-2014-0224
    pytest.param(record(20, b"\2", number=9), id="ccs-2"),
    pytest.param(record(22, message(3, b"\xfe\xff\x20abc"), number=9), id="verify-cut"),
    pytest.param(record(22, message(11, bytes(40), 15, length=0xFFFFFF), number=9), id="long"),
    pytest.param(record(22, message(11, bytes(40), 0xFFFF), number=9), id="far"),
    pytest.param(record(22, bytes(600), epoch=1, number=9), id="long-epoch-1"),
    pytest.param(record(22, bytes(60), epoch=1, number=9), id="epoch-1"),
    pytest.param(record(22, b"", number=9), id="empty"),
    pytest.param(record(63, b"unified header", number=9), id="dtls-1.3"),
])  # fmt: skip
@pytest.mark.parametrize("when", [0.005, 0.015, 0.025, 0.035, 1.0])
def test_a_forged_record(forged: bytes, when: float) -> None:
    """D4, D5: at any time, to both sides, from the very address of the peer."""
    one, two = pair(wire := Wire())
    one.start()
    wire.run(until=when)
    for end in (one, two):
        if end.association.begun:
            end.receive(forged)
    wire.run(until=20.0)
    assert one.keys.send == two.keys.receive


def test_memory_is_bounded() -> None:
    """D4 (CVE-2014-0195, pion CVE-2022-29189): fragments of messages that never become whole. OpenSSL gets to see no
    long ones, and few records that it has to keep; what is kept for it is bounded too (test_answer), and the peer's
    flight is found in spite of it."""
    one, two = pair(wire := Wire())
    one.start()
    wire.run(until=0.015)
    given = 0
    two.association._connection, connection = _Counting(two.association._connection), two.association._connection
    for number in range(5000):
        two.receive(record(22, message(11, bytes(40), number % 30, length=200_000), number=number))
        two.receive(record(22, bytes(500), epoch=1, number=number))
        two.receive(record(22, message(11, bytes(40), 10 + number % 20, length=300, offset=7), number=number))
    given = two.association._connection.octets  # type: ignore[union-attr]
    assert given < 32 * 520 + 512 * 80
    two.association._connection = connection
    wire.run(until=100.0)
    assert one.keys.send == two.keys.receive


@pytest.mark.parametrize("forged", [record(22, bytes(60), epoch=1, number=9), record(20, b"\1", number=9)])
@pytest.mark.parametrize("attacked", ["client", "server"])
def test_room_comes_again(forged: bytes, attacked: str) -> None:
    """Who uses up all that may be kept delays a handshake by a repetition, no more."""
    one, two = pair(wire := Wire())
    one.start()
    wire.run(until=0.015)
    for _ in range(600):
        (one if attacked == "client" else two).receive(forged)
    wire.run(until=5.0)
    assert one.keys.send == two.keys.receive


@pytest.mark.parametrize("when", [0.005, 0.015, 0.025, 1.0, 40.0])
def test_nothing_holds_on_to_it(when: float) -> None:
    """Dropped at any time, it is gone at once with its 90 KiB: no cycle waits for the garbage collector."""
    gc.disable()
    try:
        one, two = pair(wire := Wire())
        one.start()
        wire.run(until=when)
        dropped = [weakref.ref(end.association) for end in (one, two)]
        del one.association, two.association
        assert [gone() for gone in dropped] == [None, None]
    finally:
        gc.enable()


class _Counting:
    """How much a connection is given."""

    def __init__(self, connection: object) -> None:
        self._connection, self.octets = connection, 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._connection, name)

    def bio_write(self, data: bytes) -> None:
        self.octets += len(data)
        self._connection.bio_write(data)  # type: ignore[attr-defined]


@pytest.mark.row("D11")
@pytest.mark.parametrize(("size", "order"), list(product([1, 7, 100, 500], ["ahead", "back", "twice"])))
def test_fragments(size: int, order: str) -> None:
    """D4: the first two flights in pieces of any size, in either order, overlapping."""
    one, two = pair(wire := Wire())

    def cut(data: bytes) -> list[bytes]:
        pieces = []
        for found in records.records(data):
            parts = [found.data] if found.epoch or found.type != 22 else _fragments(found, size, order == "twice")
            pieces += parts
        return pieces if order != "back" else pieces[::-1]

    straight = one.peer, two.peer
    number = iter(range(100, 100_000))
    for end, to in zip((one, two), straight, strict=True):
        end.peer = lambda data, to=to: [to(_renumbered(piece, number)) for piece in cut(data)] and None  # type: ignore[misc]
    one.association._gate._plaintext = two.association._gate._plaintext = 5000
    one.start()
    wire.run(until=29.0)
    assert one.keys.send == two.keys.receive


def _fragments(found: records.Record, size: int, overlap: bool) -> list[bytes]:
    """One record for each piece of each message."""
    pieces, payload = [], found.payload
    while payload:
        length = int.from_bytes(payload[1:4], "big")
        body, sequence = payload[12 : 12 + length], int.from_bytes(payload[4:6], "big")
        for at in range(0, max(1, length), size):
            piece = body[at : at + size + (size if overlap else 0)]
            pieces.append(record(22, message(payload[0], piece, sequence, length=length, offset=at)))
        payload = payload[12 + length :]
    return pieces


def _renumbered(data: bytes, numbers) -> bytes:  # type: ignore[no-untyped-def]
    """Plaintext records of pieces need numbers of their own."""
    if int.from_bytes(data[3:5], "big"):
        return data
    return data[:5] + next(numbers).to_bytes(6, "big") + data[11:]


@pytest.mark.row("DTLS-7")
@pytest.mark.parametrize("mki", [b"\0", b"\1A", b"\x80" + bytes(128)])
def test_an_mki_in_use_srtp(mki: bytes) -> None:
    """D6: whatever MKI is offered, we answer with none (RFC 5764 section 4.1.1), so none is used."""
    hello = client_hello()
    at = hello.index(b"\0\x0e\0", 60)  # use_srtp
    length = int.from_bytes(hello[at + 2 : at + 4], "big")
    changed = hello[at + 4 : at + 4 + length - 1] + mki
    more = len(changed) - length
    body = bytearray(hello[25:at] + b"\0\x0e" + len(changed).to_bytes(2, "big") + changed + hello[at + 4 + length :])
    start = 35 + 1 + 2 + int.from_bytes(body[36:38], "big") + 2  # session id, cookie, ciphers, compression
    body[start : start + 2] = (int.from_bytes(body[start : start + 2], "big") + more).to_bytes(2, "big")
    server = End(Wire(), wish(False, THEIRS, OURS))
    server.receive(record(22, message(1, bytes(body))))
    answer = server.sent[0]
    at = answer.index(b"\0\x0e\0\x05\0\x02\0")
    assert answer[at + 8 : at + 9] == b"\0"
