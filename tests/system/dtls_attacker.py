"""Sends ClientHellos at a rate to whatever port it is told on its standard input, one a line, and completes the cookie
exchange where it is asked to: `python -m tests.system.dtls_attacker HOST RATE`. At the end it says how many it sent."""

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


def main(host: str, rate: float) -> int:
    wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    wire.bind((host, 0))
    wire.setblocking(False)
    hello = bytearray(client_hello())
    target, sent, start, last = 0, 0, time.monotonic(), bytes(hello)
    burst = max(1, int(rate / 500))
    while True:
        ready, _, _ = select.select([sys.stdin, wire], [], [], burst / rate)
        if sys.stdin in ready:
            line = sys.stdin.readline()
            if not line.strip():
                print(sent, flush=True)
                return 0
            target, start, sent_before = int(line), time.monotonic(), sent
        if wire in ready:
            with contextlib.suppress(OSError, IndexError):
                data, source = wire.recvfrom(4096)
                if data[13] == 3:  # HelloVerifyRequest
                    wire.sendto(with_cookie(last, data[28 : 28 + data[27]]), source)
        while target and sent - sent_before < (time.monotonic() - start) * rate:
            hello[RANDOM] = os.urandom(32)
            last = bytes(hello)
            with contextlib.suppress(OSError):
                wire.sendto(last, ("127.0.0.1", target))
            sent += 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], float(sys.argv[2])))
