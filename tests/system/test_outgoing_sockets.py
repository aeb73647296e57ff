"""An edge with several addresses: TCP and TLS leave by the one that faces the next hop, by the trunk's own, or by the
one that the destination names (rows J01, O23, P08). All in a namespace whose loopback has two networks, each with an
address of the edge."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator

import pytest

from tests.system import lab as labs
from tests.system.certificates import Authority
from tests.system.kamailio_rig import running
from tests.system.name_server import NameServer
from tests.system.targets import HOST, Caller, Gateway
from tests.system.tls_peers import TlsPeer

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

PORT, TLS, OWN, TCP, PEER, CALLER = 34040, 34042, 34043, 34044, 34045, 34046
EAST, WEST = "10.79.1.", "10.79.2."
NAME = "sbc.example.net"  # of the peer `by-name`, whom no other trunk's network is around
SOCKETS = [f"udp:{HOST}:{PORT}", f"tls:{EAST}1:{TLS}", f"tls:{WEST}1:{TLS}", f"tls:{WEST}1:{OWN}", f"tcp:{EAST}1:{TCP}",
           f"tcp:{WEST}1:{TCP}"]  # fmt: skip
# Peers by name: address, transport, the trunk's own sockets.
PEERS = {
    "east": (f"{EAST}5", "tls", []),
    "west": (f"{WEST}5", "tls", []),
    "plain": (f"{WEST}6", "tcp", []),
    "own": (f"{WEST}7", "tls", [SOCKETS[3]]),
    "by-name": (f"{WEST}10", "tls", [SOCKETS[3]]),
    "named": (f"{WEST}8", "tls", []),
    "next": (f"{WEST}9", "tls", []),
}  # fmt: skip
CALLERS = {name: f"127.0.0.{number}" for number, name in enumerate((*PEERS, "set"), 50)}


@pytest.fixture(scope="module")
def island(sip_programs: None) -> Iterator[None]:
    if missing := labs.available():
        pytest.skip(missing)
    with labs.island("sockets"):
        for network in (EAST, WEST):
            for words in (["address", "add", f"{network}1/32", "dev", "lo"],
                          ["route", "add", "local", f"{network}0/24", "dev", "lo", "src", f"{network}1", "table",
                           "local"]):  # fmt: skip
                subprocess.run(["ip", *words], check=True, capture_output=True, timeout=10)
        yield


@pytest.fixture(scope="module")
def peers(island: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, TlsPeer]]:
    """Each is called by what comes from its own caller; the set has `named`, with a socket in the other network, which
    refuses all calls, and after it `next`."""
    place = tmp_path_factory.mktemp("sockets")
    authority = Authority(place / "ca")
    own = authority.issue(f"{EAST}1")
    made = {name: TlsPeer(PEER, authority.issue(host) if transport == "tls" else None, host=host)
            for name, (host, transport, _) in PEERS.items()}  # fmt: skip
    made["named"].invite = 500
    uris = {name: f"sip:{host}:{PEER};transport={transport}" for name, (host, transport, _) in PEERS.items()}
    uris["by-name"] = f"sip:{NAME}:{PEER};transport=tls"
    names = NameServer(NAME, PEERS["by-name"][0])
    listed = place / "dispatcher.list"
    listed.write_text(f"1 {uris['named']} 0 9 socket=tls:{EAST}1:{TLS}\n1 {uris['next']} 0 5\n")
    trunks = [{"name": name, "match": [f"{host}/32"], "sockets": sockets, "uri": uris[name]}
              for name, (host, _, sockets) in PEERS.items()]  # fmt: skip
    trunks += [{"name": f"from-{name}", "match": [f"{host}/32"], "destination": uris.get(name, "set:1")}
               for name, host in CALLERS.items()]  # fmt: skip
    gateway = Gateway(PORT + 1)
    sip = {"listen": SOCKETS, "certificate": str(own.chain), "key": str(own.key)}
    watch = {"list_file": str(listed), "ds_ping_interval": 1, "ds_probing_mode": 1}
    with running(place, PORT, sip=sip, trunks=trunks, sip_dispatcher=watch,
                 destination_sets=[{"id": 1, "algorithm": 8}]):  # fmt: skip
        yield made
    for one in (gateway, names, *made.values()):
        one.close()


def called(name: str) -> None:
    """A call that comes from the peer's own caller, answered and ended."""
    caller = Caller.__new__(Caller)
    caller.port, caller.edge = CALLER, (HOST, PORT)
    caller._link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    caller._link.bind((CALLERS[name], CALLER))
    try:
        call = caller.call()
        assert call.status == 200, call.reply
        assert call.ask("INFO", "text/plain", "") == 200
        call.hang_up()
    finally:
        caller.close()


def vias(peer: TlsPeer, *methods: str) -> set[str]:
    """Our address and port as it reads them."""
    return {found[1] for message in peer.heard if message.startswith(methods)
            and (found := re.search(r"^Via: SIP/2.0/\w+ ([^;]+);", message, re.MULTILINE))}  # fmt: skip


@pytest.mark.row("J01", "P08")
@pytest.mark.parametrize(
    ("name", "ours"),
    [("east", f"{EAST}1:{TLS}"), ("west", f"{WEST}1:{TLS}"), ("plain", f"{WEST}1:{TCP}"), ("own", f"{WEST}1:{OWN}"),
     ("by-name", f"{WEST}1:{OWN}")],
)
def test_the_socket_that_faces_the_next_hop(peers: dict[str, TlsPeer], name: str, ours: str) -> None:
    """The whole dialog, over one connection, and no header names another address of ours. A next hop that is a name is
    the trunk's whose URI has it."""
    peer = peers[name]
    for _ in range(2):
        called(name)
    labs.wait_for(lambda: peer.methods().count("BYE") == 2, 5, f"BYE did not come: {peer.methods()}")
    assert sorted(peer.methods()) == sorted(["INVITE", "ACK", "INFO", "BYE"] * 2)
    assert vias(peer, "INVITE", "ACK", "INFO", "BYE") == {ours}
    assert peer.sources == [ours.partition(":")[0]]
    other = EAST if ours.startswith(WEST) else WEST
    assert not [message for message in peer.heard if other in message]


@pytest.mark.row("O23", "O32")
def test_a_destination_names_its_socket_and_the_next_one_does_not(peers: dict[str, TlsPeer]) -> None:
    """The attribute holds for that destination alone, for calls and pings."""
    called("set")
    named, following = peers["named"], peers["next"]
    assert vias(named, "INVITE") == {f"{EAST}1:{TLS}"}
    assert vias(following, "INVITE", "ACK", "INFO") == {f"{WEST}1:{TLS}"}
    for peer, ours in ((named, EAST), (following, WEST)):
        labs.wait_for(lambda peer=peer: "OPTIONS" in peer.methods(), 5, "no ping")  # type: ignore[misc]
        assert vias(peer, "OPTIONS") == {f"{ours}1:{TLS}"}
        assert set(peer.sources) == {f"{ours}1"}
