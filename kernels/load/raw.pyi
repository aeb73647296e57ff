from kernels.port.port import AnyPort

class RawPort(AnyPort):
    """AF_XDP, copy mode, on queue 0 of `ifindex` in the calling thread's network namespace. OSError.

    macs: 12 octets, the far end's and ours. host: our IPv4 address. ports: the UDP port of each socket number.
    generic: attach to the stack instead of the driver.
    """

    def __init__(self, ifindex: int, macs: bytes, host: str, ports: list[int], generic: bool = False) -> None: ...
    @property
    def spoilt(self) -> int:
        """Frames for us that were no datagram of one of our ports, or whose checksum was wrong."""
    def close(self) -> None:
        """Take the program off the interface. Twice is no error; the port is not to be used afterwards."""
