"""One component of a leg as keying sees it: where it is, what it wants, how far it is. And which of its sources are one
peer's.

Without ICE an association belongs to its 5-tuple: nobody has proved to be the peer before the handshake has. With ICE
the sources of a component have proved to know its password, so records from several of them may belong to one
association (RFC 5763 section 6.7.1, RFC 8842 section 6): the peer may answer over another pair than the one it began
on. A ClientHello that is not a repetition begins an association of its own: a forked call has several answerers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from appliance.calls.keyed import Seat
from appliance.calls.media import Address, DtlsMedia, IceMedia
from appliance.calls.registry import Branch, Call

MOST_SOURCES = 32  # of one component that are told apart; the worker lets fewer through with ICE
HANDSHAKE, CLIENT_HELLO = 22, 1
RANDOM = slice(13 + 12 + 2, 13 + 12 + 2 + 32)  # of a ClientHello: record header, message header, version


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
    asked: Address | None = None  # where the binding request went that opens a pinhole (DTLS-16)
    winner: Address | None = None  # the source whose association gave the keys
    deadline: float = 0.0  # 0: not running
    failed_at: float = 0.0
    failure: str = ""
    begun: dict[Address, float] = field(default_factory=dict)  # source of an association -> its first record
    names: dict[Address, Address] = field(default_factory=dict)  # with ICE: where from -> source of its association
    latest: dict[Address, Address] = field(default_factory=dict)  # and back: where its newest record came from
    hellos: dict[bytes, Address] = field(default_factory=dict)  # random of a ClientHello -> source of its association

    def begin_anew(self) -> None:
        """What was known of an association, and of its sources, is void."""
        self.started, self.winner, self.failure = False, None, ""
        self.failed_at = self.deadline = 0.0
        self.tries = 0
        for table in (self.begun, self.names, self.latest, self.hellos):
            table.clear()

    def source_of(self, where: Address, data: bytes) -> Address:
        """The source by which the association is known that a record from `where` belongs to."""
        if self.ice is None:
            return where
        source = self.names.get(where)
        if source is None:
            source = self._new_source(where, data)
            if len(self.names) < MOST_SOURCES:
                self.names[where] = source
        self.latest[source] = where
        return source

    def _new_source(self, where: Address, data: bytes) -> Address:
        random = hello_random(data)
        if random is None or (self.wish is not None and self.wish.active):
            return next(reversed(self.latest), where)  # the peer goes on over another pair
        if len(self.hellos) < MOST_SOURCES:
            return self.hellos.setdefault(random, where)
        return self.hellos.get(random, where)

    def destination(self, source: Address) -> Address:
        """Where datagrams for an association go: the 5-tuple that its newest record came from (peers #25)."""
        return source if self.ice is None else self.latest.get(source, source)

    def began(self, source: Address, now: float) -> None:
        """The first record of an association, or the ClientHello of ours."""
        if source not in self.begun and (len(self.begun) < MOST_SOURCES or source == self.signalled):
            self.begun[source] = now

    def trusts(self, source: Address) -> bool:
        """Whether the end of this association is the peer's doing: ICE validated it, its SDP named it, or we chose
        it. Anybody else may fail as often as he likes."""
        return self.ice is not None or source == self.signalled


def hello_random(data: bytes) -> bytes | None:
    """Of the ClientHello that a datagram begins with; a repetition has the same one (RFC 6347 section 4.2.1)."""
    if len(data) < RANDOM.stop or data[0] != HANDSHAKE or data[13] != CLIENT_HELLO:
        return None
    return data[RANDOM]
