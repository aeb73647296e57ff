"""TLS of the SIP edge: which certificates, versions and authorities count for which connections (rows J01 to J05, H14,
H15).

Kamailio calls them domains (its tls.cfg). Facts of 5.6.3 that this file is built on, each seen on the wire:

* The last domain that is written for an address is the one that a connection begins with; by a server name (SNI)
  another one takes its place, with its certificate, ciphers and client authorities, but not its versions. So versions
  are the same everywhere, and every address with domains of its own gets the default ones last.
* Two domains of one address need two server names, so that default one is called DEFAULT_NAME there.
* A name that no domain has: `server:default`.
* No word for TLS 1.3 alone: OpenSSL's own configuration says it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from appliance.config import tls_words
from appliance.config.schema import Settings
from appliance.config.sip_tls import SipTlsDomain, SipTlsPeer
from appliance.sip_edge.areas.area import Area, Places, Value
from appliance.sip_edge.ksr.rules.tls_peer import TlsPeer, TlsRules

FOLDER = "tls"  # private copies of certificates and keys, in the run directory
CONFIG = "tls.cfg"
DEFAULT_NAME = "default.invalid"  # RFC 2606: nobody asks for it
OPENSSL_1_3 = (
    "openssl_conf = all\n[all]\nssl_conf = ssl\n[ssl]\nsystem_default = floor\n[floor]\nMinProtocol = TLSv1.3\n"
)
OPENSSL_CONFIG = "openssl.cnf"
EXACT, BELOW = 0, 2  # server_name_mode
SILENT_S = 10  # a peer that does not finish its connection, or does not take what we send
STRANGER_S = 60  # how long nothing is sent to an address whose certificate had the wrong names
FILES = ("certificate", "key", "ca", "crl")


@dataclass(frozen=True)
class Domain:
    """One section of tls.cfg; the files are the operator's own."""

    title: str  # server:default, server:any, server:ADDRESS:PORT, client:any, client:default
    name: str  # in lists: default, the server name, or the trunk
    certificate: Path
    key: Path
    ca: Path | None = None  # authorities of the other side; None: nothing is verified
    crl: Path | None = None
    ciphers: str = ""
    verify: bool = False
    require: bool = False
    server_name: str = ""
    below: bool = False  # the names below server_name instead of it
    server_id: str = ""

    def files(self) -> dict[str, Path]:
        """The operator's files by kind."""
        return {kind: path for kind in FILES if (path := getattr(self, kind)) is not None}


def area(settings: Settings, places: Places) -> Area:
    """Nothing without a certificate."""
    found = domains(settings)
    if not found:
        return Area()
    alone = _method(settings) == tls_words.ANY
    files = {CONFIG: tls_cfg(found, settings, places.run)}
    if alone:
        files[OPENSSL_CONFIG] = OPENSSL_1_3
    return Area(
        modules=("tls",),
        parameters=tuple(_parameters(settings, places.run)),
        globals=tuple(_globals(settings)),
        files=files,
        copies=copies(found),
        environment={"OPENSSL_CONF": str(places.run / OPENSSL_CONFIG)} if alone else {},
    )


def rules(settings: Settings) -> TlsRules:
    """What the routing script has to know."""
    peers = tuple(TlsPeer(peer.trunk, peer.server_name, peer.names) for peer in settings.sip_tls_peers)
    return TlsRules(peers)


def domains(settings: Settings) -> tuple[Domain, ...]:
    """Every domain in the order of tls.cfg; none without sip.certificate and sip.key."""
    sip, tls = settings.sip, settings.sip_tls
    if sip.certificate is None or sip.key is None:
        return ()
    verify, require = _verification(tls.verify_client, sip.client_ca)
    default = Domain("server:default", "default", sip.certificate, sip.key, sip.client_ca, tls.crl, sip.tls_ciphers,
                     verify, require)  # fmt: skip
    client = replace(default, title="client:default", name="outbound", verify=default.ca is not None,
                     require=default.ca is not None)  # fmt: skip
    named = tuple(_named(row, default) for row in settings.sip_tls_domains)
    peers = tuple(_peer(row, client) for row in settings.sip_tls_peers)
    return (default, *named, *_address_defaults(named, default), client, *peers)


def copies(found: tuple[Domain, ...]) -> dict[str, Path]:
    """Name in the run directory -> the operator's file."""
    return {copy_name(place, kind): path for place, domain in enumerate(found) for kind, path in domain.files().items()}


