"""Rows of the next-hop table as the control process gives them (firmware_iface's have this shape)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from kernels.port.nexthop import NextHops


class Row(Protocol):
    """How to reach one destination from one interface."""

    @property
    def interface(self) -> str: ...
    @property
    def destination(self) -> str: ...
    @property
    def device(self) -> int:
        """Index of the device whose rings send (of a VLAN: its parent)."""

    @property
    def source_mac(self) -> str: ...
    @property
    def destination_mac(self) -> str: ...
    @property
    def vlan(self) -> int | None: ...
    @property
    def mtu(self) -> int:
        """Octets of an IP packet."""

    @property
    def usable(self) -> bool:
        """False: kernel sockets send there."""


class Gone(Protocol):
    """A destination nobody sends to any more."""

    @property
    def interface(self) -> str: ...
    @property
    def destination(self) -> str: ...


def write_next_hops(table: NextHops, interfaces: Sequence[str], rows: Iterable[Row], gone: Iterable[Gone]) -> int:
    """How many rows found no place; those destinations go by kernel sockets. ValueError: no MAC."""
    homeless = 0
    for entry in gone:
        if entry.interface in interfaces:
            table.forget(interfaces.index(entry.interface), entry.destination)
    for row in rows:
        if row.interface not in interfaces:
            continue
        homeless += not table.set_next_hop(
            interfaces.index(row.interface),
            row.destination,
            row.device,
            row.source_mac,
            row.destination_mac,
            row.mtu,
            outer=row.vlan or 0,
            usable=row.usable,
        )
    return homeless
