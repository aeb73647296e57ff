"""The port by itself, in this process: VLAN tags, where every frame is, a worker that dies between any two turns."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from kernels.control.worker import Worker
from kernels.port.media import MediaProgram
from kernels.port.nexthop import NextHops
from kernels.port.udp import UdpPort
from kernels.port.xdp import XdpPort
from kernels.port.xsk import Rings
from kernels.wire import frame
from tests.kernels.rig import LocalPlane, bridge, endpoint, rtp, wait_for
from tests.namespaces import inside
from tests.system.veth import FAR, HERE, Veth

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]
FIRST_PORT = 30_000
AUXDATA, TP_STATUS_VLAN = 8, 0x10


class RingPlane(LocalPlane):
    """A worker over rings, turn by turn. Sockets are numbers: two flows on ports 30000 and 30001."""

    def __init__(self, veth: Veth, aligned: bool = False, vlans: tuple[int, ...] = ()) -> None:
        device = veth.link(veth.gateway, "media")
        self.vlans, self.here, self.there = vlans, device["address"], veth.mac(veth.far, "far")
        queues = [("media", device["ifindex"], 0, queue) for queue in range(veth.queues)]
        self.rings = inside(veth.gateway, lambda: Rings(queues, aligned=aligned))
        self.program = MediaProgram(len(queues))
        ports = range(FIRST_PORT, FIRST_PORT + self.SOCKETS)
        self.program.set_local(device["ifindex"], HERE[4], ports, vlans, 0, len(queues))
        for _, queue, fd in self.rings.sockets():
            self.program.set_ring(queue, fd)
        self.link = inside(veth.gateway, lambda: self.program.attach(device["ifindex"], native=True))
        self.hops = NextHops(256)
        outer, inner = (*vlans, 0, 0)[:2]
        for host in (FAR[4], "10.78.0.3"):
            assert self.hops.set_next_hop(0, host, device["ifindex"], self.here, self.there, 1500, outer, inner)
        self.doorbell = os.eventfd(0, os.EFD_NONBLOCK)
        self.fds = [-1] * self.SOCKETS
        super().__init__()
        changes: dict[str, Any] = {"remote": (FAR[4], 5000)}
        assert self.do(*(type(flow)(**(named(flow) | changes)) for flow in bridge())) == [0, 0]

    def start(self) -> None:
        outer, inner = (*self.vlans, 0, 0)[:2]
        sockets = UdpPort(self.fds, self.doorbell)
        numbering = ([(FIRST_PORT, self.SOCKETS)], 1)
        self.xdp = XdpPort(self.rings, sockets, [(HERE[4], 0, outer, inner)], numbering, self.hops)
        self.worker = Worker(self.arena, 0, self.xdp)

    def end(self) -> None:
        os.close(self.link)
        del self.worker, self.xdp
        self.program.close()
        self.rings.close()


def named(flow: Any) -> dict[str, Any]:
    return {name: getattr(flow, name) for name in flow.__slots__}


class Tap:
    """Frames to and from the far end of the pair, tags included."""

    def __init__(self, veth: Veth) -> None:
        self.raw = inside(veth.far, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
        self.raw.setsockopt(socket.SOL_SOCKET, 33, 1 << 25)  # SO_RCVBUFFORCE
        self.raw.bind(("far", 3))
        self.raw.setsockopt(263, AUXDATA, 1)  # SOL_PACKET: the kernel takes the outer tag off and tells it apart
        self.raw.settimeout(0.3)

    def send(self, plane: RingPlane, sequence: int, port: int = FIRST_PORT) -> None:
        source, destination = (bytes.fromhex(mac.replace(":", "")) for mac in (plane.there, plane.here))
        data = frame.write(source, destination, (FAR[4], 5000), (HERE[4], port), rtp(sequence), plane.vlans)
        self.raw.send(data)

    def heard(self) -> list[tuple[tuple[int, ...], bytes]]:
        """(tags, datagram) of the RTP that the gateway sent, until it is quiet."""
        found = []
        while True:
            try:
                data, told, _, _ = self.raw.recvmsg(4096, 256)
            except TimeoutError:
                return found
            status, tag = int.from_bytes(told[0][2][:4], "little"), int.from_bytes(told[0][2][16:18], "little")
            outer = (tag & 0xFFF,) if status & TP_STATUS_VLAN else ()
            seen = frame.read(data)
            if isinstance(seen, tuple) and seen[0][0] == HERE[4]:
                found.append(((*outer, *seen[2]), seen[3]))


@pytest.fixture
def veth() -> Iterator[Veth]:
    with Veth() as made:
        yield made


def added_up(plane: RingPlane) -> dict[str, int]:
    """Where the frames are; none is missing, none is in two places."""
    frames = plane.xdp.frames()
    assert frames["ours"] + frames["receiving"] + frames["sending"] == plane.rings.frames, frames
    assert frames["free"] == frames["ours"], frames
    return frames


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("vlans", [(), (100,), (100, 200)])
def test_tags_in_and_out(veth: Veth, vlans: tuple[int, ...], aligned: bool) -> None:
    """An address in a VLAN: frames with its tags come by the ring and leave with them; both layouts of frames."""
    plane, tap = RingPlane(veth, aligned, vlans), Tap(veth)
    assert plane.rings.unaligned is not aligned
    for sequence in range(200):
        tap.send(plane, sequence)
        plane.worker.turn()
    wait_for(lambda: plane.worker.turn() or plane.counters().get("forwarded") == 200)
    assert tap.heard() == [(vlans, rtp(sequence)) for sequence in range(200)]
    assert plane.counters()["ring_received"] == plane.counters()["ring_sent"] == 200
    wait_for(lambda: plane.worker.turn() or added_up(plane)["sending"] == 0)
    plane.end()


def test_frames_are_found_again(veth: Veth) -> None:
    """A worker is forgotten fifty times, with frames unread, being sent and free; the next one finds every one of them,
    and what lay unread in the rings is not lost."""
    plane, tap = RingPlane(veth), Tap(veth)
    total = 0
    for life in range(50):
        for sequence in range(total, total + 40):
            tap.send(plane, sequence)
        total += 40
        for _ in range(life % 3):
            plane.worker.turn()  # takes some, all or none of them
        plane.start()
        added_up(plane)
    wait_for(lambda: plane.worker.turn() or plane.counters().get("forwarded") == total)
    assert [data for _, data in tap.heard()] == [rtp(sequence) for sequence in range(total)]
    wait_for(lambda: plane.worker.turn() or added_up(plane)["sending"] == 0)
    plane.end()


def test_a_burst_that_died_uncounted_is_interrupted(veth: Veth) -> None:
    """Row F11: killed after it took a burst from the rings and before it counted it. The next one finds that in the
    positions of the rings: everything that was sent is in the books."""
    plane, tap = RingPlane(veth), Tap(veth)
    total = lost = 0
    for life in range(20):
        for sequence in range(total, total + 10):
            tap.send(plane, sequence)
        total += 10
        if life % 2:
            plane.worker.turn()
        else:
            taken = plane.xdp.take()
            assert taken > 0
            lost += taken
        plane.start()
        added_up(plane)
    wait_for(lambda: plane.worker.turn() or plane.counters().get("received") == total)
    counters = plane.counters()
    assert counters["ring_received"] == total and counters["interrupted"] == lost
    assert counters["forwarded"] == len(tap.heard()) == total - lost
    plane.end()


def test_more_than_the_rings_hold(veth: Veth) -> None:
    """Nobody reads while more arrives than a ring has places: what the kernel lost is counted, the rest goes on."""
    plane, tap = RingPlane(veth), Tap(veth)
    sent = 6000
    for sequence in range(sent):
        tap.send(plane, sequence)
    wait_for(lambda: plane.worker.turn() or (not plane.worker.turn() and ended(plane) == sent), 20)
    counters = plane.counters()
    assert counters["ring_lost"] > 0
    assert counters["received"] + counters["ring_lost"] == sent
    assert counters["forwarded"] + counters.get("send", 0) == counters["received"]
    assert counters.get("ring_full", 0) == counters.get("send", 0)
    wait_for(lambda: plane.worker.turn() or added_up(plane)["sending"] == 0)
    plane.end()


def test_full_rings_do_not_starve_the_kernel_sockets(veth: Veth) -> None:
    """A datagram waits in one beside rings that always fill a batch: it is read while they still do."""
    plane, tap = RingPlane(veth), Tap(veth)
    own, other = endpoint(), endpoint()
    own.setblocking(False)
    plane.fds[15] = own.fileno()
    plane.start()
    for sequence in range(20 * 64):
        tap.send(plane, sequence)
    other.sendto(rtp(1), own.getsockname())
    for _ in range(2):  # the second comes more than LOOK_NS after the first look
        time.sleep(0.001)
        plane.worker.turn()
    counters = plane.counters()
    assert counters["ring_received"] <= 2 * 64
    assert counters["received"] == counters["ring_received"] + 1
    plane.end()


def ended(plane: RingPlane) -> int:
    counters = plane.counters()
    return counters.get("received", 0) + counters.get("ring_lost", 0)
