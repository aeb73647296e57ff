"""M13 in the kernel: a holder in a namespace, listeners that stand for Kamailio beside it, sources at the far end."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from kernels.control.commands import BanReply
from kernels.control.plane import MediaPlane
from tests.kernels.rig import drain, endpoint, wait_for
from tests.namespaces import inside
from tests.system.veth import FAR, HERE, Veth, ip
from tests.system.xdp_rig import XdpGateway

pytestmark = [pytest.mark.system, pytest.mark.row("M13"), pytest.mark.timeout(90),
              pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces and BPF")]  # fmt: skip
SIP, OTHER = 28_210, 28_220  # guarded, not guarded
NEIGHBOUR = {4: "10.78.0.3", 6: "fd78::3"}  # a second source at the far end
T = TypeVar("T")


class Listeners:
    """UDP and TCP on the guarded port and beside it, both families."""

    def __init__(self, veth: Veth) -> None:
        self.veth = veth
        self.udp = {(family, port): inside(veth.gateway, lambda f=family, p=port: endpoint(HERE[f], p))
                    for family in (4, 6) for port in (SIP, OTHER)}  # fmt: skip
        self.tcp = {family: inside(veth.gateway, lambda f=family: _tcp(HERE[f])) for family in (4, 6)}

    def hears(self, source: str, port: int = SIP) -> bool:
        """Does a datagram from there arrive?"""
        family = 6 if ":" in source else 4
        drain(self.udp[family, port], 0.01)
        with inside(self.veth.far, lambda: endpoint(source)) as sender:
            sender.sendto(b"OPTIONS", (HERE[family], port))
        return bool(drain(self.udp[family, port], 0.15))

    def connects(self, source: str) -> socket.socket | None:
        """A TCP connection from there, or None."""
        family = 6 if ":" in source else 4
        made = inside(self.veth.far, lambda: socket.socket(socket.AF_INET6 if family == 6 else socket.AF_INET))
        made.settimeout(0.6)
        made.bind((source, 0))
        try:
            made.connect((HERE[family], SIP))
        except OSError:
            made.close()
            return None
        return made

    def accept(self, client: socket.socket) -> socket.socket:
        """Our end of a connection; those of earlier tests are passed over."""
        own = client.getsockname()[:2]
        while True:
            made, peer = self.tcp[6 if ":" in own[0] else 4].accept()
            if peer[:2] == own:
                return made
            made.close()

    def close(self) -> None:
        for one in (*self.udp.values(), *self.tcp.values()):
            one.close()


def _tcp(address: str) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((address, SIP))
    made.listen(16)
    return made


def ask(plane: MediaPlane, say: Callable[[], int]) -> BanReply:
    """Say it, and wait for the answer."""
    ticket = say()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        select.select([plane.fileno()], [], [], 0.2)
        for item in plane.poll():
            if isinstance(item, BanReply) and item.ticket == ticket:
                return item
    raise AssertionError("the holder does not answer")


def ban(plane: MediaPlane, network: str, seconds: float | None = None) -> BanReply:
    return ask(plane, lambda: plane.ban([(ipaddress.ip_network(network), seconds)]))


def unban(plane: MediaPlane, network: str) -> BanReply:
    return ask(plane, lambda: plane.unban([ipaddress.ip_network(network)]))


def dropped(plane: MediaPlane, network: str) -> int:
    return ask(plane, lambda: plane.count_bans([ipaddress.ip_network(network)])).dropped[0]


@pytest.fixture(scope="module")
def veth() -> Iterator[Veth]:
    with Veth() as pair:
        for family, length in ((4, 24), (6, 64)):
            nodad = ["nodad"] if family == 6 else []
            ip("-n", pair.far, "address", "add", f"{NEIGHBOUR[family]}/{length}", "dev", "far", *nodad)
        yield pair


@pytest.fixture(scope="module")
def listeners(veth: Veth) -> Iterator[Listeners]:
    made = Listeners(veth)
    yield made
    made.close()


@contextlib.contextmanager
def holding(veth: Veth, folder: Path, port: str) -> Iterator[XdpGateway]:
    gateway = XdpGateway(veth, folder, port=port)
    try:
        ask(gateway.plane, lambda: gateway.plane.guard_ports([SIP]))
        yield gateway
    finally:
        gateway.plane.close()
        gateway.process.send_signal(signal.SIGTERM)
        gateway.process.wait(10)


@pytest.fixture(scope="module", params=["udp-sockets", "xdp"])
def gateway(
    request: pytest.FixtureRequest, veth: Veth, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[XdpGateway]:
    with holding(veth, tmp_path_factory.mktemp("holder"), request.param) as running:
        means = running.plane.info.ban_means
        assert means == (("xdp", "sk_lookup") if request.param == "xdp" else ("sk_lookup",))
        yield running


@pytest.mark.parametrize("family", [4, 6])
def test_a_banned_source_is_not_heard(gateway: XdpGateway, listeners: Listeners, family: int) -> None:
    """UDP and TCP, both families; its neighbour is; the entry counts; lifted, it is heard at once."""
    plane, source = gateway.plane, FAR[family]
    assert listeners.hears(source)
    assert ban(plane, source).error == ""
    try:
        assert not listeners.hears(source)
        assert dropped(plane, source) == 1
        assert listeners.connects(source) is None
        assert dropped(plane, source) >= 2
        assert listeners.hears(NEIGHBOUR[family])
        allowed = listeners.connects(NEIGHBOUR[family])
        assert allowed is not None
        allowed.close()
        means = "xdp" if "xdp" in plane.info.ban_means else "sk_lookup"
        before = ask(plane, lambda: plane.count_bans([])).total[means]
        assert not listeners.hears(source)
        assert ask(plane, lambda: plane.count_bans([])).total[means] == before + 1
    finally:
        unban(plane, source)
    assert listeners.hears(source)


@pytest.mark.parametrize(("network", "family"), [("10.78.0.2/31", 4), ("fd78::2/127", 6)])
def test_a_banned_network(gateway: XdpGateway, listeners: Listeners, network: str, family: int) -> None:
    """Both sources are in it; one of them alone is counted apart while it is banned by itself too."""
    plane = gateway.plane
    ban(plane, network)
    ban(plane, FAR[family])
    try:
        assert not listeners.hears(FAR[family])
        assert not listeners.hears(NEIGHBOUR[family])
        assert (dropped(plane, FAR[family]), dropped(plane, network)) == (1, 1)
        unban(plane, FAR[family])
        assert not listeners.hears(FAR[family])
        assert dropped(plane, network) == 2
    finally:
        unban(plane, network)
        unban(plane, FAR[family])
    assert listeners.hears(NEIGHBOUR[family])


def test_a_ban_ends_by_itself(gateway: XdpGateway, listeners: Listeners) -> None:
    """A second ban of the same source sets a new end and keeps its counter."""
    plane = gateway.plane
    ban(plane, FAR[4], 600)
    assert not listeners.hears(FAR[4])
    ban(plane, FAR[4], 0.5)
    assert dropped(plane, FAR[4]) == 1
    wait_for(lambda: ask(plane, lambda: plane.count_bans([])).held == 0, 5)
    assert listeners.hears(FAR[4])


@pytest.mark.parametrize("family", [4, 6])
def test_connections_of_a_banned_source_are_ended(gateway: XdpGateway, listeners: Listeners, family: int) -> None:
    """The look-up of sockets does not see them: they are reset; the neighbour's stays."""
    plane = gateway.plane
    bad, good = listeners.connects(FAR[family]), listeners.connects(NEIGHBOUR[family])
    assert bad is not None
    assert good is not None
    served = {FAR[family]: listeners.accept(bad), NEIGHBOUR[family]: listeners.accept(good)}
    closed = ask(plane, lambda: plane.count_bans([])).closed
    ban(plane, FAR[family])
    try:
        wait_for(lambda: ask(plane, lambda: plane.count_bans([])).closed == closed + 1, 5)
        served[FAR[family]].settimeout(2)
        with pytest.raises(ConnectionError):
            served[FAR[family]].recv(1)
        served[NEIGHBOUR[family]].send(b"200")
        assert good.recv(3) == b"200"
        assert ask(plane, lambda: plane.count_bans([])).connections == ""
    finally:
        unban(plane, FAR[family])
        for one in (bad, good, *served.values()):
            one.close()


