"""DTLS records and handshake messages as far as they can be read without keys (RFC 6347 sections 4.1 and 4.2.2). All
that knows their layout is here: DTLS 1.3 (RFC 9147 section 4) has another one, whose records are opaque to us."""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from struct import Struct
from typing import NamedTuple

RECORD_HEADER = 13
MESSAGE_HEADER = 12
HIGHEST_NUMBER = 2**48 - 1  # of a record


class ContentType(IntEnum):
    CHANGE_CIPHER_SPEC = 20
    ALERT = 21
    HANDSHAKE = 22
    APPLICATION_DATA = 23


CLIENT_HELLO = 1
SERVER_HELLO = 2
HELLO_VERIFY_REQUEST = 3


class Record(NamedTuple):
    """`data` is all of it, header included; `epoch` 0 is plaintext."""

    type: int
    epoch: int
    number: int
    data: bytes

    @property
    def payload(self) -> bytes:
        return self.data[RECORD_HEADER:]

    def numbered(self, number: int) -> Record:
        """With another number: nothing protects that of a plaintext record."""
        return Record(self.type, self.epoch, number, self.data[:5] + number.to_bytes(6, "big") + self.data[11:])


class Message(NamedTuple):
    """Header of a handshake message, or of a fragment of one."""

    type: int
    length: int  # of the whole message
    sequence: int
    offset: int
    fragment: int  # octets of this fragment


Opened = tuple[Record, list[Message]]
"""A record with the headers of the handshake messages in it; of one that is encrypted, or of another type, none."""

_record_header = Struct("!BBBHHIH").unpack_from  # type, version, epoch, number (16 and 32 bits), length
_message_header = Struct("!BBHHBHBH").unpack_from  # type, sequence; length, offset and fragment have 24 bits


def records(datagram: bytes) -> list[Record]:
    """Whole records in order. What is cut or has no known header ends the datagram (RFC 6347 section 4.1.1: a record
    does not span datagrams)."""
    found: list[Record] = []
    start, size = 0, len(datagram)
    while start + RECORD_HEADER <= size:
        kind, major, _, epoch, high, low, length = _record_header(datagram, start)
        end = start + RECORD_HEADER + length
        if end > size or major != 0xFE or kind not in _KNOWN:
            break
        found.append(Record(kind, epoch, high << 32 | low, datagram[start:end]))
        start = end
    return found


_KNOWN = frozenset(int(kind) for kind in ContentType)


def messages(payload: bytes, start: int = 0) -> list[Message | None]:
    """Headers of the handshake messages in a plaintext record, from an octet on; None, as the last, when the rest is
    none."""
    found: list[Message | None] = []
    size = len(payload)
    while start < size:
        if start + MESSAGE_HEADER > size:
            return [*found, None]
        kind, long, length, sequence, far, offset, big, fragment = _message_header(payload, start)
        message = Message(kind, long << 16 | length, sequence, far << 16 | offset, big << 16 | fragment)
        start += MESSAGE_HEADER + message.fragment
        if start > size or message.offset + message.fragment > message.length:
            return [*found, None]
        found.append(message)
    return found


def pack(flight: bytes, mtu: int) -> tuple[bytes, ...]:
    """A flight as OpenSSL's memory BIO gives it, all records glued, as datagrams of at most `mtu` octets. A record is
    never cut; OpenSSL was told the MTU and makes none that is longer."""
    if len(flight) <= mtu:
        return (flight,) if flight else ()
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


class Hello(NamedTuple):
    """The beginning of a ClientHello: what a server can know before it has any state."""

    random: bytes
    cookie: bytes
    message_sequence: int
    record_sequence: bytes  # 8 octets: epoch and number


@lru_cache(maxsize=64)
def hello(datagram: bytes) -> Hello | None:
    """A ClientHello, whole or its first fragment, at the front of a datagram. Leg, cookie front and association ask one
    after the other: the last ones are remembered."""
    if len(datagram) < RECORD_HEADER + MESSAGE_HEADER or datagram[RECORD_HEADER] != CLIENT_HELLO:
        return None
    kind, major, _, epoch, _, _, length = _record_header(datagram)
    end = RECORD_HEADER + length
    if kind != ContentType.HANDSHAKE or major != 0xFE or epoch or end > len(datagram):
        return None
    message = next(iter(messages(datagram[:end], RECORD_HEADER)), None)
    if message is None or message.offset:
        return None
    at = RECORD_HEADER + MESSAGE_HEADER
    body = datagram[at : at + message.fragment]
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


def asks_to_verify(record: Record) -> bool:
    """A whole HelloVerifyRequest, and the first message of its sender."""
    found = messages(record.data, RECORD_HEADER)
    if record.epoch or record.type != ContentType.HANDSHAKE or len(found) != 1 or (message := found[0]) is None:
        return False
    size = len(record.data) - RECORD_HEADER - MESSAGE_HEADER
    if message != Message(HELLO_VERIFY_REQUEST, size, 0, 0, size) or size < 3:
        return False
    return record.data[-size + 2] == size - 3  # version and length, then the cookie


def is_verify_request(datagram: bytes) -> bool:
    """What a server sends before it has any state."""
    return datagram[:1] == b"\x16" and datagram[13:14] == bytes([HELLO_VERIFY_REQUEST])
