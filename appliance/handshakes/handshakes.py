"""The front of all DTLS handshakes: what control talks to."""

from __future__ import annotations

import os
from collections.abc import Iterable

from appliance.calls.media import Address, DtlsMedia, Fingerprint
from appliance.handshakes.inline import Inline
from appliance.handshakes.processes import Processes
from appliance.handshakes.table import Event, Send

SECRET_OCTETS = 32


class Handshakes:
    """`processes`: 0, in the event loop itself; else so many beside it. `key` is the caller's number of one transport
    (a flow of a leg).

    `event` comes once for each association that ends: `KeysReady` at most once for a key, `Failed` with the source
    whose association failed. A stranger can fail too: without ICE a caller ends a call for the source that it was told
    of (or that ICE validated), not for any. Callbacks come from the event loop and may call back."""

    def __init__(self, processes: int, send: Send, event: Event, mtu: int = 1200, secret: bytes = b"") -> None:
        """`secret`: of the cookies, where somebody else makes some too; else one of our own."""
        secret = secret or os.urandom(SECRET_OCTETS)
        self._backend: Inline | Processes = (
            Processes(processes, secret, send, event, mtu) if processes else Inline(secret, send, event, mtu)
        )

    async def start(self) -> None:
        await self._backend.start()

    async def stop(self) -> None:
        await self._backend.stop()

    @property
    def pids(self) -> list[int]:
        """Of the processes beside us."""
        return self._backend.pids if isinstance(self._backend, Processes) else []

    def open(self, key: int, wish: DtlsMedia, cookie: bool, remote: Address | None = None) -> None:
        """`cookie`: the source of a first datagram is unproven (no ICE). `remote`: where signalling says the peer is;
        never refused for want of room. An open key begins anew."""
        self._backend.open(key, wish, cookie, remote)

    def expect(self, key: int, fingerprints: Iterable[Fingerprint], remote: Address | None = None) -> None:
        """The peer's fingerprints are known now: keys that were held back come out. `remote`: so is its address."""
        self._backend.expect(key, fingerprints, remote)

    def datagram(self, key: int, source: Address, data: bytes) -> None:
        """One that arrived on this transport. What belongs to no handshake is dropped."""
        self._backend.datagram(key, source, data)

    def go(self, key: int, source: Address) -> None:
        """Active role: begin towards that address, or go on towards it."""
        self._backend.go(key, source)

    def close(self, key: int) -> None:
        """Forget it. Not before the call ends, else a peer that missed our last datagrams gets no second copy."""
        self._backend.close(key)
