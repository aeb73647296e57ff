"""What every NG transport hands its messages to: allow list -> envelope -> cookie -> command -> answer.

Nothing that comes from the network can raise out of here: it is answered with an error where a cookie can be read,
else counted and dropped. NG has no authentication: only sources in the allow list are served.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import count

import structlog

from appliance.api.ng_commands import COMMANDS, NgCommands
from appliance.api.ng_cookies import CookieCache, Key
from appliance.api.ng_fields import Body
from appliance.errors import Draining, GatewayError, IncompleteSdp, InvalidSdp, NoCapacity, Overloaded
from appliance.protocols.ng import codec
from appliance.turn import Turn

MOST_IN_PROGRESS = 4096  # requests at one time; beyond it a request is dropped and its client repeats it
REMEMBERED_SOURCES = 4096

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Answer = Callable[[bytes], None]

log = structlog.get_logger(__name__)


class AllowList:
    """Source hosts that are served."""

    def __init__(self, networks: Iterable[str | Network]) -> None:
        self._networks: Sequence[Network] = tuple(ipaddress.ip_network(network) for network in networks)
        self._known: dict[str, bool] = {}

    def __contains__(self, host: object) -> bool:
        """An IPv4 source on an IPv6 socket is judged as IPv4 (G7)."""
        if not isinstance(host, str):
            return False
        known = self._known.get(host)
        if known is None:
            address = ipaddress.ip_address(host.partition("%")[0])
            address = getattr(address, "ipv4_mapped", None) or address
            known = any(address in network for network in self._networks)
            if len(self._known) >= REMEMBERED_SOURCES:
                self._known.clear()
            self._known[host] = known
        return known


class NgRequests:
    """All NG requests of the gateway, whatever they came by. `counts`: what was served and dropped, by name."""

    def __init__(
        self,
        commands: NgCommands,
        allow: Iterable[str | Network],
        *,
        now: Callable[[], float] = time.monotonic,
        turn: Turn | None = None,
    ) -> None:
        self.commands, self._now, self._turn = commands, now, turn or Turn()
        self.allow = AllowList(allow)
        self._cookies = CookieCache()
        self._tasks: dict[int, asyncio.Task[None]] = {}  # requests that wait for something
        self._numbers = count()
        self.counts: Counter[str] = Counter()

    def admits(self, host: str) -> bool:
        """Ask before a connection is served."""
        if host in self.allow:
            return True
        self.counts["source_refused"] += 1
        return False

    def take(self, data: bytes, host: str, answer: Answer, *, stream: bool = False) -> None:
        """One message of an admitted host. `answer` is called with the reply, at once or later, or never. A repetition
        of a request under way is dropped, the answer being on its way; on a stream it is another client's (same
        host, same cookie) or a later connection's, and waits for the answer too."""
        try:
            message = codec.decode(data)
        except codec.Malformed as malformed:
            self.counts["malformed"] += 1
            reply = codec.error(malformed)
            if reply:
                answer(reply)
            return
        if len(self._tasks) >= MOST_IN_PROGRESS:
            self.counts["overload"] += 1
            return
        key: Key = (host, message.cookie)
        known = self._cookies.begin(key, data, self._now())
        if known is not None:
            self.counts["repeated"] += 1
            if known.answer is not None:
                answer(known.answer)
            elif stream:
                known.waiting.append(answer)
            return
        number = next(self._numbers)
        task = self._turn.begin(self._run(number, message, key, answer))
        if task is not None:
            self._tasks[number] = task

    async def ask(self, data: bytes, host: str) -> bytes:
        """The reply to one message of a stream; b"" when there is none (no cookie, overload)."""
        reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        dropped = self.counts["malformed"] + self.counts["overload"]
        self.take(data, host, lambda answer: None if reply.done() else reply.set_result(answer), stream=True)
        if not reply.done() and self.counts["malformed"] + self.counts["overload"] > dropped:
            return b""
        return await reply

    def close(self) -> None:
        for task in list(self._tasks.values()):
            task.cancel()
        self.commands.delayed.close()

    async def _run(self, number: int, message: codec.Message, key: Key, answer: Answer) -> None:
        try:
            reply = await self._answer(message, key[0])
        except asyncio.CancelledError:
            self._cookies.forget(key)
            raise
        finally:
            self._tasks.pop(number, None)
        self._cookies.finish(key, reply)
        answer(reply)

    async def _answer(self, message: codec.Message, host: str) -> bytes:
        command = message.word("command")
        handler = COMMANDS.get(command)
        if handler is None:
            self.counts["unrecognized"] += 1
            self.commands.tally.proxy(host).errors += 1
            return codec.error(message, codec.UNKNOWN_COMMAND if command else codec.NO_COMMAND)
        self.counts[command] += 1
        started, failed = time.perf_counter(), True
        try:
            body = await handler(self.commands, message)
            failed = False
            return codec.reply(message, body)
        except GatewayError as error:
            self.counts["error"] += 1
            return codec.reply(message, refusal(error, load_limit=_supports_load_limit(message)))
        except Exception as error:
            # no values: they may be keys
            self.counts["internal"] += 1
            log.error("NG command failed", command=command, error=type(error).__name__)
            return codec.error(message, "Internal error")
        finally:
            self.commands.tally.note(host, command, time.perf_counter() - started, error=failed)


def refusal(error: GatewayError, *, load_limit: bool = False) -> Body:
    """rtpengine's words where it has some; what more there is to say goes into `warning`. `load_limit`: the client
    takes a refusal for load as advice to try another gateway."""
    if isinstance(error, NoCapacity | Draining):
        reason = codec.TOO_MUCH_LOAD if isinstance(error, Overloaded) else codec.TOO_MANY_SESSIONS
        if load_limit:
            return {"result": codec.LOAD_LIMIT, "message": reason, "warning": str(error)}
        return {"result": "error", "error-reason": reason, "warning": str(error)}
    if isinstance(error, InvalidSdp):
        reason = codec.INCOMPLETE_SDP if isinstance(error, IncompleteSdp) else codec.BROKEN_SDP
        return {"result": "error", "error-reason": reason, "warning": str(error)}
    return {"result": "error", "error-reason": str(error)}


def _supports_load_limit(message: codec.Message) -> bool:
    supports = message.body.get("supports")
    return codec.LOAD_LIMIT in (supports if isinstance(supports, list) else [supports])
