"""What is to be reached: the rows of FIGURES.md section 3 that `make bench` measures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """`hold` is the least that counts, `aim` the goal; None: there is none of the kind."""

    key: str
    text: str
    hold: float | None
    aim: float | None
    unit: str = "x"
    more_is_better: bool = True

    def verdict(self, value: float | None) -> str:
        if value is None:
            return "not measured"
        if self._reached(value, self.aim):
            return "aim reached"
        if self._reached(value, self.hold):
            return "hold reached"
        return "NOT REACHED" if self.hold is not None else "aim not reached"

    def _reached(self, value: float, wanted: float | None) -> bool:
        if wanted is None:
            return False
        return value >= wanted if self.more_is_better else value <= wanted


_LESS = False
FIGURES = (
    Figure("crypto_cm128", "CM128_80, G.711, 10,000 contexts, against libsrtp + OpenSSL", 12, 26),
    Figure("crypto_gcm128", "GCM128, G.711, 10,000 contexts, against libsrtp + OpenSSL", 20, 31),
    Figure("crypto_cm128_long", "CM128_80, 1,200 octets, 10,000 contexts, against libsrtp + OpenSSL", 5.5, 8),
    Figure("crypto_gcm128_long", "GCM128, 1,200 octets, 10,000 contexts, against libsrtp + OpenSSL", 4, 7),
    Figure("gateway_udp", "packets/s per core against rtpengine, udp port on veth", 2.0, 3.0),
    Figure("gateway_udp_loopback", "packets/s per core against rtpengine, udp port on loopback", 2.0, 3.0),
    Figure("gateway_xdp", "packets/s per core against rtpengine, xdp port on veth", 5.5, 8.0),
    Figure("cpu_udp", "CPU per packet against rtpengine, udp port on veth", 0.5, 0.33, more_is_better=_LESS),
    Figure("cpu_udp_loopback", "CPU per packet against rtpengine, udp port on loopback", 0.5, 0.33,
           more_is_better=_LESS),
    Figure("cpu_xdp", "CPU per packet against rtpengine, xdp port", 0.18, 0.12, more_is_better=_LESS),
    Figure("latency_ratio", "p99 added latency at half of own rate, against rtpengine at half of its own", 1.0, None,
           more_is_better=_LESS),
    Figure("latency_p99", "p99 added latency at half of own rate", None, 250, "us", more_is_better=_LESS),
    Figure("set_ups", "offer + answer + delete over NG per s, one core, against rtpengine", 0.5, 1.0),
    Figure("memory", "memory per RTP-SDES call, arena + control", 42, 20, "KiB", more_is_better=_LESS),
    Figure("handshakes_ratio", "DTLS-SRTP handshakes per core against rtpengine", 1.0, 1.5),
    Figure("handshakes", "DTLS-SRTP handshakes of calls per s and core, the whole path", 1500, None, "/s"),
    Figure("handshake_p99", "p99 ClientHello to keys at 100 calls/s", 20, None, "ms", more_is_better=_LESS),
    Figure("growth", "CPU per packet at 10,000 calls over that at 100 calls", 1.5, 1.15, more_is_better=_LESS),
)  # fmt: skip
