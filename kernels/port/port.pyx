# cython: language_level=3
"""The base of what owns a port (see port.pxd)."""


cdef class AnyPort:
    """A way to receive and send datagrams; subclasses: `udp.UdpPort`, `memory.MemoryPort`."""
