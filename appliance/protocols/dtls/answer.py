"""Whether a server's flight answers our ClientHello, asked before OpenSSL sees any of it.

Until then anybody can write ServerHellos, and OpenSSL ends a handshake at the first that does not fit: one that a
stranger forged, or one for a ClientHello that a process of ours sent before it died. RFC 6347 section 4.1.2.7 wants
such records discarded. The signature of ServerKeyExchange covers both randoms (RFC 8422 section 5.4): who made it has
got our ClientHello. Whether the certificate is the right one is not asked here: a wrong one has to be told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa

from appliance.protocols.dtls import records

CERTIFICATE, SERVER_KEY_EXCHANGE, SERVER_HELLO_DONE = 11, 12, 14
MOST_MESSAGES = 8  # a flight has five; a certificate's status may be among them
LONGEST_FLIGHT = 20_000  # octets kept of it


class Verdict(Enum):
    OURS = "signed over our random"
    FOREIGN = "an answer to something else, or forged"
    UNKNOWN = "nothing that we can check: an old version, another kind of key exchange"


@dataclass(slots=True)
class _Message:
    """What is there of one."""

    type: int
    octets: bytearray
    there: bytearray  # 1 where an octet has come

    @property
    def whole(self) -> bool:
        return 0 not in self.there


class Collector:
    """The server's flight, as its fragments come in, in any order. Of two that contradict each other the later one
    counts."""

    def __init__(self) -> None:
        self._messages: dict[int, _Message] = {}

    def add(self, data: bytes) -> None:
        """The handshake messages of plaintext records that Gate has let in."""
        for record in records.records(data):
            if record.epoch or record.type != records.ContentType.HANDSHAKE:
                continue
            at = records.RECORD_HEADER
            for message in records.messages(record.data, at):
                if message is None:
                    break
                at += records.MESSAGE_HEADER
                self._put(message, record.data[at : at + message.fragment])
                at += message.fragment

    def _put(self, message: records.Message, piece: bytes) -> None:
        held = self._messages.get(message.sequence)
        if held is None or held.type != message.type or len(held.octets) != message.length:
            others = [one for number, one in self._messages.items() if number != message.sequence]
            if len(others) >= MOST_MESSAGES or sum(len(o.octets) for o in others) + message.length > LONGEST_FLIGHT:
                self._messages.clear()
            held = _Message(message.type, bytearray(message.length), bytearray(message.length))
            self._messages[message.sequence] = held
        end = message.offset + message.fragment
        held.octets[message.offset : end] = piece
        held.there[message.offset : end] = b"\1" * message.fragment

    def whole(self) -> list[tuple[int, int, bytes]]:
        """(sequence, type, body) from ServerHello to ServerHelloDone; empty: some of it is still to come."""
        found: list[tuple[int, int, bytes]] = []
        number = min((n for n, one in self._messages.items() if one.type == records.SERVER_HELLO), default=None)
        while number is not None and (one := self._messages.get(number)) is not None and one.whole:
            found.append((number, one.type, bytes(one.octets)))
            if one.type == SERVER_HELLO_DONE:
                return found
            number += 1
        return []


class Answer:
    """The server's side of a handshake as OpenSSL gets to see it: HelloVerifyRequest, a flight with a good signature,
    and after that nothing in plaintext but ChangeCipherSpec. Plaintext records are numbered anew: nothing protects
    their numbers, and OpenSSL takes none that is far behind the highest it has seen."""

    def __init__(self, client_random: bytes) -> None:
        self.good = False  # the flight has come
        self.doubtful = b""  # one that nothing can be said about; OpenSSL's when nothing better comes
        self._random = client_random
        self._collector = Collector()
        self._number = 0

    def take(self, data: bytes) -> bytes:
        """Of what Gate has let in, what is for OpenSSL now."""
        if self.good:
            return self._numbered(one for one in records.records(data) if one.epoch or one.type != _HANDSHAKE)
        if records.is_verify_request(data):
            return self._numbered(filter(records.asks_to_verify, records.records(data)[:1]))
        alone = Collector()
        alone.add(data)
        if not (found := alone.whole()):
            self._collector.add(data)
            found = self._collector.whole()
        return self._judge(found) if found else b""

    def _judge(self, messages: list[tuple[int, int, bytes]]) -> bytes:
        found = verdict(messages, self._random)
        self._collector = Collector()
        if found is Verdict.UNKNOWN:
            self.doubtful = _flight(messages)
        if found is not Verdict.OURS:
            return b""
        self.good = True
        return self._numbered(records.records(_flight(messages)))

    def believe(self) -> bytes:
        """The doubtful one, after all."""
        data, self.doubtful, self.good = self.doubtful, b"", True
        return self._numbered(records.records(data))

    def _numbered(self, found: Iterable[records.Record]) -> bytes:
        parts = []
        for record in found:
            if record.epoch == 0:
                record = record.numbered(self._number)
                self._number += 1
            parts.append(record.data)
        return b"".join(parts)


_HANDSHAKE = int(records.ContentType.HANDSHAKE)


def _flight(messages: list[tuple[int, int, bytes]]) -> bytes:
    """As records, one for each message."""
    made = b""
    for sequence, kind, body in messages:
        length = len(body).to_bytes(3, "big")
        message = bytes((kind,)) + length + sequence.to_bytes(2, "big") + bytes(3) + length + body
        made += bytes((_HANDSHAKE, 0xFE, 0xFD)) + bytes(8) + len(message).to_bytes(2, "big") + message
    return made


def verdict(messages: list[tuple[int, int, bytes]], client_random: bytes) -> Verdict:
    """Of a whole flight."""
    bodies = {kind: body for _, kind, body in messages}
    hello, certificate, exchange = (
        bodies.get(kind, b"") for kind in (records.SERVER_HELLO, CERTIFICATE, SERVER_KEY_EXCHANGE)
    )
    if hello[:2] != b"\xfe\xfd" or len(hello) < 34 or exchange[:1] != b"\x03" or len(certificate) < 6:
        return Verdict.UNKNOWN
    at = 4 + exchange[3] if len(exchange) > 3 else len(exchange)  # named curve, point (RFC 8422 section 5.4)
    algorithm, signature = exchange[at : at + 2], exchange[at + 4 :]
    if len(signature) != int.from_bytes(exchange[at + 2 : at + 4], "big") or not signature:
        return Verdict.FOREIGN
    own = certificate[6 : 6 + int.from_bytes(certificate[3:6], "big")]
    try:
        key = x509.load_der_x509_certificate(own).public_key()
        known = _verify(key, algorithm, signature, client_random + hello[2:34] + exchange[:at])
    except InvalidSignature:
        return Verdict.FOREIGN
    except Exception:  # of a stranger's certificate the library tells in a dozen ways; OpenSSL has its own opinion
        return Verdict.UNKNOWN
    return Verdict.OURS if known else Verdict.UNKNOWN


_HASHES: dict[int, hashes.HashAlgorithm] = {4: hashes.SHA256(), 5: hashes.SHA384(), 6: hashes.SHA512()}
_PSS: dict[int, hashes.HashAlgorithm] = {
    4: hashes.SHA256(), 5: hashes.SHA384(), 6: hashes.SHA512(), 9: hashes.SHA256(), 10: hashes.SHA384(),
    11: hashes.SHA512(),
}  # fmt: skip


def _verify(key: object, algorithm: bytes, signature: bytes, signed: bytes) -> bool:
    """InvalidSignature. False: an algorithm that is not known here (RFC 5246 section 7.4.1.4.1, RFC 8446 section 4.2.3)
    or not of this key."""
    first, second = algorithm
    if isinstance(key, ec.EllipticCurvePublicKey) and second == 3 and first in _HASHES:
        key.verify(signature, signed, ec.ECDSA(_HASHES[first]))
    elif isinstance(key, rsa.RSAPublicKey) and second == 1 and first in _HASHES:
        key.verify(signature, signed, padding.PKCS1v15(), _HASHES[first])
    elif isinstance(key, rsa.RSAPublicKey) and first == 8 and second in _PSS:
        way = _PSS[second]
        key.verify(signature, signed, padding.PSS(padding.MGF1(way), way.digest_size), way)
    elif isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey) and first == 8 and second in (7, 8):
        key.verify(signature, signed)
    else:
        return False
    return True
