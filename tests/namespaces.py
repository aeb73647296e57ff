"""Work inside a network namespace of the tests, from a thread of its own: sockets made there belong there for good."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from kernels.load.namespace import entered

T = TypeVar("T")


def inside(space: str, work: Callable[[], T]) -> T:
    """What `work` returns or raises. `space` as `ip netns` calls it."""
    outcome: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            with entered(f"/run/netns/{space}"):
                outcome.append(work())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run, name=f"in-{space}")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]
