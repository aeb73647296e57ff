"""What interoperability engineers try with a gateway that speaks DTLS-SRTP: Jitsi's offers as captured, the servers of
OpenSSL and GnuTLS, re-INVITEs that keep an association or want another one. Ports 31760-31899."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.appliance.processes import media_port, rtp
from tests.system.dtls_calls import AVP, House, house, our_port, talk
from tests.system.dtls_peers import program
from tests.system.dtls_phone import DtlsPhone
from tests.system.test_dtls_calls import ICE_LINES, check

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]
FIXTURES = Path(__file__).resolve().parents[1] / "vectors" / "sdp_reference"
TIMEOUT_S = 3
BAD = {"FINGERPRINT_MISMATCH", "HANDSHAKE_FAILED", "FAILED"}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    settings = f"[dtls]\ntimeout_s = {TIMEOUT_S}\n"
    with house(tmp_path_factory.mktemp("dtls"), 31760, (31770, 31899), more=settings) as built:
        yield built
        assert "Traceback" not in built.box.log and '"level": "error"' not in built.box.log


@pytest.fixture(autouse=True)
def phones(gateway: House) -> Iterator[None]:
    yield
    gateway.close_phones()


def sha1(phone: DtlsPhone) -> str:
    return f"sha-1 {phone.certificate.fingerprint(hashes.SHA1()).hex(':').upper()}"


# ---------------------------------------------------------------- Jitsi


def jitsi(name: str, phone: DtlsPhone, keep: str = "") -> str:
    """Its offer as captured, with address, port and certificate of the phone. `keep`: of its m-lines those of this
    profile."""
    text = (FIXTURES / f"{name}.sdp").read_text().replace("\r\n", "\n")
    front, *media = re.split(r"^(?=m=)", text, flags=re.MULTILINE)
    text = front + "".join(one for one in media if keep in one.partition("\n")[0])
    text = re.sub(r"IN IP4 \S+", f"IN IP4 {phone.host}", text)
    text = re.sub(r"^(m=\S+) \d+", rf"\1 {phone.port}", text, flags=re.MULTILINE)
    return re.sub(r"fingerprint:.*", f"fingerprint:{sha1(phone)}", text).replace("\n", "\r\n")


FORMS = [
    ("04_jitsi_invite_four_mlines_same_port", "", "UDP/TLS/RTP/SAVP", 4),
    ("02_jitsi_dtls_and_savpf_dotted", "", "UDP/TLS/RTP/SAVP", 2),
    ("02_jitsi_dtls_and_savpf_dotted", "RTP/SAVPF", "RTP/SAVPF", 1),
    ("04_jitsi_invite_four_mlines_same_port", "RTP/SAVPF", "RTP/SAVPF", 1),
]


@pytest.mark.row("D03", "D05", "D07", "DTLS-5")
@pytest.mark.parametrize(("fixture", "keep", "protocol", "count"), FORMS)
def test_jitsi(gateway: House, fixture: str, keep: str, protocol: str, count: int) -> None:
    """Both forms, where SHA-1 is taken: one m-line is answered, by DTLS alone, with our SHA-256; its handshake is
    checked against SHA-1, and media flows. RTP and RTCP are apart: it offers no rtcp-mux."""
    phone, plain = gateway.phone("passive"), gateway.plain()
    name, offered = gateway.offer(jitsi(fixture, phone, keep), protocol=AVP, rtcp_mux=[], DTLS_reverse=["sha1"])
    answered = gateway.answer(name, plain.answer(offered))
    lines = re.findall(r"^m=audio (\d+) (\S+)", answered, re.MULTILINE)
    assert len(lines) == count
    assert [profile for port, profile in lines if port != "0"] == [protocol]
    live = next(
        one for one in re.split(r"^(?=m=)", answered, flags=re.MULTILINE)[1:] if not one.startswith("m=audio 0")
    )
    assert "a=setup:active" in live and "a=fingerprint:sha-256 " in live and "a=crypto" not in live
    where = ("127.0.0.1", int(live.split()[1]))
    phone.handshake(None)
    talk(plain, phone, media_port(offered), where)
    leg = gateway.get(name).streams[0].a
    assert f"{leg.dtls.fingerprint_hash} {leg.dtls.fingerprint}" == sha1(phone)
    gateway.end(name)


@pytest.mark.row("D03", "DTLS-5")
def test_jitsi_where_sha_1_is_not_taken(gateway: House) -> None:
    """What it has besides is taken instead: its keys in SDP; what has nothing else is refused."""
    phone, plain = gateway.phone("passive"), gateway.plain()
    only = jitsi(FORMS[1][0], phone)
    reply = gateway.ng.ask("offer", call_id="sha-1", from_tag="a", sdp=only, transport_protocol=AVP)
    assert reply["result"] == "error" and "sha-1 only" in reply["error-reason"]
    gateway.events.wait("sha-1", "FAILED")
    name, offered = gateway.offer(jitsi(FORMS[0][0], phone), protocol=AVP)
    answered = gateway.answer(name, plain.answer(offered))
    assert "a=fingerprint" not in answered and "a=crypto:" in answered
    gateway.end(name)


# ---------------------------------------------------------------- under plain RTP


@pytest.mark.row("D13")
@pytest.mark.parametrize("word", [[], ["accept"]], ids=["not taken", "taken"])
def test_a_fingerprint_under_plain_rtp(gateway: House, word: list[str]) -> None:
    """RFC 8643: taken up where that is wanted, and then nothing passes in the clear; else it is plain RTP."""
    phone, plain = gateway.phone("passive"), gateway.plain()
    opportunistic = phone.sdp(setup="actpass").replace("UDP/TLS/RTP/SAVP", AVP)
    name, offered = gateway.offer(opportunistic, protocol=AVP, OSRTP=word)
    answered = gateway.answer(name, plain.sdp())
    to_phone = our_port(answered)
    assert f"m=audio {to_phone[1]} {AVP} 0" in answered and ("a=fingerprint" in answered) is bool(word)
    if word:
        plain.send(rtp(1), media_port(offered))
        phone.handshake(None)
        assert all(data[0] >> 6 != 2 for data, _ in phone.heard)
        talk(plain, phone, media_port(offered), to_phone)
    else:
        plain.send(rtp(1), media_port(offered))
        phone.socket.settimeout(2)
        assert phone.socket.recv(2048) == rtp(1)
    gateway.end(name)


# ---------------------------------------------------------------- servers of other makers


def served(gateway: House, folder: Path, words: Callable[[int, str], list[str]], up: str) -> tuple[str, DtlsPhone]:
    """A call whose answerer is passive, and a program; `words` of its port and of a file with certificate and key."""
    phone, plain = gateway.phone("passive"), gateway.plain()
    pem = written(phone, folder)
    phone.socket.close()  # the program has its port for a while
    with program(words(phone.port, pem)) as wait:
        wait(up)
        name, _ = gateway.offer(plain.sdp())
        gateway.answer(name, phone.sdp())
        gateway.wait(lambda: {"KEYED", *BAD} & set(gateway.events.of(name)))
    return name, phone


def written(phone: DtlsPhone, folder: Path) -> str:
    """A file with its certificate and key."""
    pem = folder / "phone.pem"
    key = phone.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pem.write_bytes(phone.certificate.public_bytes(Encoding.PEM) + key)
    return str(pem)


def s_server(*more: str) -> Callable[[int, str], list[str]]:
    return lambda port, pem: ["openssl", "s_server", "-dtls1_2", "-accept", f"127.0.0.1:{port}", "-Verify", "0",
                              "-cert", pem, "-key", pem, *more]  # fmt: skip


def gnutls_serv(*more: str) -> Callable[[int, str], list[str]]:
    return lambda port, pem: ["gnutls-serv", "--udp", "-p", str(port), "--require-client-cert", "--x509certfile", pem,
                              "--x509keyfile", pem, *more]  # fmt: skip


@pytest.mark.row("D01", "D08", "DTLS-7")
@pytest.mark.parametrize(("words", "up", "suite"), [
    (s_server("-use_srtp", "SRTP_AEAD_AES_256_GCM"), "^ACCEPT", "AEAD_AES_256_GCM"),
    (s_server("-use_srtp", "SRTP_AES128_CM_SHA1_32", "-listen"), "^ACCEPT", "AES_CM_128_HMAC_SHA1_32"),
    (gnutls_serv("--srtp-profiles", "SRTP_AES128_CM_HMAC_SHA1_80"), "on IPv4", "AES_CM_128_HMAC_SHA1_80"),
], ids=["openssl", "openssl with cookies", "gnutls with cookies"])  # fmt: skip
def test_servers(gateway: House, tmp_path: Path, words: Callable[[int, str], list[str]], up: str, suite: str) -> None:
    """We are active; `test_dtls_calls` has OpenSSL's client."""
    name, phone = served(gateway, tmp_path, words, up)
    leg = gateway.get(name).streams[0].b
    assert (leg.dtls.state, leg.dtls.role, leg.dtls.suite) == ("keyed", "client", suite)
    assert f"{leg.dtls.fingerprint_hash} {leg.dtls.fingerprint}" == phone.fingerprint
    gateway.end(name)


