"""What no single row can say about TLS and WebSocket of the SIP edge."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.config.faults import Severity
from appliance.config.finding import Finding

if TYPE_CHECKING:
    from appliance.config.positions import Path as Where
    from appliance.config.schema import Settings

SECURE, WEBSOCKET = ("tls", "wss"), ("ws", "wss")
FILES = ("certificate", "key", "client_ca", "ca", "crl")


def sip_tls(settings: Settings) -> Iterator[Finding]:
    if not settings.sip.enabled:
        return
    yield from _default(settings)
    yield from _domains(settings)
    yield from _peers(settings)
    yield from _unverified(settings)
    yield from _websocket(settings)
    yield from _usable(settings)


def _default(settings: Settings) -> Iterator[Finding]:
    tls = settings.sip_tls
    if tls.verify_client in ("optional", "require") and settings.sip.client_ca is None:
        yield Finding(("sip_tls", "verify_client"), "needs sip.client_ca", "whose certificates are taken?")
    if tls.crl is not None and settings.sip.client_ca is None:
        yield Finding(("sip_tls", "crl"), "needs sip.client_ca")
    yield from _files(("sip_tls",), {"crl": tls.crl})


def _domains(settings: Settings) -> Iterator[Finding]:
    taken: set[tuple[str, str]] = set()
    for place, row in enumerate(settings.sip_tls_domains):
        where: Where = ("sip_tls_domains", place)
        if settings.sip.certificate is None or settings.sip.key is None:
            yield Finding(where, "needs sip.certificate and sip.key: those of clients that ask for another name")
        if row.listen is not None and row.listen not in settings.sip.listen:
            yield Finding((*where, "listen"), f"{row.listen} is not in sip.listen")
        elif row.listen is not None and row.listen.transport not in SECURE:
            yield Finding((*where, "listen"), f"{row.listen} has no TLS")
        key = (row.server_name, str(row.listen or ""))
        if key in taken:
            yield Finding((*where, "server_name"), f"{row.server_name} is already taken there")
        taken.add(key)
        if row.verify_client in ("optional", "require") and row.client_ca is None and settings.sip.client_ca is None:
            yield Finding((*where, "verify_client"), "needs client_ca", "whose certificates are taken?")
        if row.crl is not None and row.client_ca is None and settings.sip.client_ca is None:
            yield Finding((*where, "crl"), "needs client_ca")
        yield from _files(where, {name: getattr(row, name, None) for name in FILES})


def _peers(settings: Settings) -> Iterator[Finding]:
    names = {trunk.name for trunk in settings.trunks}
    taken: set[str] = set()
    for place, row in enumerate(settings.sip_tls_peers):
        where: Where = ("sip_tls_peers", place)
        if row.trunk not in names:
            yield Finding((*where, "trunk"), f"there is no trunk {row.trunk!r}")
        if row.trunk in taken:
            yield Finding((*where, "trunk"), f"{row.trunk!r} has a row already")
        taken.add(row.trunk)
        if (row.certificate is None) != (row.key is None):
            missing = "key" if row.key is None else "certificate"
            yield Finding((*where, missing), "must be given too", "certificate and key belong together")
        if row.names and row.ca is None and settings.sip.client_ca is None:
            yield Finding((*where, "names"), "prove nothing without ca", "anybody can write a name into a certificate")
        yield from _files(where, {name: getattr(row, name, None) for name in FILES})


def _unverified(settings: Settings) -> Iterator[Finding]:
    """A next hop over TLS of which nothing is checked."""
    if settings.sip.client_ca is not None:
        return
    checked = [network for peer in settings.sip_tls_peers if peer.ca is not None
               for trunk in settings.trunks if trunk.name == peer.trunk for network in trunk.match]  # fmt: skip
    for place, trunk in enumerate(settings.trunks):
        uri = trunk.destination.lower()
        secure = uri.startswith("sips:") or "transport=tls" in uri
        if secure and not any(str(network.network_address) in uri for network in checked):
            yield Finding(
                ("trunks", place, "destination"), "whoever answers there is taken for it: no certificate is checked",
                "sip.client_ca, or ca in [[sip_tls_peers]] of the trunk that is called", Severity.WARNING,
            )  # fmt: skip


def _websocket(settings: Settings) -> Iterator[Finding]:
    for place, socket in enumerate(settings.sip.listen):
        if socket.transport == "ws" and not socket.at.loopback:
            yield Finding(("sip", "listen", place), f"{socket}: SIP and its keys in the clear",
                          "wss, or a proxy that ends TLS on this machine", Severity.WARNING)  # fmt: skip
    for place, trunk in enumerate(settings.trunks):
        if trunk.listen is not None and trunk.listen.transport in WEBSOCKET:
            yield Finding(("trunks", place, "listen"), f"{trunk.listen}: nobody is called over a new WebSocket",
                          "browsers connect, we answer (RFC 7118)")  # fmt: skip


def _files(where: Where, files: dict[str, Path | None]) -> Iterator[Finding]:
    for name, path in files.items():
        if path is not None and not path.is_file():
            yield Finding((*where, name), f"{path} is not there")
        elif path is not None and name == "key" and path.stat().st_mode & 0o007:
            yield Finding((*where, name), f"{path} can be read by everybody", f"chmod o= {path}")


def _usable(settings: Settings) -> Iterator[Finding]:
    """What Kamailio would stumble over, in words. One whose dates do not hold is a warning: a gateway that does not
    start at all is worse."""
    from appliance.sip_edge import certificates
    from appliance.sip_edge.areas import tls

    told = set()
    for domain in tls.domains(settings):
        if any(not path.is_file() for path in domain.files().values()):
            continue  # told already
        where: Where = ("sip", "certificate") if domain.certificate == settings.sip.certificate else _row(domain)
        texts: tuple[str, ...]
        try:
            found = certificates.read(domain, time.time(), settings.sip_tls.expiry_warning_days)
        except certificates.CertificateRefused as error:
            texts, severity = (str(error),), Severity.WARNING if error.dates else Severity.ERROR
        else:
            texts, severity = tuple(f"{found.file}: {text}" for text in found.warnings), Severity.WARNING
        for text in texts:
            if text not in told:
                yield Finding(where, text, severity=severity)
            told.add(text)


def _row(domain: object) -> Where:
    title = getattr(domain, "title", "")
    return ("sip_tls_peers",) if title.startswith("client") else ("sip_tls_domains",)
