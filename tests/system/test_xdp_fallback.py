"""Row F11: AF_XDP unavailable at start, lost in mid-call, and back. No packet unaccounted for, no ROC slip."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kernels.port import program as bpf
from kernels.port.media import MediaProgram
from kernels.port.xsk import Rings
from kernels.wire.packet import Drop
from tests.kernels.rig import balanced, drain, rtp, wait_for
from tests.namespaces import inside
from tests.system.test_xdp import talk
from tests.system.veth import HERE, Veth
from tests.system.xdp_rig import XdpGateway, gateway

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]
DROPS = [drop.name[5:].lower() for drop in Drop if drop not in (Drop.DROP_NONE, Drop.DROP_COUNT)]
MODES = pytest.mark.parametrize("mode", ["native", "generic"])


@pytest.fixture
def veth() -> Iterator[Veth]:
    with Veth() as made:
        yield made


def warnings(running: XdpGateway) -> list[dict[str, object]]:
    return [event for event in running.events() if event["level"] == "warning" and event["event"] == "no xdp"]


# -- at start ----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def foreign_program(veth: Veth) -> Iterator[None]:
    """Somebody else's XDP program sits on the device."""
    foreign = MediaProgram(1)
    index = veth.link(veth.gateway, "media")["ifindex"]
    link = inside(veth.gateway, lambda: foreign.attach(index, native=True))
    yield
    assert bpf.attached(link) == (foreign.id, index)  # nobody took it off
    os.close(link)
    foreign.close()


@contextlib.contextmanager
def busy_queue(veth: Veth) -> Iterator[None]:
    """Another AF_XDP socket owns a queue."""
    index = veth.link(veth.gateway, "media")["ifindex"]
    rings = inside(veth.gateway, lambda: Rings([("media", index, 0, 1)]))
    yield
    rings.close()


@pytest.mark.parametrize("obstacle", [foreign_program, busy_queue])
def test_start_without_xdp(
    veth: Veth, tmp_path: Path, obstacle: Callable[[Veth], contextlib.AbstractContextManager[None]]
) -> None:
    """One warning that says why; calls work."""
    with obstacle(veth), gateway(veth, tmp_path) as running:
        assert running.plane.info.port_kind == "udp-sockets"
        assert "busy" in running.plane.info.why
        (warning,) = warnings(running)
        assert "busy" in str(warning["why"])
        running.call()
        talk(running, count=100)
        assert "ring_received" not in running.counters()


def test_zero_copy_where_the_driver_has_none(veth: Veth, tmp_path: Path) -> None:
    """veth has none: native copy mode."""
    with gateway(veth, tmp_path, xdp_mode="zerocopy") as running:
        assert running.plane.info.port_kind == "xdp-native"


@pytest.mark.parametrize(("port", "told"), [("auto", 0), ("xdp", 1)])
def test_loopback_has_no_rings(veth: Veth, tmp_path: Path, port: str, told: int) -> None:
    """A fault only for who asked for xdp."""
    with gateway(veth, tmp_path, port=port, interfaces=[{"name": "four", "address": "127.0.0.1"}]) as running:
        assert len(warnings(running)) == told
        assert running.plane.info.port_kind == "udp-sockets"
        assert "loopback" in running.plane.info.why


def test_without_the_capability(veth: Veth, tmp_path: Path) -> None:
    """No CAP_BPF and no CAP_SYS_ADMIN: EPERM on bpf(), kernel sockets, one warning."""
    with gateway(veth, tmp_path, prefix=("setpriv", "--bounding-set=-bpf,-sys_admin")) as running:
        assert running.plane.info.port_kind == "udp-sockets"
        (warning,) = warnings(running)
        assert "not permitted" in str(warning["why"])
        running.call()
        talk(running, count=50)


# -- in mid-call -------------------------------------------------------------------------------------------


class Stream:
    """Alice talks every 2 ms from a thread; Bob's packets are counted and opened in order."""

    def __init__(self, running: XdpGateway, first: int = 0) -> None:
        self.running, self.sequence, self.refused = running, first, 0
        self.first = first
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()
        self._heard: list[bytes] = []
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _send(self) -> None:
        while not self._stop.is_set():
            try:
                self.running.alice.sendto(rtp(self.sequence), self.running.ports["alice"])
                self.sequence += 1
            except OSError:  # the far end's own link is down
                self.refused += 1
            time.sleep(0.002)

    def _listen(self) -> None:
        while not self._stop.is_set():
            self._heard += drain(self.running.bob, 0.05)

    def end(self) -> tuple[int, list[bytes]]:
        """Packets sent, and what Bob opened of them."""
        self._stop.set()
        self._thread.join()
        self._listener.join()
        self._heard += drain(self.running.bob, 1)
        opened = [self.running.bob_opens.unprotect_rtp(packet) for packet in self._heard]
        assert all(isinstance(packet, bytes) for packet in opened)  # every one authentic: the ROC never slipped
        return self.sequence - self.first, [packet for packet in opened if isinstance(packet, bytes)]


def account(running: XdpGateway, sent: int, heard: list[bytes], kills: list[int]) -> None:
    """Nothing came twice; what is missing has a name. `kills`: sequence numbers at which the worker was killed."""
    counters = running.counters()
    missing = sorted(set(range(sent)) - {int.from_bytes(packet[2:4]) for packet in heard})
    where = f"not heard: {missing}, killed at {kills}, {counters}"
    assert balanced(counters, DROPS), where
    assert len(set(heard)) == len(heard)
    lost = sum(counters.get(name, 0) for name in ("ring_lost", "overflows", "interrupted", *DROPS))
    assert counters["received"] + counters.get("ring_lost", 0) + counters.get("overflows", 0) == sent, where
    assert sent - len(heard) <= lost, where


