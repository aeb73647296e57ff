"""DTLS datagrams into handshakes that are under way: spoilt copies of what the peer really sends, before it arrives."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from appliance.protocols.dtls import records
from appliance.protocols.dtls.outputs import Failed, KeysReady
from tests.appliance.protocols.dtls.wire import End, Wire, pair
from tests.fuzz import handshakes
from tests.fuzz.mutate import Corpus

COPIES = 3


class Ended(Exception):
    """A server that has begun with another ClientHello: `Leg` gives each an association of its own."""


@dataclass(frozen=True)
class Outcome:
    """Of one handshake. `excused`: what was forged is not told from the genuine before Finished. For a client a
    HelloVerifyRequest, or the server's own signature beside another ServerHello or certificate; for a server a flight
    with the client's own certificate."""

    client: list[KeysReady | Failed]
    server: list[KeysReady | Failed]
    to_client: bool
    excused: bool


def take(data: bytes) -> Outcome:
    """First octet: who is attacked. Second: before which of the peer's datagrams. The rest is a datagram, and words for
    the copies. Nothing raises but Ended."""
    source = Random(data)
    to_client, when, rest = bool(data[:1] < b"\x80"), int.from_bytes(data[1:2], "big") % 3, data[2:]
    client, server = pair(wire := Wire())
    victim, sender = (client, server) if to_client else (server, client)
    straight = victim.receive
    count, excused = 0, False

    def spoilt(genuine: bytes) -> None:
        nonlocal count, excused
        if count == when:
            copies = Corpus([genuine], [rest])
            for forged in (rest, *(copies.next(source) for _ in range(COPIES))):
                excused = excused or (_believable if to_client else _known)(forged, genuine)
                straight(forged)
        count += 1
        straight(genuine)

    sender.peer = spoilt
    client.start()
    wire.run(until=29.0)
    outcome = Outcome(client.events, server.events, to_client, excused)
    if not to_client and when == 0 and not _keyed(client, server):
        raise Ended
    return outcome


def _believable(forged: bytes, genuine: bytes) -> bool:
    signed = [found.payload for found in records.records(genuine) if found.payload[:1] == b"\x0c" and not found.epoch]
    own = forged != genuine and any(payload[-64:] in forged for payload in signed)
    return own or any(records.asks_to_verify(record) for record in records.records(forged))


def _known(forged: bytes, genuine: bytes) -> bool:
    """With the client's own certificate, which the first flight of all needs for being believed."""
    shown = [found.payload for found in records.records(genuine) if found.payload[:1] == b"\x0b" and not found.epoch]
    return forged != genuine and any(payload[18:] in forged for payload in shown)  # behind two lengths


def _keyed(client: End, server: End) -> bool:
    return all(len(end.events) == 1 and isinstance(end.events[0], KeysReady) for end in (client, server))


def check(data: bytes, outcome: Outcome) -> None:
    """Both get their keys all the same, those of each other."""
    assert len(outcome.client) <= 1 and len(outcome.server) <= 1
    if outcome.excused:
        return
    (one,), (two,) = outcome.client, outcome.server
    assert isinstance(one, KeysReady) and isinstance(two, KeysReady), (one, two)
    assert (one.send, one.receive) == (two.receive, two.send)


def seeds() -> list[bytes]:
    """Each datagram of another handshake, to either side, at each time."""
    return [
        bytes((side, when)) + datagram for datagram in handshakes.seeds() for side in (0, 0x80) for when in range(3)
    ]
