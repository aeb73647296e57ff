"""NG over TCP (`tcp-ng`): many requests on one connection, answered as they are done."""

from __future__ import annotations

import asyncio
from typing import cast

from appliance.api.ng_requests import NgRequests
from appliance.protocols.ng.framing import Framer, Unframed

MOST_UNREAD = 1 << 20  # octets of answers that a client leaves unread before it is dropped


class NgConnection(asyncio.Protocol):
    """One connection. A message that is not whole `idle_s` after its first octets ends it, and so does a client that
    does not read its answers."""

    def __init__(self, requests: NgRequests, connections: set[NgConnection], most: int, idle_s: float) -> None:
        self._requests, self._connections, self._most, self._idle_s = requests, connections, most, idle_s
        self._framer = Framer()
        self._transport: asyncio.Transport | None = None
        self._host = ""
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._host = transport.get_extra_info("peername")[0]
        if not self._requests.admits(self._host):
            self._transport.abort()
        elif len(self._connections) >= self._most:
            self._requests.counts["connection_refused"] += 1
            self._transport.abort()
        else:
            self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self not in self._connections:
            return
        try:
            messages = self._framer.feed(data)
        except Unframed:
            self._requests.counts["malformed"] += 1
            self.close()
            return
        for message in messages:
            self._requests.take(message, self._host, self._answer, stream=True)
        self._wait_for_the_rest(new=bool(messages))

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        if self._patience:
            self._patience.cancel()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _wait_for_the_rest(self, *, new: bool) -> None:
        """The time of a message runs from its first octet: drip by drip is no way to keep a connection (G6)."""
        if self._patience is not None and (new or not self._framer.pending):
            self._patience.cancel()
            self._patience = None
        if self._framer.pending and self._patience is None:
            self._patience = asyncio.get_running_loop().call_later(self._idle_s, self._too_slow)

    def _too_slow(self) -> None:
        self._requests.counts["too_slow"] += 1
        self.close()

    def _answer(self, reply: bytes) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        transport.write(reply)
        if transport.get_write_buffer_size() > MOST_UNREAD:
            self._too_slow()
