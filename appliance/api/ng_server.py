"""All NG sockets of the gateway: UDP here, the others in ng_tcp and ng_http. One cookie cache, one tally and one
allow list for all."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Iterable
from typing import cast

from appliance.api.ng_commands import NgCommands
from appliance.api.ng_http import NgHttp
from appliance.api.ng_requests import AllowList, Network, NgRequests
from appliance.api.ng_rules import NgRules
from appliance.api.ng_tcp import NgConnection
from appliance.calls.service import CallService
from appliance.turn import Turn

RECEIVE_BUFFER = 4 << 20  # octets: a burst of call set-ups waits in the kernel, not in a retransmission timer

Source = tuple[str, int]


class NgProtocol(asyncio.DatagramProtocol):
    """One UDP socket."""

    def __init__(self, requests: NgRequests) -> None:
        self._requests = requests
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # asyncio's own is no subclass of it

    def datagram_received(self, data: bytes, addr: Source) -> None:
        if self._requests.admits(addr[0]):
            self._requests.take(data, addr[0], lambda answer: self._send(answer, addr))

    def error_received(self, exc: Exception) -> None:
        """ICMP from a client that went away."""
        self._requests.counts["socket_error"] += 1

    def _send(self, answer: bytes, addr: Source) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(answer, addr)


class NgServer:
    """Listens where it is told to. `connections`: most of TCP, and of HTTP and WebSocket; `idle_s`: see
    there."""

    def __init__(
        self,
        calls: CallService,
        allow: Iterable[str | Network],
        rules: NgRules,
        *,
        connections: int = 256,
        idle_s: float = 10.0,
        turn: Turn | None = None,
    ) -> None:
        self._requests = NgRequests(NgCommands(calls, rules), allow, turn=turn)
        self._most, self._idle_s = connections, idle_s
        self._udp: list[asyncio.DatagramTransport] = []
        self._tcp: list[asyncio.Server] = []
        self._connections: set[NgConnection] = set()
        self._http = NgHttp(self._requests, most=connections, idle_s=idle_s)

    def allow(self, networks: Iterable[str | Network]) -> None:
        """Source networks that are answered from now on; TCP and HTTP connections that are open stay."""
        self._requests.allow = AllowList(networks)

    async def listen(self, host: str, port: int) -> Source:
        """Open one UDP socket; the address it really has (port 0: any). OSError."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: NgProtocol(self._requests), local_addr=(host, port)
        )
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self._udp.append(transport)
        address = transport.get_extra_info("sockname")
        return str(address[0]), int(address[1])

    async def listen_tcp(self, host: str, port: int) -> Source:
        """The same with TCP."""
        server = await asyncio.get_running_loop().create_server(
            lambda: NgConnection(self._requests, self._connections, self._most, self._idle_s), host, port
        )
        self._tcp.append(server)
        address = server.sockets[0].getsockname()
        return str(address[0]), int(address[1])

    async def listen_http(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> Source:
        """HTTP and WebSocket; with `tls` HTTPS and WSS."""
        return await self._http.listen(host, port, tls)

    @property
    def counts(self) -> Counter[str]:
        return self._requests.counts

    async def close(self) -> None:
        for transport in self._udp:
            transport.close()
        for server in self._tcp:
            server.close()
        for connection in list(self._connections):
            connection.close()
        await self._http.close()
        self._requests.close()
