"""A phone that keys its media by DTLS-SRTP: OpenSSL by way of pyOpenSSL, none of the product's handshake code."""

from __future__ import annotations

import re
import socket
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from kernels.srtp.session import Session
from kernels.srtp.transform import Transform

# OpenSSL's profile -> name in SDP's terms, numbers for a session, octets of key and salt (RFC 5764, RFC 7714)
PROFILES = {
    b"SRTP_AEAD_AES_128_GCM": (Transform("AES_GCM", "NONE", 16, 12, 16, 16), 16, 12),
    b"SRTP_AEAD_AES_256_GCM": (Transform("AES_GCM", "NONE", 32, 12, 16, 16), 32, 12),
    b"SRTP_AES128_CM_SHA1_80": (Transform("AES_CM", "HMAC_SHA1", 16, 14, 10, 10), 16, 14),
    b"SRTP_AES128_CM_SHA1_32": (Transform("AES_CM", "HMAC_SHA1", 16, 14, 4, 10), 16, 14),
}
Address = tuple[str, int]
Identity = tuple[x509.Certificate, ec.EllipticCurvePrivateKey, str]  # with the fingerprint as SDP has it


def certificate() -> Identity:
    """A self-signed one."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "phone")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1)).sign(key, hashes.SHA256())
    )  # fmt: skip
    digest = made.fingerprint(hashes.SHA256()).hex(":").upper()
    return made, key, f"sha-256 {digest}"


class DtlsPhone:
    """One component of one phone. `setup`: active (it sends the ClientHello), passive."""

    def __init__(
        self, setup: str = "active", host: str = "127.0.0.1", port: int = 0,
        profile: bytes = b"SRTP_AEAD_AES_128_GCM", identity: Identity | None = None,
    ) -> None:  # fmt: skip
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, port))
        self.host, self.port = self.socket.getsockname()
        self.setup = setup
        self.certificate, self.key, self.fingerprint = identity or certificate()
        self.heard: list[tuple[bytes, Address]] = []  # all that is not DTLS
        self._context = SSL.Context(SSL.DTLS_METHOD)
        self._context.use_certificate(self.certificate)
        self._context.use_privatekey(self.key)
        self._context.set_tlsext_use_srtp(profile)
        self._context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
        self._context.set_options(0x1000)  # SSL_OP_NO_QUERY_MTU
        self.begin()
        self.keyed = False
        self.repeated = 0  # flights that were sent again
        self.secrets: list[bytes] = []  # of the keys' first octets
        self.send_session: Session | None = None
        self.receive_session: Session | None = None

    def begin(self) -> None:
        """A handshake that knows nothing of an earlier one."""
        self._connection = SSL.Connection(self._context, None)
        self._connection.set_ciphertext_mtu(1200)
        if self.setup == "active":
            self._connection.set_connect_state()
        else:
            self._connection.set_accept_state()
        self.keyed = False

    def sdp(self, *, mux: bool = True, fingerprint: str = "", setup: str = "", more: str = "") -> str:
        return (
            f"v=0\r\no=- 1 1 IN IP4 {self.host}\r\ns=-\r\nc=IN IP4 {self.host}\r\nt=0 0\r\n"
            f"m=audio {self.port} UDP/TLS/RTP/SAVP 0\r\na=setup:{setup or self.setup}\r\n"
            f"a=fingerprint:{fingerprint or self.fingerprint}\r\n{'a=rtcp-mux' if mux else ''}\r\n{more}"
        ).replace("\r\n\r\n", "\r\n")

    # ---------------------------------------------------------------- handshake

    def step(self, to: Address | None, *, wait: float = 0.0) -> Address | None:
        """Send what there is to send, take what has come, once; where it came from. SSL.Error: the peer gave up."""
        self._flush(to)
        self.socket.settimeout(wait or 0.0001)
        source: Address | None = None
        try:
            data, source = self.socket.recvfrom(4096)
        except (TimeoutError, BlockingIOError, ConnectionRefusedError):
            return None
        if 20 <= data[0] < 64:
            self.push(data)
        else:
            self.heard.append((data, source))
        self._flush(to or source)
        return source

    def handshake(self, to: Address | None, seconds: float = 5.0) -> None:
        """Until it is done. TimeoutError; SSL.Error: the peer gave up. A passive phone answers whoever comes."""
        deadline, where = time.monotonic() + seconds, to
        while not self.keyed:
            where = self.step(where, wait=0.05) or where
            if time.monotonic() > deadline:
                raise TimeoutError("no handshake")
            due = self._connection.DTLSv1_get_timeout()
            if due is not None and due <= 0:
                self._connection.DTLSv1_handle_timeout()
                self.repeated += 1

    def settle(self, to: Address, seconds: float = 0.3) -> None:
        """Answer repetitions of the peer's last flight for a while."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.step(to, wait=0.05)

    def peer_fingerprint(self) -> str:
        """Of the certificate that the other side proved to have, as SDP writes it."""
        shown = self._connection.get_peer_certificate(as_cryptography=True)
        assert shown is not None
        return f"sha-256 {shown.fingerprint(hashes.SHA256()).hex(':').upper()}"

    def push(self, data: bytes) -> None:
        """A datagram of the handshake has come."""
        self._connection.bio_write(data)

    def _flush(self, to: Address | None) -> None:
        for datagram in self.pull():
            if to is not None:
                self.socket.sendto(datagram, to)

    def pull(self) -> list[bytes]:
        """Go on with the handshake; what is to be sent."""
        if not self.keyed:
            try:
                self._connection.do_handshake()
            except SSL.WantReadError:
                pass
            else:
                self._done()
        else:
            with suppress(SSL.Error):  # nothing to read, or the peer has closed
                self._connection.recv(1)  # a repetition of the peer's last flight is answered by ours
        flight = b""
        while True:
            try:
                flight += self._connection.bio_read(65536)
            except SSL.WantReadError:
                return datagrams(flight)

    def _done(self) -> None:
        profile = self._connection.get_selected_srtp_profile()
        transform, key, salt = PROFILES[profile]
        material = self._connection.export_keying_material(b"EXTRACTOR-dtls_srtp", 2 * (key + salt))
        self.secrets = [material[at : at + 16] for at in range(0, 2 * key, key)]
        keys = material[:key], material[key : 2 * key]
        salts = material[2 * key : 2 * key + salt], material[2 * key + salt :]
        ours, theirs = (0, 1) if self.setup == "active" else (1, 0)
        self.send_session = Session(transform, keys[ours], salts[ours], send=True)
        self.receive_session = Session(transform, keys[theirs], salts[theirs], send=False)
        self.keyed = True

    # ---------------------------------------------------------------- media

    def send(self, packet: bytes, to: Address, *, rtcp: bool = False) -> None:
        assert self.send_session is not None
        seal = self.send_session.protect_rtcp if rtcp else self.send_session.protect_rtp
        sealed = seal(packet)
        assert isinstance(sealed, bytes), sealed
        self.socket.sendto(sealed, to)

    def receive(self, seconds: float = 2.0, *, rtcp: bool = False) -> bytes:
        """The next packet, opened. TimeoutError."""
        assert self.receive_session is not None
        end = time.monotonic() + seconds
        while True:
            while self.heard:
                data, _ = self.heard.pop(0)
                if data[0] >> 6 == 2 and (192 <= data[1] < 224) == rtcp:
                    opened = (self.receive_session.unprotect_rtcp if rtcp else self.receive_session.unprotect_rtp)(data)
                    assert isinstance(opened, bytes), opened
                    return opened
            if time.monotonic() > end:
                raise TimeoutError("no media")
            self.step(None, wait=0.05)

    def close(self) -> None:
        self.socket.close()


def datagrams(flight: bytes, mtu: int = 1200) -> list[bytes]:
    """Whole records packed into datagrams."""
    out, at = [b""], 0
    while at < len(flight):
        end = at + 13 + int.from_bytes(flight[at + 11 : at + 13], "big")
        if out[-1] and len(out[-1]) + end - at > mtu:
            out.append(b"")
        out[-1] += flight[at:end]
        at = end
    return [one for one in out if one]


def our_fingerprint(sdp: str) -> str:
    found = re.search(r"a=fingerprint:(\S+ \S+)", sdp)
    assert found, sdp
    return found[1]
