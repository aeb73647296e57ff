import mmap

from kernels.port.port import AnyPort
from kernels.port.steering import Wildcard

def keep(places: int, sockets: int) -> list[tuple[mmap.mmap, mmap.mmap]]:
    """Memory that outlives the ports of so many places, to be made before they are forked: a pair for each."""

class UdpPort(AnyPort):
    """Sockets by number (`fds[i]` is socket i, of all workers), which of them this worker reads (None: all), and its
    doorbell. It may send from any. With a `wildcard` there are no sockets by number.
    `kept`: of its place, by `keep`; without it nothing is known of a predecessor.

    The descriptors stay the caller's. OSError when epoll refuses, MemoryError.
    """

    def __init__(
        self,
        fds: list[int],
        doorbell: int,
        own: range | None = None,
        wildcard: Wildcard | None = None,
        kept: tuple[mmap.mmap, mmap.mmap] | None = None,
    ) -> None: ...
