"""What of a datagram OpenSSL gets to see. Plaintext records are anybody's: those that would end a handshake, or make it
remember more than a handshake needs, are taken out here."""

from __future__ import annotations

from typing import NamedTuple

from appliance.protocols.dtls import records
from appliance.protocols.dtls.records import ContentType

LONGEST_MESSAGE = 16_384  # octets: a chain of certificates; OpenSSL sets so much aside at the first fragment
HIGHEST_SEQUENCE = 20  # of a handshake message; a handshake with everything has half as many
PLAINTEXT_RECORDS = 512  # in one association
ENCRYPTED_RECORDS = 32  # OpenSSL keeps those that come early, 17 KiB each
LONGEST_ENCRYPTED = 512  # octets: Finished, an alert
AGAIN = 4  # of either kind, with each repetition of ours: who used the room up does not shut out the peer for good
FATAL = 2
CLOSE_NOTIFY = 0


class Admitted(NamedTuple):
    """`data`: the records to be read. `alert`: what a plaintext alert said. `oldest`: lowest number of its handshake
    messages; None: there are none."""

    data: bytes = b""
    alert: int | None = None
    oldest: int | None = None


class Gate:
    """Of one association. `client`: we are; messages that only a client sends are not for us then."""

    def __init__(self, *, client: bool) -> None:
        self.newest = -1  # highest number of a handshake message that was let in
        self.bounded = True  # false: `Answer` keeps what comes, and has bounds of its own
        self._not_for_us = _FROM_CLIENT if client else _FROM_SERVER
        self._plaintext = PLAINTEXT_RECORDS
        self._encrypted = ENCRYPTED_RECORDS

    def admit(self, datagram: bytes) -> Admitted:
        parts: list[bytes] = []
        sequences: list[int] = []
        alert = None
        for record in records.records(datagram):
            kind, epoch, _, data = record
            if epoch:
                if len(data) <= LONGEST_ENCRYPTED and self._encrypted:
                    self._encrypted -= self.bounded
                    parts.append(data)
            elif kind == _ALERT:
                alert = _fatal(record.payload) if alert is None else alert
            elif self._plaintext and self._readable(kind, data, sequences):
                self._plaintext -= self.bounded
                parts.append(data)
        if not sequences:
            return Admitted(b"".join(parts), alert, None)
        self.newest = max(self.newest, *sequences)
        return Admitted(b"".join(parts), alert, min(sequences))

    def relent(self) -> None:
        """We have sent a flight again: there is room for what answers it."""
        self._plaintext, self._encrypted = max(self._plaintext, AGAIN), max(self._encrypted, AGAIN)

    def _readable(self, kind: int, data: bytes, sequences: list[int]) -> bool:
        """Whether a plaintext record may pass; the numbers of its messages are added then."""
        if kind == _CHANGE_CIPHER_SPEC:
            return data[records.RECORD_HEADER :] == b"\1"  # anything else would be the end (RFC 5246 section 7.1)
        if kind != _HANDSHAKE:
            return False  # application data without keys
        found = records.messages(data, records.RECORD_HEADER)
        for message in found:
            if message is None or message.length > LONGEST_MESSAGE or message.sequence > HIGHEST_SEQUENCE:
                return False
            if message.type in self._not_for_us:
                return False
        sequences += [message.sequence for message in found if message]
        return bool(found)


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
