from typing import overload

class Mapping:
    """A memory file in this process, shared, from a 2-MiB boundary on (Python's mmap cannot choose an address, and only
    there can large pages serve). Readable and writable through the buffer protocol; the descriptor stays the caller's.
    OSError, also when the pool of huge pages behind it has too few."""

    octets: int
    address: int

    def __init__(self, fd: int) -> None: ...
    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, key: int) -> int: ...
    @overload
    def __getitem__(self, key: slice) -> bytes: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def gather(self) -> None:
        """Ask for large pages now, where a pool does not give them anyway. Not to have them is no error."""
