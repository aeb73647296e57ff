"""DTLS-SRTP with the programs of OpenSSL and GnuTLS, both ways: the keys that they export are those that we install."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from appliance.calls.media import DtlsMedia, LocalCertificate
from appliance.protocols.dtls import certificates, fingerprints
from appliance.protocols.dtls.outputs import Failed, KeysReady, Reason
from tests.system import dtls_peers
from tests.system.dtls_peers import HOST, Files, OnSocket, program

pytestmark = [pytest.mark.system, pytest.mark.row("D01", "D08", "D09", "DTLS-7", "DTLS-8", "DTLS-17")]

PORTS = count(31000)
LABEL = "EXTRACTOR-dtls_srtp"
# OpenSSL's name, GnuTLS's (empty: it has none), ours, octets of key and salt
PROFILES = [
    ("SRTP_AES128_CM_SHA1_80", "SRTP_AES128_CM_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_80", 16, 14),
    ("SRTP_AES128_CM_SHA1_32", "SRTP_AES128_CM_HMAC_SHA1_32", "AES_CM_128_HMAC_SHA1_32", 16, 14),
    ("SRTP_AEAD_AES_128_GCM", "", "AEAD_AES_128_GCM", 16, 12),
    ("SRTP_AEAD_AES_256_GCM", "", "AEAD_AES_256_GCM", 32, 12),
]
OF_GNUTLS = [profile for profile in PROFILES if profile[1]]
NOW = datetime.now(UTC)
OURS = certificates.make(NOW)
ROOT = dtls_peers.rsa_certificate(4096)
BETWEEN = dtls_peers.certificate(rsa.generate_private_key(65537, 2048), ROOT)
PEERS = {
    "ec": certificates.make(NOW), "rsa": dtls_peers.rsa_certificate(2048),
    "p-384": dtls_peers.certificate(ec.generate_private_key(ec.SECP384R1())),
    "ed25519": dtls_peers.certificate(ed25519.Ed25519PrivateKey.generate()),
    "chain": dtls_peers.certificate(ec.generate_private_key(ec.SECP256R1()), BETWEEN),
}  # fmt: skip
ISSUERS = {"chain": (BETWEEN.certificate, ROOT.certificate)}
OTHERS = [kind for kind in PEERS if kind not in ("ec", "rsa")]


@pytest.fixture(scope="module", autouse=True)
def programs() -> None:
    if missing := dtls_peers.missing():
        pytest.skip(f"not installed: {', '.join(missing)}")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Files]:
    folder = tmp_path_factory.mktemp("dtls")
    return {name: Files(folder, name, own, ISSUERS.get(name, ())) for name, own in PEERS.items()}


def wish(active: bool, peer: LocalCertificate, *suites: str, legacy: bool = False) -> DtlsMedia:
    return DtlsMedia("1", OURS, active, (fingerprints.of(peer.certificate),), suites, legacy)


def keys_of(event: KeysReady | Failed) -> KeysReady:
    assert isinstance(event, KeysReady), event
    return event


class Background:
    """`OnSocket.run` beside a program that has to be started after it."""

    def __init__(self, end: OnSocket) -> None:
        self._found: list[KeysReady | Failed] = []
        self._thread = threading.Thread(target=lambda: self._found.append(end.run()))
        self._thread.start()

    def event(self) -> KeysReady | Failed:
        self._thread.join()
        assert self._found, "it ended without an event"
        return self._found[0]


def s_client(port: int, files: Files, profile: str, octets: int, *more: str) -> list[str]:
    return ["openssl", "s_client", "-dtls1_2", "-connect", f"{HOST}:{port}", "-use_srtp", profile,
            *presented(files), "-keymatexport", LABEL, "-keymatexportlen", str(octets), *more]  # fmt: skip


def presented(files: Files) -> list[str]:
    """s_client and s_server leave out who issued it unless they are told."""
    chain = ["-cert_chain", str(files.issuers)] if files.issuers else []
    return ["-cert", str(files.certificate), "-key", str(files.key), *chain]


def s_server(port: int, files: Files, profile: str, octets: int, *more: str) -> list[str]:
    return ["openssl", "s_server", "-dtls1_2", "-accept", f"{HOST}:{port}", "-use_srtp", profile, "-Verify", "0",
            *presented(files), "-keymatexport", LABEL, "-keymatexportlen", str(octets), *more]  # fmt: skip


@pytest.mark.parametrize("cookie", [False, True], ids=["plain", "cookie"])
@pytest.mark.parametrize("kind", ["ec", "rsa"])
@pytest.mark.parametrize(("profile", "suite", "key", "salt"), [(p[0], *p[2:]) for p in PROFILES])
def test_openssl_calls(
    files: dict[str, Files], profile: str, suite: str, key: int, salt: int, kind: str, cookie: bool
) -> None:
    port = next(PORTS)
    ours = Background(OnSocket(wish(False, PEERS[kind]), port, cookie=cookie))
    with program(s_client(port, files[kind], profile, 2 * (key + salt))) as wait:
        exported = bytes.fromhex(wait("Keying material: ([0-9A-F]+)"))
        found = keys_of(ours.event())
    client, server = dtls_peers.split(exported, key, salt)
    assert (found.suite, dtls_peers.pair(found.receive), dtls_peers.pair(found.send)) == (suite, client, server)


@pytest.mark.parametrize("listen", [[], ["-listen"]], ids=["plain", "cookie"])
@pytest.mark.parametrize(("profile", "suite", "key", "salt"), [(p[0], *p[2:]) for p in PROFILES])
def test_we_call_openssl(
    files: dict[str, Files], profile: str, suite: str, key: int, salt: int, listen: list[str]
) -> None:
    port, own = next(PORTS), next(PORTS)
    with program(s_server(port, files["ec"], profile, 2 * (key + salt), *listen)) as wait:
        wait("^ACCEPT")
        found = keys_of(OnSocket(wish(True, PEERS["ec"]), own, to=port).run())
        exported = bytes.fromhex(wait("Keying material: ([0-9A-F]+)"))
    client, server = dtls_peers.split(exported, key, salt)
    assert (found.suite, dtls_peers.pair(found.send), dtls_peers.pair(found.receive)) == (suite, client, server)


@pytest.mark.parametrize("cookie", [False, True], ids=["plain", "cookie"])
@pytest.mark.parametrize(("profile", "suite", "key", "salt"), [p[1:] for p in OF_GNUTLS])
def test_gnutls_calls(files: dict[str, Files], profile: str, suite: str, key: int, salt: int, cookie: bool) -> None:
    port = next(PORTS)
    ours = Background(OnSocket(wish(False, PEERS["ec"]), port, cookie=cookie))
    with program(gnutls_cli(port, files["ec"], profile, 2 * (key + salt))) as wait:
        exported = bytes.fromhex(wait("Key material: ([0-9a-f]+)"))
        found = keys_of(ours.event())
    client, server = dtls_peers.split(exported, key, salt)
    assert (found.suite, dtls_peers.pair(found.receive), dtls_peers.pair(found.send)) == (suite, client, server)


@pytest.mark.parametrize("cookie", [["--nocookie"], []], ids=["plain", "cookie"])
@pytest.mark.parametrize(("profile", "suite", "key", "salt"), [p[1:] for p in OF_GNUTLS])
def test_we_call_gnutls(
    files: dict[str, Files], tmp_path: Path, profile: str, suite: str, key: int, salt: int, cookie: list[str]
) -> None:
    """Over UDP gnutls-serv prints no keys; it writes its master secret down, of which they are made."""
    port, own = next(PORTS), next(PORTS)
    written = tmp_path / "keys"
    end = OnSocket(wish(True, PEERS["ec"]), own, to=port)
    with program(gnutls_serv(port, files["ec"], profile, *cookie), SSLKEYLOGFILE=str(written)) as wait:
        wait("listening on IPv4")
        found = keys_of(end.run())
    assert found.suite == suite
    assert found.peer == fingerprints.of(PEERS["ec"].certificate)
    _, random, master = written.read_text().split()
    server_hello = next(data for data in end.datagrams if data[13] == 2)
    randoms = bytes.fromhex(random) + server_hello[27:59]
    exported = dtls_peers.exported(bytes.fromhex(master), randoms, 2 * (key + salt))
    client, server = dtls_peers.split(exported, key, salt)
    assert (dtls_peers.pair(found.send), dtls_peers.pair(found.receive)) == (client, server)


# ---------------------------------------------------------------- certificates of every kind


@pytest.mark.row("D04", "DTLS-3", "DTLS-4")
@pytest.mark.parametrize("kind", OTHERS)
def test_certificates_of_clients(files: dict[str, Files], kind: str) -> None:
    """Also one with its issuers: the peer's own counts, nobody asks who signed it."""
    port, other = next(PORTS), next(PORTS)
    ours = Background(OnSocket(wish(False, PEERS[kind]), port, cookie=True))
    with program(s_client(port, files[kind], "SRTP_AEAD_AES_128_GCM", 56)) as wait:
        exported = bytes.fromhex(wait("Keying material: ([0-9A-F]+)"))
        assert dtls_peers.pair(keys_of(ours.event()).receive) == dtls_peers.split(exported, 16, 12)[0]
    ours = Background(OnSocket(wish(False, PEERS[kind]), other))
    with program(gnutls_cli(other, files[kind], OF_GNUTLS[0][1], 60)):
        keys_of(ours.event())


