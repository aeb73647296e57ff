"""What load endpoints are told and what they report: plain values, also as JSON for `python -m kernels.load`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kernels.srtp.transform import Transform

HostPort = tuple[str, int]
LATE_MS = 50  # no jitter buffer waits for longer; queues that only grow are no throughput


@dataclass(frozen=True, slots=True)
class KeyBytes:
    """One master key. Never printed."""

    key: bytes = field(repr=False)
    salt: bytes = field(repr=False)
    mki: bytes = b""


@dataclass(frozen=True, slots=True)
class StreamConfig:
    """One endpoint: it sends one RTP stream to `remote` and verifies the one it hears.

    Without `rtcp_local`, RTCP shares the RTP socket (rtcp-mux). Without `remote` it only listens."""

    local: HostPort
    remote: HostPort | None = None
    rtcp_local: HostPort | None = None
    rtcp_remote: HostPort | None = None
    payload_type: int = 0
    payload_octets: int = 160  # at least 48
    interval_us: int = 20_000  # 0: sends nothing
    timestamp_step: int = 160
    rtcp_interval_us: int = 1_000_000  # 0: no RTCP
    ssrc: int = 1
    first_sequence: int = 0
    transform: Transform | None = None  # None: plain RTP in both directions
    send_key: KeyBytes | None = None
    receive_key: KeyBytes | None = None
    number: int | None = None  # written into payloads; None: place in the list
    expects: int | None = None  # number of the stream heard here; None: whichever comes first


@dataclass(frozen=True, slots=True)
class Latency:
    """From the sender's clock in the payload to the receiver's read, microseconds; 0 without packets."""

    p50: float = 0.0
    p99: float = 0.0
    p999: float = 0.0
    longest: float = 0.0


@dataclass(frozen=True, slots=True)
class StreamReport:
    """What happened to one endpoint in the last run. `received` counts first copies of intact payloads."""

    number: int
    sent: int
    received: int
    lost: int
    duplicated: int
    reordered: int
    corrupted: int
    header_changed: int
    misrouted: int
    send_errors: int
    rtcp_sent: int
    rtcp_received: int
    rtcp_corrupted: int
    drops: dict[str, int]  # by the endpoint's own SRTP engine
    latency_us: Latency


@dataclass(frozen=True, slots=True)
class RunReport:
    """The last run as a whole."""

    seconds: float  # of sending
    cpu_ns: int  # used by the thread that ran
    behind_us: float  # most that sending lagged its schedule: the generator itself was the limit when this is large
    skipped: int  # packets left out because sending lagged too far
    latency_us: Latency  # over all streams
    late: int = 0  # received, but more than LATE_MS after they were sent


@dataclass(frozen=True, slots=True)
class Run:
    """One run: stop after `seconds`, or when every stream has sent `packets`; then listen until quiet."""

    seconds: float
    packets: int = 0  # 0: no limit
    interval_us: int = 0  # 0: each stream's own
    settle_ms: int = 300
    packets_per_s: float = 0.0  # over all talkers of a fleet, which knows no interval


@dataclass(frozen=True, slots=True)
class Talker:
    """An endpoint of a fleet: `socket` of port `side` is its local address; of `stream`, `local` and intervals are not
    used, `remote` and `expects` are needed."""

    side: int
    socket: int
    stream: StreamConfig


def stream_from_json(document: Mapping[str, Any]) -> StreamConfig:
    """A `StreamConfig` from its JSON form: addresses as [host, port], octets in hexadecimal. TypeError, ValueError."""
    values = dict(document)
    for name in ("local", "remote", "rtcp_local", "rtcp_remote"):
        if values.get(name) is not None:
            host, port = values[name]
            values[name] = (str(host), int(port))
    if values.get("transform") is not None:
        values["transform"] = Transform(**values["transform"])
    for name in ("send_key", "receive_key"):
        if values.get(name) is not None:
            values[name] = KeyBytes(**{part: bytes.fromhex(text) for part, text in values[name].items()})
    return StreamConfig(**values)


def stream_to_json(config: StreamConfig) -> dict[str, Any]:
    """The inverse of `stream_from_json`. It carries keys in clear: for a pipe to a child process only."""
    values = dataclasses.asdict(config)
    for name in ("send_key", "receive_key"):
        if values[name] is not None:
            values[name] = {part: octets.hex() for part, octets in values[name].items()}
    return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Totals:
    """A run summed over its streams."""

    sent: int
    received: int
    lost: int
    duplicated: int
    reordered: int
    corrupted: int
    header_changed: int
    misrouted: int
    send_errors: int
    rtcp_sent: int
    rtcp_received: int
    rtcp_corrupted: int

    @property
    def flawless(self) -> bool:
        """Every packet arrived once, as it was sent."""
        return not any((self.lost, self.duplicated, self.corrupted, self.header_changed, self.misrouted,
                        self.send_errors, self.rtcp_corrupted))  # fmt: skip


def totals(reports: Sequence[StreamReport]) -> Totals:
    return Totals(**{
        part.name: sum(getattr(report, part.name) for report in reports) for part in dataclasses.fields(Totals)
    })  # fmt: skip


def report_from_json(document: Mapping[str, Any]) -> tuple[RunReport, list[StreamReport]]:
    """What `python -m kernels.load` printed for one run."""

    def latency(values: Mapping[str, Any]) -> dict[str, Any]:
        return {**values, "latency_us": Latency(**values["latency_us"])}

    streams = [StreamReport(**latency(values)) for values in document["streams"]]
    return RunReport(**latency(document["summary"])), streams
