"""The asyncio UDP face of the NG protocol: datagram -> allow list -> cookie -> command -> answer.

Nothing that comes from the network can raise out of here: it is answered with an error where a cookie can be read,
else counted and dropped. NG has no authentication: only sources in the allow list are served.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import cast

import structlog

from appliance.api.ng_commands import COMMANDS, NgCommands
from appliance.api.ng_cookies import CookieCache, Key
from appliance.calls.service import CallService
from appliance.errors import GatewayError
from appliance.policy.options import MediaOptions
from appliance.protocols.ng import codec

MOST_IN_PROGRESS = 4096  # requests at one time; beyond it a request is dropped and its client repeats it
RECEIVE_BUFFER = 4 << 20  # octets: a burst of call set-ups waits in the kernel, not in a retransmission timer
REMEMBERED_SOURCES = 4096

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Source = tuple[str, int]

log = structlog.get_logger(__name__)


class NgProtocol(asyncio.DatagramProtocol):
    """One NG socket. `counts`: what was served and dropped, by name."""

    def __init__(
        self, commands: NgCommands, allow: Iterable[str | Network], *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._commands, self._now = commands, now
        self._allow: Sequence[Network] = tuple(ipaddress.ip_network(network) for network in allow)
        self._allowed: dict[str, bool] = {}
        self._cookies = CookieCache()
        self._tasks: set[asyncio.Task[None]] = set()
        self._transport: asyncio.DatagramTransport | None = None
        self.counts: Counter[str] = Counter()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # asyncio's own is no subclass of it

    def datagram_received(self, data: bytes, addr: Source) -> None:
        if not self._is_allowed(addr[0]):
            self.counts["source_refused"] += 1
            return
        try:
            message = codec.decode(data)
        except codec.Malformed as malformed:
            self.counts["malformed"] += 1
            self._send(codec.error(malformed), addr)
            return
        self._serve(message, data, addr)

    def error_received(self, exc: Exception) -> None:
        """ICMP from a client that went away."""
        self.counts["socket_error"] += 1

    def connection_lost(self, exc: Exception | None) -> None:
        for task in list(self._tasks):
            task.cancel()

    def _serve(self, message: codec.Message, data: bytes, addr: Source) -> None:
        key: Key = (addr[0], message.cookie)
        if len(self._tasks) >= MOST_IN_PROGRESS:
            self.counts["overload"] += 1
            return
        known = self._cookies.begin(key, data, self._now())
        if known is not None:
            self.counts["repeated"] += 1
            if known.answer is not None:
                self._send(known.answer, addr)
            return
        task = asyncio.get_running_loop().create_task(self._run(message, key, addr))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, message: codec.Message, key: Key, addr: Source) -> None:
        try:
            answer = await self._answer(message)
        except asyncio.CancelledError:
            self._cookies.forget(key)
            raise
        self._cookies.finish(key, answer)
        self._send(answer, addr)

    async def _answer(self, message: codec.Message) -> bytes:
        command = message.word("command")
        handler = COMMANDS.get(command)
        if handler is None:
            self.counts["unrecognized"] += 1
            return codec.error(message, codec.UNKNOWN_COMMAND if command else codec.NO_COMMAND)
        self.counts[command] += 1
        try:
            return codec.reply(message, await handler(self._commands, message))
        except GatewayError as error:
            self.counts["error"] += 1
            return codec.error(message, str(error))
        except Exception as error:
            # no values: they may be keys
            self.counts["internal"] += 1
            log.error("NG command failed", command=command, error=type(error).__name__)
            return codec.error(message, "Internal error")

    def _send(self, answer: bytes, addr: Source) -> None:
        if answer and self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(answer, addr)

    def _is_allowed(self, host: str) -> bool:
        """An IPv4 source on an IPv6 socket is judged as IPv4 (G7)."""
        known = self._allowed.get(host)
        if known is None:
            address = ipaddress.ip_address(host.partition("%")[0])
            address = getattr(address, "ipv4_mapped", None) or address
            known = any(address in network for network in self._allow)
            if len(self._allowed) >= REMEMBERED_SOURCES:
                self._allowed.clear()
            self._allowed[host] = known
        return known


class NgServer:
    """All NG sockets of the gateway."""

    def __init__(
        self, calls: CallService, allow: Iterable[str | Network], defaults: Callable[[], MediaOptions]
    ) -> None:
        self._allow = tuple(allow)
        self._commands = NgCommands(calls, defaults)
        self._open: list[tuple[asyncio.DatagramTransport, NgProtocol]] = []

    async def listen(self, host: str, port: int) -> Source:
        """Open one socket; the address it really has (port 0: any). OSError."""
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_datagram_endpoint(
            lambda: NgProtocol(self._commands, self._allow), local_addr=(host, port)
        )
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self._open.append((transport, protocol))
        address = transport.get_extra_info("sockname")
        return str(address[0]), int(address[1])

    @property
    def counts(self) -> Counter[str]:
        total: Counter[str] = Counter()
        for _, protocol in self._open:
            total += protocol.counts
        return total

    def close(self) -> None:
        for transport, _ in self._open:
            transport.close()
