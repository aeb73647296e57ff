"""What the demonstration call showed: a value, and the small table made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rich.table import Table

from kernels.load.plan import StreamReport


@dataclass(frozen=True)
class Direction:
    """One way through the gateway. `verified` payloads arrived once and byte for byte as they were sent."""

    name: str
    sent: int
    received: int
    lost: int
    corrupted: int
    header_changed: int
    rtcp_sent: int
    rtcp_received: int

    @property
    def flawless(self) -> bool:
        return self.sent > 0 and self.received == self.sent and not (self.lost or self.corrupted or self.header_changed)


@dataclass(frozen=True)
class Result:
    """`cpu_ns_per_packet` is the gateway's own worker time; None when it could not be asked."""

    suite: str
    way: str  # "SIP" or "NG"
    trunk: str
    setup_ms: float
    seconds: float
    directions: tuple[Direction, Direction]
    cpu_ns_per_packet: float | None

    @property
    def passed(self) -> bool:
        return all(one.flawless and one.rtcp_received > 0 for one in self.directions)

    def record(self) -> dict[str, object]:
        return {**asdict(self), "passed": self.passed}


def directions(reports: Sequence[StreamReport]) -> tuple[Direction, Direction]:
    """Sender's and receiver's halves put together: report n sent what report 1 - n received."""
    caller, callee = reports
    return (_direction("RTP -> SRTP", caller, callee), _direction("SRTP -> RTP", callee, caller))


ROWS: tuple[tuple[str, str], ...] = (
    ("packets sent", "sent"), ("payloads verified", "received"), ("lost", "lost"), ("corrupted", "corrupted"),
    ("headers changed", "header_changed"), ("RTCP sent", "rtcp_sent"), ("RTCP received", "rtcp_received"),
)  # fmt: skip


def table(result: Result) -> Table:
    shown = Table(title=f"{result.suite}, set up over {result.way} in {result.setup_ms:.0f} ms")
    shown.add_column("")
    for one in result.directions:
        shown.add_column(one.name, justify="right")
    for label, name in ROWS:
        shown.add_row(label, *(str(getattr(one, name)) for one in result.directions))
    cpu = "not known" if result.cpu_ns_per_packet is None else f"{result.cpu_ns_per_packet / 1000:.1f} µs"
    shown.caption = f"CPU per packet in the gateway: {cpu}    {'PASSED' if result.passed else 'FAILED'}"
    return shown


def _direction(name: str, sender: StreamReport, receiver: StreamReport) -> Direction:
    return Direction(
        name, sender.sent, receiver.received, receiver.lost, receiver.corrupted, receiver.header_changed,
        sender.rtcp_sent, receiver.rtcp_received,
    )  # fmt: skip
