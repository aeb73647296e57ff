"""Open sockets of one thread in several network namespaces: a socket belongs for good to where it was made."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

CLONE_NEWNET = 0x40000000


@contextlib.contextmanager
def entered(path: str | None) -> Iterator[None]:
    """This thread in the network namespace of `path` (as /run/netns/name) for a while; None: stay. OSError."""
    if path is None:
        yield
        return
    with Path("/proc/thread-self/ns/net").open("rb") as home:
        with Path(path).open("rb") as there:
            _enter(there.fileno())
        try:
            yield
        finally:
            _enter(home.fileno())


def _enter(descriptor: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.setns(descriptor, CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")