@pytest.mark.row("D08", "D6", "DTLS-7")
def test_a_server_without_srtp(gateway: House, tmp_path: Path) -> None:
    """Told with the end of its handshake, and the call ends; it takes one connection at a time, so a second ClientHello
    would wait for half a minute."""
    name, _ = served(gateway, tmp_path, s_server(), "^ACCEPT")
    assert "no_profile" in gateway.events.wait(name, "HANDSHAKE_FAILED").reason
    gateway.events.wait(name, "FAILED")


# ---------------------------------------------------------------- roles that nobody may have


@pytest.mark.row("D02", "D2", "DTLS-1")
@pytest.mark.parametrize(
    ("setup", "in_answer"), [("holdconn", False), ("both", False), ("actpass", True), ("holdconn", True)]
)
def test_roles_that_nobody_may_have(gateway: House, setup: str, in_answer: bool) -> None:
    """Refused; the event says so, and those who watch hear of what comes after it."""
    phone, plain = gateway.phone(), gateway.plain()
    if in_answer:
        name, _ = gateway.offer(plain.sdp())
        reply = gateway.ng.ask("answer", call_id=name, from_tag="a", to_tag="b", sdp=phone.sdp(setup=setup))
        gateway.end(name)
    else:
        name = f"role-{setup}"
        sdp = phone.sdp(setup=setup)
        reply = gateway.ng.ask("offer", call_id=name, from_tag="a", sdp=sdp, transport_protocol=AVP)
        gateway.events.wait(name, "FAILED")
    assert reply["result"] == "error" and "a=setup" in reply["error-reason"]
    after, _ = gateway.offer(plain.sdp())
    gateway.events.wait(after, "CREATED")
    gateway.end(after)


