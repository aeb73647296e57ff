"""How full the receive buffers of our UDP sockets are: what says, before any work is done, that there is too much.

Asked for every request: a look costs less than a microsecond, and one that is milliseconds old refuses who comes after
the buffer was emptied. Linux itself takes what was read off a UDP socket's count a quarter of the buffer at a time, and
all of it when nothing waits.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from pathlib import Path

SO_MEMINFO = 55  # of Linux: counters of a socket's memory, u32 each
RECEIVED, BUFFER = 0, 1


class Queues:
    """The sockets of one Kamailio process, found among its descriptors after it was forked."""

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []

    def find(self) -> None:
        """OSError never: what cannot be read is not one of ours."""
        with contextlib.suppress(OSError):
            for entry in list(Path("/proc/self/fd").iterdir()):
                with contextlib.suppress(OSError):
                    self._look_at(entry)

    def fill(self) -> float:
        """Share of the fullest buffer that is in use, 0 to 1; 0 without sockets."""
        return max(map(_fill, self._sockets), default=0.0)

    def _look_at(self, entry: Path) -> None:
        if not str(entry.readlink()).startswith("socket:"):
            return
        found = socket.socket(fileno=os.dup(int(entry.name)))
        internet = found.family in (socket.AF_INET, socket.AF_INET6) and found.type == socket.SOCK_DGRAM
        if internet and found.getsockname()[1] and not _connected(found):
            self._sockets.append(found)
        else:
            found.close()


def _fill(link: socket.socket) -> float:
    counters = struct.unpack("9I", link.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 36))
    return min(1.0, counters[RECEIVED] / counters[BUFFER]) if counters[BUFFER] else 0.0


def _connected(link: socket.socket) -> bool:
    """One to a media gateway, not one that everybody sends to."""
    try:
        link.getpeername()
    except OSError:
        return False
    return True
