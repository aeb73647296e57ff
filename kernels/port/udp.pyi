from kernels.port.port import AnyPort
from kernels.port.steering import Wildcard

class UdpPort(AnyPort):
    """Sockets by number (`fds[i]` is socket i, of all workers), which of them this worker reads (None: all), and its
    doorbell. It may send from any. With a `wildcard` there are no sockets by number.

    The descriptors stay the caller's. OSError when epoll refuses, MemoryError.
    """

    def __init__(
        self, fds: list[int], doorbell: int, own: range | None = None, wildcard: Wildcard | None = None
    ) -> None: ...
