"""Sends ClientHellos at a rate and completes the cookie exchange where it is asked to:
`python -m tests.system.dtls_attacker HOST RATE [GATEWAY]`, from an address HOST to whatever port of GATEWAY.

Commands on its standard input, one a line: a port to attack from now on; 0: a pause; `?`: it answers how many it has
sent to this port; an empty line: it answers how many it sent in all and in how many seconds of attack, and ends."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
import time

from OpenSSL import SSL

RANDOM = slice(27, 59)  # of a ClientHello in its record


def client_hello() -> bytes:
    context = SSL.Context(SSL.DTLS_METHOD)
    context.set_tlsext_use_srtp(b"SRTP_AEAD_AES_128_GCM")
    connection = SSL.Connection(context, None)
    connection.set_connect_state()
    with contextlib.suppress(SSL.WantReadError):
        connection.do_handshake()
    return connection.bio_read(4096)


def with_cookie(hello: bytes, cookie: bytes) -> bytes:
    """The second ClientHello: the same, with the server's cookie (RFC 6347 section 4.2.1)."""
    body = bytearray(hello[25:])
    at = 34 + 1 + body[34]  # version, random, session id
    body[at : at + 1 + body[at]] = bytes([len(cookie)]) + cookie
    message = b"\x01" + len(body).to_bytes(3, "big") + b"\0\1" + bytes(3) + len(body).to_bytes(3, "big") + bytes(body)
    return hello[:5] + b"\0\0\0\0\0\1" + len(message).to_bytes(2, "big") + message


class Attack:
    """`sent` to the target of now, and `total` in `seconds` before it."""

    def __init__(self, host: str, rate: float, gateway: str) -> None:
        self.wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.wire.bind((host, 0))
        self.wire.setblocking(False)
        self.rate, self.gateway = rate, gateway
        self.hello = bytearray(client_hello())
        self.last = bytes(self.hello)
        self.target, self.sent, self.total = 0, 0, 0
        self.start, self.seconds = time.monotonic(), 0.0

    def aim(self, port: int) -> None:
        if self.target:
            self.total += self.sent
            self.seconds += time.monotonic() - self.start
        self.target, self.sent, self.start = port, 0, time.monotonic()

    def fire(self) -> None:
        while self.target and self.sent < (time.monotonic() - self.start) * self.rate:
            self.hello[RANDOM] = os.urandom(32)
            self.last = bytes(self.hello)
            with contextlib.suppress(OSError):
                self.wire.sendto(self.last, (self.gateway, self.target))
            self.sent += 1

    def answer(self) -> None:
        with contextlib.suppress(OSError, IndexError):
            data, source = self.wire.recvfrom(4096)
            if data[13] == 3:  # HelloVerifyRequest
                self.wire.sendto(with_cookie(self.last, data[28 : 28 + data[27]]), source)


def main(host: str, rate: float, gateway: str = "127.0.0.1") -> int:
    attack = Attack(host, rate, gateway)
    pace = max(1, int(rate / 500)) / rate
    said = b""
    while True:
        ready, _, _ = select.select([sys.stdin, attack.wire], [], [], pace)
        said += os.read(0, 4096) if sys.stdin in ready else b""
        *lines, said = said.split(b"\n")
        for line in lines:
            if line == b"?":
                print(attack.sent, flush=True)
            else:
                attack.aim(int(line or b"0"))
            if not line:
                print(attack.total, attack.seconds, flush=True)
                return 0
        if attack.wire in ready:
            attack.answer()
        attack.fire()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], float(sys.argv[2]), *sys.argv[3:]))
