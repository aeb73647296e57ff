def write(macs: bytes, source: str, destination: str, from_port: int, to_port: int, payload: bytes) -> bytes:
    """An Ethernet frame with an IPv4 UDP datagram. macs: destination and source. ValueError, OSError."""

def read(frame: bytes) -> bytes | None:
    """The payload; None: no IPv4 UDP datagram without options and fragments, or lengths or checksums are wrong."""
