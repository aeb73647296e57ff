"""Two ends on virtual time, and a wire between them that loses, delays and reorders; seeded."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from random import Random

from appliance.calls.media import Address, DtlsMedia, LocalCertificate
from appliance.protocols.dtls import certificates, fingerprints
from appliance.protocols.dtls.association import Association
from appliance.protocols.dtls.outputs import Failed, KeysReady, Outputs

NOW = datetime(2026, 11, 25, tzinfo=UTC)
OURS, THEIRS = certificates.make(NOW), certificates.make(NOW)
CLIENT, SERVER = Address("192.0.2.1", 4000), Address("198.51.100.2", 30000)


def fingerprint(certificate: LocalCertificate, hash_name: str = "sha-256"):  # type: ignore[no-untyped-def]
    return fingerprints.of(certificate.certificate, hash_name)


def wish(
    active: bool | None, own: LocalCertificate = OURS, peer: LocalCertificate | None = THEIRS, **changes: object
) -> DtlsMedia:
    """What a leg wants. `peer` None: its fingerprint is not known yet."""
    made = DtlsMedia("1", own, active, (fingerprint(peer),) if peer else ())
    return replace(made, **changes)  # type: ignore[arg-type]


@dataclass
class Wire:
    """`loss` of each datagram; `delay_s` from and to: a wide range reorders."""

    seed: int = 0
    loss: float = 0.0
    delay_s: tuple[float, float] = (0.01, 0.01)
    now: float = 0.0
    spoil: Callable[[bytes], bytes | None] = lambda data: data
    _due: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _number: count[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)

    def carry(self, data: bytes, to: Callable[[bytes], None]) -> None:
        if self.random.random() >= self.loss:
            self.at(self.now + self.random.uniform(*self.delay_s), lambda: to(data))

    def at(self, when: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._due, (when, next(self._number), what))

    def run(self, until: float = 60.0) -> None:
        while self._due and self._due[0][0] <= until:
            self.now, _, what = heapq.heappop(self._due)
            what()


class End:
    """An association on a wire. `peer` is set when there is one."""

    def __init__(
        self, wire: Wire, wanted: DtlsMedia, *, cookie: bool = False, address: Address = CLIENT, **how: object
    ) -> None:
        self.wire, self.address = wire, address
        self.association = Association(wanted, cookie=cookie, now=wire.now, **how)  # type: ignore[arg-type]
        self.peer: Callable[[bytes], None] = lambda data: None
        self.events: list[KeysReady | Failed] = []
        self.sent: list[bytes] = []

    def start(self) -> None:
        self.give(self.association.start(self.wire.now))

    def receive(self, data: bytes) -> None:
        self.give(self.association.receive(data, self.address, self.wire.now))

    def tick(self) -> None:
        self.give(self.association.timeout(self.wire.now))

    def give(self, outputs: Outputs) -> None:
        if outputs.event is not None:
            self.events.append(outputs.event)
        for data in outputs.datagrams:
            self.sent.append(data)
            self.wire.carry(data, self.peer)
        if (when := self.association.next_timeout) is not None:
            self.wire.at(when, self.tick)

    @property
    def keys(self) -> KeysReady:
        (event,) = self.events
        assert isinstance(event, KeysReady), event
        return event

    @property
    def failure(self) -> Failed:
        (event,) = self.events
        assert isinstance(event, Failed), event
        return event


def pair(wire: Wire, client: DtlsMedia | None = None, server: DtlsMedia | None = None) -> tuple[End, End]:
    """A client and a server that know each other; not started."""
    one = End(wire, client or wish(True), address=SERVER)
    two = End(wire, server or wish(False, THEIRS, OURS), address=CLIENT)
    one.peer, two.peer = two.receive, one.receive
    return one, two


# ---------------------------------------------------------------- messages made by hand


def record(content: int, payload: bytes, epoch: int = 0, number: int = 0) -> bytes:
    header = bytes([content]) + b"\xfe\xfd" + epoch.to_bytes(2, "big") + number.to_bytes(6, "big")
    return header + len(payload).to_bytes(2, "big") + payload


def message(kind: int, body: bytes, sequence: int = 0, *, length: int | None = None, offset: int = 0) -> bytes:
    """A handshake message, or a fragment that says it is one of `length` octets."""
    whole = len(body) if length is None else length
    head = bytes([kind]) + whole.to_bytes(3, "big") + sequence.to_bytes(2, "big") + offset.to_bytes(3, "big")
    return head + len(body).to_bytes(3, "big") + body


def client_hello(random: bytes = bytes(32), cookie: bytes = b"", sequence: int = 0) -> bytes:
    """A real one with another random, and with a cookie; as an attacker writes it."""
    one = End(Wire(), wish(True))
    one.start()
    body = one.sent[0][25:]
    session = 35 + body[34]
    made = body[:2] + random + body[34:session] + bytes([len(cookie)]) + cookie + body[session + 1 + body[session] :]
    return record(22, message(1, made, sequence), number=sequence)


def cookie_of(verify_request: bytes) -> bytes:
    return verify_request[28 : 28 + verify_request[27]]
