"""Which destinations the media plane sends to: from commands that go down, and from what workers learnt from packets.

Keeps the wishes of NextHops equal to that. A phone behind a NAT sends from another address than it signalled; workers
learn that one without us, so flows are looked at: each new one every tick for a while, the others in turns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from kernels.control.commands import Command, InstallFlow, RemoveFlow
from kernels.control.status import FlowStatus

NEW_TICKS = 15  # a flow is looked at every tick for so long: learning windows are some seconds
NEW_AT_ONCE, OLD_AT_ONCE = 1000, 200  # flows looked at per tick

Key = tuple[int, int]  # worker, slot


class Wishes(Protocol):
    """What is used of `firmware_iface.nexthops.NextHops`."""

    def want(self, interface: str, destination: str) -> None: ...
    def forget(self, interface: str, destination: str) -> None: ...


class Peers:
    """`commanded` for every command, `tick` now and then."""

    def __init__(self, wishes: Wishes, flow: Callable[[int, int], FlowStatus]) -> None:
        self._wishes, self._flow = wishes, flow
        self._signalled: dict[Key, tuple[str, str]] = {}
        self._learnt: dict[Key, tuple[str, str]] = {}
        self._interfaces: dict[Key, str] = {}
        self._new: dict[Key, int] = {}
        self._turns: deque[Key] = deque()

    def commanded(self, worker: int, command: Command) -> None:
        """A command has gone down to a worker."""
        if isinstance(command, InstallFlow):
            key = (worker, command.slot)
            if key not in self._interfaces:
                self._turns.append(key)
            self._interfaces[key] = command.interface
            self._new[key] = NEW_TICKS
            self._replace(self._signalled, key, command.interface, command.remote[0] if command.remote else "")
        elif isinstance(command, RemoveFlow):
            key = (worker, command.slot)
            interface = self._interfaces.pop(key, "")
            self._new.pop(key, None)
            self._replace(self._signalled, key, interface, "")
            self._replace(self._learnt, key, interface, "")

    def tick(self) -> None:
        """Look at some flows for addresses that workers learnt."""
        for _ in range(min(OLD_AT_ONCE, len(self._turns))):
            key = self._turns.popleft()
            if key in self._interfaces:
                self._turns.append(key)
                if key not in self._new:
                    self._look(key)
        for key in [key for key, _ in zip(self._new, range(NEW_AT_ONCE), strict=False)]:
            self._look(key)
            left = self._new.pop(key, 0) - 1
            if left > 0:
                self._new[key] = left  # to the end: all get their turn

    def _look(self, key: Key) -> None:
        try:
            found = self._flow(*key)
        except KeyError:  # the command has not been carried out yet, or the slot is just being emptied
            return
        host = found.current[0] if found.learnt and found.current else ""
        self._replace(self._learnt, key, found.interface, host)

    def _replace(self, kept: dict[Key, tuple[str, str]], key: Key, interface: str, host: str) -> None:
        before = kept.get(key)
        after = (interface, host) if host else None
        if before == after:
            return
        if after is not None:
            kept[key] = after
            self._wishes.want(*after)
        else:
            del kept[key]
        if before is not None:
            self._wishes.forget(*before)
