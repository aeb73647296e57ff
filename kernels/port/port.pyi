class AnyPort:
    """A way to receive and send datagrams; subclasses: `udp.UdpPort`, `memory.MemoryPort`."""
