"""Banned sources in the tries of a loaded BPF program (bpf/banned.bpf.h)."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator

from kernels.port import program as bpf

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class BannedSources:
    """Whom one program drops, and how much it dropped. The program's owner closes it."""

    def __init__(self, program: bpf.Program) -> None:
        self._tries = {version: program.map(f"banned{version}") for version in (4, 6)}
        self._networks: set[Network] = set()

    def add(self, network: Network) -> None:
        """One that is there keeps its counter. OSError: the trie is full (ENOSPC)."""
        if network not in self._networks:
            bpf.update(self._tries[network.version], _prefix(network), bytes(8))
            self._networks.add(network)

    def remove(self, network: Network) -> None:
        """Absent is no error."""
        bpf.remove(self._tries[network.version], _prefix(network))
        self._networks.discard(network)

    def dropped(self, network: Network) -> int:
        """Packets by this entry; 0 when it is absent."""
        found = bpf.lookup(self._tries[network.version], _prefix(network), 8)
        return int.from_bytes(found or b"", "little")

    def __iter__(self) -> Iterator[Network]:
        return iter(self._networks)

    def __len__(self) -> int:
        return len(self._networks)


def _prefix(network: Network) -> bytes:
    return struct.pack("I", network.prefixlen) + network.network_address.packed