def test_other_ports_are_not_concerned_without_xdp(veth: Veth, listeners: Listeners, tmp_path: Path) -> None:
    """sk_lookup keeps the SIP ports only (XDP everything); loopback too; with nobody banned nothing is attached."""
    with holding(veth, tmp_path, "udp-sockets") as running:
        assert _links(running.process.pid) == 0
        ban(running.plane, FAR[4])
        assert _links(running.process.pid) == 1
        assert not listeners.hears(FAR[4])
        assert listeners.hears(FAR[4], OTHER)
        ban(running.plane, HERE[4])
        local = inside(veth.gateway, lambda: endpoint(HERE[4]))
        drain(listeners.udp[4, SIP], 0.01)
        local.sendto(b"OPTIONS", (HERE[4], SIP))
        assert drain(listeners.udp[4, SIP], 0.15) == []
        local.close()
        unban(running.plane, HERE[4])
        unban(running.plane, FAR[4])
        assert _links(running.process.pid) == 0


def test_control_and_holder_come_back(veth: Veth, listeners: Listeners, tmp_path: Path) -> None:
    """Bans outlive the control process; a new holder has none until control says them again; a new control process
    ends what it does not name."""
    with holding(veth, tmp_path, "udp-sockets") as first:
        ban(first.plane, FAR[4])
        ban(first.plane, NEIGHBOUR[4])
        first.plane.close()
        assert not listeners.hears(FAR[4])
        second = MediaPlane.attach(str(tmp_path / "media.sock"))
        ask(second, second.begin_bans)
        ban(second, FAR[4])
        assert ask(second, second.end_bans).held == 1
        assert listeners.hears(NEIGHBOUR[4])
        assert not listeners.hears(FAR[4])
        second.close()
    assert listeners.hears(FAR[4])
    with holding(veth, tmp_path, "udp-sockets") as again:
        assert listeners.hears(FAR[4])
        ban(again.plane, FAR[4])
        assert not listeners.hears(FAR[4])


def test_without_the_right_the_holder_says_so(veth: Veth, listeners: Listeners, tmp_path: Path) -> None:
    """No CAP_BPF: media works, `ban_why` has the reason, nothing is dropped here (Kamailio's table is all there is)."""
    prefix = ("setpriv", "--bounding-set=-bpf,-sys_admin", "--inh-caps=-bpf,-sys_admin")
    running = XdpGateway(veth, tmp_path, prefix, port="udp-sockets")
    try:
        plane = running.plane
        assert plane.info.ban_means == ()
        assert "no sk_lookup" in plane.info.ban_why
        assert "not permitted" in plane.info.ban_why
        assert ban(plane, FAR[4]).error == ""
        assert listeners.hears(FAR[4])
    finally:
        running.plane.close()
        running.process.send_signal(signal.SIGTERM)
        running.process.wait(10)


def _links(pid: int) -> int:
    """BPF links that a process holds open."""
    return sum("link_id" in one.read_text() for one in Path(f"/proc/{pid}/fdinfo").iterdir())
