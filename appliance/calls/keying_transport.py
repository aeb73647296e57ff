"""One component of a leg as keying sees it: where it is, what it wants, how far it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from appliance.calls.keyed import Seat
from appliance.calls.media import Address, DtlsMedia, IceMedia
from appliance.calls.registry import Branch, Call

MOST_SOURCES = 32  # whose first record is remembered; a handshake of others has no duration


class State(StrEnum):
    """How far an association is."""

    NONE = "none"  # none is wanted
    WAITING = "waiting"  # for the peer
    HANDSHAKING = "handshaking"
    KEYED = "keyed"
    FAILED = "failed"


@dataclass(slots=True, eq=False)
class Transport:
    """`key` is its number at `Handshakes`; 0: no association is open. Times are CLOCK_MONOTONIC seconds."""

    call: Call
    branch: Branch
    seat: Seat
    worker: int = -1
    slot: int = -1  # of its flow
    ice: IceMedia | None = None
    wish: DtlsMedia | None = None
    signalled: Address | None = None  # without ICE
    state: State = State.NONE
    key: int = 0
    started: bool = False  # active: the ClientHello is out
    tries: int = 0
    pair: Address | None = None  # far end of the pair that was validated or nominated last
    asked: Address | None = None  # without ICE: where our ClientHello, or the binding request (DTLS-16), went last
    done: bool = False  # its association gave keys
    mismatch: bool = False
    failure: str = ""
    failed_at: float = 0.0  # 0: it has not
    deadline: float = 0.0  # 0: not running
    held: list[tuple[Address, bytes]] | None = None  # our last flight, until the worker has the keys
    begun: dict[Address, float] = field(default_factory=dict)  # source -> its first record

    def begin_anew(self) -> None:
        """What was known of an association is void."""
        self.asked = None
        self.started = self.done = self.mismatch = False
        self.failure = ""
        self.failed_at = self.deadline = 0.0
        self.tries, self.held = 0, None
        self.begun.clear()

    def began(self, source: Address, now: float) -> None:
        """The first record from there, or the ClientHello of ours."""
        if source not in self.begun and (len(self.begun) < MOST_SOURCES or source == self.signalled):
            self.begun[source] = now

    def trusts(self, source: Address) -> bool:
        """Whether what ends there is the peer's doing: ICE validated it, or its SDP named it. Anybody else may fail as
        often as he likes."""
        return self.ice is not None or source == self.signalled
