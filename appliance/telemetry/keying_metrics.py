"""Handshakes and ICE on the media path, counted where they end (`appliance.calls.keying`, `ice_agents`)."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 4.0, 8.0, 30.0)


class KeyingMetrics:
    """Written by keying, read when somebody scrapes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._ended = Counter(
            "srtpgw_dtls_handshakes", "Handshakes with peers of calls; result: keyed, or why it failed.",
            ("result",), registry=registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "srtpgw_dtls_handshake_seconds", "From the first ClientHello to keys in the worker.",
            registry=registry, buckets=BUCKETS,
        )  # fmt: skip
        self._ignored = Counter(
            "srtpgw_dtls_ignored",
            "What had no effect on any call: handshakes of strangers that failed, records for no association, STUN.",
            ("what",), registry=registry,
        )  # fmt: skip
        self._keyed = self._ended.labels("keyed")  # there from the first scrape on
        self._lost = Counter(
            "srtpgw_ice_lost",
            "Components of legs with ICE that have no way any more; why: failed (no pair is valid, told by our full "
            "agents), consent (the selected pair was not heard for 30 s).",
            ("why",), registry=registry,
        )  # fmt: skip
        for why in ("failed", "consent"):
            self._lost.labels(why)

    def ended(self, result: str, seconds: float | None = None) -> None:
        """`seconds`: since the first record of it."""
        if result != "keyed":
            self._ended.labels(result).inc()
            return
        self._keyed.inc()
        if seconds is not None:
            self._seconds.observe(seconds)

    def lost(self, why: str) -> None:
        """`why`: failed, consent."""
        self._lost.labels(why).inc()

    def ignored(self, what: str) -> None:
        """`what`: a word of few, never what came from the network."""
        self._ignored.labels(what).inc()