def copy_name(place: int, kind: str) -> str:
    return f"{FOLDER}/{place}-{kind}.pem"


def tls_cfg(found: tuple[Domain, ...], settings: Settings, run: Path) -> str:
    """The whole of tls.cfg; the files are those in the run directory."""
    versions = tls_words.versions(settings.sip.tls_versions)
    return "\n".join(
        line for place, domain in enumerate(found) for line in _section(place, domain, versions, _method(settings), run)
    )


def _section(place: int, domain: Domain, versions: tuple[str, ...], method: str, run: Path) -> Iterator[str]:
    yield f"[{domain.title}]"
    yield f"method = {method}"
    words = {"certificate": "certificate", "key": "private_key", "ca": "ca_list", "crl": "crl"}
    for kind in domain.files():
        yield f"{words[kind]} = {_quoted(run / copy_name(place, kind))}"
    yield f"verify_certificate = {_yes(domain.verify)}"
    yield f"require_certificate = {_yes(domain.require)}"
    ciphers = tls_words.openssl_ciphers(domain.ciphers, versions)
    if ciphers:
        yield f"cipher_list = {_quoted(ciphers)}"
    if domain.server_name:
        yield f"server_name = {_quoted(domain.server_name)}"
        yield f"server_name_mode = {BELOW if domain.below else EXACT}"
    if domain.server_id:
        yield f"server_id = {_quoted(domain.server_id)}"
    yield ""


def _named(row: SipTlsDomain, default: Domain) -> Domain:
    ca = row.client_ca or default.ca
    crl = row.crl or (default.crl if row.client_ca is None else None)
    verify, require = _verification(row.verify_client, ca)
    return Domain(
        title=f"server:{row.listen.at}" if row.listen else "server:any",
        name=row.server_name, certificate=row.certificate, key=row.key, ca=ca, crl=crl,
        ciphers=row.tls_ciphers or default.ciphers, verify=verify, require=require,
        server_name=row.server_name.removeprefix("*."), below=row.server_name.startswith("*."),
    )  # fmt: skip


def _address_defaults(named: tuple[Domain, ...], default: Domain) -> Iterator[Domain]:
    for title in dict.fromkeys(domain.title for domain in named if domain.title != "server:any"):
        yield replace(default, title=title, server_name=DEFAULT_NAME)


def _peer(row: SipTlsPeer, client: Domain) -> Domain:
    pair = (row.certificate, row.key) if row.certificate and row.key else (client.certificate, client.key)
    ca = row.ca or client.ca
    return replace(
        client, title="client:any", name=f"to {row.trunk}",
        certificate=pair[0], key=pair[1],
        ca=ca, crl=row.crl or (client.crl if row.ca is None else None), verify=ca is not None, require=ca is not None,
        server_name=f"{row.trunk.lower()}.trunk.invalid", server_id=row.trunk,
    )  # fmt: skip


def _verification(word: str, ca: Path | None) -> tuple[bool, bool]:
    """(verify, require) of a server domain."""
    if ca is None or word == "off":
        return False, False
    return True, word in ("auto", "require")


def _method(settings: Settings) -> str:
    return tls_words.kamailio_method(tls_words.versions(settings.sip.tls_versions))


def _globals(settings: Settings) -> Iterator[tuple[str, Value]]:
    yield "enable_tls", "yes"
    yield "tls_max_connections", settings.sip_tls.max_connections
    yield "tcp_connect_timeout", SILENT_S
    yield "tcp_send_timeout", SILENT_S


def _parameters(settings: Settings, run: Path) -> Iterator[tuple[str, str, Value]]:
    yield "tls", "config", str(run / CONFIG)
    yield "tls", "xavp_cfg", "tls"  # where the script says which domain and which name a new connection has
    yield "tls", "connection_timeout", settings.sip_tls.handshake_s  # the script gives idle_s to those that are of use
    yield "tls", "send_close_notify", 1
    yield "htable", "htable", f"tlsstrangers=>size=6;autoexpire={STRANGER_S};"


def _quoted(value: object) -> str:
    text = str(value)
    if '"' in text or "\n" in text or "\\" in text:
        raise ValueError(f"not possible in Kamailio's tls.cfg: {text!r}")
    return f'"{text}"'


def _yes(value: bool) -> str:
    return "yes" if value else "no"
