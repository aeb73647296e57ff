"""One stream of hardware events: links and XDP programs from netlink, devices from udev. Keeps the latest."""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pyroute2.netlink.rtnl import RTM_DELLINK, RTM_NEWLINK

from firmware_iface import links, monitor
from firmware_iface.events import Event, Kind, differences
from firmware_iface.hotplug import HotPlug
from firmware_iface.links import Link
from firmware_iface.monitor import Monitor
from firmware_iface.netlink import Conversation

KEPT = 100
DEVICES = (Kind.NIC_ADDED, Kind.NIC_REMOVED)


class Watch:
    """`start` in a running loop, `stop`. `recent` has the latest events, oldest first."""

    def __init__(self, on_event: Callable[[Event], None] = lambda event: None, source: str = "") -> None:
        """`source`: as for HotPlug."""
        self._on_event = on_event
        self._source = source
        self._links: dict[int, Link] = {}
        self._monitor: Monitor | None = None
        self._hotplug: HotPlug | None = None
        self.recent: deque[Event] = deque(maxlen=KEPT)
        self.why = ""  # what is not watched, in words

    def start(self) -> None:
        """OSError: the kernel refuses netlink."""
        self._monitor = Monitor(monitor.LINKS, self._news, self._lost, lambda: None)
        self._links = {link.index: link for link in links.read()}
        self._monitor.start()
        try:
            self._hotplug = HotPlug(self._tell, self._source)
            self._hotplug.start()
        except (ImportError, OSError) as error:
            self._hotplug = None
            self.why = f"no udev library ({error}): accelerators are looked for at start only"

    def stop(self) -> None:
        if self._monitor is not None:
            self._monitor.stop()
        if self._hotplug is not None:
            self._hotplug.stop()
        self._monitor = self._hotplug = None

    def _news(self, message: Any) -> None:
        kind = message["header"]["type"]
        if message["family"] != socket.AF_UNSPEC:  # of a bridge's ports
            return
        if kind == RTM_NEWLINK:
            self._compare(message["index"], links.decode(message))
        elif kind == RTM_DELLINK:
            self._compare(message["index"], None)

    def _lost(self) -> None:
        with Conversation() as kernel:
            now = {link.index: link for link in links.dump(kernel)}
        for index in self._links.keys() | now.keys():
            self._compare(index, now.get(index))

    def _compare(self, index: int, after: Link | None) -> None:
        for event in differences(self._links.get(index), after):
            if event.kind not in DEVICES or self._hotplug is None:  # of devices udev tells more
                self._tell(event)
        if after is None:
            self._links.pop(index, None)
        else:
            self._links[index] = after

    def _tell(self, event: Event) -> None:
        dated = replace(event, at=time.time())
        self.recent.append(dated)
        self._on_event(dated)
