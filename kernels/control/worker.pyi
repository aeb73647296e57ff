from collections.abc import Sequence

from kernels.control.arena import Arena
from kernels.port.port import AnyPort

class Worker:
    """Worker `index` of an arena over a port. OSError when its tables cannot be attached.

    `news` is the eventfd that tells the control process; -1: nobody to tell. `doorbells`: of all workers, for those of
    them that sleep when a datagram is handed over to them.
    """

    def __init__(
        self,
        arena: Arena,
        index: int,
        port: AnyPort,
        news: int = -1,
        learning_ms: int = 3000,
        doorbells: Sequence[int] = (),
    ) -> None: ...
    def run(self) -> None:
        """Until the holder wants HALT. Never returns to Python in between."""
    def turn(self, wait_ms: int = 0) -> None:
        """One turn of the loop, for tests; counters are published after it."""
