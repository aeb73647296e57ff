"""Attributes of STUN: one row each (RFC 8489 section 14, RFC 8445 section 16.1). Adding one is a row and a field.

A row's `read` gets the value without padding and the transaction id (which XOR-MAPPED-ADDRESS needs) and raises `Bad`;
`write` gives the value back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

Endpoint = tuple[str, int]
"""An IP literal and a port."""

_COOKIE = bytes.fromhex("2112a442")


class Bad(Exception):
    """What arrived breaks a rule, which is the only argument. Caught by `message.parse`."""


@dataclass(frozen=True, slots=True)
class Row:
    """One attribute: code on the wire, field of Message, and how its value is read and written."""

    code: int
    field: str
    read: Callable[[bytes, bytes], Any]
    write: Callable[[Any, bytes], bytes]


def walk(data: bytes, at: int) -> Iterator[tuple[int, int, bytes]]:
    """(code, offset of the attribute, value) of each. Bad: a length that lies."""
    end = len(data)
    while at < end:
        code, length = int.from_bytes(data[at : at + 2], "big"), int.from_bytes(data[at + 2 : at + 4], "big")
        following = at + 4 + (length + 3 & ~3)
        if at + 4 > end or following > end:
            raise Bad("attribute length")
        yield code, at, data[at + 4 : at + 4 + length]
        at = following


def append(body: bytearray, code: int, value: bytes) -> None:
    """One attribute, padded with zeros to four octets (section 14)."""
    body += code.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value + bytes(-len(value) % 4)


# -- Values ---------------------------------------------------------------------------------------------------------


def _address(value: bytes, _transaction: bytes) -> Endpoint:
    octets = {1: 4, 2: 16}.get(value[1]) if len(value) >= 4 else None
    if octets is None or len(value) != 4 + octets:
        raise Bad("address family")
    return str(ip_address(value[4:])), int.from_bytes(value[2:4], "big")


def _write_address(value: Endpoint, _transaction: bytes) -> bytes:
    host = ip_address(value[0])
    return bytes((0, 1 if host.version == 4 else 2)) + value[1].to_bytes(2, "big") + host.packed


def _mask(value: bytes, transaction: bytes) -> bytes:
    """Port and address xored with the cookie, IPv6 with the transaction id too (section 14.2). Its own inverse."""
    pad = (b"\0\0" + _COOKIE[:2] + _COOKIE + transaction)[: len(value)]
    return bytes(one ^ other for one, other in zip(value, pad, strict=True))


def _xor_address(value: bytes, transaction: bytes) -> Endpoint:
    if len(value) > 20:
        raise Bad("address family")
    return _address(_mask(value, transaction), transaction)


def _write_xor_address(value: Endpoint, transaction: bytes) -> bytes:
    return _mask(_write_address(value, transaction), transaction)


def _text(most: int) -> Callable[[bytes, bytes], str]:
    """UTF-8 of at most so many octets."""

    def read(value: bytes, _transaction: bytes) -> str:
        if len(value) > most:
            raise Bad("text too long")
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise Bad("text not UTF-8") from None

    return read


def _write_text(value: str, _transaction: bytes) -> bytes:
    return value.encode()


def _number(octets: int) -> tuple[Callable[[bytes, bytes], int], Callable[[int, bytes], bytes]]:
    def read(value: bytes, _transaction: bytes) -> int:
        if len(value) != octets:
            raise Bad("number length")
        return int.from_bytes(value, "big")

    def write(value: int, _transaction: bytes) -> bytes:
        return value.to_bytes(octets, "big")

    return read, write


def _octets(value: bytes, _transaction: bytes) -> bytes:
    if len(value) != 32:
        raise Bad("USERHASH length")
    return value


def _write_octets(value: bytes, _transaction: bytes) -> bytes:
    return value


def _flag(value: bytes, _transaction: bytes) -> bool:
    if value:
        raise Bad("flag with a value")
    return True


def _write_flag(_value: bool, _transaction: bytes) -> bytes:
    return b""


def _error(value: bytes, _transaction: bytes) -> tuple[int, str]:
    if len(value) < 4 or not 3 <= value[2] & 7 <= 6 or value[3] > 99:
        raise Bad("error code")
    # the phrase is for people: one that is no UTF-8 does not spoil the code
    return (value[2] & 7) * 100 + value[3], value[4:767].decode(errors="replace")


def _write_error(value: tuple[int, str], _transaction: bytes) -> bytes:
    return bytes((0, 0, *divmod(value[0], 100))) + value[1].encode()


def _codes(value: bytes, _transaction: bytes) -> tuple[int, ...]:
    if len(value) % 2:
        raise Bad("list of attributes")
    return tuple(int.from_bytes(value[at : at + 2], "big") for at in range(0, len(value), 2))


def _write_codes(value: tuple[int, ...], _transaction: bytes) -> bytes:
    return b"".join(code.to_bytes(2, "big") for code in value)


def _algorithms(value: bytes, _transaction: bytes) -> tuple[tuple[int, bytes], ...]:
    """Algorithm, length, parameters padded to four octets (section 14.11)."""
    return tuple((code, parameters) for code, _, parameters in walk(value, 0))


def _write_algorithms(value: tuple[tuple[int, bytes], ...], _transaction: bytes) -> bytes:
    body = bytearray()
    for code, parameters in value:
        append(body, code, parameters)
    return bytes(body)


def _algorithm(value: bytes, transaction: bytes) -> tuple[int, bytes]:
    found = _algorithms(value, transaction)
    if len(found) != 1:
        raise Bad("password algorithm")
    return found[0]


def _write_algorithm(value: tuple[int, bytes], transaction: bytes) -> bytes:
    return _write_algorithms((value,), transaction)


ROWS = (
    Row(0x8022, "software", _text(763), _write_text),
    Row(0x0024, "priority", *_number(4)),
    Row(0x0025, "use_candidate", _flag, _write_flag),
    Row(0x8029, "controlled", *_number(8)),
    Row(0x802A, "controlling", *_number(8)),
    Row(0x0009, "error", _error, _write_error),
    Row(0x000A, "unknown_attributes", _codes, _write_codes),
    Row(0x0001, "mapped_address", _address, _write_address),
    Row(0x0020, "xor_mapped_address", _xor_address, _write_xor_address),
    Row(0x8023, "alternate_server", _address, _write_address),
    Row(0x8003, "alternate_domain", _text(255), _write_text),
    Row(0x0006, "username", _text(513), _write_text),
    Row(0x001E, "userhash", _octets, _write_octets),
    Row(0x0014, "realm", _text(763), _write_text),
    Row(0x0015, "nonce", _text(763), _write_text),
    Row(0x001D, "password_algorithm", _algorithm, _write_algorithm),
    Row(0x8002, "password_algorithms", _algorithms, _write_algorithms),
)
BY_CODE = {row.code: row for row in ROWS}
