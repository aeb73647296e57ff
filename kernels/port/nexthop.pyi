class NextHops:
    """A next-hop table; without arguments none at all."""

    def __init__(self, count: int = 0) -> None:
        """A table of `count` rows (a power of two) of its own."""
    def set_next_hop(
        self,
        interface: int,
        destination: str,
        ifindex: int,
        source_mac: str,
        destination_mac: str,
        mtu: int,
        outer: int = 0,
        inner: int = 0,
        usable: bool = True,
    ) -> bool:
        """Create or replace the row of a destination. False: no place left for it. ValueError: no address or MAC."""
    def forget(self, interface: int, destination: str) -> None:
        """Empty the row of a destination; absent is no error."""
