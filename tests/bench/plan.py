"""How a bench runs: which tables, sizes and times. The whole plan fits eleven minutes by construction (`seconds`)."""

from __future__ import annotations

from dataclasses import dataclass

from tests.bench.calls import Scenario

TABLES = ("crypto", "gateway", "latency", "growth", "memory", "handshakes")
LIBSRTP_S = 12.0  # fetched and built, the first time
START_S = 4.0  # a gateway until it answers, and until it is gone
CALLS_PER_S = 600.0  # set up over NG, and their generator made
HANDSHAKES_PER_S = 250.0  # both ends on this machine
CRYPTO_CELL_S = 0.35  # contexts of one suite made and measured once with two payloads: mean over suites and subjects

RTP_SDES = Scenario("RTP<->SDES")
SDES_SDES = Scenario("SDES<->SDES", secure=(True, True))
GCM = Scenario("RTP<->SDES GCM256", "AEAD_AES_256_GCM")


@dataclass(frozen=True, slots=True)
class Plan:
    """`quick` forms only prove that everything runs; their figures mean nothing."""

    tables: tuple[str, ...] = TABLES
    gateway_cpu: int = 0
    generator_cpu: int = 1
    search: bool = True  # False: the start rate alone
    quick: bool = False
    budget_s: float = 560.0  # after so long no round begins that is not the first of its kind
    # crypto
    crypto_suites: tuple[str, ...] = (
        "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32", "AES_192_CM_HMAC_SHA1_80", "AES_256_CM_HMAC_SHA1_80",
        "F8_128_HMAC_SHA1_80", "NULL_HMAC_SHA1_80", "AEAD_AES_128_GCM", "AEAD_AES_256_GCM",
    )  # fmt: skip
    crypto_payloads: tuple[int, ...] = (160, 1200)
    crypto_contexts: tuple[int, ...] = (1, 10_000)
    crypto_packets: int = 20_480
    crypto_rounds: int = 3
    # gateway and latency: (scenario, rounds); the first has every port back end, the others the best of each kind
    scenarios: tuple[tuple[Scenario, int], ...] = ((RTP_SDES, 3), (SDES_SDES, 1), (GCM, 1))
    loopback_rounds: int = 1
    calls: int = 500
    start_rate: float = 40_000.0
    probe_s: float = 0.8
    first_probes: int = 8  # of a search that starts anywhere; later ones start where the last one ended
    next_probes: int = 4
    other_probes: int = 7  # a first search that begins near what the same gateway did in another scenario
    latency_s: float = 1.2
    # growth
    growth_calls: tuple[int, ...] = (10, 100, 1_000, 10_000)
    growth_s: float = 1.0
    growth_runs: int = 3
    growth_probes: int = 4
    # memory and set-up
    memory_calls: int = 1_000
    set_ups: int = 300  # calls set up and deleted one after the other, per round
    set_up_rounds: int = 2
    # handshakes: as fast as it goes for their cost, then so many at a steady rate for their times
    handshake_calls: int = 200
    handshake_paced: int = 150
    handshake_rate: float = 100.0
    handshake_rounds: int = 2

    def seconds(self, ports: int, backends: int) -> dict[str, float]:
        """The most that each table takes, with so many port and cipher back ends; rtpengine and two libsrtp beside."""
        found = {}
        cells = len(self.crypto_suites) * len(self.crypto_contexts) * (backends + 2)
        found["crypto"] = LIBSRTP_S + CRYPTO_CELL_S * cells * self.crypto_rounds / 2
        found["gateway"] = sum(
            self._session(self.probes(scenario is self.scenarios[0][0], turn)) * (subjects + 1)
            for scenario, rounds in self.scenarios
            for turn in range(rounds)
            for subjects in [ports if scenario is self.scenarios[0][0] else min(ports, 2)]
        )
        found["gateway"] += self.loopback_rounds * self._session(self.first_probes) * 3  # kernel sockets of two kinds
        found["latency"] = 0.0  # measured in the same sessions
        runs = self.growth_runs * (self.growth_s + 0.5) + 1.0
        found["growth"] = min(ports, 2) * (
            START_S
            + max(self.growth_calls) / CALLS_PER_S
            + len(self.growth_calls) * runs
            + self._search(self.growth_probes)
        )
        found["memory"] = 2 * (START_S + self.memory_calls / CALLS_PER_S
                               + self.set_up_rounds * self.set_ups / (CALLS_PER_S / 2))  # fmt: skip
        calls = self.handshake_calls + self.handshake_paced
        found["handshakes"] = 2 * self.handshake_rounds * (
            START_S + calls / (CALLS_PER_S / 2) + self.handshake_calls / HANDSHAKES_PER_S
            + self.handshake_paced / self.handshake_rate + 1.5
        )  # fmt: skip
        return {name: value for name, value in found.items() if name in self.tables or name == self._source(name)}

    def probes(self, first_scenario: bool, turn: int) -> int:
        """Runs of a search in a round."""
        return self.next_probes if turn else self.first_probes if first_scenario else self.other_probes

    def _session(self, probes: int) -> float:
        return START_S + self.calls / CALLS_PER_S + self._search(probes) + self.latency_s + 0.5

    def _search(self, probes: int) -> float:
        """Each probe, the settling, and a look after about half of them whether streams died."""
        return (probes * (self.probe_s + 0.5) + probes / 2 * 0.8 + 1.0) if self.search else self.probe_s + 0.5

    def _source(self, name: str) -> str:
        return "gateway" if name == "gateway" and "latency" in self.tables else ""


QUICK = Plan(
    search=False, quick=True, crypto_suites=("AES_CM_128_HMAC_SHA1_80", "F8_128_HMAC_SHA1_80"),
    crypto_contexts=(1, 100), crypto_packets=2048, crypto_rounds=1,
    scenarios=((RTP_SDES, 1), (SDES_SDES, 1)), calls=10, start_rate=2000.0,
    probe_s=0.4, latency_s=0.4, growth_calls=(10, 20), growth_s=0.3, growth_runs=1, memory_calls=20, set_ups=10,
    set_up_rounds=1, handshake_calls=10, handshake_paced=10, handshake_rounds=1,
)  # fmt: skip
