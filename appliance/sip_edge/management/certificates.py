"""Certificates that are replaced while the edge runs: connections go on, new ones get the new certificate.

    files -> checked -> copied (the old copies are kept) -> RPC tls.reload
                 | one is no good: nothing is changed          | Kamailio says no: the old copies come back
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from appliance.config import tls_words
from appliance.config.schema import Settings
from appliance.errors import EdgeRefused
from appliance.sip_edge import certificates, kamailio
from appliance.sip_edge.areas import tls
from appliance.sip_edge.certificates import Certificate, CertificateRefused
from appliance.sip_edge.from_settings import account
from appliance.sip_edge.rpc import SOCKET, Rpc, RpcRefused, RpcUnavailable
from appliance.telemetry.audit import Audit

RELOAD = "tls.reload"

log = structlog.get_logger("srtpgw.certificates")


@dataclass(frozen=True)
class Listed:
    """A domain with its certificate, or why it has none that could be used."""

    domain: str
    file: Path
    certificate: Certificate | None
    why: str = ""


@dataclass(frozen=True)
class Reloaded:
    """`live`: the running Kamailio has them. Else it is not running, and reads them when it starts."""

    certificates: tuple[Certificate, ...]
    live: bool


class Certificates:
    """Those of one SIP edge, by its settings and its run directory."""

    def __init__(self, settings: Settings, run: Path, rpc: Rpc | None = None, audit: Audit | None = None,
                 clock: Callable[[], float] = time.time) -> None:  # fmt: skip
        self._settings, self._run, self._audit, self._clock = settings, run.resolve(), audit, clock
        self._rpc = rpc or Rpc(self._run / SOCKET)
        self._domains = tls.domains(settings)
        self._copies = tls.copies(self._domains)
        self._seen = self._stamps()
        self._lock = asyncio.Lock()

    @property
    def ciphers(self) -> str:
        """The cipher string that is in force."""
        sip = self._settings.sip
        return tls_words.openssl_ciphers(sip.tls_ciphers, tls_words.versions(sip.tls_versions))

    def listed(self) -> list[Listed]:
        """Every domain as its files are now."""
        return [self._listed(domain) for domain in self._domains]

    async def reload(self, who: str) -> Reloaded:
        """Check, copy, tell Kamailio. CertificateRefused, EdgeRefused: then nothing is changed. AuditUnavailable."""
        async with self._lock:
            self._seen = self._stamps()
            found = [self._read(domain) for domain in self._domains]
            if self._audit is not None:
                after = {one.domain: one.fingerprint for one in found}
                await asyncio.to_thread(self._audit.record, who, "certificates reload", "sip edge", None, after)
            return Reloaded(tuple(found), await self._replace())

    async def watch(self, every_s: float) -> None:
        """For ever: take over files that have changed. What cannot be used is told once, and the old ones stay."""
        while True:
            await asyncio.sleep(every_s)
            if self._stamps() == self._seen:
                continue
            try:
                done = await self.reload("file change")
            except EdgeRefused as error:  # often half of a change: the key comes a moment after its certificate
                log.warning("certificates are not taken over, the old ones stay", why=str(error))
            else:
                log.info("certificates taken over", live=done.live, domains=len(done.certificates))

    async def _replace(self) -> bool:
        kept = kamailio.keep_files(self._run, self._copies)
        try:
            kamailio.copy_files(self._run, self._copies, account(self._settings))
            await self._rpc.call(RELOAD)
        except RpcUnavailable:
            return False
        except (RpcRefused, OSError) as error:
            kamailio.restore_files(kept)
            why = error.message if isinstance(error, RpcRefused) else error.strerror
            raise EdgeRefused(f"the certificates cannot be replaced, the old ones stay: {why}") from None
        finally:
            kamailio.wipe_files(kept.values())
        return True

    def _listed(self, domain: tls.Domain) -> Listed:
        try:
            return Listed(domain.name, domain.certificate, self._read(domain))
        except CertificateRefused as error:
            return Listed(domain.name, domain.certificate, None, str(error))

    def _read(self, domain: tls.Domain) -> Certificate:
        return certificates.read(domain, self._clock(), self._settings.sip_tls.expiry_warning_days)

    def _stamps(self) -> dict[Path, tuple[int, int, int]]:
        """What tells a changed file; a missing one has none."""
        found = {}
        for path in self._copies.values():
            with contextlib.suppress(OSError):
                state = path.stat()
                found[path] = (state.st_ino, state.st_size, state.st_mtime_ns)
        return found


@contextlib.asynccontextmanager
async def kept_fresh(settings: Settings, run: Path) -> AsyncIterator[None]:
    """While the edge runs its certificates follow their files; afterwards no copy of a key is left. For the process
    that starts Kamailio: it may read the originals, and write what Kamailio reads."""
    kept = Certificates(settings, run)
    every_s = settings.sip_tls.reload_poll_s
    task = asyncio.create_task(kept.watch(every_s), name="certificates") if kept.listed() and every_s else None
    try:
        yield
    finally:
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        kamailio.wipe_files(run / name for name in tls.copies(tls.domains(settings)))
