"""The ClientHello race (A3) and hello floods (D3) against `Handshakes`, on virtual time: whatever strangers send, the
caller's handshake completes, hears no alert and keeps its association."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from random import Random

import pytest

from appliance.calls.media import Address
from appliance.handshakes import leg as legs
from appliance.protocols.dtls import records
from appliance.protocols.dtls.outputs import KeysReady, Reason
from tests.appliance.handshakes import virtual
from tests.appliance.handshakes.network import Network, Peer
from tests.appliance.protocols.dtls.wire import (
    OURS,
    THEIRS,
    client_hello,
    cookie_of,
    message,
    record,
    wish,
)

HELLO = client_hello()
STRANGER = "203.0.113.66"


def caller(key: int) -> Address:
    return Address(f"192.0.2.{key % 250 + 1}", 4000 + key)


class Attacker:
    """Sends hellos to one leg, so many a second. `answers`: it receives at its addresses, so it has cookies too."""

    def __init__(self, network: Network, key: int, rate: float, host: str, *, answers: bool) -> None:
        self._network, self._key, self._every, self._host, self._answers = network, key, 1 / rate, host, answers
        self._random = Random(key)
        self.sent = 0
        self.stopped = False
        self._tick()

    def _tick(self) -> None:
        if self.stopped:
            return
        source = Address(self._host, self._random.randrange(1024, 65536))
        if self._answers:
            self._network.hosts[self._key, source] = lambda data, source=source: self._heard(data, source)  # type: ignore[misc]
        random = self._random.randbytes(32)
        self._send(source, HELLO[:27] + random + HELLO[59:])
        self._network.loop.call_later(self._every, self._tick)

    def _heard(self, data: bytes, source: Address) -> None:
        if records.is_verify_request(data):
            self._send(source, _with(cookie_of(data), self._random.randbytes(32)))

    def _send(self, source: Address, data: bytes) -> None:
        self.sent += len(data)
        self._network.handshakes.datagram(self._key, source, data)


TEMPLATE = client_hello(cookie=bytes(16), sequence=1)
COOKIE_AT = 25 + 35 + 1


def _with(cookie: bytes, random: bytes) -> bytes:
    return TEMPLATE[:27] + random + TEMPLATE[59:COOKIE_AT] + cookie + TEMPLATE[COOKIE_AT + 16 :]


@pytest.mark.row("DTLS-22")
@pytest.mark.parametrize("rate", [50, 5000])
@pytest.mark.parametrize("kind", ["third address", "third address with cookies", "the caller's host"])
def test_two_hundred_of_two_hundred(kind: str, rate: float) -> None:
    """Every second leg knows where its caller is, the others' callers are behind a NAT."""

    async def main() -> None:
        network = Network(delay_s=0.01)
        await network.handshakes.start()
        for key in range(200):
            known = caller(key) if key % 2 else None
            network.handshakes.open(key, wish(False, THEIRS, OURS), True, known)
            host = caller(key).host if kind == "the caller's host" else STRANGER
            attacker = Attacker(network, key, rate, host, answers="cookies" in kind)
            await asyncio.sleep(0.01)
            peer = Peer(network, key, caller(key), wish(True))
            peer.start()
            done = asyncio.Event()
            network.at_event = lambda _, done=done: done.set()  # type: ignore[misc]
            await asyncio.wait_for(done.wait(), 30.0)
            await asyncio.sleep(0.011)
            attacker.stopped = True
            assert peer.keys.send == network.keyed()[key].receive
            spoils = sum(octets for (k, to), octets in network.out.items() if k == key and to != caller(key))
            assert "cookies" in kind or spoils < attacker.sent
            network.handshakes.close(key)
            network.hosts.clear()
            network.out.clear()
        assert len(network.keyed()) == 200 and network.failed() == []
        assert network.handshakes._backend._table.half_open == 0  # type: ignore[union-attr]
        await network.handshakes.stop()

    virtual.run(main())


@pytest.mark.parametrize("known", [True, False])
def test_many_hosts(known: bool) -> None:
    """Strangers from fifty hosts, each with cookies. The leg holds no more associations than it may, and who is known
    gets in at once; anybody else when strangers, who never go on, make room."""

    async def main() -> None:
        network = Network()
        await network.handshakes.start()
        network.handshakes.open(1, wish(False, THEIRS, OURS), True, caller(1) if known else None)
        attackers = [Attacker(network, 1, 4, f"203.0.113.{n}", answers=True) for n in range(50)]
        await asyncio.sleep(3.0)
        leg = network.handshakes._backend._table._legs[1]  # type: ignore[union-attr]
        assert legs.MOST_OF_HOST < len(leg.entries) <= legs.MOST and leg.refused > 0
        peer = Peer(network, 1, caller(1), wish(True))
        peer.start()
        while not peer.events:
            await asyncio.sleep(0.1)
            assert len(leg.entries) <= legs.MOST
        for attacker in attackers:
            attacker.stopped = True
        assert isinstance(peer.events[0], KeysReady)
        assert not known or (peer.association.ended or 0.0) < 1003.5
        await network.handshakes.stop()

    virtual.run(main())


