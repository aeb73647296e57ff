"""TLS of the SIP edge on the wire: versions, server names, client certificates, reload (rows J01-J05)."""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.config import tls_words
from appliance.sip_edge.management.certificates import Certificates
from appliance.sip_edge.rpc import SOCKET, Rpc
from tests.system import kamailio_rig as rig
from tests.system.certificates import Authority, Certificate
from tests.system.kamailio_rig import Edge, Phone, running
from tests.system.targets import HOST

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

PORT, TLS, MUTUAL = 29800, 29802, 29812
REFERENCE_CIPHERS = "ALL:!ADH:!LOW:!EXP:!MD5:@STRENGTH"  # row H15


@dataclass(frozen=True)
class Lab:
    edge: Edge
    authority: Authority
    place: Path


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Three names on one port: [sip]'s own, and two by SNI."""
    place = tmp_path_factory.mktemp("tls")
    authority = Authority(place / "ca")
    default, alpha, beta = (authority.issue(name) for name in (HOST, "alpha.example", "beta.example"))
    sip = {"listen": [f"udp:{HOST}:{PORT}", f"tls:{HOST}:{TLS}"], "certificate": str(default.chain),
           "key": str(default.key), "tls_ciphers": REFERENCE_CIPHERS}  # fmt: skip
    domains = [{"server_name": name, "certificate": str(one.chain), "key": str(one.key)}
               for name, one in (("alpha.example", alpha), ("*.beta.example", beta))]  # fmt: skip
    with running(place, PORT, sip=sip, sip_tls_domains=domains) as edge:
        yield Lab(edge, authority, place)


def trusting(authority: Authority, own: Certificate | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.own.chain))
    if own is not None:
        context.load_cert_chain(own.chain, own.key)
    return context


def connected(context: ssl.SSLContext, name: str = HOST, port: int = TLS) -> ssl.SSLSocket:
    link = socket.create_connection((HOST, port), timeout=3)
    return context.wrap_socket(link, server_hostname=name)


def asked(link: ssl.SSLSocket, port: int = TLS) -> str:
    """The first line of the answer to an OPTIONS; "" when the connection ends instead."""
    with Phone(port) as phone:
        message = phone.request().replace("SIP/2.0/UDP", "SIP/2.0/TLS")
    link.sendall(message.encode())
    try:
        return link.recv(65535).decode().split("\r\n")[0]
    except (ssl.SSLError, ConnectionError):
        return ""


def subject(link: ssl.SSLSocket) -> str:
    certificate = link.getpeercert()
    assert certificate is not None
    return dict(pair[0] for pair in certificate["subject"])["commonName"]  # type: ignore[misc,index]


def test_a_request_over_tls_by_one_connection(lab: Lab) -> None:
    """J01, J03: handshake, the certificate names us, the cipher is of the list; the connection is used again."""
    with connected(trusting(lab.authority)) as link:
        assert link.version() in ("TLSv1.2", "TLSv1.3")
        assert asked(link).startswith("SIP/2.0 200")
        assert asked(link).startswith("SIP/2.0 200")
        cipher = link.cipher()
    shown = subprocess.run(["openssl", "ciphers", REFERENCE_CIPHERS], capture_output=True, text=True, check=True).stdout
    assert cipher is not None and cipher[0] in shown.strip().split(":")


def offering(version: str) -> subprocess.CompletedProcess[str]:
    words = ["openssl", "s_client", "-connect", f"{HOST}:{TLS}", f"-{version}", "-cipher", "ALL:@SECLEVEL=0"]
    return subprocess.run(words, input="", capture_output=True, text=True, timeout=10, check=False)


@pytest.mark.parametrize("version", ["tls1", "tls1_1"])
def test_old_versions_are_refused_with_an_alert(lab: Lab, version: str) -> None:
    """J02: below the minimum -> protocol_version."""
    found = offering(version)
    assert "protocol version" in found.stderr
    assert found.returncode != 0


@pytest.mark.parametrize("version", ["tls1_2", "tls1_3"])
def test_present_versions(lab: Lab, version: str) -> None:
    """J02: the default is 1.2 and above."""
    assert offering(version).returncode == 0


