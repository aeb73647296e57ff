"""DTLS records and handshake messages as far as they can be read without keys (RFC 6347 sections 4.1 and 4.2.2). All
that knows their layout is here: DTLS 1.3 (RFC 9147 section 4) has another one, whose records are opaque to us."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

RECORD_HEADER = 13
MESSAGE_HEADER = 12


class ContentType(IntEnum):
    CHANGE_CIPHER_SPEC = 20
    ALERT = 21
    HANDSHAKE = 22
    APPLICATION_DATA = 23


CLIENT_HELLO = 1
SERVER_HELLO = 2
HELLO_VERIFY_REQUEST = 3


@dataclass(frozen=True, slots=True)
class Record:
    """`data` is all of it, header included; `epoch` 0 is plaintext."""

    type: int
    epoch: int
    data: bytes

    @property
    def number(self) -> int:
        return int.from_bytes(self.data[5:11], "big")

    @property
    def payload(self) -> bytes:
        return self.data[RECORD_HEADER:]

    def numbered(self, number: int) -> Record:
        """With another number: nothing protects that of a plaintext record."""
        return Record(self.type, self.epoch, self.data[:5] + number.to_bytes(6, "big") + self.data[11:])


@dataclass(frozen=True, slots=True)
class Message:
    """Header of a handshake message, or of a fragment of one."""

    type: int
    length: int  # of the whole message
    sequence: int
    offset: int
    fragment: int  # octets of this fragment


def records(datagram: bytes) -> Iterator[Record]:
    """Whole records in order. What is cut or has no known header ends the datagram (RFC 6347 section 4.1.1: a record
    does not span datagrams)."""
    at = 0
    while at + RECORD_HEADER <= len(datagram) and datagram[at] in _KNOWN and datagram[at + 1] == 0xFE:
        end = at + RECORD_HEADER + int.from_bytes(datagram[at + 11 : at + 13], "big")
        if end > len(datagram):
            return
        yield Record(datagram[at], int.from_bytes(datagram[at + 3 : at + 5], "big"), datagram[at:end])
        at = end


_KNOWN = frozenset(ContentType)


def messages(payload: bytes) -> Iterator[Message | None]:
    """Headers of the handshake messages in a plaintext record; None, as the last, when the rest is none."""
    at = 0
    while at < len(payload):
        if at + MESSAGE_HEADER > len(payload):
            yield None
            return
        field = [int.from_bytes(payload[at + start : at + end], "big") for start, end in _MESSAGE_FIELDS]
        message = Message(*field)
        at += MESSAGE_HEADER + message.fragment
        if at > len(payload) or message.offset + message.fragment > message.length:
            yield None
            return
        yield message


_MESSAGE_FIELDS = ((0, 1), (1, 4), (4, 6), (6, 9), (9, 12))


def pack(flight: bytes, mtu: int) -> tuple[bytes, ...]:
    """A flight as OpenSSL's memory BIO gives it, all records glued, as datagrams of at most `mtu` octets. A record is
    never cut; OpenSSL was told the MTU and makes none that is longer."""
    found: list[bytes] = []
    room = 0
    for record in records(flight):
        if found and len(record.data) <= room:
            found[-1] += record.data
            room -= len(record.data)
        else:
            found.append(record.data)
            room = mtu - len(record.data)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Hello:
    """The beginning of a ClientHello: what a server can know before it has any state."""

    random: bytes
    cookie: bytes
    message_sequence: int
    record_sequence: bytes  # 8 octets: epoch and number


@lru_cache(maxsize=64)
def hello(datagram: bytes) -> Hello | None:
    """A ClientHello, whole or its first fragment, at the front of a datagram. Leg, cookie front and association ask one
    after the other: the last ones are remembered."""
    if len(datagram) <= RECORD_HEADER or datagram[RECORD_HEADER] != CLIENT_HELLO:
        return None
    record = next(records(datagram), None)
    if record is None or record.type != ContentType.HANDSHAKE or record.epoch:
        return None
    message = next(messages(record.payload), None)
    if message is None or message.type != CLIENT_HELLO or message.offset:
        return None
    body = record.payload[MESSAGE_HEADER : MESSAGE_HEADER + message.fragment]
    session = 35 + body[34] if len(body) > 34 else len(body)  # 2 version, 32 random, 1 length, session id
    if len(body) <= session or len(body) < session + 1 + body[session]:
        return None
    cookie = body[session + 1 : session + 1 + body[session]]
    return Hello(body[2:34], cookie, message.sequence, datagram[3:11])


def verify_request(hello: Hello, cookie: bytes) -> bytes:
    """A HelloVerifyRequest (RFC 6347 section 4.2.1: DTLS 1.0 in the versions, the record number of the ClientHello)."""
    body = b"\xfe\xff" + bytes([len(cookie)]) + cookie
    length = len(body).to_bytes(3, "big")
    message = (
        bytes([HELLO_VERIFY_REQUEST]) + length + hello.message_sequence.to_bytes(2, "big") + bytes(3) + length + body
    )
    header = bytes([ContentType.HANDSHAKE]) + b"\xfe\xff" + hello.record_sequence
    return header + len(message).to_bytes(2, "big") + message


def is_verify_request(datagram: bytes) -> bool:
    """What a server sends before it has any state."""
    return datagram[:1] == b"\x16" and datagram[13:14] == bytes([HELLO_VERIFY_REQUEST])