def test_another_hello_of_the_same_source() -> None:
    """With ICE there is no cookie: hellos forged from the validated address, while the caller's handshake is on. Theirs
    begin beside it, and what follows of the caller belongs to its own (RFC 6347 section 4.2.8)."""

    async def main() -> None:
        network = Network()
        await network.handshakes.start()
        for key in range(50):
            network.handshakes.open(key, wish(False, THEIRS, OURS), False, None)
            peer = Peer(network, key, caller(key), wish(True))
            peer.start()
            await asyncio.sleep(0.045)
            for n in range(6):
                network.handshakes.datagram(key, caller(key), HELLO[:27] + bytes([n]) * 32 + HELLO[59:])
            await asyncio.sleep(2.0)
            assert peer.keys.send == network.keyed()[key].receive
        assert network.failed() == []
        await network.handshakes.stop()

    virtual.run(main())


@pytest.mark.parametrize(
    ("cookie", "known", "when"),
    [
        (False, True, 0.03), (True, True, 0.03), (True, True, 0.07), (False, False, 0.03), (False, False, 0.045),
        (False, False, 0.2), (True, False, 0.07), (True, False, 0.085), (True, False, 0.2),
    ],
)  # fmt: skip
def test_a_caller_that_begins_again(cookie: bool, known: bool, when: float) -> None:
    """A phone that restarts in the middle, or before we could accept its keys: same address, another association. What
    we repeat of the old one would end the new one."""

    async def main() -> None:
        network = Network()
        await network.handshakes.start()
        network.handshakes.open(1, wish(None, THEIRS, OURS if known else None), cookie, None)
        first = Peer(network, 1, caller(1), wish(True))
        first.start()
        await asyncio.sleep(when)
        first.gone = True
        await asyncio.sleep(1.3)
        peer = Peer(network, 1, caller(1), wish(True))
        peer.start()
        await asyncio.sleep(5.0)
        network.handshakes.expect(1, wish(None, THEIRS, OURS).fingerprints)
        assert [source for _, source, _ in network.events] == [caller(1)]
        assert network.keyed()[1].receive == peer.keys.send
        await network.handshakes.stop()

    virtual.run(main())


@pytest.mark.row("DTLS-4", "D03")
def test_a_stranger_with_a_certificate() -> None:
    """It completes a handshake of its own and is refused; the caller, who comes later, is not."""

    async def main() -> None:
        network = Network()
        await network.handshakes.start()
        network.handshakes.open(1, wish(False, THEIRS, OURS), True, caller(1))
        stranger = Peer(network, 1, Address(STRANGER, 4000), wish(True, own=THEIRS))
        stranger.start()
        await asyncio.sleep(1.0)
        ((key, source, failed),) = network.failed()
        assert (key, source, failed.reason) == (1, stranger.address, Reason.FINGERPRINT_MISMATCH)
        peer = Peer(network, 1, caller(1), wish(True))
        peer.start()
        await asyncio.sleep(1.0)
        assert peer.keys.send == network.keyed()[1].receive
        await network.handshakes.stop()

    virtual.run(main())


@pytest.mark.row("DTLS-2")
@pytest.mark.parametrize("cookie", [True, False])
def test_strangers_before_the_answer(cookie: bool) -> None:
    """A4: nobody's fingerprint is known. Stranger and caller both complete; the answer decides between them, and only
    one of them has keys."""

    async def main() -> None:
        network = Network()
        await network.handshakes.start()
        network.handshakes.open(1, wish(None, THEIRS, None), cookie, None)
        stranger = Peer(network, 1, Address(STRANGER, 4000), wish(True, own=THEIRS))
        peer = Peer(network, 1, caller(1), wish(True))
        stranger.start()
        await asyncio.sleep(0.3)
        peer.start()
        await asyncio.sleep(5.0)
        assert network.events == []
        network.handshakes.expect(1, wish(None, THEIRS, OURS).fingerprints)
        assert [(key, source) for key, source, _ in network.events] == [(1, caller(1))]
        assert network.keyed()[1].send == peer.keys.receive
        await network.handshakes.stop()

    virtual.run(main())