@MODES
def test_program_taken_off_and_back(veth: Veth, tmp_path: Path, mode: str) -> None:
    """`xdp off` is refused to others; who detaches our link: sockets take over with no packet lost, one event, xdp
    comes back by itself."""
    with gateway(veth, tmp_path, xdp_mode=mode) as running:
        running.call()
        kind = "xdpdrv" if mode == "native" else "xdpgeneric"
        assert veth.in_gateway("link", "set", "media", kind, "off", check=False).returncode != 0
        talk(running, 0, 50)
        stream = Stream(running, 50)
        time.sleep(0.3)
        link = running.link()
        bpf.detach(link)
        os.close(link)
        lost = running.control.await_port("program detached")
        assert (lost.kind, lost.device, set(lost.interfaces)) == ("udp", "media", {"four", "six"})
        by_socket = running.counters()
        back = running.control.await_port("back")
        assert back.kind == f"xdp-{mode}"
        time.sleep(0.3)
        sent, heard = stream.end()
        assert heard == [rtp(50 + i) for i in range(sent)]  # all of them, in order
        after = running.counters()
        assert after["ring_received"] > by_socket["ring_received"]
        assert after["received"] == after["forwarded"] > after["ring_received"]


def test_program_replaced_and_back(veth: Veth, tmp_path: Path) -> None:
    """Somebody lets our link run another program (all to the kernel): told, left alone, and used again afterwards."""
    foreign = MediaProgram(1)
    with gateway(veth, tmp_path) as running:
        running.call()
        ours = running.link()
        before, _ = bpf.attached(ours)
        stream = Stream(running)
        time.sleep(0.2)
        bpf.replace(ours, foreign.fd)
        assert f"replaced by BPF program {foreign.id}" in running.control.await_port("replaced").reason
        time.sleep(1.5)  # longer than the first wait for another try
        assert bpf.attached(ours)[0] == foreign.id
        mine = bpf.open_program(before)
        bpf.replace(ours, mine)
        running.control.await_port("back")
        os.close(ours)
        os.close(mine)
        sent, heard = stream.end()
        assert heard == [rtp(i) for i in range(sent)]
    foreign.close()


def test_link_down_and_up(veth: Veth, tmp_path: Path) -> None:
    """What the link swallowed is lost, and nothing else: every packet that came in has an end with a name."""
    with gateway(veth, tmp_path) as running:
        running.call()
        stream = Stream(running)
        time.sleep(0.2)
        veth.in_gateway("link", "set", "media", "down")
        assert running.control.await_port("link down").kind == "udp"
        assert running.plane.info.port_kind == "udp-sockets"  # what really runs, not what began
        assert "xdp lost on media: link down" in running.plane.info.why
        veth.in_gateway("link", "set", "media", "up")
        veth.in_gateway("address", "replace", f"{HERE[6]}/64", "dev", "media", "nodad")
        running.control.await_port("back")
        assert running.plane.info.port_kind == "xdp-native"
        assert "lost" not in running.plane.info.why
        before = running.counters()
        time.sleep(0.3)
        sent, heard = stream.end()
        counters = running.counters()
        assert balanced(counters, DROPS)
        assert counters["ring_received"] > before["ring_received"]
        assert len(set(heard)) == len(heard) <= sent
        assert heard[-1] == rtp(stream.sequence - 1)


@MODES
def test_killed_worker_goes_on_with_the_same_rings(veth: Veth, tmp_path: Path, mode: str) -> None:
    """kill -9 under load, five times: the next worker continues; sent = forwarded + what has a name."""
    with gateway(veth, tmp_path, xdp_mode=mode) as running:
        running.call()
        stream = Stream(running)
        kills = []
        for _ in range(5):
            pid = running.worker_pid()
            kills.append(stream.sequence)
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda gone=pid: running.worker_pid() not in (0, gone), 10)
            wait_for(lambda: running.plane.worker(0).state == "run", 10)
            time.sleep(1.05)  # a shorter life would let the next one wait
        sent, heard = stream.end()
        account(running, sent, heard, kills)
        assert running.counters()["ring_received"] > 0


def test_killed_holder_leaves_no_program(veth: Veth, tmp_path: Path) -> None:
    """The link goes with the last descriptor."""
    with gateway(veth, tmp_path) as running:
        assert "xdp" in veth.link(veth.gateway, "media")
        os.kill(running.process.pid, signal.SIGKILL)
        running.process.wait(5)
        wait_for(lambda: "xdp" not in veth.link(veth.gateway, "media"))


def test_dropped_privileges(veth: Veth, tmp_path: Path) -> None:
    """The holder keeps what putting the program back needs, workers nothing; and it can put it back."""
    tmp_path.chmod(0o755)
    with gateway(veth, tmp_path, user="nobody") as running:
        assert effective(running.process.pid) == 1 << 12 | 1 << 39
        assert effective(running.worker_pid()) == 0
        running.call()
        talk(running, count=20)
        link = running.link()
        bpf.detach(link)
        os.close(link)
        running.control.await_port("detached")
        running.control.await_port("back")
        talk(running, 20, 20)


def effective(pid: int) -> int:
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("CapEff")]
    return int(line.split()[1], 16)
