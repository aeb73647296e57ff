"""TLS endpoints of the tests: a peer that is called, with the certificate that it is given."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from dataclasses import dataclass, field
from typing import Any

from tests.system.certificates import Certificate
from tests.system.targets import HOST, header, response


@dataclass(eq=False)
class TlsPeer:
    """Answers what it is asked with 200, over as many connections as come. `asks`: for a certificate of this file."""

    port: int
    own: Certificate
    asks: str = ""
    host: str = HOST
    heard: list[str] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)  # server names that it was asked for
    shown: list[str] = field(default_factory=list)  # common names of certificates that it was shown
    connections: int = 0

    def __post_init__(self) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self.own.chain, self.own.key)
        if self.asks:
            self._context.verify_mode = ssl.CERT_REQUIRED
            self._context.load_verify_locations(self.asks)
        self._context.sni_callback = lambda link, name, context: self.names.append(name)
        self._socket = socket.create_server((self.host, self.port))
        self._links: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for link in (self._socket, *self._links):
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
            link.close()

    def methods(self) -> list[str]:
        return [message.split(" ", 1)[0] for message in self.heard]

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                link, _ = self._socket.accept()
                threading.Thread(target=self._serve, args=(link,), daemon=True).start()

    def _serve(self, raw: socket.socket) -> None:
        with contextlib.suppress(OSError, ssl.SSLError):
            raw.settimeout(20)
            link = self._context.wrap_socket(raw, server_side=True)
            self._links.append(link)
            self.connections += 1
            self.shown += filter(None, [_common_name(link.getpeercert())])
            text = ""
            while octets := link.recv(65535):
                text += octets.decode()
                while "\r\n\r\n" in text:
                    message, text = text.split("\r\n\r\n", 1)
                    self._answer(link, message + "\r\n\r\n")

    def _answer(self, link: ssl.SSLSocket, message: str) -> None:
        self.heard.append(message)
        if message.split(" ", 1)[0] in ("ACK", "SIP/2.0"):
            return
        assert header(message, "Content-Length") in ("", "0")
        contact = f"Contact: <sip:callee@{self.host}:{self.port};transport=tls>\r\n"
        link.sendall(response(message, 200, contact).encode())


def _common_name(certificate: Any) -> str:
    if not certificate:
        return ""
    return str(dict(pair[0] for pair in certificate["subject"])["commonName"])
