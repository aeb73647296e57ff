"""GET /metrics over HTTP/1.1, one request per connection, in the event loop (the collector must not see other threads).

prometheus_client's own server is a thread with wsgiref; an ASGI server is a package more than this one page needs.
"""

from __future__ import annotations

import asyncio

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from appliance.config.types import HostPort

LONGEST_HEAD = 8192  # octets
HEAD_TIMEOUT_S = 5.0
MOST_CONNECTIONS = 32

log = structlog.get_logger("srtpgw.http")


class MetricsEndpoint:
    """Serves a registry. `start`, then `stop`; once."""

    def __init__(self, registry: CollectorRegistry, listen: HostPort) -> None:
        self._registry = registry
        self._listen = listen
        self._server: asyncio.Server | None = None
        self._connections = 0

    async def start(self) -> None:
        """OSError when the address cannot be used."""
        self._server = await asyncio.start_server(self._serve, self._listen.host, self._listen.port, limit=LONGEST_HEAD)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            async with asyncio.timeout(HEAD_TIMEOUT_S):
                writer.write(await self._answer(reader))
                await writer.drain()
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError):
            pass  # they went away, or never came
        finally:
            self._connections -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        if self._connections > MOST_CONNECTIONS:
            return _response("503 Service Unavailable", b"busy\n")
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return _response("431 Request Header Fields Too Large", b"too long\n")
        request, *fields = head.decode("latin-1").split("\r\n")
        method, _, rest = request.partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        if method not in ("GET", "HEAD"):
            return _response("405 Method Not Allowed", b"GET only\n", "Allow: GET, HEAD\r\n")
        if path != "/metrics":
            return _response("404 Not Found", b"there is /metrics\n")
        return self._metrics(_accept(fields), head_only=method == "HEAD")

    def _metrics(self, accept: str, head_only: bool) -> bytes:
        encode, content_type = choose_encoder(accept)
        try:
            body = encode(self._registry)
        except Exception:
            log.exception("metrics could not be read")
            return _response("500 Internal Server Error", b"see the log\n")
        return _response("200 OK", body, content_type=content_type, head_only=head_only)


def _accept(fields: list[str]) -> str:
    for field in fields:
        name, _, value = field.partition(":")
        if name.strip().lower() == "accept":
            return value.strip()
    return ""


def _response(
    status: str, body: bytes, more: str = "", content_type: str = "text/plain; charset=utf-8", head_only: bool = False
) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        f"Cache-Control: no-store\r\nConnection: close\r\n{more}\r\n"
    )
    return head.encode("latin-1") + (b"" if head_only else body)
