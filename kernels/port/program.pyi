NATIVE: int
GENERIC: int
XDP: int
SK_LOOKUP: int

class Program:
    """One loaded object: `data` is the ELF file's contents, `entries` resizes maps by name. OSError, KeyError."""

    def __init__(self, data: bytes, name: str, entries: dict[str, int] | None = None) -> None: ...
    def map(self, name: str) -> int:
        """Descriptor of a map; it stays this object's. KeyError."""
    def program(self, name: str) -> int:
        """Descriptor of a program (its function's name); it stays this object's. KeyError."""
    def close(self) -> None:
        """Give back maps and programs; what is attached by a link stays until the link is closed. Twice is no error."""

def program_id(program: int) -> int:
    """The kernel's number of a program. OSError."""

def attach(program: int, target: int, kind: int, flags: int = 0) -> int:
    """A link: descriptor that keeps `program` attached to an ifindex (XDP) or namespace (SK_LOOKUP). OSError."""

def attached(link: int) -> tuple[int, int]:
    """(program number, ifindex) of a link; ifindex is 0 when an XDP link lost its device. OSError."""

def detach(link: int) -> None:
    """Take the program off although the link stays open. OSError."""

def open_program(id: int) -> int:
    """A descriptor of a loaded program by its number. OSError."""

def open_link(id: int) -> int:
    """A descriptor of a link that exists (`link_id` of /proc/<pid>/fdinfo). OSError."""

def replace(link: int, program: int) -> None:
    """Let a link run another program. OSError."""

def update(map: int, key: bytes, value: bytes) -> None:
    """Write one entry; lengths must be the map's. OSError."""

def lookup(map: int, key: bytes, octets: int) -> bytes | None:
    """One entry of `octets` octets, or None. Per-CPU maps: `octets` times `cpus()`. OSError."""

def remove(map: int, key: bytes) -> None:
    """Delete one entry; absent is no error. OSError."""

def keys(map: int, octets: int) -> list[bytes]:
    """All keys, each of `octets` octets."""

def cpus() -> int:
    """How many values a per-CPU entry has."""

def total(map: int, index: int) -> int:
    """Sum over the CPUs of one 64-bit counter of a per-CPU array. OSError."""

def run(program: int, data: bytes, ifindex: int = 0, queue: int = 0) -> tuple[int, bytes]:
    """One frame (at least 14 octets) through a program without a network: (verdict, frame afterwards). OSError."""