@pytest.mark.row("D04", "DTLS-3", "DTLS-4")
@pytest.mark.parametrize("kind", OTHERS)
def test_certificates_of_servers(files: dict[str, Files], kind: str) -> None:
    port, own, other = next(PORTS), next(PORTS), next(PORTS)
    if kind != "ed25519":  # OpenSSL has no cipher for it as a server of DTLS, towards itself neither
        with program(s_server(port, files[kind], "SRTP_AEAD_AES_128_GCM", 56)) as wait:
            wait("^ACCEPT")
            found = keys_of(OnSocket(wish(True, PEERS[kind]), own, to=port).run())
            exported = bytes.fromhex(wait("Keying material: ([0-9A-F]+)"))
        assert dtls_peers.pair(found.send) == dtls_peers.split(exported, 16, 12)[0]
    with program(gnutls_serv(other, files[kind], OF_GNUTLS[0][1])) as wait:
        wait("listening on IPv4")
        keys_of(OnSocket(wish(True, PEERS[kind]), next(PORTS), to=other).run())


# ---------------------------------------------------------------- what does not come about


def ends_with(reason: Reason, wanted: DtlsMedia, words: list[str], port: int) -> None:
    """No keys, and the association says why."""
    ours = Background(OnSocket(wanted, port))
    with program(words):
        event = ours.event()
    assert isinstance(event, Failed)
    assert event.reason == reason, event


