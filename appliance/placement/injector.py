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
MOST_WAITING = 4096  # of all workers; what is beyond is lost as on a wire, and sent again by whoever misses it


class Injects(Protocol):
    """What is used of `kernels.control.plane.MediaPlane`."""

    def inject(self, worker: int, flow: int, data: bytes, to: tuple[str, int], *, wake: bool = True) -> None: ...
    def wake(self, worker: int) -> None: ...


class Injector:
    """Keeps the order per worker when its ring is full."""

    def __init__(self, plane: Injects) -> None:
        self._plane, self._doorbells = plane, Doorbells(plane)
        self._waiting: deque[tuple[int, int, bytes, Address]] = deque()
        self.lost = 0

    def inject(self, worker: int, slot: int, data: bytes, to: Address) -> None:
        """One datagram. An address that the plane cannot send to is nobody's to reach."""
        if not self._waiting and self._sent(worker, slot, data, to):
            return
        if len(self._waiting) >= MOST_WAITING:
            self.lost += 1
            return
        self._waiting.append((worker, slot, data, to))
        if len(self._waiting) == 1:
            self._retry_later()

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
        while self._waiting and self._sent(*self._waiting[0]):
            self._waiting.popleft()
        if self._waiting:
            self._retry_later()

    def _retry_later(self) -> None:
        with contextlib.suppress(RuntimeError):
            asyncio.get_running_loop().call_later(RETRY_S, self._again)
