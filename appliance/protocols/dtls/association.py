"""One DTLS-SRTP association."""

from __future__ import annotations

from collections.abc import Iterable

from appliance.calls.media import Address, DtlsMedia, Fingerprint
from appliance.protocols.dtls.outputs import Outputs


class Association:
    """One handshake with one peer, in the role that the wish says (no role known yet: server).

    Nothing that is received raises. Every call gives `Outputs`; `now` is seconds of any monotonic clock."""

    def __init__(self, wish: DtlsMedia, *, cookie: bool, mtu: int = 1200, now: float) -> None:
        raise NotImplementedError

    def start(self, now: float) -> Outputs:
        raise NotImplementedError

    def receive(self, datagram: bytes, source: Address, now: float) -> Outputs:
        raise NotImplementedError

    def timeout(self, now: float) -> Outputs:
        raise NotImplementedError

    def expect(self, fingerprints: Iterable[Fingerprint], now: float) -> Outputs:
        raise NotImplementedError

    @property
    def next_timeout(self) -> float | None:
        raise NotImplementedError
