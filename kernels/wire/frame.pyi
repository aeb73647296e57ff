from kernels.wire.packet import Drop

Address = tuple[str, int]

def read(frame: bytes | memoryview) -> tuple[Address, Address, tuple[int, ...], bytes] | Drop:
    """(source, destination, (VLAN ids), datagram) of a frame, or the Drop it is refused under."""

def write(
    source_mac: bytes,
    destination_mac: bytes,
    source: Address,
    destination: Address,
    datagram: bytes,
    vlans: tuple[int, ...] = (),
    tos: int = 0,
) -> bytes:
    """A frame as the `xdp` port sends it; tos: TOS or traffic class octet. ValueError."""
