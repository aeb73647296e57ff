"""Lost and reordered datagrams (D11): every handshake completes, in either role, with and without cookies."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import pytest
from OpenSSL import SSL

from appliance.calls.media import LocalCertificate
from appliance.protocols.dtls import contexts, records
from appliance.protocols.dtls.association import Association
from appliance.protocols.dtls.cookie import CookieFront
from appliance.protocols.dtls.outputs import Outputs
from tests.appliance.protocols.dtls.wire import CLIENT, OURS, THEIRS, End, Wire, fingerprint, pair, wish
from tests.system.dtls_peers import rsa_certificate

RSA = rsa_certificate(2048)
SUITES = ("AEAD_AES_256_GCM", "AEAD_AES_128_GCM", "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32")


@pytest.mark.row("D11")
@pytest.mark.parametrize(("client", "mtu"), [(OURS, 1200), (RSA, 548)], ids=["ec", "rsa-548"])
@pytest.mark.parametrize("cookie", [False, True], ids=["plain", "cookie"])
def test_thirty_percent(client: LocalCertificate, mtu: int, cookie: bool) -> None:
    """200 handshakes of all profiles; datagrams overtake each other. Half are done in under 0.7 s, within the first
    second of RFC 6347."""
    took = []
    for seed in range(200):
        wire = Wire(seed=seed, loss=0.3, delay_s=(0.005, 0.08))
        suite = SUITES[seed % len(SUITES)]
        one = End(wire, wish(True, client, suites=(suite,)), mtu=mtu)
        two = Fronted(wire, wish(False, THEIRS, client), cookie=cookie, mtu=mtu)
        one.peer, two.peer = two.receive, one.receive
        one.start()
        wire.run(until=40.0)
        assert one.keys.send == two.keys.receive and one.keys.suite == suite
        took.append(max(one.association.ended or 0.0, two.association.ended or 0.0))
    assert max(took) < 30.0
    assert sorted(took)[100] < (0.7 if mtu == 1200 else 3.0)


class Fronted(End):
    """A server behind a cookie front."""

    def __init__(self, wire: Wire, wanted, *, cookie: bool, mtu: int) -> None:  # type: ignore[no-untyped-def]
        super().__init__(wire, wanted, cookie=cookie, mtu=mtu)
        self._front = CookieFront(bytes(32)) if cookie else None

    def receive(self, data: bytes) -> None:
        if self._front is None or self.association.begun:
            super().receive(data)
            return
        verdict = self._front.hello(data, CLIENT, self.wire.now)
        if verdict is True:
            super().receive(data)
        elif verdict:
            self.give(Outputs((verdict,)))


@pytest.mark.row("D11")
@pytest.mark.parametrize("active", [True, False], ids=["client", "server"])
def test_a_peer_that_repeats_nothing(active: bool) -> None:
    """OpenSSL by itself with its timer of a second (which virtual time never reaches): it is our repeating, and our
    answers to nothing but what comes, that carry 200 handshakes over the loss of our own datagrams."""
    for seed in range(200):
        wire = Wire(seed=seed, delay_s=(0.005, 0.08))
        one = End(wire, wish(active))
        bare = Bare(one, client=not active)
        lost = wire.random
        one.peer = lambda data, bare=bare, lost=lost: lost.random() < 0.3 or bare.receive(data)  # type: ignore[misc]
        bare.start()
        one.start()
        wire.run(until=29.0)
        assert one.keys.peer == fingerprint(THEIRS)
        assert bare.done or not active


def without_its_answer(cipher: bytes, *, legacy: bool = False) -> tuple[Wire, End, End, Callable[[bytes], None]]:
    """A server that has the client's Finished, and whose own is lost."""
    one, two = pair(wire := Wire(), wish(True, legacy=legacy), wish(False, THEIRS, OURS, legacy=legacy))
    two.association._context = limited(cipher, legacy=legacy)
    whole = two.peer
    two.peer = lambda data: None if two.association.ended is not None else whole(data)
    one.start()
    wire.run(until=0.09)
    assert two.association.ended is not None and one.association._connection is not None
    assert one.association._connection.get_cipher_name() == cipher.partition(b":")[0].decode()
    return wire, one, two, whole


def limited(cipher: bytes, *, legacy: bool = False) -> SSL.Context:
    """One of its own, with one cipher."""
    context = contexts.context.__wrapped__((), legacy)
    context.set_cipher_list(cipher)
    return context


