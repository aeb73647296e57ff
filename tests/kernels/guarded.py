"""Memory where one octet past the end faults, and generators of hostile datagrams (rows A10, A11)."""

from __future__ import annotations

import ctypes
import mmap
import os
import random
from collections.abc import Iterator
from pathlib import Path

SANITIZED = os.environ.get("SRTPGW_SANITIZED", "")  # where the instrumented modules lie, set by `make test-asan`
INPUTS = 100_000
SEED = 3711

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_libc.malloc.restype, _libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
_libc.free.argtypes = [ctypes.c_void_p]


class Guarded:
    """`octets` octets between two pages without access; `tail(n)` ends, `head(n)` begins exactly at one."""

    def __init__(self, octets: int = 4096) -> None:
        page = mmap.PAGESIZE
        self.room = -(-octets // page) * page
        self.map = mmap.mmap(-1, self.room + 2 * page)
        first = ctypes.addressof(ctypes.c_char.from_buffer(self.map))
        for guard in (first, first + page + self.room):
            if _libc.mprotect(guard, page, 0) != 0:
                raise OSError(ctypes.get_errno(), "mprotect")
        self.view = memoryview(self.map)[page : page + self.room]

    def tail(self, data: bytes, slack: int = 0) -> memoryview:
        """`data` and `slack` octets after it, flush with the end."""
        start = self.room - slack - len(data)
        self.view[start : start + len(data)] = data
        return self.view[start:]

    def head(self, data: bytes) -> memoryview:
        """`data`, flush with the beginning."""
        self.view[: len(data)] = data
        return self.view[: len(data)]


class Exact:
    """`data` and `slack` octets after it in a block of malloc of just that size: the sanitizer sees both ends."""

    def __init__(self, data: bytes, slack: int = 0) -> None:
        self.octets = len(data) + slack
        self.address = _libc.malloc(self.octets)
        self.view = memoryview((ctypes.c_ubyte * self.octets).from_address(self.address)).cast("B")
        self.view[: len(data)] = data

    def __enter__(self) -> memoryview:
        return self.view

    def __exit__(self, *_: object) -> None:
        self.view.release()
        _libc.free(self.address)


def lies(length: int, chance: random.Random) -> Iterator[bytes]:
    """Datagrams of one length whose header fields promise more than there is: RTP, then RTCP."""
    body = chance.randbytes(length)
    for first in (0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xB0, 0xBF, 0x00, 0xC0):
        for second in (0x00, 0xE0, 200, 206):
            packet = bytes([first, second]) + body[2:]
            yield packet[:length]
            csrcs = 12 + 4 * (first & 15)
            yield (packet[: csrcs + 2] + b"\xff\xff" + packet[csrcs + 4 :])[:length]
            yield (packet[:2] + b"\xff\xff" + packet[4:-1] + b"\xff")[:length]
            yield (packet[:-1] + b"\x00")[:length]


def noise(count: int, seed: int = SEED, longest: int = 200) -> Iterator[bytes]:
    """Seeded random datagrams: half of them with the first octet of RTP, so that they go further."""
    chance = random.Random(seed)
    for number in range(count):
        data = chance.randbytes(chance.randrange(1, longest))
        yield bytes([0x80 | data[0] & 0x3F]) + data[1:] if number & 1 else data


def damaged(packet: bytes, count: int, seed: int = SEED) -> Iterator[bytes]:
    """A real datagram cut, grown, with octets replaced and bits turned."""
    chance = random.Random(seed)
    for _ in range(count):
        data = bytearray(packet)
        for _ in range(chance.randrange(1, 5)):
            if data:
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        way = chance.randrange(4)
        if way == 0:
            del data[chance.randrange(len(data) + 1) :]
        elif way == 1:
            data += chance.randbytes(chance.randrange(1, 40))
        elif way == 2:
            del data[: chance.randrange(1, 13)]
        yield bytes(data) or b"\x80"


def instrumented(module: str) -> bool:
    """Whether the shared object of a compiled module calls AddressSanitizer and UBSan."""
    octets = Path(module).read_bytes()
    return b"__asan_report_load" in octets and b"__ubsan_handle" in octets
