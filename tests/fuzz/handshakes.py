"""DTLS datagrams into associations that have just begun, in either role."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.protocols.dtls.association import Association
from appliance.protocols.dtls.outputs import NOTHING, KeysReady, Outputs
from tests.appliance.protocols.dtls.wire import CLIENT, OURS, SERVER, THEIRS, wish

MTU = 1200
WORDS = [b"\xfe\xfd", b"\xfe\xff", b"\x16\xfe\xfd\x00\x00", b"\x15\xfe\xfd\x00\x01", b"\x14", b"\x17", b"\xff" * 3]


class Silence(Exception):
    """Neither role has anything to say to it."""


@dataclass(frozen=True)
class Replies:
    """To one datagram."""

    server: Outputs
    client: Outputs


def take(data: bytes) -> Replies:
    """Nothing that a peer sends raises. Silence."""
    server, client = _ends()
    client.start(0.0)
    replies = Replies(server.receive(data, CLIENT, 0.0), client.receive(data, SERVER, 0.0))
    if replies == Replies(NOTHING, NOTHING):
        raise Silence
    return replies


def _ends() -> tuple[Association, Association]:
    server = Association(wish(False, OURS, THEIRS), cookie=False, mtu=MTU, now=0.0)
    client = Association(wish(True, THEIRS, OURS), cookie=False, mtu=MTU, now=0.0)
    return server, client


def check(data: bytes, replies: Replies) -> None:
    """One datagram completes nothing, and what is answered fits the path."""
    for outputs in (replies.server, replies.client):
        assert not isinstance(outputs.event, KeysReady)
        assert all(len(datagram) <= MTU for datagram in outputs.datagrams)


def seeds() -> list[bytes]:
    """Each datagram of a whole handshake."""
    server, client = _ends()
    seen, waiting = [], [(server, CLIENT, data) for data in client.start(0.0).datagrams]
    while waiting:
        end, source, data = waiting.pop(0)
        seen.append(data)
        answer = (client, SERVER) if end is server else (server, CLIENT)
        waiting += [(*answer, reply) for reply in end.receive(data, source, 0.0).datagrams]
    return seen
