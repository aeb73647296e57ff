"""What of a datagram OpenSSL gets to see. Plaintext records are anybody's: those that would end a handshake, or make it
remember more than a handshake needs, are taken out here."""

from __future__ import annotations

from typing import NamedTuple

from appliance.protocols.dtls import records
from appliance.protocols.dtls.records import ContentType, Message, Opened

LONGEST_MESSAGE = 16_384  # octets: a chain of certificates; OpenSSL sets so much aside at the first fragment
HIGHEST_SEQUENCE = 20  # of a handshake message; a handshake with everything has half as many
PLAINTEXT_RECORDS = 512  # in one association
ENCRYPTED_RECORDS = 32  # OpenSSL keeps those that come early, 17 KiB each
LONGEST_ENCRYPTED = 512  # octets: Finished, an alert
AGAIN = 4  # of either kind, with each repetition of ours: who used the room up does not shut out the peer for good
FATAL = 2
CLOSE_NOTIFY = 0


class Admitted(NamedTuple):
    """`found`: the records to be read. `alert`: what a plaintext alert said. `oldest`: lowest number of its handshake
    messages; None: there are none."""

    found: list[Opened]
    alert: int | None = None
    oldest: int | None = None

    @property
    def data(self) -> bytes:
        return b"".join([record.data for record, _ in self.found])


class Gate:
    """Of one association. `client`: we are; messages that only a client sends are not for us then."""

    def __init__(self, *, client: bool) -> None:
        self.newest = -1  # highest number of a handshake message that was let in
        self.bounded = True  # false: `Answer` keeps what comes, and has bounds of its own
        self._not_for_us = _FROM_CLIENT if client else _FROM_SERVER
        self._plaintext = PLAINTEXT_RECORDS
        self._encrypted = ENCRYPTED_RECORDS

    def admit(self, datagram: bytes) -> Admitted:
        found: list[Opened] = []
        oldest = alert = None
        for record in records.records(datagram):
            kind, epoch, _, data = record
            if epoch:
                if len(data) <= LONGEST_ENCRYPTED and self._encrypted:
                    self._encrypted -= self.bounded
                    found.append((record, []))
            elif kind == _ALERT:
                alert = _fatal(record.payload) if alert is None else alert
            elif self._plaintext and (messages := self._readable(kind, data)) is not None:
                self._plaintext -= self.bounded
                for message in messages:
                    self.newest = max(self.newest, message.sequence)
                    oldest = message.sequence if oldest is None else min(oldest, message.sequence)
                found.append((record, messages))
        return Admitted(found, alert, oldest)

    def relent(self) -> None:
        """We have sent a flight again: there is room for what answers it."""
        self._plaintext, self._encrypted = max(self._plaintext, AGAIN), max(self._encrypted, AGAIN)

    def _readable(self, kind: int, data: bytes) -> list[Message] | None:
        """The messages of a plaintext record. None: it may not pass."""
        if kind == _CHANGE_CIPHER_SPEC:  # anything else in it would be the end (RFC 5246 section 7.1)
            return [] if data[records.RECORD_HEADER :] == b"\1" else None
        if kind != _HANDSHAKE:
            return None  # application data without keys
        found: list[Message] = []
        for message in records.messages(data, records.RECORD_HEADER):
            if message is None or message.length > LONGEST_MESSAGE or message.sequence > HIGHEST_SEQUENCE:
                return None
            if message.type in self._not_for_us:
                return None
            found.append(message)
        return found or None


_ALERT, _CHANGE_CIPHER_SPEC, _HANDSHAKE = (
    int(kind) for kind in (ContentType.ALERT, ContentType.CHANGE_CIPHER_SPEC, ContentType.HANDSHAKE)
)
_FINISHED = 20  # never in plaintext
_FROM_CLIENT = frozenset({1, 15, 16, _FINISHED})  # ClientHello, CertificateVerify, ClientKeyExchange
# HelloRequest, ServerHello, HelloVerifyRequest, ticket, ServerKeyExchange, CertificateRequest, ServerHelloDone
_FROM_SERVER = frozenset({0, 2, 3, 4, 12, 13, 14, _FINISHED})


def _fatal(payload: bytes) -> int | None:
    """Description of a plaintext alert that means the end."""
    if len(payload) != 2 or (payload[0] != FATAL and payload[1] != CLOSE_NOTIFY):
        return None
    return payload[1]