@pytest.mark.row("D11")
@pytest.mark.parametrize("cipher", contexts.CIPHERS.split(b":")[::2], ids=bytes.decode)
def test_a_repeated_finished_gets_a_new_number(cipher: bytes) -> None:
    """Such a server takes no second record of its number for a repetition (BoringSSL): each copy has another one, and
    says the same."""
    wire, one, two, whole = without_its_answer(cipher)
    wire.run(until=0.9)
    sent = [found for data in one.sent for found in records.records(data) if found.epoch == 1]
    assert [found.number for found in sent] == [0, 32, 33, 34]
    assert len({found.payload for found in sent}) == 4 and len({len(found.payload) for found in sent}) == 1
    two.peer = whole
    wire.run(until=2.0)
    assert one.keys.send == two.keys.receive


@pytest.mark.row("D11")
def test_of_old_ciphers_openssl_makes_the_copies() -> None:
    """Once its timer of a second is over, and it looks at a real clock."""
    wire, one, two, whole = without_its_answer(b"ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0", legacy=True)
    wire.run(until=0.9)
    time.sleep(1.05)
    wire.run(until=2.0)
    sent = [found for data in one.sent for found in records.records(data) if found.epoch == 1]
    assert {found.number for found in sent[:-1]} == {0} and sent[-1].number == 1
    assert sent[-1].payload != sent[0].payload
    two.peer = whole
    wire.run(until=29.0)
    assert one.keys.send == two.keys.receive


@pytest.mark.row("D11")
@pytest.mark.parametrize("cipher", contexts.CIPHERS.split(b":")[::2], ids=bytes.decode)
def test_openssl_answers_the_copy(cipher: bytes) -> None:
    """A server of OpenSSL alone, whose last flight is lost: it is sent again for our first repetition, at 0.1 s."""
    wire = Wire()
    one = End(wire, wish(True))
    bare = Bare(one, client=False, cipher=cipher)
    one.peer = bare.receive
    lost: list[bytes] = []
    one.receive, whole = lambda data: lost.append(data) if bare.done and not lost else whole(data), one.receive  # type: ignore[method-assign]
    one.start()
    wire.run(until=0.5)
    assert lost and one.keys.peer == fingerprint(THEIRS)
    assert one.association.ended == pytest.approx(0.14)


class Bare:
    """An OpenSSL connection without anything of ours around it."""

    def __init__(self, other: End, *, client: bool, cipher: bytes = b"") -> None:
        context = limited(cipher) if cipher else contexts.context((), False)
        assert context is not None
        self._connection = contexts.connection(context, THEIRS)
        self._connection.set_app_data(self)
        self._connection.set_ciphertext_mtu(1200)
        self._client, self._other, self.done = client, other, False
        (self._connection.set_connect_state if client else self._connection.set_accept_state)()

    def judge(self, certificate: bytes, *, weak: bool) -> bool:
        return True

    @property
    def content(self) -> bool:
        return False

    def start(self) -> None:
        if self._client:
            self.receive(b"")

    def receive(self, data: bytes) -> None:
        if data:
            self._connection.bio_write(data)
        with suppress(SSL.WantReadError):
            if self.done:
                self._connection.recv(1)
            self._connection.do_handshake()
            self.done = True
        try:
            flight = self._connection.bio_read(65536)
        except SSL.WantReadError:
            return
        self._other.wire.carry(flight, self._other.receive)


@pytest.mark.row("D11")
def test_a_long_hello_in_fragments() -> None:
    """ClientHello of more than 576 octets: two records; whichever is lost comes again."""
    for seed in range(30):
        wire = Wire(seed=seed, loss=0.3, delay_s=(0.005, 0.08))
        one, two = pair(wire)
        one.association = Lengthened(wish(True), cookie=False, mtu=548, now=0.0)
        one.start()
        wire.run(until=40.0)
        assert len([data for data in one.sent if data[13] == 1]) >= 2
        assert one.keys.send == two.keys.receive


class Lengthened(Association):
    """A ClientHello with 1,300 octets of protocol names, as long as a browser's with post-quantum keys."""

    def _begin(self, now: float) -> bool:
        begun = super()._begin(now)
        assert self._connection is not None
        self._connection.set_alpn_protos([b"%0100d" % n for n in range(13)])
        return begun
