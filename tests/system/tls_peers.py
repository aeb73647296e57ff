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
    """Answers what it is asked with 200, over as many connections as come. `own`: None: TCP; `asks`: for a certificate
    of this file; `invite`: the status of an INVITE."""

    port: int
    own: Certificate | None
    asks: str = ""
    host: str = HOST
    heard: list[str] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)  # server names that it was asked for
    shown: list[str] = field(default_factory=list)  # common names of certificates that it was shown
    sources: list[str] = field(default_factory=list)  # addresses that connected
    connections: int = 0
    invite: int = 200

    def __post_init__(self) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if self.own is not None:
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
            link = raw if self.own is None else self._context.wrap_socket(raw, server_side=True)
            self._links.append(link)
            self.sources.append(link.getpeername()[0])
            self.connections += 1
            if isinstance(link, ssl.SSLSocket):
                self.shown += filter(None, [_common_name(link.getpeercert())])
            text = ""
            while octets := link.recv(65535):
                text += octets.decode()
                while "\r\n\r\n" in text:
                    message, text = text.split("\r\n\r\n", 1)
                    self._answer(link, message + "\r\n\r\n")

    def _answer(self, link: socket.socket, message: str) -> None:
        self.heard.append(message)
        method = message.split(" ", 1)[0]
        if method in ("ACK", "SIP/2.0"):
            return
        assert header(message, "Content-Length") in ("", "0")
        transport = "tls" if self.own else "tcp"
        contact = f"Contact: <sip:callee@{self.host}:{self.port};transport={transport}>\r\n"
        link.sendall(response(message, self.invite if method == "INVITE" else 200, contact).encode())


def _common_name(certificate: Any) -> str:
    if not certificate:
        return ""
    return str(dict(pair[0] for pair in certificate["subject"])["commonName"])
