"""What one DTLS-SRTP handshake costs the core, and how much of that is OpenSSL: `python -m tests.bench.handshake_core
[HANDSHAKES]`. CPU time of our side only; the other end is a client of pyOpenSSL in the same process, not timed.

openssl: a server of pyOpenSSL with a certificate of its own that does nothing but the handshake. table: a leg from
`open` to its keys, with a cookie and a certificate that stays, as a call without ICE has it. fresh: the same with a
certificate of the call's own, which is made beforehand. process: as table, with the messages to and from a handshake
process. certificate: a fresh one with its fingerprint. Rounds alternate; the median of them is told, and its ratio to
openssl."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

from OpenSSL import SSL, crypto

from appliance.calls.media import Address, DtlsMedia
from appliance.handshakes import messages
from appliance.handshakes.table import Table
from appliance.protocols.dtls import certificates, contexts, fingerprints
from appliance.protocols.dtls.outputs import Failed, KeysReady

PROFILES = b"SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80"
PEER = Address("192.0.2.1", 4000)
ROUNDS = 7
NO_QUERY_MTU = 0x1000
NOW = datetime.now(UTC)

Serve = Callable[[bytes], list[bytes]]
"""A datagram of the client to those of the server."""


class Client:
    """Any number of handshakes with one certificate."""

    def __init__(self) -> None:
        self.identity = certificates.make(NOW)
        self._context = SSL.Context(SSL.DTLS_METHOD)
        self._context.use_certificate(crypto.load_certificate(crypto.FILETYPE_ASN1, self.identity.certificate))
        self._context.use_privatekey(crypto.load_privatekey(crypto.FILETYPE_ASN1, self.identity.key))
        self._context.set_options(NO_QUERY_MTU)
        self._context.set_tlsext_use_srtp(PROFILES)
        self._context.set_verify(SSL.VERIFY_PEER, lambda *_: True)

    def shake(self, serve: Serve) -> None:
        connection = SSL.Connection(self._context, None)
        connection.set_ciphertext_mtu(1200)
        connection.set_connect_state()
        while not self._done(connection):
            for reply in serve(connection.bio_read(65536)):
                connection.bio_write(reply)

    def _done(self, connection: SSL.Connection) -> bool:
        try:
            connection.do_handshake()
        except SSL.WantReadError:
            return False
        return True


class Bare:
    """OpenSSL alone, as little around it as pyOpenSSL allows."""

    def __init__(self, client: Client) -> None:
        self._context = contexts.context((), False)
        self._identity = certificates.make(NOW)
        self._expected = fingerprints.of(client.identity.certificate)
        self._connection: SSL.Connection | None = None

    def begin(self) -> None:
        assert self._context is not None
        self._connection = contexts.connection(self._context, self._identity)
        self._connection.set_app_data(self)
        self.content = False
        self._connection.set_ciphertext_mtu(1200)
        self._connection.set_accept_state()

    def judge(self, certificate: bytes, *, weak: bool) -> bool:
        self.content = fingerprints.of(certificate) == self._expected
        return self.content

    def serve(self, data: bytes) -> list[bytes]:
        assert self._connection is not None
        self._connection.bio_write(data)
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            pass
        else:
            self._connection.export_keying_material(b"EXTRACTOR-dtls_srtp", 56)
        return [self._connection.bio_read(8192)]


class Leg:
    """One leg after another of a table of many. `packed`: through the messages of a handshake process. `fresh`: each
    with a certificate of its own."""

    def __init__(self, client: Client, *, packed: bool = False, fresh: bool = False) -> None:
        self._packed, self._fresh, self._key, self._now = packed, fresh, 0, 0.0
        self._own = certificates.make(NOW)
        self._expected = (fingerprints.of(client.identity.certificate),)
        self._sent: list[bytes] = []
        self._told: list[KeysReady | Failed] = []
        if packed:
            self._table = Table(
                bytes(32),
                lambda key, to, data: messages.tell(messages.sending(key, to, data), self._send, self._event),
                lambda key, to, event: messages.tell(messages.telling(key, to, event), self._send, self._event),
            )
        else:
            self._table = Table(bytes(32), self._send, self._event)

    def prepare(self) -> None:
        own = certificates.make(NOW) if self._fresh else self._own
        self._wish = DtlsMedia("1", own, False, self._expected)

    def begin(self) -> None:
        self._key += 1
        if self._packed:
            messages.carry_out(messages.opening(self._key, self._wish, True, PEER), self._table, self._now)
        else:
            self._table.open(self._key, self._wish, True, PEER)

    def serve(self, data: bytes) -> list[bytes]:
        self._now += 0.001
        if self._packed:
            messages.carry_out(messages.datagram(self._key, PEER, data), self._table, self._now)
        else:
            self._table.datagram(self._key, PEER, data, self._now)
        self._table.timeout(self._now)
        sent, self._sent = self._sent, []
        return sent

    def end(self) -> None:
        (event,) = self._told
        if not isinstance(event, KeysReady):
            raise RuntimeError(f"no keys: {event}")
        self._told.clear()
        self._table.close(self._key)

    def _send(self, key: int, to: Address, data: bytes) -> None:
        self._sent.append(data)

    def _event(self, key: int, source: Address, event: KeysReady | Failed) -> None:
        self._told.append(event)


def timed_us(count: int, client: Client, served: Bare | Leg) -> float:
    """Microseconds of `served` in each of so many handshakes."""
    spent = 0

    def serve(data: bytes) -> list[bytes]:
        nonlocal spent
        began = time.thread_time_ns()
        replies = served.serve(data)
        spent += time.thread_time_ns() - began
        return replies

    for _ in range(count):
        if isinstance(served, Leg):
            served.prepare()
        began = time.thread_time_ns()
        served.begin()
        spent += time.thread_time_ns() - began
        client.shake(serve)
        if isinstance(served, Leg):
            served.end()
    return spent / 1e3 / count


def certificate_us(count: int) -> float:
    began = time.thread_time_ns()
    for _ in range(count):
        fingerprints.of(certificates.make(NOW).certificate)
    return (time.thread_time_ns() - began) / 1e3 / count


def main(count: int) -> None:
    client = Client()
    kinds: dict[str, Callable[[], float]] = {
        "openssl": lambda: timed_us(count, client, Bare(client)),
        "table": lambda: timed_us(count, client, Leg(client)),
        "fresh": lambda: timed_us(count, client, Leg(client, fresh=True)),
        "process": lambda: timed_us(count, client, Leg(client, packed=True)),
        "certificate": lambda: certificate_us(count),
    }
    found: dict[str, list[float]] = {name: [] for name in kinds}
    for number in range(ROUNDS + 1):
        for name, kind in kinds.items():
            taken = kind()
            if number:  # the first one warms up
                found[name].append(taken)
    base = statistics.median(found["openssl"])
    for name, values in found.items():
        middle = statistics.median(values)
        print(f"{name:12} {middle:7.1f} us  {middle / base:5.2f}  ({min(values):.1f} to {max(values):.1f})")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
