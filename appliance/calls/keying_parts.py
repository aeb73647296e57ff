"""What keying is joined to: handshakes, counters, the way out of a flow's socket."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from appliance.calls.media import Address, DtlsMedia, Fingerprint


class Associations(Protocol):
    """What is used of `appliance.handshakes.handshakes.Handshakes`."""

    def open(self, key: int, wish: DtlsMedia, cookie: bool, remote: Address | None = None) -> None: ...
    def expect(self, key: int, fingerprints: Iterable[Fingerprint], remote: Address | None = None) -> None: ...
    def datagram(self, key: int, source: Address, data: bytes) -> None: ...
    def go(self, key: int, source: Address) -> None: ...
    def close(self, key: int) -> None: ...


class Counts(Protocol):
    """Who counts handshakes (`appliance.telemetry.keying_metrics`)."""

    def ended(self, result: str, seconds: float | None = None) -> None:
        """`result`: "keyed", or the reason of a failure; seconds since its first record."""

    def ignored(self, what: str) -> None:
        """A stranger's failure, a record that no association waits for, ..."""


Inject = Callable[[int, int, bytes, Address], None]  # worker, flow slot, datagram, to
