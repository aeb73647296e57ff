"""Handshakes in processes of their own: the same results, a process that dies is replaced, messages hold anything."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from appliance.calls.media import Address, DtlsMedia, Fingerprint
from appliance.handshakes import messages
from appliance.handshakes.handshakes import Handshakes
from appliance.handshakes.process import Process
from appliance.handshakes.table import Table
from appliance.protocols.dtls import keys
from appliance.protocols.dtls.outputs import Failed, KeysReady, Reason
from appliance.protocols.srtp import suites
from tests.appliance.handshakes.network import Network, Peer
from tests.appliance.protocols.dtls.wire import CLIENT, OURS, SERVER, THEIRS, client_hello, wish

PATIENCE_S = 30.0


async def until(what: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not what():  # noqa: ASYNC110 (other processes do not set our events)
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def network(processes: int, **how: float):  # type: ignore[no-untyped-def]
    made = Network(processes, **how)
    await made.handshakes.start()
    try:
        yield made
    finally:
        await made.handshakes.stop()


@pytest.mark.parametrize("processes", [0, 1, 2])
async def test_both_roles(processes: int) -> None:
    """Sixty legs at once, a few datagrams lost; keys equal at both ends, each told once."""
    async with network(processes, loss=0.05, delay_s=0.001) as net:
        assert len(net.handshakes.pids) == processes
        peers = []
        for key in range(60):
            active = bool(key % 2)
            net.handshakes.open(key, wish(active, THEIRS, OURS), True, CLIENT)
            peer = Peer(net, key, CLIENT, wish(not active))
            peers.append(peer)
            if active:
                net.handshakes.go(key, CLIENT)
            else:
                peer.start()
        await until(lambda: len(net.events) == 60 and all(peer.events for peer in peers))
        for key, peer in enumerate(peers):
            ours = net.keyed()[key]
            assert (ours.send, ours.receive) == (peer.keys.receive, peer.keys.send)
            assert ours.peer == wish(True, peer=OURS).fingerprints[0]


@pytest.mark.parametrize("processes", [0, 1])
async def test_fingerprint_later_and_failures(processes: int) -> None:
    async with network(processes, delay_s=0.001) as net:
        for key in (1, 2):
            net.handshakes.open(key, wish(None, THEIRS, None), True, None)
            peer = Peer(net, key, CLIENT, wish(True))
            peer.start()
            await until(lambda peer=peer: peer.events)
        net.handshakes.expect(1, wish(True, peer=OURS).fingerprints, CLIENT)
        net.handshakes.expect(2, wish(True, peer=THEIRS).fingerprints)
        await until(lambda: len(net.events) == 2)
        found = {key: event for key, _, event in net.events}
        assert isinstance(found[1], KeysReady)
        assert isinstance(found[2], Failed) and found[2].reason == Reason.FINGERPRINT_MISMATCH


async def test_a_process_that_dies() -> None:
    """Legs that only wait do not notice, cookies stay good; one in the middle has failed; finished ones are silent."""
    async with network(2, delay_s=0.001) as net:
        handshakes = net.handshakes
        pids = set(handshakes.pids)
        for key in range(8):
            handshakes.open(key, wish(False, THEIRS, OURS), True, None)
        finished = [Peer(net, key, CLIENT, wish(True)) for key in (0, 1)]
        for peer in finished:
            peer.start()
        await until(lambda: all(peer.events for peer in finished))
        middle = [Peer(net, key, SERVER, wish(True)) for key in (2, 3)]
        for peer in middle:
            hears, peer.network.hosts[peer.key, SERVER] = peer.receive, lambda data: None
            peer.start()
            answer: list[bytes] = []
            peer.network.hosts[peer.key, SERVER] = lambda data, hears=hears, answer=answer: (
                hears(data) if not answer and data[13] == 3 else answer.append(data)
            )  # it hears the cookie, and nothing after it
            await until(lambda answer=answer: answer)
            peer.gone = True
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        await until(lambda: len(net.failed()) == 2)
        assert {(key, event.reason) for key, _, event in net.failed()} == {(2, Reason.PROCESS), (3, Reason.PROCESS)}
        assert {source for _, source, _ in net.failed()} == {SERVER}
        late = [Peer(net, key, CLIENT, wish(True)) for key in range(4, 8)]
        for peer in late:
            peer.start()
        await until(lambda: all(peer.events for peer in late))
        assert all(net.keyed()[peer.key].receive == peer.keys.send for peer in late)
        assert len(set(handshakes.pids) - pids) == 2
        assert len(net.events) == 8


async def test_nothing_outlives_it() -> None:
    """Processes end with `stop`; nothing of keys is in their arguments."""
    made = Handshakes(2, lambda *sent: None, lambda *event: None)
    await made.start()
    pids = made.pids
    await until(lambda: all(b"appliance.handshakes.worker" in _words(pid) for pid in pids))
    for pid in pids:
        _, _, _, descriptor, mtu, end = _words(pid)
        assert descriptor.isdigit() and mtu == b"1200" and end == b""
    await made.stop()
    assert all(_words(pid) == [] for pid in pids)


def _words(pid: int) -> list[bytes]:
    """Of the command line of a process; none: it is gone."""
    path = Path(f"/proc/{pid}/cmdline")
    return path.read_bytes().split(b"\0") if path.exists() else []


async def test_a_busy_process_loses_datagrams_and_nothing_else() -> None:
    """It stands still; what it must know waits, datagrams do not."""
    heard: list[bytes] = []
    process = Process(bytes(32), 1200, heard.append, lambda process: None)
    os.kill(process.pid, signal.SIGSTOP)
    hello = messages.datagram(5, CLIENT, client_hello())
    while not process.lost:
        process.datagram(hello)
    for key in range(300):
        process.send(messages.opening(key, wish(False, THEIRS, OURS), False, None))
    lost = process.lost
    process.datagram(hello)
    assert process.lost == lost + 1
    os.kill(process.pid, signal.SIGCONT)
    await until(lambda: not process._waiting)
    process.datagram(messages.datagram(299, CLIENT, client_hello()))
    await until(lambda: heard)
    process.stop()


# ---------------------------------------------------------------- messages


class Recorder(Table):
    def __init__(self) -> None:
        super().__init__(bytes(32), lambda *sent: None, lambda *event: None)
        self.calls: list[tuple[object, ...]] = []

    def open(self, *given: object) -> None:  # type: ignore[override]
        self.calls.append(("open", *given))

    def expect(self, *given: object) -> None:  # type: ignore[override]
        self.calls.append(("expect", *given))

    def datagram(self, *given: object) -> None:  # type: ignore[override]
        self.calls.append(("datagram", *given))

    def go(self, *given: object) -> None:  # type: ignore[override]
        self.calls.append(("go", *given))

    def close(self, *given: object) -> None:  # type: ignore[override]
        self.calls.append(("close", *given))


V6 = Address("2001:db8::1", 65535)
PRINTS = (Fingerprint("sha-256", bytes(32)), Fingerprint("sha-1", b"\xff" * 20))
WISHES: list[DtlsMedia] = [
    wish(None, peer=None), wish(True, fingerprints=PRINTS, legacy=True, suites=("AEAD_AES_128_GCM", "X")), wish(False),
]  # fmt: skip


@pytest.mark.parametrize("wanted", WISHES)
@pytest.mark.parametrize("remote", [None, V6])
def test_what_a_process_is_told(wanted: DtlsMedia, remote: Address | None) -> None:
    table = Recorder()
    for message in (
        messages.opening(-(2**62), wanted, True, remote), messages.expecting(7, PRINTS, remote),
        messages.expecting(7, ()), messages.datagram(8, V6, bytes(range(256)) * 64), messages.going(9, V6),
        messages.closing(2**62),
    ):  # fmt: skip
        messages.carry_out(message, table, 5.0)
    assert table.calls == [
        ("open", -(2**62), wanted, True, remote), ("expect", 7, PRINTS, remote, 5.0), ("expect", 7, (), None, 5.0),
        ("datagram", 8, V6, bytes(range(256)) * 64, 5.0), ("go", 9, V6, 5.0), ("close", 2**62),
    ]  # fmt: skip


@pytest.mark.parametrize("suite", [suite for suite in suites.SUITES if suite.openssl_profile], ids=lambda s: s.name)
def test_what_a_process_tells(suite: suites.Suite) -> None:
    send, receive = keys.split(suite, Random(1).randbytes(keys.octets(suite)), client=True)
    ready = KeysReady(suite.name, send, receive, PRINTS[0])
    events: list[tuple[object, ...]] = []
    for event in (ready, Failed(Reason.ALERT, "so \N{EM DASH} what")):
        messages.tell(messages.telling(3, V6, event), lambda *sent: None, lambda *told: events.append(told))
    assert events == [(3, V6, ready), (3, V6, Failed(Reason.ALERT, "so \N{EM DASH} what"))]
    sent: list[tuple[object, ...]] = []
    messages.tell(messages.sending(3, V6, b"data"), lambda *what: sent.append(what), lambda *event: None)
    assert sent == [(3, V6, b"data")]


def test_damaged_messages() -> None:
    """Refused as such, whatever they are; never anything else."""
    source = Random(5)
    whole = [
        messages.opening(1, WISHES[1], True, V6), messages.expecting(7, PRINTS, V6), messages.datagram(8, V6, b"data"),
        messages.going(9, V6), messages.closing(1), messages.sending(1, V6, b"x"),
        messages.telling(1, V6, Failed(Reason.ALERT, "x")),
    ]  # fmt: skip
    refused = 0
    for _ in range(20_000):
        data = bytearray(source.choice(whole))
        for _ in range(source.randrange(1, 4)):
            data[source.randrange(len(data))] = source.randrange(256)
        for read in (
            lambda data: messages.carry_out(bytes(data), Recorder(), 0.0),
            lambda data: messages.tell(bytes(data), lambda *sent: None, lambda *event: None),
        ):
            try:
                read(data[: source.randrange(len(data) + 1)] if source.random() < 0.3 else data)
            except messages.Malformed:
                refused += 1
    assert refused > 10_000