@pytest.mark.row("DTLS-15")
def test_pairs_of_ice_share_an_association() -> None:
    """The peer goes on over another validated pair in the middle; without ICE another source is a stranger."""

    async def main() -> None:
        network = Network()
        await network.handshakes.start()
        for key, cookie in ((1, False), (2, True)):
            network.handshakes.open(key, wish(False, THEIRS, OURS), cookie, None)
            peer = Peer(network, key, caller(key), wish(True))
            peer.start()
            await asyncio.sleep(0.03 if key == 1 else 0.07)
            network.hosts[key, Address(STRANGER, 9)] = peer.receive
            peer.address = Address(STRANGER, 9)
        await asyncio.sleep(40.0)
        assert list(network.keyed()) == [1]
        assert [source for key, source, _ in network.events if key == 1] == [Address(STRANGER, 9)]
        await network.handshakes.stop()

    virtual.run(main())


@pytest.mark.parametrize("processes", [0])
def test_roles(processes: int) -> None:
    """D2: as the client nobody's hello begins anything; `go` twice goes on towards the second address."""

    async def main() -> None:
        network = Network(processes)
        await network.handshakes.start()
        network.handshakes.open(1, wish(True), True, None)
        network.handshakes.datagram(1, caller(1), HELLO)
        assert network.out == {}
        server = Peer(network, 1, caller(2), wish(False, THEIRS, OURS))
        network.handshakes.go(1, caller(1))
        network.handshakes.go(1, caller(2))
        await asyncio.sleep(3.0)
        assert server.keys.send == network.keyed()[1].receive
        network.handshakes.go(1, caller(1))  # done
        await asyncio.sleep(1.0)
        assert len(network.events) == 1
        await network.handshakes.stop()

    virtual.run(main())


def test_what_belongs_to_nothing() -> None:
    """Unknown keys, closed ones, records without a hello, after the keys: dropped."""

    async def main() -> None:
        network = Network()
        await network.handshakes.start()
        network.handshakes.datagram(9, caller(1), HELLO)
        network.handshakes.expect(9, ())
        network.handshakes.go(9, caller(1))
        network.handshakes.close(9)
        network.handshakes.open(1, wish(False, THEIRS, OURS), False, None)
        network.handshakes.datagram(1, caller(1), record(22, message(11, bytes(9), 1)))
        network.handshakes.datagram(1, caller(1), b"")
        network.handshakes.close(1)
        network.handshakes.datagram(1, caller(1), HELLO)
        assert network.out == {}
        network.handshakes.open(2, wish(False, THEIRS, OURS), False, None)
        peer = Peer(network, 2, caller(2), wish(True))
        peer.start()
        await asyncio.sleep(1.0)
        before = dict(network.out)
        network.handshakes.datagram(2, Address(STRANGER, 1), HELLO)
        assert network.out == before
        await network.handshakes.stop()

    virtual.run(main())


def test_the_half_open_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over all legs of a process; the signalled source gets in beyond it, and room comes back."""
    monkeypatch.setattr("appliance.handshakes.table.HALF_OPEN", 10)

    async def main() -> None:
        network = Network()
        await network.handshakes.start()
        for key in range(30):
            network.handshakes.open(key, wish(False, THEIRS, OURS), False, caller(key) if key >= 20 else None)
            network.handshakes.datagram(key, caller(key), HELLO)
        table = network.handshakes._backend._table  # type: ignore[union-attr]
        assert table.half_open == 20
        assert {key for key, _ in network.out} == {*range(10), *range(20, 30)}
        await asyncio.sleep(31.0)
        assert table.half_open == 0 and len(network.failed()) == 20
        network.handshakes.datagram(15, caller(15), HELLO)
        assert table.half_open == 1
        network.handshakes.close(15)
        assert table.half_open == 0
        await network.handshakes.stop()

    virtual.run(main())


def test_begin_anew() -> None:
    """D12: a key that is opened again has a new association; the peer's certificate may be another."""

    async def main() -> None:
        network = Network()
        await network.handshakes.start()
        for own in (OURS, THEIRS):
            network.handshakes.open(1, replace(wish(False, THEIRS, own), association=repr(own)), True, None)
            peer = Peer(network, 1, caller(1), wish(True, own))
            peer.start()
            await asyncio.sleep(2.0)
            assert network.events.pop()[2].send == peer.keys.receive  # type: ignore[union-attr]
        await network.handshakes.stop()

    virtual.run(main())
