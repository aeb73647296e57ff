"""Whom the SIP edge connects to over TLS, and what strangers at its TLS sockets can use up (rows J01, J02, J05)."""

from __future__ import annotations

import resource
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.system import lab as labs
from tests.system.certificates import Authority
from tests.system.kamailio_rig import Edge, counted, running
from tests.system.targets import HOST, Caller, Gateway
from tests.system.test_sip_tls import asked, connected, trusting
from tests.system.tls_peers import TlsPeer

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

PORT, CALLER = 29900, 29908
PEER = 29910
ALONE, LEGACY, CROWD, COUNTS = 29920, 29930, 29940, 29950
GOOD, WRONG_NAME, WRONG_AUTHORITY = "127.0.0.31", "127.0.0.32", "127.0.0.33"
CALLERS = {GOOD: "127.0.0.41", WRONG_NAME: "127.0.0.42", WRONG_AUTHORITY: "127.0.0.43"}
NAME = "sbc.example.net"


@dataclass
class Trunks:
    """An edge and the peers that its trunks call, by their addresses."""

    edge: Edge
    peers: dict[str, TlsPeer]

    def call(self, peer: str, patience: float = 5.0) -> int:
        """Status of a call that goes to this peer."""
        caller = Caller.__new__(Caller)
        caller.port, caller.edge = CALLER, (HOST, PORT)
        caller._link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        caller._link.bind((CALLERS[peer], CALLER))
        try:
            made = caller.call(patience=patience)
            if made.status == 200:
                made.hang_up()
            return made.status
        finally:
            caller.close()


@pytest.fixture(scope="module")
def trunks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trunks]:
    """Three trunks of one authority and one name, whose peers have that, another name, and another authority."""
    place = tmp_path_factory.mktemp("peers")
    authority, other = Authority(place / "ca"), Authority(place / "other")
    own, client = authority.issue(HOST), authority.issue("us.example")
    certificates = {GOOD: authority.issue(NAME), WRONG_NAME: authority.issue("mallory.example"),
                    WRONG_AUTHORITY: other.issue(NAME)}  # fmt: skip
    peers = {host: TlsPeer(PEER, one, str(authority.own.chain), host) for host, one in certificates.items()}
    gateway = Gateway(PORT + 1)
    callees = [{"name": f"to{host}", "match": [f"{host}/32"]} for host in peers]
    callers = [{"name": f"from{host}", "match": [f"{CALLERS[host]}/32"],
                "destination": f"sip:{host}:{PEER};transport=tls"} for host in peers]  # fmt: skip
    rows = [{"trunk": f"to{host}", "server_name": NAME, "ca": str(authority.own.chain), "names": [NAME],
             "certificate": str(client.chain), "key": str(client.key)} for host in peers]  # fmt: skip
    sip = {"listen": [f"udp:{HOST}:{PORT}", f"tls:{HOST}:{PORT + 2}"], "certificate": str(own.chain),
           "key": str(own.key), "answer_timeout_ms": 2000}  # fmt: skip
    with running(place, PORT, sip=sip, trunks=[*callees, *callers], sip_tls_peers=rows) as edge:
        yield Trunks(edge, peers)
    gateway.close()
    for peer in peers.values():
        peer.close()


def test_a_peer_that_is_who_it_should_be(trunks: Trunks) -> None:
    """J01, J05: it is asked for by name, is shown our certificate for it, and one connection carries both calls."""
    assert [trunks.call(GOOD), trunks.call(GOOD)] == [200, 200]
    peer = trunks.peers[GOOD]
    labs.wait_for(lambda: peer.methods().count("BYE") == 2, 3, "BYE did not come")
    assert (peer.connections, peer.names, peer.shown) == (1, [NAME], ["us.example"])


def test_a_peer_of_another_authority_hears_nothing(trunks: Trunks) -> None:
    """J01: the handshake fails; no request leaves."""
    assert trunks.call(WRONG_AUTHORITY) >= 400
    assert trunks.peers[WRONG_AUTHORITY].heard == []


def test_a_peer_with_another_name_gets_no_call(trunks: Trunks) -> None:
    """J01, RFC 5922 section 7.3: its answer is not taken, its connection is closed, the next call does not reach it."""
    peer = trunks.peers[WRONG_NAME]
    assert trunks.call(WRONG_NAME) >= 400
    assert peer.methods().count("INVITE") == 1
    assert counted(trunks.edge, "tls_peer_name") >= 1
    assert trunks.call(WRONG_NAME) >= 400
    assert peer.methods().count("INVITE") == 1
    assert trunks.call(GOOD) == 200


