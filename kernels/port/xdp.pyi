from collections.abc import Sequence

from kernels.port.nexthop import NextHops
from kernels.port.port import AnyPort
from kernels.port.xsk import Rings

class XdpPort(AnyPort):
    """Rings and, for everything they cannot do, `other`. One process at a time may use a `Rings`.

    locals: (address, device number or None, outer VLAN, inner VLAN) by interface number; numbering: ((first port,
    ports of one worker) by interface number, workers). OSError, ValueError, MemoryError.
    """

    def __init__(
        self,
        rings: Rings,
        other: AnyPort,
        locals: list[tuple[str, int | None, int, int]],
        numbering: tuple[Sequence[tuple[int, int]], int],
        hops: NextHops,
        busy: bool = False,
    ) -> None: ...
    def take(self) -> int:
        """Receive and do nothing with it, as a worker that dies at once; how many. For tests."""
    def frames(self) -> dict[str, int]:
        """Where the frames are: {"ours": ..., "receiving": ..., "sending": ...}; they always add up."""