@pytest.mark.parametrize(
    ("name", "expected"),
    [("alpha.example", "alpha.example"), ("phone.beta.example", "beta.example"), ("other.example", HOST)],
)
def test_certificates_by_server_name(lab: Lab, name: str, expected: str) -> None:
    """J04: two certificates on one port, chosen by SNI; an unknown name gets the default one."""
    context = trusting(lab.authority)
    context.check_hostname = False
    with connected(context, name) as link:
        assert subject(link) == expected


@pytest.fixture(scope="module")
def mutual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A port for peers with certificates of our authority only."""
    place = tmp_path_factory.mktemp("mutual")
    authority = Authority(place / "ca")
    own, revoked = authority.issue(HOST), authority.issue("revoked.example")
    sip = {"listen": [f"udp:{HOST}:{MUTUAL - 2}", f"tls:{HOST}:{MUTUAL}"], "certificate": str(own.chain),
           "key": str(own.key), "client_ca": str(authority.own.chain)}  # fmt: skip
    with running(place, MUTUAL - 2, sip=sip, sip_tls={"crl": str(authority.revoke(revoked))}) as edge:
        yield Lab(edge, authority, place)


def answered_with(lab: Lab, own: Certificate | None) -> str:
    """What a peer with this certificate gets; "" for a handshake that fails (TLS 1.3: after its end)."""
    try:
        with connected(trusting(lab.authority, own), port=MUTUAL) as link:
            return asked(link, MUTUAL)
    except (ssl.SSLError, ConnectionError):
        return ""


def test_a_peer_with_a_certificate(mutual: Lab) -> None:
    """J05."""
    assert answered_with(mutual, mutual.authority.issue("peer.example")).startswith("SIP/2.0 200")


def test_peers_without_a_good_certificate(mutual: Lab, tmp_path: Path) -> None:
    """J05: none, over, revoked, of another authority: the handshake fails, and the edge goes on."""
    stranger = Authority(tmp_path / "other").issue("peer.example")
    revoked = Certificate(mutual.place / "ca" / "revoked.example.pem", mutual.place / "ca" / "revoked.example.key")
    over = mutual.authority.issue("over.example", days=0)
    for one in (None, stranger, revoked, over):
        assert answered_with(mutual, one) == ""
    assert answered_with(mutual, mutual.authority.issue("peer2.example")).startswith("SIP/2.0 200")


async def test_a_new_certificate_without_an_end_to_connections(tmp_path: Path) -> None:
    """J01: the old connection goes on and is answered; new ones get the new certificate; a bad file changes nothing."""
    port = 29820
    authority = Authority(tmp_path / "ca")
    own = authority.issue(HOST)
    sip = {"listen": [f"udp:{HOST}:{port}", f"tls:{HOST}:{port + 2}"], "certificate": str(own.chain),
           "key": str(own.key)}  # fmt: skip
    with running(tmp_path, port, sip=sip) as edge:
        kept = Certificates(rig.settings(tmp_path, port, sip=sip), edge.config.run, Rpc(edge.config.run / SOCKET))
        with connected(trusting(authority), port=port + 2) as old:
            assert asked(old, port + 2).startswith("SIP/2.0 200")
            first = old.getpeercert(binary_form=True)
            authority.issue(HOST)  # into the same files
            assert (await kept.reload("test")).live
            with connected(trusting(authority), port=port + 2) as new:
                assert new.getpeercert(binary_form=True) != first
                assert asked(new, port + 2).startswith("SIP/2.0 200")
            assert asked(old, port + 2).startswith("SIP/2.0 200")
        own.chain.write_text("no certificate")
        with pytest.raises(Exception, match="certificate"):
            await kept.reload("test")
        with connected(trusting(authority), port=port + 2) as link:
            assert asked(link, port + 2).startswith("SIP/2.0 200")


def test_the_words_of_the_reference() -> None:
    """J02, H14: sslv2 and sslv3 are refused with the reason; the list of the reference parses."""
    with pytest.raises(ValueError, match=r"refused|SSL"):
        tls_words.versions("sslv3")
    assert tls_words.versions("tlsv1,tlsv1.1,tlsv1.2")
