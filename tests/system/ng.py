"""A client of the NG control protocol: whatever answers it, rtpengine or this gateway, is driven by the same code."""

from __future__ import annotations

import itertools
import os
import socket
import time
from typing import Any

import bencodepy


class NgError(Exception):
    """The other side answered `result: error`."""


class NgClient:
    """One UDP socket; every request has its own cookie and is repeated until it is answered (TimeoutError)."""

    def __init__(self, address: tuple[str, int], timeout: float = 2.0) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(address)
        self._socket.settimeout(timeout)
        self._prefix = os.urandom(4).hex()
        self._cookies = itertools.count()

    def request(self, command: str, *, attempts: int = 3, **arguments: Any) -> dict[str, Any]:
        """The reply's dictionary with text keys and values. Arguments: `call_id` stands for `call-id`."""
        cookie = f"{self._prefix}_{next(self._cookies)}".encode()
        message = {"command": command, **{name.replace("_", "-"): value for name, value in arguments.items()}}
        for _ in range(attempts):
            self._socket.send(cookie + b" " + bencodepy.encode(message))
            try:
                reply = self._await(cookie)
            except (TimeoutError, ConnectionRefusedError):
                continue
            if reply.get("result") == "error":
                raise NgError(f"{command}: {reply.get('error-reason')}")
            return reply
        raise TimeoutError(f"{command}: no answer")

    def _await(self, cookie: bytes) -> dict[str, Any]:
        while True:
            got, _, body = self._socket.recv(65535).partition(b" ")
            if got == cookie:
                reply: dict[str, Any] = _text(bencodepy.decode(body))
                return reply

    def wait_ready(self, seconds: float = 10.0) -> None:
        """Ping until answered. TimeoutError."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                self._socket.settimeout(0.2)
                if self.request("ping", attempts=1)["result"] == "pong":
                    return
            except TimeoutError:
                time.sleep(0.1)
            finally:
                self._socket.settimeout(2.0)
        raise TimeoutError("nobody answers ping")

    def close(self) -> None:
        self._socket.close()


def _text(value: Any) -> Any:
    """bencodepy gives octets for every string."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, dict):
        return {_text(key): _text(item) for key, item in value.items()}
    return [_text(item) for item in value] if isinstance(value, list) else value
