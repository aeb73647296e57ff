from kernels.port.port import AnyPort

class UdpPort(AnyPort):
    """Sockets by number (`fds[i]` is socket i, of all workers), which of them this worker reads (None: all), and its
    doorbell. It may send from any.

    The descriptors stay the caller's. OSError when epoll refuses, MemoryError.
    """

    def __init__(self, fds: list[int], doorbell: int, own: range | None = None) -> None: ...
