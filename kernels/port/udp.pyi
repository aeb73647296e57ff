from kernels.port.port import AnyPort

class UdpPort(AnyPort):
    """Sockets by number (`fds[i]` is socket i of this worker) and the worker's doorbell.

    The descriptors stay the caller's. OSError when epoll refuses, MemoryError.
    """

    def __init__(self, fds: list[int], doorbell: int) -> None: ...