# ---------------------------------------------------------------- ringing


@pytest.mark.row("D01", "DTLS-1", "DTLS-2")
def test_a_call_that_rings_for_long(gateway: House) -> None:
    """Who offered cannot take part in a handshake before it has our answer: until then none begins and none is missed,
    with ICE or without, whoever is to be the client; then it takes place."""
    ringing = []
    for setup in ("passive", "active"):
        for ice in (False, True):
            phone, plain = gateway.phone(setup), gateway.plain()
            words = {"ICE": "remove", "ICE_reverse": "accept"} if ice else {}
            sdp = phone.sdp(setup="actpass" if setup == "passive" else "active", more=ICE_LINES if ice else "")
            name, offered = gateway.offer(sdp, protocol=AVP, **words)
            ringing.append((name, phone, plain, offered, ice))
    time.sleep(TIMEOUT_S + 1.5)
    for name, phone, plain, offered, ice in ringing:
        assert gateway.events.of(name) == ["CREATED"]
        phone.step(None)
        assert phone.heard == [] and not phone._connection.get_peer_finished()
        answered = gateway.answer(name, plain.sdp())
        to_phone = our_port(answered)
        assert ("a=ice-ufrag" in answered) is ice
        if ice:
            check(phone.socket, answered)
        phone.handshake(to_phone if phone.setup == "active" else None)
        talk(plain, phone, media_port(offered), to_phone)
        gateway.end(name)


# ---------------------------------------------------------------- later


def keyed(gateway: House, setup: str) -> tuple[str, DtlsPhone, object, int, tuple[str, int]]:
    phone, plain = gateway.phone(setup), gateway.plain()
    name, offered = gateway.offer(plain.sdp())
    answered = gateway.answer(name, phone.sdp())
    phone.handshake(our_port(offered) if setup == "active" else None)
    talk(plain, phone, media_port(answered), our_port(offered))
    return name, phone, plain, media_port(answered), our_port(offered)


