"""Banned sources kept from the sockets of a network namespace: the sk_lookup program as the holder drives it
(bpf/bans.bpf.c). For what XDP does not see: loopback, devices without it."""

from __future__ import annotations

import os
from collections.abc import Iterable

from kernels.port import program as bpf
from kernels.port.banned import BannedSources, Network
from kernels.port.objects import read_object

FIRST = bytes(4)
PORTS = 65536


class BanProgram:
    """Loaded at once, attached only while somebody is banned: nobody else's packets pay. OSError."""

    def __init__(self) -> None:
        self._object = bpf.Program(read_object("bans"), "bans")
        self._banned = BannedSources(self._object)
        self._link = -1
        try:
            self._attach()  # not permitted, or kernel too old: known at start, not at the first ban
        except OSError:
            self._object.close()
            raise
        self._detach()

    def guard(self, ports: Iterable[int]) -> None:
        """UDP and TCP ports that the banned do not reach; until this is said they reach all."""
        bits = bytearray(PORTS // 8)
        for port in ports:
            bits[port // 8] |= 1 << port % 8
        bpf.update(self._object.map("guarded"), FIRST, bytes(bits))

    def ban(self, network: Network) -> None:
        """Nobody listens for what comes from there. OSError: full (ENOSPC)."""
        self._banned.add(network)
        if self._link < 0:
            self._attach()

    def unban(self, network: Network) -> None:
        """Absent is no error."""
        self._banned.remove(network)
        if not self._banned:
            self._detach()

    def dropped(self, network: Network) -> int:
        """Datagrams and SYNs of one banned network."""
        return self._banned.dropped(network)

    def total(self) -> int:
        """Datagrams and SYNs of all, also of those who are free again."""
        return bpf.total(self._object.map("counters"), 0)

    @property
    def attached(self) -> bool:
        """Is the namespace's look-up of sockets ours to hear of?"""
        return self._link >= 0

    def close_in_child(self) -> None:
        """A worker keeps nothing attached."""
        self._detach()

    def close(self) -> None:
        """Everybody is free again."""
        self._detach()
        self._object.close()

    def _attach(self) -> None:
        namespace = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._link = bpf.attach(self._object.program("bans"), namespace, bpf.SK_LOOKUP)
        finally:
            os.close(namespace)

    def _detach(self) -> None:
        if self._link >= 0:
            os.close(self._link)
            self._link = -1
