"""STUN messages (RFC 8489): octets to values and back. Nothing that arrives raises.

parse    header -> attributes up to the first MESSAGE-INTEGRITY -> FINGERPRINT checked; integrity is for whoever
         knows the password (`Message.verified`)
encode   attributes in the order of `attributes.ROWS` -> MESSAGE-INTEGRITY -> FINGERPRINT
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from appliance.protocols.stun import attributes
from appliance.protocols.stun.attributes import Bad, Endpoint
from appliance.protocols.stun.integrity import FINGERPRINT, INTEGRITY, INTEGRITY_SHA256, Signature, crc, sign

HEADER = 20
COOKIE = 0x2112A442  # section 5
TRANSACTION = 12  # octets, 96 bits
LONGEST = 2048  # octets of a message; ICE's have about 100
MOST_ATTRIBUTES = 64
BINDING = 1
MOST_METHODS = 0x100  # those above begin with an octet that is not STUN's on a shared port (RFC 7983 section 7)


class Kind(IntEnum):
    """Class of a message (section 5)."""

    REQUEST = 0
    INDICATION = 1
    SUCCESS = 2
    ERROR = 3


@dataclass(frozen=True, slots=True)
class Malformed:
    """Octets that are no STUN message; `reason` names the rule, never the contents."""

    reason: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message. An attribute is a field, None (or False) when absent; of one that is repeated the first counts
    (section 14). Attributes behind MESSAGE-INTEGRITY are not in here: nobody vouches for them (section 14.5)."""

    kind: Kind
    transaction: bytes
    method: int = BINDING
    mapped_address: Endpoint | None = None
    username: str | None = None
    userhash: bytes | None = None
    error: tuple[int, str] | None = None  # 300..699, reason phrase
    unknown_attributes: tuple[int, ...] | None = None
    realm: str | None = None
    nonce: str | None = None
    password_algorithm: tuple[int, bytes] | None = None  # algorithm, parameters
    password_algorithms: tuple[tuple[int, bytes], ...] | None = None
    xor_mapped_address: Endpoint | None = None
    alternate_domain: str | None = None
    software: str | None = None
    alternate_server: Endpoint | None = None
    priority: int | None = None  # RFC 8445 section 7.1.1
    use_candidate: bool = False  # section 7.1.2
    controlled: int | None = None  # section 7.1.3: the sender's tie-breaker, 64 bits
    controlling: int | None = None
    not_understood: tuple[int, ...] = ()  # comprehension-required attributes that we do not know (answered by 420)
    fingerprint: bool = False  # it had one, and that was right
    signature: Signature | None = field(default=None, compare=False, repr=False)

    def verified(self, key: bytes) -> bool:
        """Whether the message carries an integrity made with `key` (integrity.short_term, long_term); in constant
        time."""
        return self.signature is not None and self.signature.matches(key)


def is_stun(data: bytes) -> bool:
    """Whether octets on a shared port look like STUN (RFC 7983: first octet 0..3; the cookie)."""
    return len(data) >= HEADER and data[0] < 4 and int.from_bytes(data[4:8], "big") == COOKIE


def parse(data: bytes) -> Message | Malformed:
    """One datagram. A wrong FINGERPRINT is no STUN (section 14.7)."""
    if not HEADER <= len(data) <= LONGEST or not is_stun(data):
        return Malformed("not STUN")
    length = int.from_bytes(data[2:4], "big")
    if length % 4 or HEADER + length != len(data):
        return Malformed("length")
    try:
        return _read(data)
    except Bad as bad:
        return Malformed(bad.args[0])


def encode(message: Message, key: bytes = b"", *, fingerprint: bool = True, sha256: bool = False) -> bytes:
    """Octets of a message, signed when `key` is given. ValueError: a value does not fit its attribute (our mistake)."""
    if len(message.transaction) != TRANSACTION or not 0 <= message.method < MOST_METHODS:
        raise ValueError("a transaction id has 12 octets, a method 8 bits")
    body = bytearray()
    for row in attributes.ROWS:
        value = getattr(message, row.field)
        if value is not None and value is not False:
            attributes.append(body, row.code, row.write(value, message.transaction))
    method, kind = message.method, message.kind
    first = (method & 0xF80) << 2 | (method & 0x70) << 1 | method & 0xF | (kind & 2) << 7 | (kind & 1) << 4

    def header(length: int) -> bytes:
        return b"".join((
            first.to_bytes(2, "big"), length.to_bytes(2, "big"), COOKIE.to_bytes(4, "big"), message.transaction,
        ))  # fmt: skip

    if key:
        code, octets = (INTEGRITY_SHA256, 32) if sha256 else (INTEGRITY, 20)
        attributes.append(body, code, sign(key, header(len(body) + 4 + octets) + body, sha256=sha256))
    if fingerprint:
        attributes.append(body, FINGERPRINT, crc(header(len(body) + 8) + body))
    return header(len(body)) + bytes(body)


def _read(data: bytes) -> Message:
    kind = Kind((data[0] & 1) << 1 | (data[1] & 0x10) >> 4)
    method = (data[0] & 0x3E) << 6 | (data[1] & 0xE0) >> 1 | data[1] & 0xF
    transaction = data[8:HEADER]
    values: dict[str, Any] = {}
    unknown: list[int] = []
    signatures: list[Signature] = []
    fingerprint = False
    for count, (code, at, value) in enumerate(attributes.walk(data, HEADER)):
        if fingerprint or count == MOST_ATTRIBUTES:
            raise Bad("attributes behind FINGERPRINT" if fingerprint else "too many attributes")
        if code == FINGERPRINT:
            if value != crc(data[:at]):
                raise Bad("fingerprint")
            fingerprint = True
        elif code in (INTEGRITY, INTEGRITY_SHA256):
            signatures.append(Signature.of(data, at, value, sha256=code == INTEGRITY_SHA256))
        elif signatures:
            continue
        elif (row := attributes.BY_CODE.get(code)) is not None:
            values.setdefault(row.field, row.read(value, transaction))
        elif code < 0x8000 and code not in unknown:
            unknown.append(code)
    return Message(
        kind, transaction, method, **values, not_understood=tuple(unknown), fingerprint=fingerprint,
        # with both, the stronger one has to match (section 14.6)
        signature=signatures[-1] if signatures else None,
    )  # fmt: skip
