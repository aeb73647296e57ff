from kernels.wire.packet import Drop

def seal(
    backend: str,
    cipher: str,
    key: bytes,
    iv: bytes,
    clear: bytes,
    body: bytes,
    *,
    salt: bytes = b"",
    extra: bytes = b"",
    auth_key: bytes = b"",
    tag_octets: int = 0,
) -> tuple[bytes, bytes] | tuple[Drop, bytes]: ...
def open(
    backend: str,
    cipher: str,
    key: bytes,
    iv: bytes,
    clear: bytes,
    body: bytes,
    tag: bytes,
    *,
    salt: bytes = b"",
    extra: bytes = b"",
    auth_key: bytes = b"",
) -> bytes | tuple[Drop, bytes]: ...
def batch_agrees(backend: str, *, wrong_seal: int = -1, wrong_verdict: int = -1) -> bool: ...
