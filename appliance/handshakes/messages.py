"""What the front and a handshake process tell each other: one message a packet of a SEQPACKET socket. A kind, the leg's
key, then fields of octets, each behind its length; datagrams, the most frequent, are an address and the rest."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from functools import lru_cache

from appliance.calls.media import Address, DtlsMedia, Fingerprint, LocalCertificate
from appliance.handshakes.table import Event, Send, Table
from appliance.protocols.dtls import keys
from appliance.protocols.dtls.outputs import Failed, KeysReady, Reason
from appliance.protocols.srtp import suites

LONGEST = 65_536  # octets of a message
LONGEST_DATAGRAM = 16_384  # octets; no flight has one as long
_HEAD, _LENGTH = struct.Struct("!Bq"), struct.Struct("!H")
_ADDRESSED = struct.Struct("!BqHB")  # kind, key, port, octets of the host
OPEN, EXPECT, DATAGRAM, GO, CLOSE, SEND, KEYS, FAILED = range(8)
_ROLES: tuple[bool | None, ...] = (None, False, True)


class Malformed(ValueError):
    """Not a message of ours: front and process are not of one build."""


# ---------------------------------------------------------------- to a process


def opening(key: int, wish: DtlsMedia, cookie: bool, remote: Address | None) -> bytes:
    flags = bytes([_ROLES.index(wish.active), wish.legacy, cookie])
    own = wish.certificate
    return _pack(
        OPEN, key, flags, wish.association.encode(), own.certificate, own.key, ",".join(wish.suites).encode(),
        *(_address(remote) if remote else (b"", b"")), *_fingerprints(wish.fingerprints),
    )  # fmt: skip


def expecting(key: int, fingerprints: Iterable[Fingerprint], remote: Address | None = None) -> bytes:
    return _pack(EXPECT, key, *(_address(remote) if remote else (b"", b"")), *_fingerprints(fingerprints))


def datagram(key: int, source: Address, data: bytes) -> bytes:
    return _addressed(DATAGRAM, key, source, data)


def going(key: int, source: Address) -> bytes:
    return _pack(GO, key, *_address(source))


def closing(key: int) -> bytes:
    return _pack(CLOSE, key)


def carry_out(message: bytes, table: Table, now: float) -> None:
    """In the process. Malformed."""
    if message[:1] == _DATAGRAM:
        table.datagram(*_of_addressed(message), now)
        return
    kind, key, fields = _unpack(message)
    try:
        if kind == OPEN:
            table.open(key, *_opened(fields))
        elif kind == EXPECT:
            remote = _to_address(fields[0], fields[1]) if fields[0] else None
            table.expect(key, _to_fingerprints(fields[2:]), remote, now)
        elif kind == GO:
            table.go(key, _to_address(fields[0], fields[1]), now)
        elif kind == CLOSE:
            table.close(key)
        else:
            raise Malformed(f"kind {kind}")
    except Malformed:
        raise
    except (IndexError, struct.error, ValueError) as error:
        raise Malformed(f"kind {kind}: {error}") from None


# ---------------------------------------------------------------- from a process


def sending(key: int, to: Address, data: bytes) -> bytes:
    return _addressed(SEND, key, to, data)


def telling(key: int, source: Address, event: KeysReady | Failed) -> bytes:
    if isinstance(event, Failed):
        return _pack(FAILED, key, *_address(source), event.reason.encode(), event.detail.encode())
    (send,), (receive,) = event.send.keys, event.receive.keys
    return _pack(KEYS, key, *_address(source), event.suite.encode(), send.key, send.salt, receive.key, receive.salt,
                 event.peer.hash.encode(), event.peer.value)  # fmt: skip


def tell(message: bytes, send: Send, event: Event) -> None:
    """In the front. Malformed."""
    if message[:1] == _SEND:
        send(*_of_addressed(message))
        return
    kind, key, fields = _unpack(message)
    try:
        address = _to_address(fields[0], fields[1])
        if kind == KEYS:
            event(key, address, _keys(fields[2:]))
        elif kind == FAILED:
            event(key, address, Failed(Reason(fields[2].decode()), fields[3].decode()))
        else:
            raise Malformed(f"kind {kind}")
    except Malformed:
        raise
    except (IndexError, struct.error, ValueError) as error:
        raise Malformed(f"kind {kind}: {error}") from None


# ---------------------------------------------------------------- datagrams

_DATAGRAM, _SEND = bytes([DATAGRAM]), bytes([SEND])


def _addressed(kind: int, key: int, address: Address, data: bytes) -> bytes:
    host = address.host.encode()
    return _ADDRESSED.pack(kind, key, address.port, len(host)) + host + data


def _of_addressed(message: bytes) -> tuple[int, Address, bytes]:
    if len(message) < _ADDRESSED.size:
        raise Malformed("cut")
    _, key, port, length = _ADDRESSED.unpack_from(message)
    end = _ADDRESSED.size + length
    if end > len(message):
        raise Malformed("cut")
    try:
        return key, _at(message[_ADDRESSED.size : end], port), message[end:]
    except ValueError as error:
        raise Malformed(str(error)) from None


# ---------------------------------------------------------------- fields


def _pack(kind: int, key: int, *fields: bytes) -> bytes:
    parts = [_HEAD.pack(kind, key)]
    for field in fields:
        parts += (_LENGTH.pack(len(field)), field)
    return b"".join(parts)


def _unpack(message: bytes) -> tuple[int, int, list[bytes]]:
    if len(message) < _HEAD.size:
        raise Malformed("short")
    kind, key = _HEAD.unpack_from(message)
    fields: list[bytes] = []
    at, size = _HEAD.size, len(message)
    while at < size:
        if at + _LENGTH.size > size:
            raise Malformed("cut")
        start = at + _LENGTH.size
        at = start + _LENGTH.unpack_from(message, at)[0]
        if at > size:
            raise Malformed("cut")
        fields.append(message[start:at])
    return kind, key, fields


def _address(address: Address) -> tuple[bytes, bytes]:
    return address.host.encode(), _LENGTH.pack(address.port)


def _to_address(host: bytes, port: bytes) -> Address:
    return _at(host, _LENGTH.unpack(port)[0])


@lru_cache(maxsize=1024)
def _at(host: bytes, port: int) -> Address:
    """A handshake has ten messages about the same two addresses."""
    return Address(host.decode(), port)


def _fingerprints(given: Iterable[Fingerprint]) -> list[bytes]:
    return [field for fingerprint in given for field in (fingerprint.hash.encode(), fingerprint.value)]


def _to_fingerprints(fields: list[bytes]) -> tuple[Fingerprint, ...]:
    return tuple(Fingerprint(name.decode(), value) for name, value in zip(fields[::2], fields[1::2], strict=True))


def _opened(fields: list[bytes]) -> tuple[DtlsMedia, bool, Address | None]:
    (flags, association, certificate, key, suite_names, host, port), rest = fields[:7], fields[7:]
    wish = DtlsMedia(
        association.decode(), LocalCertificate(certificate, key), _ROLES[flags[0]], _to_fingerprints(rest),
        tuple(suite_names.decode().split(",")) if suite_names else (), bool(flags[1]),
    )  # fmt: skip
    return wish, bool(flags[2]), _to_address(host, port) if host else None


def _keys(fields: list[bytes]) -> KeysReady:
    name, key, salt, their_key, their_salt, hash_name, value = fields
    suite = suites.find(name.decode())
    if suite is None:
        raise Malformed(f"suite {name!r}")
    send, receive = keys.context(suite, key, salt), keys.context(suite, their_key, their_salt)
    return KeysReady(suite.name, send, receive, Fingerprint(hash_name.decode(), value))
