"""Netlink news in an asyncio loop: one socket, its descriptor among the loop's readers, no thread."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Any

from pyroute2.netlink.rtnl.marshal import MarshalRtnl

# Bits of RTMGRP_* (linux/rtnetlink.h); IPv6 rules have a number only.
LINKS, NEIGHBOURS = 0x1, 0x4
ROUTING = 0x10 | 0x40 | 0x80 | 0x100 | 0x400 | 1 << 18  # addresses, routes, rules; IPv4 and IPv6
BUFFER_OCTETS = 4 << 20
DATAGRAM_OCTETS = 1 << 16
BURST = 64  # datagrams read before the loop gets its turn


class Monitor:
    """`on_message` gets each decoded message; `on_lost` is called when the kernel had to drop some: ask for everything
    again. `after` is called once for each burst."""

    def __init__(
        self, groups: int, on_message: Callable[[Any], None], on_lost: Callable[[], None], after: Callable[[], None]
    ) -> None:
        self._on_message, self._on_lost, self._after = on_message, on_lost, after
        self._marshal = MarshalRtnl()
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_OCTETS)
        self._socket.bind((0, groups))
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """In a running loop."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket.fileno(), self._readable)

    def stop(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._loop = None
        self._socket.close()

    def _readable(self) -> None:
        for _ in range(BURST):
            try:
                data = self._socket.recv(DATAGRAM_OCTETS)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self._on_lost()
                continue
            for message in self._marshal.parse(data):
                self._on_message(message)
        self._after()
