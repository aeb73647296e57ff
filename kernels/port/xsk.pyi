LONGEST: int
MOST: int

class Rings:
    """One worker's sockets: `queues` are (device name, ifindex, device number, queue). OSError in words.

    zero_copy asks for it and fails where the driver has none. `aligned` forces one page per frame.
    """

    count: int
    frames: int
    unaligned: bool
    zero_copy: bool
    huge: bool

    def __init__(
        self,
        queues: list[tuple[str, int, int, int]],
        zero_copy: bool = False,
        aligned: bool = False,
        busy_poll_us: int = 0,
    ) -> None: ...
    def sockets(self) -> list[tuple[int, int, int]]:
        """(device number, queue, descriptor) of each."""
    def set_usable(self, device: int, usable: bool) -> None:
        """Holder: whether the rings of a device may send."""
    def close(self) -> None:
        """Only when no worker uses them. Twice is no error."""
