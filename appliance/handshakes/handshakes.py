"""The front of all DTLS handshakes: what control talks to."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from appliance.calls.media import Address, DtlsMedia, Fingerprint
from appliance.protocols.dtls.outputs import Failed, KeysReady

Send = Callable[[int, Address, bytes], None]  # (key, to, datagram)
Event = Callable[[int, Address, KeysReady | Failed], None]  # (key, source, what)


class Handshakes:
    """`key` is the caller's number of one transport (a flow of a leg).

    `event` comes once for each association that ends: `KeysReady` at most once for a key, `Failed` with the source
    whose association failed. A stranger can fail too: without ICE a caller ends a call for the source that it was told
    of (or that ICE validated), not for any."""

    def __init__(self, processes: int, send: Send, event: Event) -> None: ...
    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    def open(self, key: int, wish: DtlsMedia, cookie: bool, remote: Address | None = None) -> None:
        """`cookie`: the source of a first datagram is unproven (no ICE). `remote`: where signalling says the peer is;
        never refused for want of room. An open key begins anew."""

    def expect(self, key: int, fingerprints: Iterable[Fingerprint]) -> None:
        """The peer's fingerprints are known now: keys that were held back come out."""

    def datagram(self, key: int, source: Address, data: bytes) -> None: ...
    def go(self, key: int, source: Address) -> None:
        """Active role: begin towards that address."""

    def close(self, key: int) -> None: ...
