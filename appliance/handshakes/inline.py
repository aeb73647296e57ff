"""Handshakes in the event loop itself: what a gateway of a few calls a second needs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from appliance.calls.media import Address, DtlsMedia, Fingerprint
from appliance.handshakes.table import Event, Send, Table


class Inline:
    """A table and a timer."""

    def __init__(self, secret: bytes, send: Send, event: Event, mtu: int) -> None:
        self._table = Table(secret, send, event, mtu)
        self._timer: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()

    async def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def open(self, key: int, wish: DtlsMedia, cookie: bool, remote: Address | None) -> None:
        self._table.open(key, wish, cookie, remote)

    def expect(self, key: int, fingerprints: Iterable[Fingerprint], remote: Address | None) -> None:
        self._table.expect(key, fingerprints, remote, self._loop.time())
        self._keep_time()

    def datagram(self, key: int, source: Address, data: bytes) -> None:
        self._table.datagram(key, source, data, self._loop.time())
        self._keep_time()

    def go(self, key: int, source: Address) -> None:
        self._table.go(key, source, self._loop.time())
        self._keep_time()

    def close(self, key: int) -> None:
        self._table.close(key)

    def _keep_time(self) -> None:
        due = self._table.next_timeout
        if due is None or (self._timer is not None and self._timer.when() <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._table.timeout(self._loop.time())
        self._keep_time()
