"""CertificateService: what the SIP edge shows to its TLS peers."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from google.protobuf.timestamp_pb2 import Timestamp

from appliance.api.who import who
from appliance.config import tls_words
from appliance.errors import InvalidRequest
from srtpgw.v1 import certificates_pb2

if TYPE_CHECKING:
    from appliance.sip_edge.certificates import Certificate
    from appliance.sip_edge.management.certificates import Certificates, Listed


class CertificateServicer:
    """Has every method of the service: registering it fails otherwise."""

    def __init__(self, certificates: Certificates) -> None:
        self._certificates = certificates

    async def ListCertificates(
        self, request: certificates_pb2.ListCertificatesRequest, context: Any
    ) -> certificates_pb2.ListCertificatesResponse:
        found = await asyncio.to_thread(self._certificates.listed)
        return certificates_pb2.ListCertificatesResponse(certificates=map(_listed, found))

    async def ReloadCertificates(
        self, request: certificates_pb2.ReloadCertificatesRequest, context: Any
    ) -> certificates_pb2.ReloadCertificatesResponse:
        done = await self._certificates.reload(who(context))
        return certificates_pb2.ReloadCertificatesResponse(
            certificates=map(_certificate, done.certificates), live=done.live
        )

    async def ListCiphers(
        self, request: certificates_pb2.ListCiphersRequest, context: Any
    ) -> certificates_pb2.ListCiphersResponse:
        text = request.ciphers if request.HasField("ciphers") else self._certificates.ciphers
        try:
            found = tls_words.expand(text)
        except ValueError as error:
            raise InvalidRequest(str(error), "ciphers") from None
        return certificates_pb2.ListCiphersResponse(ciphers=text, expansion=map(_cipher, found))


def _listed(one: Listed) -> certificates_pb2.Certificate:
    if one.certificate is None:
        return certificates_pb2.Certificate(domain=one.domain, file=str(one.file), why=one.why)
    return _certificate(one.certificate)


def _certificate(one: Certificate) -> certificates_pb2.Certificate:
    return certificates_pb2.Certificate(
        domain=one.domain, file=str(one.file), subject=one.subject, issuer=one.issuer, names=one.names,
        not_before=Timestamp(seconds=int(one.not_before)), not_after=Timestamp(seconds=int(one.not_after)),
        days_left=one.days_left(time.time()), fingerprint=one.fingerprint, chain=one.chain, warnings=one.warnings,
    )  # fmt: skip


def _cipher(one: dict[str, Any]) -> certificates_pb2.Cipher:
    return certificates_pb2.Cipher(
        name=one["name"], protocol=one["protocol"], bits=one["strength_bits"],
        description=" ".join(one["description"].split()),
    )  # fmt: skip
