from kernels.port.port import AnyPort

class MemoryPort(AnyPort):
    """Two queues of datagrams, each with the number of its local socket and the address of the far end.

    Every frame ends where memory that faults begins. slack: octets of the frame behind each datagram, 0..176; None: all
    that a port of production gives.
    """

    def __init__(self, slack: int | None = None) -> None: ...
    def inject(self, socket: int, data: bytes, host: str, port: int) -> None:
        """A datagram arrives on a local socket from host:port. BufferError when the queue is full."""
    def collect(self) -> list[tuple[int, bytes, tuple[str, int]]]:
        """What was sent since the last call: (socket, data, (host, port)), in order."""
    @property
    def held(self) -> int:
        """Frames that the packet path has not given back."""
