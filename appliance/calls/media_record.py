"""IceMedia, DtlsMedia and Bundled to JSON-compatible values and back. They hold passwords and private keys: whoever
stores them wraps them first."""

from __future__ import annotations

from base64 import b64decode
from binascii import b2a_base64
from typing import Any

from appliance.calls.media import Bundled, DtlsMedia, Fingerprint, IceCredentials, IceMedia, LocalCertificate


def text(octets: bytes) -> str:
    """As base64."""
    return b2a_base64(octets, newline=False).decode("ascii")


def ice_out(ice: IceMedia) -> list[Any]:
    return [
        _credentials_out(ice.local),
        None if ice.remote is None else _credentials_out(ice.remote),
        ice.lite,
        ice.controlling,
        [_credentials_out(one) for one in ice.earlier],
        list(ice.candidates),
        ice.complete,
    ]


def ice_in(value: list[Any]) -> IceMedia:
    local, remote, lite, controlling, earlier, candidates, complete = value
    return IceMedia(
        IceCredentials(*local),
        None if remote is None else IceCredentials(*remote),
        bool(lite),
        bool(controlling),
        tuple(IceCredentials(*one) for one in earlier),
        tuple(map(str, candidates)),
        bool(complete),
    )


def dtls_out(dtls: DtlsMedia) -> list[Any]:
    return [
        dtls.association,
        certificate_out(dtls.certificate),
        dtls.active,
        fingerprints_out(dtls.fingerprints),
        list(dtls.suites),
        dtls.legacy,
    ]


def dtls_in(value: list[Any]) -> DtlsMedia:
    association, certificate, active, fingerprints, suites, legacy = value
    return DtlsMedia(
        str(association),
        certificate_in(certificate),
        active,
        fingerprints_in(fingerprints),
        tuple(map(str, suites)),
        bool(legacy),
    )


def bundle_out(bundle: Bundled) -> list[Any]:
    return [bundle.carrier, bundle.member, bundle.mid, list(bundle.payload_types), bundle.extension]


def bundle_in(value: list[Any]) -> Bundled:
    carrier, member, mid, payload_types, extension = value
    return Bundled(int(carrier), bool(member), str(mid), tuple(map(int, payload_types)), int(extension))


def certificate_out(certificate: LocalCertificate) -> list[str]:
    return [text(certificate.certificate), text(certificate.key)]


def certificate_in(value: list[str]) -> LocalCertificate:
    return LocalCertificate(*map(b64decode, value))


def fingerprints_out(fingerprints: tuple[Fingerprint, ...]) -> list[list[str]]:
    return [[one.hash, one.value.hex()] for one in fingerprints]


def fingerprints_in(value: list[list[str]]) -> tuple[Fingerprint, ...]:
    return tuple(Fingerprint(hash, bytes.fromhex(octets)) for hash, octets in value)


def _credentials_out(credentials: IceCredentials) -> list[str]:
    return [credentials.ufrag, credentials.pwd]
