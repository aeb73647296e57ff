"""Handshakes in processes of their own: what one core has no time for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from appliance.calls.media import Address, DtlsMedia, Fingerprint
from appliance.handshakes import messages
from appliance.handshakes.process import Process
from appliance.handshakes.table import Event, Send
from appliance.protocols.dtls import records
from appliance.protocols.dtls.outputs import Failed, KeysReady, Reason

log = structlog.get_logger(__name__)

PAUSE_S = 1.0  # before a process that ended at once is started again


@dataclass(slots=True)
class _Leg:
    """What a new process has to be told of a leg. `begun`: where a handshake is under way."""

    slot: int
    opening: bytes
    expecting: bytes = b""
    going: bytes = b""
    begun: Address | None = None
    done: bool = False


class Processes:
    """So many of them; a leg lives in the one that had fewest when it was opened.

    A process that dies is replaced. Legs whose handshake had not begun do not notice; where one was under way it has
    failed (`Reason.PROCESS`), because its peer goes on with what nobody remembers."""

    def __init__(self, processes: int, secret: bytes, send: Send, event: Event, mtu: int = 1200) -> None:
        self._count, self._secret, self._mtu = processes, secret, mtu
        self._send, self._event = send, event
        self._processes: list[Process | None] = []
        self._load = [0] * processes
        self._legs: dict[int, _Leg] = {}
        self._stopped = False

    async def start(self) -> None:
        self._processes = [self._start() for _ in range(self._count)]

    async def stop(self) -> None:
        self._stopped = True
        for process in self._processes:
            if process is not None:
                process.stop()

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._processes if process is not None]

    def open(self, key: int, wish: DtlsMedia, cookie: bool, remote: Address | None) -> None:
        self.close(key)
        slot = min(range(self._count), key=self._load.__getitem__)
        self._load[slot] += 1
        leg = self._legs[key] = _Leg(slot, messages.opening(key, wish, cookie, remote))
        self._tell(leg, leg.opening)

    def expect(self, key: int, fingerprints: Iterable[Fingerprint], remote: Address | None = None) -> None:
        if (leg := self._legs.get(key)) is not None:
            leg.expecting = messages.expecting(key, fingerprints, remote)
            self._tell(leg, leg.expecting)

    def go(self, key: int, source: Address) -> None:
        if (leg := self._legs.get(key)) is not None:
            leg.going = messages.going(key, source)
            self._tell(leg, leg.going)

    def datagram(self, key: int, source: Address, data: bytes) -> None:
        leg = self._legs.get(key)
        process = self._processes[leg.slot] if leg is not None else None
        if process is not None and len(data) <= messages.LONGEST_DATAGRAM:
            process.datagram(messages.datagram(key, source, data))

    def close(self, key: int) -> None:
        if (leg := self._legs.pop(key, None)) is not None:
            self._load[leg.slot] -= 1
            self._tell(leg, messages.closing(key))

    # ---------------------------------------------------------------- the processes

    def _start(self) -> Process:
        return Process(self._secret, self._mtu, self._hear, self._ended)

    def _tell(self, leg: _Leg, message: bytes) -> None:
        process = self._processes[leg.slot]
        if process is not None:
            process.send(message)

    def _hear(self, message: bytes) -> None:
        messages.tell(message, self._sent, self._told)

    def _sent(self, key: int, to: Address, data: bytes) -> None:
        """What a closed leg still sends goes nowhere."""
        if (leg := self._legs.get(key)) is not None:
            if not records.is_verify_request(data):
                leg.begun = to
            self._send(key, to, data)

    def _told(self, key: int, source: Address, event: KeysReady | Failed) -> None:
        if (leg := self._legs.get(key)) is not None:
            leg.done = leg.done or isinstance(event, KeysReady)
            self._event(key, source, event)

    def _ended(self, process: Process) -> None:
        slot = self._processes.index(process)
        self._processes[slot] = None
        age = asyncio.get_running_loop().time() - process.since
        log.error("handshake_process_ended", pid=process.pid, after_s=round(age, 1))
        asyncio.get_running_loop().call_later(0.0 if age > PAUSE_S else PAUSE_S, self._replace, slot)
        lost = [(key, leg) for key, leg in self._legs.items() if leg.slot == slot and leg.begun and not leg.done]
        for key, leg in lost:
            assert leg.begun is not None
            leg.done = True
            self._event(key, leg.begun, Failed(Reason.PROCESS, "the handshake process ended"))

    def _replace(self, slot: int) -> None:
        """Start it again and tell it what the other one knew."""
        if self._stopped:
            return
        process = self._processes[slot] = self._start()
        for leg in self._legs.values():
            if leg.slot == slot and not leg.done:
                for message in (leg.opening, leg.expecting, leg.going):
                    if message:
                        process.send(message)
