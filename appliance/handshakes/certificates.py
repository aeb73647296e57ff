"""Where certificates of ours come from: a fresh one for each call that wants to be anonymous, or the one that a peer
knows (RFC 8827 section 6.5, RFC 5763 sections 6.1 and 8.4)."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from datetime import UTC, datetime, timedelta
from pathlib import Path

from appliance.calls.media import LocalCertificate
from appliance.handshakes.certificate_file import load
from appliance.protocols.dtls import certificates

POOL = 64  # certificates at hand
BATCH = 8  # made by a thread in one go, half a millisecond: going there and back takes longer than making one
OWN = "_gateway"  # no trunk can have this name
FRESH = timedelta(hours=12)  # those that have waited longer are thrown away


class CertificatePool:
    """Filled in the background from `start` on; empty, it makes them as they are asked for."""

    def __init__(self, size: int = POOL) -> None:
        self._size = size
        self._ready: deque[tuple[datetime, LocalCertificate]] = deque()
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._ready)

    async def start(self) -> None:
        self._wanted.set()
        self._task = asyncio.create_task(self._fill(), name="certificate-pool")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._ready.clear()

    def take(self) -> LocalCertificate:
        """One that nobody had before."""
        now = datetime.now(UTC)
        self._wanted.set()
        while self._ready:
            made, certificate = self._ready.popleft()
            if now - made < FRESH:
                return certificate
        return certificates.make(now)

    async def _fill(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            while len(self._ready) < self._size:
                count = min(BATCH, self._size - len(self._ready))
                self._ready += await asyncio.to_thread(_make, count)


def _make(count: int) -> list[tuple[datetime, LocalCertificate]]:
    now = datetime.now(UTC)
    return [(now, certificates.make(now)) for _ in range(count)]


class Certificates:
    """What negotiation asks: `of(None)` is one of the pool, `of(trunk)` that trunk's, `of("")` the gateway's own; the
    same after every restart."""

    def __init__(self, pool: CertificatePool, folder: Path) -> None:
        self._pool, self._folder = pool, folder
        self._staying: dict[str, LocalCertificate] = {}

    def of(self, name: str | None) -> LocalCertificate:
        """UnusableCertificate, OSError: of the file of one that stays."""
        if name is None:
            return self._pool.take()
        if name not in self._staying:
            self._staying[name] = load(self._folder / f"{name or OWN}.pem")
        return self._staying[name]
