from collections.abc import Callable, Container

from kernels.control.arena import Arena
from kernels.control.commands import BanReply, Command, PortNews, Punt, Reply, WorkerNews
from kernels.control.status import CryptoStatus, FlowStatus, KeptDatagram, WorkerStatus

DROPS: list[str]  # by Drop
COUNTER_NAMES: list[str]  # by Counter

class Mailbox:
    """Worker `index` of an arena, as the one control process sees it."""

    index: int

    def __init__(self, arena: Arena, index: int) -> None: ...
    def submit(self, command: Command, socket: int | None = None) -> int:
        """Pack a command into the ring; its ticket. RingFull, ValueError, OverflowError. Ring the doorbell after it."""
    def inject(self, flow: int, data: bytes, host: str, port: int) -> None:
        """A datagram to send from a flow's socket. RingFull, ValueError."""
    def take(self, out: list[Reply | Punt | WorkerNews | PortNews | BanReply]) -> None:
        """Append all waiting replies and punted datagrams. Replies to a control process before us are passed over."""
    def regions(self) -> dict[str, int]:
        """Where the worker's tables lie: name -> first octet in the arena, in order (for tests and diagnosis)."""
    def flows(self) -> list[int]:
        """Flow slots in use."""
    def cryptos(self) -> list[int]:
        """Crypto slots in use."""
    def flow(self, slot: int, locate: Callable[[int], tuple[str, int]]) -> FlowStatus:
        """FlowStatus of a slot; `locate(socket)` names (interface, port). KeyError: not in use."""
    def samples(self, slots: Container[int]) -> list[KeptDatagram]:
        """What is kept of datagrams that failed on these flows, oldest first."""
    def crypto(self, slot: int) -> CryptoStatus:
        """CryptoStatus of a slot. KeyError: not in use; BlockingIOError: being changed now."""
    def counters(self) -> dict[str, int]:
        """By name, drops by Drop name in lower case; as of the worker's last publication (10 ms, or when idle)."""
    def worker(self) -> WorkerStatus:
        """WorkerStatus."""