@pytest.mark.row("D03", "DTLS-4")
def test_another_certificate(files: dict[str, Files]) -> None:
    """D1: the peer hears an alert, nobody has keys."""
    port = next(PORTS)
    ours = Background(OnSocket(wish(False, OURS), port))
    with program(s_client(port, files["ec"], "SRTP_AEAD_AES_128_GCM", 56)) as wait:
        wait("alert (unknown ca|bad certificate)")
        event = ours.event()
    assert isinstance(event, Failed)
    assert event.reason == Reason.FINGERPRINT_MISMATCH


@pytest.mark.row("DTLS-3")
def test_no_certificate(files: dict[str, Files]) -> None:
    port = next(PORTS)
    words = s_client(port, files["ec"], "SRTP_AEAD_AES_128_GCM", 56)
    at = words.index("-cert")
    ends_with(Reason.NO_CERTIFICATE, wish(False, PEERS["ec"]), words[:at] + words[at + 4 :], port)


def test_no_use_srtp(files: dict[str, Files]) -> None:
    """D6."""
    port = next(PORTS)
    words = s_client(port, files["ec"], "", 56)
    at = words.index("-use_srtp")
    ends_with(Reason.NO_PROFILE, wish(False, PEERS["ec"]), words[:at] + words[at + 2 :], port)


@pytest.mark.parametrize("profile", ["SRTP_NULL_HMAC_SHA1_80", "SRTP_NULL_SHA1_32"])
def test_null_profile(files: dict[str, Files], profile: str) -> None:
    """DTLS-18, D6: GnuTLS offers one without encryption, and nothing else."""
    port = next(PORTS)
    words = gnutls_cli(port, files["ec"], profile, 60)
    ends_with(Reason.NO_PROFILE, wish(False, PEERS["ec"], "NULL_HMAC_SHA1_80", "AEAD_AES_128_GCM"), words, port)


def test_no_extended_master_secret(files: dict[str, Files]) -> None:
    """D7; a legacy trunk takes it (RFC 7627)."""
    port, other = next(PORTS), next(PORTS)
    priority = "NORMAL:%NO_SESSION_HASH"
    words = gnutls_cli(port, files["ec"], OF_GNUTLS[0][1], 60, priority)
    ends_with(Reason.NO_MASTER_SECRET, wish(False, PEERS["ec"]), words, port)
    ours = Background(OnSocket(wish(False, PEERS["ec"], legacy=True), other))
    with program(gnutls_cli(other, files["ec"], OF_GNUTLS[0][1], 60, priority)):
        keys_of(ours.event())


