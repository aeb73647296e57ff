"""DTLS peers of other makers: the programs of OpenSSL and GnuTLS, over UDP on loopback; our association on a socket."""

from __future__ import annotations

import hmac
import os
import re
import secrets
import select
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from appliance.calls.media import Address, ContextSpec, DtlsMedia, LocalCertificate
from appliance.protocols.dtls.association import Association
from appliance.protocols.dtls.cookie import CookieFront
from appliance.protocols.dtls.outputs import Failed, KeysReady, Outputs

HOST = "127.0.0.1"
PATIENCE_S = 20.0


def missing() -> list[str]:
    return [name for name in ("openssl", "gnutls-cli", "gnutls-serv") if shutil.which(name) is None]


class Files:
    """A certificate, those that issued it, and its key as the programs want them."""

    def __init__(self, folder: Path, name: str, own: LocalCertificate, issuers: Sequence[bytes] = ()) -> None:
        self.certificate, self.key = folder / f"{name}.pem", folder / f"{name}.key"
        self.issuers = folder / f"{name}.chain" if issuers else None
        texts = [x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in (own.certificate, *issuers)]
        self.certificate.write_bytes(b"".join(texts))
        if self.issuers:
            self.issuers.write_bytes(b"".join(texts[1:]))
        key = serialization.load_der_private_key(own.key, None)
        self.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        self.key.chmod(0o600)


Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey


def rsa_certificate(bits: int) -> LocalCertificate:
    """Self-signed; as old phones have it."""
    return certificate(rsa.generate_private_key(65537, bits))


def certificate(key: Key, issuer: LocalCertificate | None = None) -> LocalCertificate:
    """Self-signed, or issued."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, secrets.token_hex(4))])
    by, signer = name, key
    if issuer is not None:
        by = x509.load_der_x509_certificate(issuer.certificate).subject
        signer = serialization.load_der_private_key(issuer.key, None)  # type: ignore[assignment]
    way = None if isinstance(signer, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey) else hashes.SHA256()
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(by).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=9)).sign(signer, way)
    )  # fmt: skip
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return LocalCertificate(made.public_bytes(Encoding.DER), der)


class OnSocket:
    """Our association on a real socket and the real clock, until it has given its event."""

    def __init__(self, wish: DtlsMedia, port: int, *, to: int = 0, cookie: bool = False, mtu: int = 1200) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((HOST, port))
        self.datagrams: list[bytes] = []  # heard
        self.sent: list[bytes] = []
        self._to = (HOST, to)
        self._association = Association(wish, cookie=cookie, mtu=mtu, now=time.monotonic())
        self._front = CookieFront(bytes(32)) if cookie else None
        self._event: KeysReady | Failed | None = None

    def run(self) -> KeysReady | Failed:
        with self.socket:
            self._give(self._association.start(time.monotonic()))
            limit = time.monotonic() + PATIENCE_S
            while self._event is None:
                assert time.monotonic() < limit, "neither keys nor failure"
                self._turn()
            settle = time.monotonic() + 0.3  # a last flight that was lost would be asked for again
            while time.monotonic() < settle:
                self._turn()
        return self._event

    def _turn(self) -> None:
        due = self._association.next_timeout
        wait = 0.05 if due is None else min(0.05, max(0.0, due - time.monotonic()))
        if select.select([self.socket], [], [], wait)[0]:
            try:
                data, self._to = self.socket.recvfrom(65536)
            except ConnectionRefusedError:  # of an earlier datagram: the peer is not up yet
                return
            self.datagrams.append(data)
            self._hear(data)
        self._give(self._association.timeout(time.monotonic()))

    def _hear(self, data: bytes) -> None:
        now, source = time.monotonic(), Address(*self._to)
        if self._front is not None and not self._association.begun:
            verdict = self._front.hello(data, source, now)
            if verdict is not True:
                self._send(verdict or b"")
                return
        self._give(self._association.receive(data, source, now))

    def _give(self, outputs: Outputs) -> None:
        for data in outputs.datagrams:
            self._send(data)
        self._event = self._event or outputs.event

    def _send(self, data: bytes) -> None:
        if data:
            self.sent.append(data)
            try:
                self.socket.sendto(data, self._to)
            except ConnectionRefusedError:
                return


@contextmanager
def program(words: Sequence[str], **environment: str) -> Iterator[Callable[[str], str]]:
    """Run it; yields `wait(pattern)`: the first group of the first match in what it says."""
    child = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=os.environ | environment
    )
    assert child.stdout is not None
    said = ""

    def wait(pattern: str) -> str:
        nonlocal said
        limit = time.monotonic() + PATIENCE_S
        while not (found := re.search(pattern, said, re.M | re.I)):
            assert time.monotonic() < limit, f"{words[0]} has not said {pattern!r} but:\n{said}"
            assert child.stdout is not None
            if select.select([child.stdout], [], [], 0.2)[0]:
                piece = child.stdout.read1(65536)  # type: ignore[attr-defined]
                assert piece or child.poll() is None, f"{words[0]} ended without {pattern!r}:\n{said}"
                said += piece.decode(errors="replace")
        return found[1] if found.groups() else found[0]

    try:
        yield wait
    finally:
        child.kill()
        child.wait()
        child.stdin.close()  # type: ignore[union-attr]
        child.stdout.close()


def split(exported: bytes, suite_key: int, suite_salt: int) -> tuple[tuple[bytes, bytes], tuple[bytes, bytes]]:
    """(client's key and salt, server's) as RFC 5764 section 4.2 draws it; written apart from the code that it tests."""
    client_key, server_key = exported[:suite_key], exported[suite_key : 2 * suite_key]
    client_salt = exported[2 * suite_key : 2 * suite_key + suite_salt]
    server_salt = exported[2 * suite_key + suite_salt :]
    return (client_key, client_salt), (server_key, server_salt)


def exported(master: bytes, randoms: bytes, octets: int) -> bytes:
    """What a peer exports that has told its master secret, for a cipher with SHA-256 (RFC 5705 section 4, RFC 5246
    section 5); written apart from OpenSSL. `randoms`: the client's, the server's."""
    seed, found = b"EXTRACTOR-dtls_srtp" + randoms, b""
    at = seed
    while len(found) < octets:
        at = hmac.digest(master, at, "sha256")
        found += hmac.digest(master, at + seed, "sha256")
    return found[:octets]


def pair(spec: ContextSpec) -> tuple[bytes, bytes]:
    (key,) = spec.keys
    return key.key, key.salt