@pytest.mark.row("D12", "DTLS-13")
@pytest.mark.parametrize("setup", ["active", "passive"])
@pytest.mark.parametrize("word", ["actpass", "the same"])
def test_a_re_invite_keeps_the_association(gateway: House, setup: str, word: str) -> None:
    """The phone's own, from the same port with the same certificate, and ours: no record of a handshake comes, media
    goes on under the keys."""
    name, phone, plain, to_plain, to_phone = keyed(gateway, setup)
    phone.settle(to_phone, 0.2)
    connection, seen = phone._connection, []
    phone.push = lambda data: seen.append(data) or connection.bio_write(data)  # type: ignore[method-assign]
    again = phone.sdp(setup="actpass" if word == "actpass" else setup)
    gateway.offer(again, call_id=name, protocol=AVP, tag="b", to_tag="a")
    answered = gateway.answer(name, plain.sdp(), tags=("b", "a"))  # type: ignore[attr-defined]
    assert f"a=setup:{'passive' if setup == 'active' else 'active'}" in answered
    gateway.offer(plain.sdp(), call_id=name, to_tag="b")  # type: ignore[attr-defined]
    gateway.answer(name, phone.sdp())
    phone.settle(to_phone, 0.3)
    talk(plain, phone, to_plain, to_phone, first=100)  # type: ignore[arg-type]
    assert seen == []
    leg = gateway.get(name).streams[0].b
    assert leg.dtls.state == "keyed" and len(leg.receive_also) == 0
    gateway.end(name)


@pytest.mark.row("D12", "D2", "DTLS-14")
@pytest.mark.parametrize("setup", ["active", "passive"])
def test_another_role_on_the_old_transport(gateway: House, setup: str) -> None:
    """In an offer it is refused and the call goes on as it was; an answer to ours may have it, and gets a handshake the
    other way round."""
    name, phone, plain, to_plain, to_phone = keyed(gateway, setup)
    other = "passive" if setup == "active" else "active"
    words = {"call_id": name, "from_tag": "b", "to_tag": "a", "transport_protocol": AVP}
    reply = gateway.ng.ask("offer", sdp=phone.sdp(setup=other), **words)
    assert reply["result"] == "error" and "another role" in reply["error-reason"]
    talk(plain, phone, to_plain, to_phone, first=50)  # type: ignore[arg-type]
    gateway.offer(plain.sdp(), call_id=name, to_tag="b")  # type: ignore[attr-defined]
    gateway.answer(name, phone.sdp(setup=other))
    talk(plain, phone, to_plain, to_phone, first=100)  # type: ignore[arg-type]
    phone.setup = other
    phone.begin()
    phone.handshake(to_phone if other == "active" else None)
    role = "server" if other == "active" else "client"
    gateway.wait(lambda: gateway.get(name).streams[0].b.dtls.role == role)
    talk(plain, phone, to_plain, to_phone, first=150)  # type: ignore[arg-type]
    gateway.end(name)


@pytest.mark.row("D5", "DTLS-17")
def test_renegotiation_in_mid_call(gateway: House, tmp_path: Path) -> None:
    """`openssl s_client` asks for it, under the keys of its association: nothing is answered, nothing changes."""
    phone, plain = gateway.phone(), gateway.plain()
    pem = written(phone, tmp_path)
    name, offered = gateway.offer(plain.sdp())
    gateway.answer(name, phone.sdp())
    phone.socket.close()
    host, port = our_port(offered)
    words = ["openssl", "s_client", "-dtls1_2", "-connect", f"{host}:{port}", "-bind", f"127.0.0.1:{phone.port}",
             "-use_srtp", "SRTP_AEAD_AES_128_GCM", "-cert", pem, "-key", pem]  # fmt: skip
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as client:
        gateway.events.wait(name, "KEYED")
        assert client.stdin is not None
        client.stdin.write(b"R\n")
        client.stdin.flush()
        time.sleep(0.5)
        client.kill()
        out, _ = client.communicate()
    assert b"RENEGOTIATING" in out
    assert not BAD & set(gateway.events.of(name))
    assert gateway.get(name).streams[0].b.dtls.state == "keyed"
    gateway.end(name)
