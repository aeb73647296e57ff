"""Handshakes, and peers that call them over a network with a delay, on the loop's clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random

from appliance.calls.media import Address, DtlsMedia
from appliance.handshakes.handshakes import Handshakes
from appliance.protocols.dtls.association import Association
from appliance.protocols.dtls.outputs import Failed, KeysReady, Outputs

DELAY_S = 0.02


class Network:
    """Whoever has an address hears what is sent to it."""

    def __init__(self, processes: int = 0, *, loss: float = 0.0, delay_s: float = DELAY_S) -> None:
        self.loop = asyncio.get_running_loop()
        self.handshakes = Handshakes(processes, self.sent, self.event)
        self.hosts: dict[tuple[int, Address], Callable[[bytes], None]] = {}
        self.events: list[tuple[int, Address, KeysReady | Failed]] = []
        self.out: dict[tuple[int, Address], int] = {}  # octets, by whom they went to
        self.at_event: Callable[[int], None] = lambda key: None
        self._random, self._loss, self._delay_s = Random(5764), loss, delay_s

    def sent(self, key: int, to: Address, data: bytes) -> None:
        self.out[key, to] = self.out.get((key, to), 0) + len(data)
        host = self.hosts.get((key, to))
        if host is not None and self._random.random() >= self._loss:
            self.loop.call_later(self._delay_s, host, data)

    def event(self, key: int, source: Address, event: KeysReady | Failed) -> None:
        self.events.append((key, source, event))
        self.at_event(key)

    def to_us(self, key: int, source: Address, data: bytes) -> None:
        if self._random.random() >= self._loss:
            self.loop.call_later(self._delay_s, self.handshakes.datagram, key, source, data)

    def keyed(self) -> dict[int, KeysReady]:
        return {key: event for key, _, event in self.events if isinstance(event, KeysReady)}

    def failed(self) -> list[tuple[int, Address, Failed]]:
        return [(key, source, event) for key, source, event in self.events if isinstance(event, Failed)]


class Peer:
    """An honest one, or one with a certificate that nobody waits for."""

    def __init__(self, network: Network, key: int, address: Address, wish: DtlsMedia) -> None:
        self.network, self.key, self.address = network, key, address
        self.association = Association(wish, cookie=False, now=network.loop.time())
        self.events: list[KeysReady | Failed] = []
        self.gone = False  # it has forgotten everything and says nothing more
        network.hosts[key, address] = self.receive

    def start(self) -> None:
        self.give(self.association.start(self.network.loop.time()))

    def receive(self, data: bytes) -> None:
        self.give(self.association.receive(data, self.address, self.network.loop.time()))

    def tick(self) -> None:
        self.give(self.association.timeout(self.network.loop.time()))

    def give(self, outputs: Outputs) -> None:
        if self.gone:
            return
        if outputs.event is not None:
            self.events.append(outputs.event)
        for data in outputs.datagrams:
            self.network.to_us(self.key, self.address, data)
        if (due := self.association.next_timeout) is not None:
            self.network.loop.call_at(due, self.tick)

    @property
    def keys(self) -> KeysReady:
        (event,) = self.events
        assert isinstance(event, KeysReady), event
        return event
