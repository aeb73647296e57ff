"""How a bench runs: sizes and times, and which ports belong to whom."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """`quick` forms only prove that everything runs; their figures mean nothing."""

    calls: int = 500
    suite: str = "AES_CM_128_HMAC_SHA1_80"
    rounds: int = 3
    probe_s: float = 2.0
    start_rate: float = 20_000.0
    latency_s: float = 3.0
    set_ups: int = 500  # calls set up and deleted one after the other, per round
    crypto_packets: int = 640_000
    crypto_contexts: tuple[int, ...] = (1, 1000)
    base_port: int = 20_000
    gateway_cpu: int = 0
    generator_cpu: int = 1
    search: bool = True  # False: the start rate alone
    trunk: bool = False  # all endpoints of a side share one port, as those of a trunk may; else each has its own

    @property
    def endpoint_ports(self) -> range:
        """Even ports of the load endpoints, two a call."""
        return range(self.base_port, self.base_port + 4 * self.calls, 2)

    def endpoints(self, call: int) -> tuple[int, int]:
        """Ports of the plain and of the secure endpoint of a call; the gateway has four ports a call either way."""
        place = 0 if self.trunk else 2 * call
        return self.endpoint_ports[place], self.endpoint_ports[place + 1]

    @property
    def rtpengine_ports(self) -> range:
        return self._after(0)

    @property
    def gateway_ports(self) -> range:
        return self._after(1)

    def _after(self, place: int) -> range:
        # A call takes four ports. Freed ones rest before they are given again, so the set-up rounds need their own;
        # the remainder is slack for ports that others hold.
        each = 4 * (self.calls + self.set_ups) + 200
        first = self.base_port + 4 * self.calls + place * each
        return range(first, first + each)


QUICK = Plan(
    calls=10, rounds=1, probe_s=0.5, start_rate=1000.0, latency_s=0.5, set_ups=20, crypto_packets=6_400,
    crypto_contexts=(1,), search=False,
)  # fmt: skip
