"""Kamailio's RPC: JSON over its datagram socket (module jsonrpcs), one question and one answer; long ones by a pipe.

The socket is private to Kamailio's group. Ours is connected to it: the kernel lets nobody else answer.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from appliance.errors import EdgeRefused, EdgeUnavailable
from appliance.sip_edge import rpc_fifo

SOCKET = "kamailio_rpc.sock"  # in the run directory of the SIP edge
DUMP_TIMES = 5  # as long as for others
MOST_OCTETS = 65_536  # Kamailio's own buffer for a reply


class RpcUnavailable(EdgeUnavailable):
    """Kamailio is not up, or does not answer in time."""


class RpcRefused(EdgeRefused):
    """Kamailio answered with an error: unknown method, wrong parameters, a reload that failed."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class Rpc:
    """A Kamailio by its socket. Stateless: it may go away and come back between two calls."""

    def __init__(self, path: Path, timeout_s: float = 2.0) -> None:
        self.path, self.timeout_s = path, timeout_s
        self._numbers = itertools.count(1)

    async def call(self, method: str, *params: str | int) -> Any:
        """The decoded `result` of one method. RpcUnavailable, RpcRefused. An answer that is longer than a datagram (64
        KiB) does not come: `dump` is for those."""
        number, question = self._question(method, params)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as link:
            try:
                link.bind("")  # Linux chooses an abstract name: nothing of ours stays in the file system
                link.connect(str(self.path))
                async with asyncio.timeout(self.timeout_s):
                    return _result(await _exchange(link, json.dumps(question).encode(), number))
            except TimeoutError:
                why = "it is busy, or the answer is longer than 64 KiB"
                raise RpcUnavailable(f"the SIP edge did not answer {method} in {self.timeout_s:g} s: {why}") from None
            except OSError as error:
                raise RpcUnavailable(f"the SIP edge is not up: {self.path}: {error.strerror}") from None

    async def dump(self, method: str, *params: str | int) -> Any:
        """As `call`, for answers of any length: lists of a table's rows."""
        if not (self.path.parent / rpc_fifo.FIFO).exists():
            return await self.call(method, *params)
        _, question = self._question(method, params)
        try:
            async with asyncio.timeout(DUMP_TIMES * self.timeout_s):
                return _result(await rpc_fifo.exchange(self.path.parent, question))
        except TimeoutError:
            raise RpcUnavailable(f"the SIP edge did not answer {method}: it is busy") from None
        except OSError as error:
            raise RpcUnavailable(f"the SIP edge is not up: {error.filename}: {error.strerror}") from None
        except (ValueError, rpc_fifo.TooLong) as error:
            raise RpcUnavailable(f"the SIP edge's answer to {method} cannot be read: {error!r}") from None

    def _question(self, method: str, params: Sequence[str | int]) -> tuple[int, dict[str, Any]]:
        number = next(self._numbers)
        question: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "id": number}
        return number, {**question, "params": list(params)} if params else question

    async def up(self) -> bool:
        """Does a Kamailio answer?"""
        try:
            await self.call("core.version")
        except (RpcUnavailable, RpcRefused):
            return False
        return True


async def _exchange(link: socket.socket, question: bytes, number: int) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(link, question)
    while True:
        reply = _decoded(await loop.sock_recv(link, MOST_OCTETS))
        if reply is not None and reply.get("id") == number:
            return reply


def _decoded(octets: bytes) -> dict[str, Any] | None:
    try:
        reply = json.loads(octets)
    except ValueError:
        return None
    return reply if isinstance(reply, dict) else None


def _result(reply: dict[str, Any]) -> Any:
    error = reply.get("error")
    if error is None:
        return reply.get("result")
    if isinstance(error, dict):
        raise RpcRefused(int(error.get("code", 500)), str(error.get("message", "")))
    raise RpcRefused(500, str(error))
