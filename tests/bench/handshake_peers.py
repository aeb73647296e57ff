"""Callees that key their media: `python -m tests.bench.handshake_peers PLAN.json RESULT.json`. Each sends a ClientHello
and says how long it took until the gateway's last flight was there, which comes when it is ready for media. OpenSSL by
pyOpenSSL, in one process.

PLAN: peers ([own host, own port, gateway's host, port]), rate (begun per second; 0: as fast as it goes, AT_ONCE under
way), pem (file of certificate and key). RESULT: ms of each that was done, how many were not."""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

from OpenSSL import SSL

PROFILES = b"SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80"
AT_ONCE = 16
PATIENCE_S = 10.0
NO_QUERY_MTU = 0x1000


class Peer:
    """One of them."""

    def __init__(self, context: SSL.Context, own: tuple[str, int], gateway: tuple[str, int]) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(own)
        self.socket.setblocking(False)
        self._gateway, self._context = gateway, context
        self.began, self.ms = 0.0, 0.0

    def begin(self) -> None:
        self._connection = SSL.Connection(self._context, None)
        self._connection.set_ciphertext_mtu(1200)
        self._connection.set_connect_state()
        self.began = time.perf_counter()
        self._step()

    def readable(self) -> bool:
        """Whether it is done now."""
        while True:
            try:
                data = self.socket.recv(4096)
            except OSError:
                return bool(self.ms)
            if 20 <= data[0] < 64 and not self.ms:
                self._connection.bio_write(data)
                self._step()

    def tick(self) -> None:
        """OpenSSL's own timer."""
        if not self.ms and self._connection.DTLSv1_get_timeout() == 0:
            self._connection.DTLSv1_handle_timeout()
            self._step()

    def _step(self) -> None:
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            pass
        else:
            self.ms = (time.perf_counter() - self.began) * 1e3
        try:
            flight = self._connection.bio_read(65536)  # P-256: all of a flight fits one datagram
        except SSL.WantReadError:
            return
        self.socket.sendto(flight, self._gateway)


def run(plan: dict[str, Any]) -> dict[str, Any]:
    context = SSL.Context(SSL.DTLS_METHOD)
    context.use_certificate_file(plan["pem"])
    context.use_privatekey_file(plan["pem"])
    context.set_options(NO_QUERY_MTU)
    context.set_tlsext_use_srtp(PROFILES)
    context.set_verify(SSL.VERIFY_PEER, lambda *_: True)
    waiting = deque(Peer(context, (own, port), (host, to)) for own, port, host, to in plan["peers"])
    every, rate = list(waiting), plan["rate"]
    selector = selectors.DefaultSelector()
    under_way: set[Peer] = set()
    start, begun, ticked = time.perf_counter(), 0, 0.0
    while waiting or under_way:
        now = time.perf_counter()
        while waiting and (begun <= (now - start) * rate if rate else len(under_way) < AT_ONCE):
            peer = waiting.popleft()
            selector.register(peer.socket, selectors.EVENT_READ, peer)
            under_way.add(peer)
            peer.begin()
            begun += 1
        for key, _ in selector.select(0.005 if rate else 0.1):
            if key.data in under_way and key.data.readable():
                under_way.discard(key.data)
                selector.unregister(key.data.socket)
        if now - ticked > 0.05:
            ticked = now
            for peer in list(under_way):
                peer.tick()
                if now - peer.began > PATIENCE_S:
                    under_way.discard(peer)
                    selector.unregister(peer.socket)
    done = [peer.ms for peer in every if peer.ms]
    return {"ms": done, "failed": len(every) - len(done)}


if __name__ == "__main__":
    result = run(json.loads(Path(sys.argv[1]).read_text()))
    Path(sys.argv[2]).write_text(json.dumps(result))
