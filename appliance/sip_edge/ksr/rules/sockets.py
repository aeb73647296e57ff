"""Which of our sockets a request leaves by over a stream. For UDP Kamailio asks the kernel (mhomed); of TCP and TLS
sockets it takes the first one, wherever the request goes."""

from __future__ import annotations

from collections.abc import Sequence

STREAMS = ("tcp", "tls")


def chosen(ours: Sequence[str], preferred: Sequence[str], transport: str, address: str) -> str:
    """One of `ours` ("tls:192.0.2.1:5061"); empty: there is nothing to choose. `preferred`: sockets that the trunk has
    for itself come before all others; `address`: ours, by the route to the next hop."""
    usable = [socket for socket in ours if transport in STREAMS and socket.startswith(f"{transport}:")]
    if len(usable) < 2:
        return ""
    own = [socket for socket in usable if socket in preferred]
    facing = [socket for socket in own or usable if _address(socket) == address]
    return next(iter(facing or own), "")


def named(ours: Sequence[str], transport: str, host: str, port: str) -> str:
    """The one that a Route of ours names; empty: none."""
    host = f"[{host}]" if ":" in host else host
    wanted = f"{transport}:{host}:{port or (5061 if transport == 'tls' else 5060)}"
    return wanted if transport in STREAMS and wanted in ours else ""


def _address(socket: str) -> str:
    return socket.partition(":")[2].rpartition(":")[0].strip("[]")
