"""What a NIC's driver tells and takes through SIOCETHTOOL. pyroute2 has the calls for channels, rings and features;
driver, RSS and flow rules are ours, packed as linux/ethtool.h lays them out on 64-bit machines."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from pyroute2.ethtool.ioctl import IoctlEthtool, NoSuchDevice, NotSupportedError

SIOCETHTOOL = 0x8946
GDRVINFO, GRSSH, SRSSH = 0x03, 0x46, 0x47
GRXCLSRLCNT = 0x2E
IFNAMSIZ = 16
INDIRECTION_UNCHANGED = 0xFFFFFFFF
LOCATION_SPECIAL = 0x80000000  # RX_CLS_LOC_SPECIAL: the driver chooses locations itself
NTUPLE = "rx-ntuple-filter"
VLAN_STRIPPING = "rx-vlan-hw-parse"
# Offloads that packet paths care about, by the kernel's names.
OFFLOADS = ("rx-checksum", "tx-checksum-ip-generic", "tx-checksum-ipv4", "tx-checksum-ipv6", VLAN_STRIPPING,
            "tx-vlan-hw-insert", "rx-gro", "rx-gro-hw", "rx-lro", "tx-udp-segmentation", "rx-hashing")  # fmt: skip
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Channels:
    """Queues: as they are, and how many the device has. A combined channel is a receive and a send queue."""

    combined: int = 0
    rx: int = 0
    tx: int = 0
    combined_max: int = 0
    rx_max: int = 0
    tx_max: int = 0

    @property
    def receive(self) -> int:
        return self.combined + self.rx


@dataclass(frozen=True, slots=True)
class Rings:
    """Descriptors per queue."""

    rx: int = 0
    tx: int = 0
    rx_max: int = 0
    tx_max: int = 0


@dataclass(frozen=True, slots=True)
class Rss:
    """Receive side scaling: entries of the indirection table, the queues that are in it, octets of the hash key."""

    entries: int = 0
    queues: tuple[int, ...] = ()
    key_octets: int = 0


@dataclass(frozen=True, slots=True)
class Driver:
    name: str = ""
    bus: str = ""
    firmware: str = ""


class Device:
    """One NIC by name. Each call raises OSError; EOPNOTSUPP when the driver cannot. Use as a context manager."""

    def __init__(self, name: str) -> None:
        if not 0 < len(name.encode()) < IFNAMSIZ:
            raise OSError(errno.ENODEV, f"no interface can be called {name[:40]!r}")
        self.name = name
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def call(self, data: bytes | bytearray) -> bytes:
        """SIOCETHTOOL with `data` (command first); what the kernel made of it."""
        buffer = ctypes.create_string_buffer(bytes(data), len(data))
        request = struct.pack(f"{IFNAMSIZ}sP16x", self.name.encode(), ctypes.addressof(buffer))
        fcntl.ioctl(self._socket, SIOCETHTOOL, request)
        return buffer.raw

    def driver(self) -> Driver:
        answer = self.call(struct.pack("I192x", GDRVINFO))
        return Driver(_string(answer[4:36]), _string(answer[100:132]), _string(answer[68:100]))

    def channels(self) -> Channels:
        found = self._pyroute2(IoctlEthtool.get_channels)
        return Channels(
            found.combined_count, found.rx_count, found.tx_count, found.max_combined, found.max_rx, found.max_tx
        )

    def set_combined(self, count: int) -> None:
        """As many combined channels. The link may go down for a moment."""

        def change(device: IoctlEthtool) -> None:
            channels = device.get_channels()
            channels.combined_count = count
            device.set_channels(channels)

        self._pyroute2(change)

    def rings(self) -> Rings:
        found = self._pyroute2(IoctlEthtool.get_rings)
        return Rings(found.rx, found.tx, found.rx_max, found.tx_max)

    def ntuple(self) -> tuple[bool, bool]:
        """Flow rules: (can they be had, are they on)."""
        features = self._pyroute2(IoctlEthtool.get_features)
        if NTUPLE not in features:
            return False, False
        return bool(features.is_available(NTUPLE) or features.is_active(NTUPLE)), bool(features.is_active(NTUPLE))

    def offloads(self) -> tuple[str, ...]:
        """Those of OFFLOADS that are on."""
        features = self._pyroute2(IoctlEthtool.get_features)
        return tuple(name for name in OFFLOADS if name in features and features.is_active(name))

    def turn_ntuple_on(self) -> None:
        def change(device: IoctlEthtool) -> None:
            features = device.get_features()
            features[NTUPLE] = True
            device.set_features(features)

        self._pyroute2(change)

    def flow_table(self) -> tuple[int, int, bool]:
        """Flow rules: (set, room for, does the driver choose the places)."""
        answer = self.call(struct.pack("II184x", GRXCLSRLCNT, 0))
        data, count = struct.unpack_from("Q", answer, 8)[0], struct.unpack_from("I", answer, 184)[0]
        return count, data & (LOCATION_SPECIAL - 1), bool(data & LOCATION_SPECIAL)

    def rss(self) -> Rss:
        sizes = self.call(struct.pack("6I", GRSSH, 0, 0, 0, 0, 0))
        entries, key = struct.unpack_from("2I", sizes, 8)
        answer = self.call(struct.pack(f"6I{4 * entries + key}x", GRSSH, 0, entries, key, 0, 0))
        table = struct.unpack_from(f"{entries}I", answer, 24)
        return Rss(entries, tuple(sorted(set(table))), key)

    def set_indirection(self, table: tuple[int, ...]) -> None:
        """Queue of each entry of the RSS table; key and hash function stay."""
        self.call(struct.pack(f"6I{len(table)}I", SRSSH, 0, len(table), 0, 0, 0, *table))

    def _pyroute2(self, work: Callable[[IoctlEthtool], T]) -> T:
        device = IoctlEthtool(self.name)
        try:
            return work(device)
        except NotSupportedError as error:
            raise OSError(errno.EOPNOTSUPP, "not supported by the driver") from error
        except NoSuchDevice as error:
            raise OSError(errno.ENODEV, f"no interface {self.name}") from error
        finally:
            device.close()


def _string(octets: bytes) -> str:
    return octets.partition(b"\0")[0].decode(errors="replace")
