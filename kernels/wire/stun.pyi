Parsed = tuple[int, bytes | None, bool, bool, bool, tuple[int, ...]]

def crc32(data: bytes | bytearray | memoryview, plain: bool = False) -> int:
    """The CRC of FINGERPRINT; `plain`: as CPUs without carry-less multiplication compute it."""

def parse(data: bytes | bytearray | memoryview) -> Parsed | None:
    """None: refused. Else type, USERNAME (None: none), whether it has integrity, fingerprint, USE-CANDIDATE, and the
    attributes that had to be understood."""

def fingerprint_ok(data: bytes | bytearray | memoryview) -> bool:
    """False also for what does not parse."""

def signed(data: bytearray | memoryview, password: bytes) -> bool:
    """Whether the message's integrity is this password's; False also for what does not parse."""

def succeed(data: bytearray | memoryview, host: str, port: int, password: bytes) -> bytes | None:
    """The success response over a request, None: no room for it in the buffer."""

def refuse(data: bytearray | memoryview, length: int, code: int, password: bytes | None) -> bytes | None:
    """The error response over a request of `length` octets (password None: not signed), None: no room."""
