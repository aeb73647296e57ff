"""Our Finished once more, under another record number.

A server that has it, and whose answer was lost, takes no second record of that number for a repetition (RFC 6347
section 4.1.2.6), and OpenSSL makes one of another number only when its timer is over: after 1, 3, 7 and 15 s. So we
seal it ourselves, with the keys that OpenSSL has (RFC 5246 section 6.3); its contents do not change."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable
from functools import partial

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from OpenSSL import SSL

from appliance.protocols.dtls import records

FIRST_NUMBER = 32  # OpenSSL's own records, an alert among them, keep theirs, and fall into the peer's window of 64
_FINISHED = 20
_CIPHERS: dict[str, tuple[type[AESGCM | ChaCha20Poly1305], int, int, str]] = {
    "AES128-GCM-SHA256": (AESGCM, 16, 4, "sha256"),  # octets of key and of what of the nonce is secret
    "AES256-GCM-SHA384": (AESGCM, 32, 4, "sha384"),
    "CHACHA20-POLY1305": (ChaCha20Poly1305, 32, 12, "sha256"),
}


def sealing(connection: SSL.Connection, flight: Iterable[bytes]) -> Callable[[int], bytes] | None:
    """Of a client's flight with its Finished: record number -> record. None: it has none, or another cipher."""
    found = [record for datagram in flight for record in records.records(datagram)]
    plain = [one for record in found if record.epoch == 0 and record.type == records.ContentType.HANDSHAKE
             for one in records.messages(record.payload) if one]  # fmt: skip
    name = (connection.get_cipher_name() or "").partition("A-")[2]  # ECDHE-ECDSA-, ECDHE-RSA-
    if not any(record.epoch for record in found) or not plain or name not in _CIPHERS:
        return None
    return partial(_sealed, connection, name, plain[-1].sequence + 1)


def _sealed(connection: SSL.Connection, cipher: str, sequence: int, number: int) -> bytes:
    make, key_octets, secret_octets, hash_name = _CIPHERS[cipher]
    secret, client, server = connection.master_key(), connection.client_random(), connection.server_random()
    assert secret and client and server
    block = _expanded(secret, b"key expansion" + server + client, hash_name, 2 * (key_octets + secret_octets))
    key, nonce = block[:key_octets], block[2 * key_octets : 2 * key_octets + secret_octets]
    data = connection.get_finished() or b""
    length = len(data).to_bytes(3, "big")
    message = bytes((_FINISHED,)) + length + sequence.to_bytes(2, "big") + bytes(3) + length + data
    at = b"\0\1" + number.to_bytes(6, "big")  # epoch and number
    front = bytes((int(records.ContentType.HANDSHAKE),)) + b"\xfe\xfd"
    known = at + front + len(message).to_bytes(2, "big")
    if make is AESGCM:  # RFC 5288 section 3: the rest of the nonce stands in the record
        body = at + AESGCM(key).encrypt(nonce + at, message, known)
    else:  # RFC 7905 section 2
        mixed = bytes(one ^ two for one, two in zip(nonce, bytes(4) + at, strict=True))
        body = ChaCha20Poly1305(key).encrypt(mixed, message, known)
    return front + at + len(body).to_bytes(2, "big") + body


def _expanded(secret: bytes, seed: bytes, hash_name: str, octets: int) -> bytes:
    """P_hash (RFC 5246 section 5)."""
    found, chain = b"", seed
    while len(found) < octets:
        chain = hmac.digest(secret, chain, hash_name)
        found += hmac.digest(secret, chain + seed, hash_name)
    return found[:octets]