def test_handshakes_that_fail_are_counted(tmp_path: Path) -> None:
    """J05: one that fails; not a connection that spoke."""
    authority = Authority(tmp_path / "ca")
    own = authority.issue(HOST)
    sip = {"listen": [f"udp:{HOST}:{COUNTS}", f"tls:{HOST}:{COUNTS + 2}"], "certificate": str(own.chain),
           "key": str(own.key)}  # fmt: skip
    with running(tmp_path, COUNTS, sip=sip) as edge:
        with connected(trusting(authority), port=COUNTS + 2) as good:
            assert asked(good, COUNTS + 2).startswith("SIP/2.0 200")
        labs.wait_for(lambda: held(edge) == 0, 5, "the connection is not closed")
        assert counted(edge, "tls_unused") == 0
        with socket.create_connection((HOST, COUNTS + 2)) as bad:
            bad.sendall(b"GET / HTTP/1.0\r\n\r\n")
            bad.settimeout(5)
            while bad.recv(4096):  # an alert, then the end
                pass
        labs.wait_for(lambda: counted(edge, "tls_unused") == 1, 5, "not counted")


def versions(port: int) -> list[str]:
    """Which versions a server takes."""
    words = ["openssl", "s_client", "-connect", f"{HOST}:{port}", "-cipher", "ALL:@SECLEVEL=0"]
    return [version for version in ("tls1", "tls1_1", "tls1_2", "tls1_3")
            if subprocess.run([*words, f"-{version}"], input="", capture_output=True, timeout=10, check=False,
                              text=True).returncode == 0]  # fmt: skip


@pytest.mark.parametrize(
    ("port", "sip", "taken"),
    [
        (ALONE, {"tls_versions": "TLSv1.3+"}, ["tls1_3"]),
        (LEGACY, {"tls_versions": "tlsv1.1,tlsv1.2", "allow_legacy_tls": True}, ["tls1_1", "tls1_2", "tls1_3"]),
    ],
)
def test_versions_that_take_more_than_a_word(
    tmp_path: Path, port: int, sip: dict[str, object], taken: list[str]
) -> None:
    """J02: TLS 1.3 alone, and TLS 1.1 where it was allowed."""
    own = Authority(tmp_path / "ca").issue(HOST)
    table = {"listen": [f"udp:{HOST}:{port}", f"tls:{HOST}:{port + 2}"], "certificate": str(own.chain),
             "key": str(own.key), **sip}  # fmt: skip
    with running(tmp_path, port, sip=table):
        assert versions(port + 2) == taken


def test_connections_that_say_nothing_are_bounded_and_end(tmp_path: Path) -> None:
    """1,000 half-open handshakes: no more than max_connections are held, they are closed after handshake_s, a
    connection that spoke lives on, memory comes back, and others are served."""
    authority = Authority(tmp_path / "ca")
    own = authority.issue(HOST)
    sip = {"listen": [f"udp:{HOST}:{CROWD}", f"tls:{HOST}:{CROWD + 2}"], "certificate": str(own.chain),
           "key": str(own.key)}  # fmt: skip
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    with running(tmp_path, CROWD, sip=sip, sip_tls={"max_connections": 200, "handshake_s": 3}) as edge:
        good = connected(trusting(authority), port=CROWD + 2)
        assert asked(good, CROWD + 2).startswith("SIP/2.0 200")
        before = used(edge)
        crowd = [begun(CROWD + 2) for _ in range(1000)]
        assert held(edge) <= 200
        assert asked(good, CROWD + 2).startswith("SIP/2.0 200")
        labs.wait_for(lambda: held(edge) == 1, 15, "silent connections are not closed")
        with connected(trusting(authority), port=CROWD + 2) as new:
            assert asked(new, CROWD + 2).startswith("SIP/2.0 200")
        assert asked(good, CROWD + 2).startswith("SIP/2.0 200")
        labs.wait_for(lambda: used(edge) - before < 1 << 20, 5, "memory does not come back")
        for link in (good, *crowd):
            link.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def begun(port: int) -> socket.socket:
    """A handshake that stops after the ClientHello's first octets."""
    link = socket.create_connection((HOST, port), timeout=3)
    link.sendall(b"\x16\x03\x01\x02\x00\x01\x00")
    return link


def held(edge: Edge) -> int:
    return int(edge.rpc("tls.info")["opened_connections"])


def used(edge: Edge) -> int:
    """Shared memory in use, octets."""
    return int(edge.rpc("core.shmmem")["real_used"])