def test_dtls_1_0(files: dict[str, Files]) -> None:
    """D7; a legacy trunk takes it."""
    port, other = next(PORTS), next(PORTS)
    priority = "NORMAL:-VERS-ALL:+VERS-DTLS1.0:%NO_SESSION_HASH"
    words = gnutls_cli(port, files["ec"], OF_GNUTLS[0][1], 60, priority)
    ends_with(Reason.VERSION, wish(False, PEERS["ec"]), words, port)
    ours = Background(OnSocket(wish(False, PEERS["ec"], legacy=True), other))
    with program(gnutls_cli(other, files["ec"], OF_GNUTLS[0][1], 60, priority)):
        keys_of(ours.event())


def test_short_key(tmp_path: Path) -> None:
    """D7: RSA-1024."""
    short = dtls_peers.rsa_certificate(1024)
    files = Files(tmp_path, "short", short)
    port, other = next(PORTS), next(PORTS)
    words = s_client(port, files, "SRTP_AEAD_AES_128_GCM", 56, "-cipher", "DEFAULT@SECLEVEL=0")
    ends_with(Reason.WEAK_CERTIFICATE, wish(False, short), words, port)
    ours = Background(OnSocket(wish(False, short, legacy=True), other))
    with program(s_client(other, files, "SRTP_AEAD_AES_128_GCM", 56, "-cipher", "DEFAULT@SECLEVEL=0")):
        keys_of(ours.event())


@pytest.mark.parametrize("cipher", ["ECDHE-ECDSA-AES128-SHA", "AES128-GCM-SHA256", "NULL-SHA256:@SECLEVEL=0"])
def test_no_cipher_of_ours(files: dict[str, Files], cipher: str) -> None:
    """D7, DTLS-17: no CBC, no key exchange without forward secrecy, no NULL."""
    port = next(PORTS)
    words = s_client(port, files["ec"], "SRTP_AEAD_AES_128_GCM", 56, "-cipher", cipher)
    ends_with(Reason.CIPHER, wish(False, PEERS["ec"]), words, port)


@pytest.mark.row("D11")
def test_small_datagrams(files: dict[str, Files]) -> None:
    """MTU 576 on both sides: RSA certificates take several datagrams, none longer than what fits."""
    port = next(PORTS)
    end = OnSocket(wish(False, PEERS["rsa"]), port, mtu=548)
    ours = Background(end)
    with program(s_client(port, files["rsa"], "SRTP_AEAD_AES_128_GCM", 56, "-mtu", "548")) as wait:
        exported = bytes.fromhex(wait("Keying material: ([0-9A-F]+)"))
        found = keys_of(ours.event())
    assert dtls_peers.pair(found.receive) == dtls_peers.split(exported, 16, 12)[0]
    assert len(end.sent) >= 2 and max(map(len, end.sent)) <= 548
    assert len(end.datagrams) >= 4 and max(map(len, end.datagrams)) <= 548


@pytest.mark.row("D11")
@pytest.mark.parametrize("cookie", [False, True], ids=["plain", "cookie"])
def test_a_hello_in_fragments(files: dict[str, Files], cookie: bool) -> None:
    """As long as a browser's with post-quantum keys, and three certificates, in datagrams of 300 octets."""
    port = next(PORTS)
    end = OnSocket(wish(False, PEERS["chain"]), port, cookie=cookie)
    ours = Background(end)
    names = ",".join(f"{number:040}" for number in range(20))
    words = s_client(port, files["chain"], "SRTP_AEAD_AES_128_GCM", 56, "-mtu", "300", "-alpn", names)
    with program(words) as wait:
        exported = bytes.fromhex(wait("Keying material: ([0-9A-F]+)"))
        found = keys_of(ours.event())
    assert dtls_peers.pair(found.receive) == dtls_peers.split(exported, 16, 12)[0]
    assert len([data for data in end.datagrams if data[13] == 1]) >= (8 if cookie else 4)
    assert max(map(len, end.datagrams)) <= 272


def gnutls_serv(port: int, files: Files, profile: str, *more: str) -> list[str]:
    return ["gnutls-serv", "--udp", *more, "-p", str(port), "--srtp-profiles", profile, "--require-client-cert",
            "--x509certfile", str(files.certificate), "--x509keyfile", str(files.key)]  # fmt: skip


def gnutls_cli(port: int, files: Files, profile: str, octets: int, priority: str = "NORMAL") -> list[str]:
    return ["gnutls-cli", "--udp", "--insecure", "--srtp-profiles", profile, "--x509certfile", str(files.certificate),
            "--x509keyfile", str(files.key), "--keymatexport", LABEL, "--keymatexportsize", str(octets),
            "--priority", priority, "-p", str(port), HOST]  # fmt: skip
