"""Datagrams of the control process on their way out of flows' sockets: handshakes and STUN."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import Protocol

from appliance.calls.media import Address
from appliance.placement.doorbells import Doorbells
from kernels.control.errors import RingFull

RETRY_S = 0.001  # a worker empties its ring in less
MOST_WAITING = 4096  # of a worker; what is beyond is lost as on a wire, and sent again by whoever misses it


class Injects(Protocol):
    """What is used of `kernels.control.plane.MediaPlane`."""

    def inject(self, worker: int, flow: int, data: bytes, to: tuple[str, int], *, wake: bool = True) -> None: ...
    def wake(self, worker: int) -> None: ...


class Injector:
    """Keeps the order per worker when its ring is full; `waits` is for those whose commands come after."""

    def __init__(self, plane: Injects) -> None:
        self._plane, self._doorbells = plane, Doorbells(plane)
        self._waiting: dict[int, deque[tuple[int, bytes, Address]]] = {}
        self._retry: asyncio.TimerHandle | None = None
        self.lost = 0

    def inject(self, worker: int, slot: int, data: bytes, to: Address) -> None:
        """One datagram. An address that the plane cannot send to is nobody's to reach."""
        waiting = self._waiting.get(worker)
        if waiting is None and self._sent(worker, slot, data, to):
            return
        if waiting is None:
            waiting = self._waiting[worker] = deque()
        if len(waiting) >= MOST_WAITING:
            self.lost += 1
            return
        waiting.append((slot, data, to))
        self._retry_later()

    def waits(self, worker: int) -> bool:
        """Whether datagrams for this worker found its ring full."""
        return worker in self._waiting

    def _sent(self, worker: int, slot: int, data: bytes, to: Address) -> bool:
        try:
            self._plane.inject(worker, slot, data, (to.host, to.port), wake=False)
        except RingFull:
            return False
        except (ValueError, OSError):
            self.lost += 1
        else:
            self._doorbells.ring(worker)
        return True

    def _again(self) -> None:
        self._retry = None
        for worker, waiting in list(self._waiting.items()):
            while waiting and self._sent(worker, *waiting[0]):
                waiting.popleft()
            if not waiting:
                del self._waiting[worker]
        if self._waiting:
            self._retry_later()

    def _retry_later(self) -> None:
        if self._retry is None:
            with contextlib.suppress(RuntimeError):
                self._retry = asyncio.get_running_loop().call_later(RETRY_S, self._again)
