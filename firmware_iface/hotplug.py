"""NICs and accelerators that come and go, from udev (or, where no udevd runs, straight from the kernel), by pyudev.

The monitor's descriptor is one of the loop's readers; no thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from firmware_iface import accelerators
from firmware_iface.events import Event, Kind

UDEVD = Path("/run/udev/control")
BURST = 64


class HotPlug:
    """`start` in a running loop, `stop`. OSError, ImportError: this system has no udev library."""

    def __init__(self, on_event: Callable[[Event], None], source: str = "") -> None:
        """`source`: "udev" (after its rules ran, names are final) or "kernel"; by default udev where udevd runs."""
        import pyudev

        self._on_event = on_event
        self.source = source or ("udev" if UDEVD.exists() else "kernel")
        self._monitor = pyudev.Monitor.from_netlink(pyudev.Context(), source=self.source)
        for subsystem in ("net", "pci"):
            self._monitor.filter_by(subsystem)
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        self._monitor.start()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._monitor.fileno(), self._readable)

    def stop(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self._monitor.fileno())
            self._loop = None

    def _readable(self) -> None:
        for _ in range(BURST):
            device = self._monitor.poll(timeout=0)
            if device is None:
                return
            event = of_device(device.action, device.subsystem, device.sys_name, Path(device.sys_path), _driver(device))
            if event is not None:
                self._on_event(event)


def of_device(action: str, subsystem: str, name: str, folder: Path, driver: str) -> Event | None:
    """None: nothing to tell (changes, queues, PCI devices that are neither)."""
    if action not in ("add", "remove"):
        return None
    added = action == "add"
    if subsystem == "net":
        by = f" (driver {driver})" if driver else ""
        kind = Kind.NIC_ADDED if added else Kind.NIC_REMOVED
        return Event(kind, name, f"{name} appeared{by}" if added else f"{name} is gone")
    accelerator = accelerators.of_device(folder)
    if accelerator is not None:
        return Event(Kind.DEVICE_ADDED, name, f"{accelerator.name} appeared at {name}")
    if not added:  # its files are gone with it: what it was cannot be read any more
        return Event(Kind.DEVICE_REMOVED, name, f"the PCI device at {name} is gone")
    return None


def _driver(device: Any) -> str:
    return device.properties.get("ID_NET_DRIVER") or (device.parent.driver if device.parent is not None else "") or ""
