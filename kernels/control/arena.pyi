from kernels.control.errors import LayoutMismatch as LayoutMismatch
from kernels.control.mapping import Mapping
from kernels.port.nexthop import NextHops

PER_CALL: dict[str, int]

def footprint(workers: int, calls: int, sockets: int) -> int:
    """Octets of an arena for so many workers, each with so many calls and sockets."""

def structs() -> dict[str, int]:
    """Sizes of everything shared, by name: what this build means by the layout."""

def forbid_dumps() -> None:
    """No core files of this process, no ptrace by others (H4). OSError."""

class Arena:
    """A mapped arena. `fd` stays the caller's; the mapping lives as long as this object."""

    mapping: Mapping
    octets: int

    def __init__(self, fd: int) -> None: ...
    def format(self, workers: int, calls: int, sockets: int) -> None:
        """Lay out an empty arena of `footprint` octets (the holder, once)."""
    def check(self) -> None:
        """LayoutMismatch when the maker of the arena was another build than we are."""
    def capacities(self) -> dict[str, int]:
        """Slots per worker: calls, sockets, flows, cryptos, keys, streams; all_sockets: of all workers."""
    @property
    def cookie_secret(self) -> bytes:
        """What DTLS cookies are made with, the same for the life of the arena."""
    @property
    def homes(self) -> int:
        """Offset of the table of homes: one octet for each socket number."""
    def home(self, socket: int) -> int:
        """The worker that serves a socket, or is about to. IndexError."""
    def transfers(self) -> list[tuple[str, int]]:
        """(state, id) of every transfer record; state: empty, filling, full, taken."""
    @property
    def workers(self) -> int: ...
    def next_hops(self, worker: int = 0) -> NextHops:
        """The next-hop table, as `worker` reads it; the control process writes it."""
    def take_wanted(self) -> list[tuple[int, str]]:
        """Destinations that workers wanted to send to and found no next hop for: [(interface number, address)]."""
    def protect(self) -> str:
        """Keep the arena out of swap and core files, in large pages if possible. Returns what could not be had."""
    def wipe(self) -> None:
        """Zero everything. Only when no worker runs."""
    def set_wanted(self, worker: int, state: int) -> None:
        """Holder: what a worker is to do (WorkerState)."""
    def set_process(self, worker: int, pid: int, cpu: int, restarts: int) -> None:
        """Holder: who runs this worker now."""
    def set_state(self, worker: int, state: int) -> None:
        """Holder, while no process runs the worker; else the worker itself."""
    def pulse(self, worker: int) -> tuple[int, int]:
        """(state, heartbeat in CLOCK_MONOTONIC ns) of a worker."""
