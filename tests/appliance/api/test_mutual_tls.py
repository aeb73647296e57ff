"""TCP: nobody without a certificate of ours, and nobody beyond the role it names."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from appliance.api.server import ApiServer
from appliance.config.grpc import Grpc
from srtpgw.v1 import calls_pb2, calls_pb2_grpc, system_pb2, system_pb2_grpc
from tests.appliance.api.fake_calls import FakeCalls
from tests.appliance.api.faults import refused

PORT = 24020
PEM = serialization.Encoding.PEM


class Authority:
    """A certificate authority in memory that writes PEM files."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        certificate = self._builder(self._name, self._key).add_extension(constraints, critical=True)
        self.certificate = certificate.sign(self._key, hashes.SHA256()).public_bytes(PEM)
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(self.certificate)

    def issue(self, name: str, *names: x509.GeneralName) -> tuple[bytes, bytes]:
        """Key and certificate, PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        builder = self._builder(subject, key).add_extension(x509.SubjectAlternativeName(names), critical=False)
        secret = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return secret, builder.sign(self._key, hashes.SHA256()).public_bytes(PEM)

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return x509.CertificateBuilder(
            issuer_name=self._name, subject_name=subject, public_key=key.public_key(),
            serial_number=x509.random_serial_number(), not_valid_before=now - datetime.timedelta(minutes=5),
            not_valid_after=now + datetime.timedelta(hours=1),
        )  # fmt: skip


@pytest.fixture
async def authority(calls: FakeCalls, tmp_path: Path) -> AsyncIterator[Authority]:
    """The server's own, with the server running on loopback."""
    authority = Authority(tmp_path, "ours")
    key, certificate = authority.issue("gateway", x509.DNSName("localhost"))
    (tmp_path / "key.pem").write_bytes(key)
    (tmp_path / "certificate.pem").write_bytes(certificate)
    settings = Grpc(
        listen=f"127.0.0.1:{PORT}", key=tmp_path / "key.pem", certificate=tmp_path / "certificate.pem",
        client_ca=authority.file,
    )  # fmt: skip
    server = ApiServer(calls, settings, tmp_path / "control.sock")
    await server.start()
    yield authority
    await server.stop(0)


def _channel(authority: Authority, issuer: Authority | None, role: str = "") -> grpc.aio.Channel:
    key = certificate = None
    if issuer is not None:
        names = [x509.UniformResourceIdentifier(f"spiffe://example/srtpgw/role/{role}")] if role else []
        key, certificate = issuer.issue("client", x509.DNSName("client"), *names)
    credentials = grpc.ssl_channel_credentials(authority.certificate, key, certificate)
    options = [("grpc.ssl_target_name_override", "localhost")]
    return grpc.aio.secure_channel(f"127.0.0.1:{PORT}", credentials, options=options)


async def test_roles_of_certificates(authority: Authority) -> None:
    denied = grpc.StatusCode.PERMISSION_DENIED
    offer = calls_pb2.OfferRequest(call_id="c", from_tag="f", sdp="v=0\r\n")
    for role, expected in (("viewer", (True, False, False)), ("operator", (True, True, False)), ("admin", (True,) * 3)):
        async with _channel(authority, authority, role) as channel:
            calls, system = calls_pb2_grpc.CallServiceStub(channel), system_pb2_grpc.SystemServiceStub(channel)
            for allowed, method, request in zip(
                expected,
                (calls.List, calls.Offer, system.Drain),
                (calls_pb2.ListCallsRequest(), offer, system_pb2.DrainRequest()),
                strict=True,
            ):
                if allowed:
                    await method(request, timeout=5)
                else:
                    found = await refused(method(request, timeout=5))
                    assert (found.code, found.reason) == (denied, "PERMISSION_DENIED")
            await system.Resume(system_pb2.ResumeRequest()) if role == "admin" else None


async def test_certificate_without_role_may_nothing(authority: Authority) -> None:
    async with _channel(authority, authority) as channel:
        found = await refused(calls_pb2_grpc.CallServiceStub(channel).List(calls_pb2.ListCallsRequest(), timeout=5))
        assert found.code is grpc.StatusCode.PERMISSION_DENIED


async def test_no_or_foreign_certificate_gets_no_connection(authority: Authority, tmp_path: Path) -> None:
    for issuer in (None, Authority(tmp_path, "foreign")):
        async with _channel(authority, issuer, "admin") as channel:
            found = await refused(calls_pb2_grpc.CallServiceStub(channel).List(calls_pb2.ListCallsRequest(), timeout=5))
            assert found.code is grpc.StatusCode.UNAVAILABLE


async def test_plaintext_gets_no_connection(authority: Authority) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{PORT}") as channel:
        found = await refused(calls_pb2_grpc.CallServiceStub(channel).List(calls_pb2.ListCallsRequest(), timeout=5))
        assert found.code is grpc.StatusCode.UNAVAILABLE
