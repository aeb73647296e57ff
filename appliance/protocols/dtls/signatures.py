"""Signatures of handshakes as the peer's certificate has to have made them (RFC 5246 section 7.4.1.4.1, RFC 8446
section 4.2.3 for the newer algorithms)."""

from __future__ import annotations

from enum import Enum

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa


class Verdict(Enum):
    OURS = "signed over our random"
    FOREIGN = "an answer to something else, or forged"
    UNKNOWN = "nothing that we can check: an old version, another kind of key exchange"


def own_certificate(message: bytes) -> bytes:
    """Body of a Certificate message -> the sender's own (DER); empty: it has none."""
    return message[6 : 6 + int.from_bytes(message[3:6], "big")]


def judge(certificate: bytes, signature: bytes, signed: bytes) -> Verdict:
    """`signature`: algorithm, length, octets, and nothing behind them."""
    octets = signature[4:]
    if len(octets) != int.from_bytes(signature[2:4], "big") or not octets:
        return Verdict.FOREIGN
    try:
        key = x509.load_der_x509_certificate(certificate).public_key()
        known = _verify(key, signature[:2], octets, signed)
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
    """InvalidSignature. False: an algorithm that is not known here, or not of this key."""
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
