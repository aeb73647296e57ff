"""The `xdp` port on real multi-queue veth (issue 3, items 2 and 3; rows F11, A13 of missions and faults)."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernels.wire import frame
from tests.kernels.rig import drain, endpoint, rtp, wait_for
from tests.namespaces import inside
from tests.system.veth import FAR, HERE, Veth
from tests.system.xdp_rig import ALICE, BOB, FIRST_PORT, XdpGateway, gateway

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]
COUNT = 500


@pytest.fixture
def veth() -> Iterator[Veth]:
    with Veth() as made:
        yield made


def talk(running: XdpGateway, first: int = 0, count: int = COUNT) -> None:
    """`count` packets each way, one by one; every payload arrives as it was, in order."""
    for sequence in range(first, first + count):
        running.alice.sendto(rtp(sequence), running.ports["alice"])
        secured = running.bob.recv(2048)
        assert running.bob_opens.unprotect_rtp(secured) == rtp(sequence)
        running.bob.sendto(running.bob_seals.protect_rtp(rtp(sequence, ssrc=7)), running.ports["bob"])
        assert running.alice.recv(2048) == rtp(sequence, ssrc=7)


@pytest.mark.parametrize("mode", ["native", "generic"])
@pytest.mark.parametrize(("a", "b"), [(4, 4), (4, 6), (6, 6)])
def test_a_call_through_the_rings(veth: Veth, tmp_path: Path, mode: str, a: int, b: int) -> None:
    """RTP to SRTP and back, IPv4 and IPv6, through AF_XDP both ways: no packet by kernel sockets."""
    with gateway(veth, tmp_path, xdp_mode=mode) as running:
        assert running.plane.info.port_kind == f"xdp-{mode}", running.plane.info.why
        running.call(a, b)
        talk(running)
        assert drain(running.alice, 0.05) == drain(running.bob, 0.05) == []
        counters = running.counters()
        assert counters["received"] == counters["forwarded"] == 2 * COUNT
        assert counters["ring_received"] == counters["ring_sent"] == 2 * COUNT


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_all_else_is_the_kernel_s(veth: Veth, tmp_path: Path, mode: str) -> None:
    """ARP, ping of both families, TCP, and UDP ports that are none of ours work on the same device."""
    with gateway(veth, tmp_path, xdp_mode=mode) as running:
        running.call()
        veth.run(veth.far, "ip", "neigh", "flush", "dev", "far")
        for family in (4, 6):
            assert inside(veth.far, lambda family=family: ping(family)) == b"is anybody there?"
        listener = inside(veth.gateway, lambda: socket.create_server((HERE[4], 8080)))
        with inside(veth.far, lambda: socket.create_connection((HERE[4], 8080), 5)) as client:
            client.sendall(b"x" * 100_000)
            served, _ = listener.accept()
            served.settimeout(5)
            assert sum(len(served.recv(65536)) for _ in range(1)) > 0
            served.close()
        listener.close()
        foreign = inside(veth.gateway, lambda: endpoint(HERE[4], 5060))
        running.alice.sendto(b"OPTIONS", (HERE[4], 5060))
        assert foreign.recv(100) == b"OPTIONS"
        talk(running, count=20)


def test_a_port_that_another_program_holds_stays_its_own(veth: Veth, tmp_path: Path) -> None:
    """It was bound before the holder started: its datagrams are not taken away by the rings."""
    holds = inside(veth.gateway, lambda: endpoint(HERE[4], FIRST_PORT + 9))
    with gateway(veth, tmp_path) as running:
        assert running.plane.info.interfaces["four"].busy == {FIRST_PORT + 9}
        running.call()
        running.alice.sendto(b"for the other program", (HERE[4], FIRST_PORT + 9))
        assert holds.recv(100) == b"for the other program"
        talk(running, count=20)
    holds.close()


def test_fragments_and_long_datagrams_come_by_the_kernel(veth: Veth, tmp_path: Path) -> None:
    """Longer than the MTU: the kernel puts it together and its socket gives it to us; what leaves is too long for a
    frame, so the kernel cuts it up again."""
    with gateway(veth, tmp_path) as running:
        running.call()
        long = rtp(1, bytes(1700))
        running.alice.sendto(long, running.ports["alice"])
        assert running.bob_opens.unprotect_rtp(running.bob.recv(4096)) == long
        counters = running.counters()
        assert counters["forwarded"] == 1
        assert "ring_received" not in counters
        assert "ring_sent" not in counters


def test_next_hops_decide_who_sends(veth: Veth, tmp_path: Path) -> None:
    """No row: kernel sockets, and the destination is asked for; MTU too small, or not usable: kernel sockets."""
    with gateway(veth, tmp_path) as running:
        running.call()
        running.set_next_hops(usable=False)
        talk(running, 0, 10)
        assert "ring_sent" not in running.counters()
        assert set(running.plane.wanted_next_hops()) == {("four", (FAR[4], 0))}
        assert running.plane.wanted_next_hops() == []
        running.set_next_hops(mtu=212)  # plain RTP is 200 octets as an IP packet, SRTP 210, and 213 are too long
        talk(running, 10, 10)
        assert running.counters()["ring_sent"] == 20
        running.set_next_hops(mtu=209)
        talk(running, 20, 10)
        assert running.counters()["ring_sent"] == 30  # towards Alice only


@pytest.mark.parametrize(("a", "b"), [(4, 4), (6, 6)])
def test_what_is_sent_has_right_checksums(veth: Veth, tmp_path: Path, a: int, b: int) -> None:
    """A raw receiver looks at the frames: our own reader takes a checksum only when it is right in full (a sender's
    offload would leave the pseudo header's sum, which these are not)."""
    with gateway(veth, tmp_path) as running:
        running.call(a, b)
        kind = 0x0800 if a == 4 else 0x86DD
        tap = inside(veth.far, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(kind)))
        tap.bind(("far", kind))
        tap.settimeout(5)
        talk(running, 0, 5)
        found = []
        while len(found) < 10:
            data = tap.recv(4096)
            seen = frame.read(data)
            if isinstance(seen, tuple) and seen[0][1] in (FIRST_PORT, FIRST_PORT + 2):
                found.append(seen)
                segment = data[34 if a == 4 else 54 :]
                pseudo = data[26:34] if a == 4 else data[22:54]
                assert ones(pseudo + b"\0\x11" + len(segment).to_bytes(2) + segment) == 0xFFFF
        assert {seen[1] for seen in found} == {(FAR[a], ALICE), (FAR[b], BOB)}
        tap.close()


def ping(family: int) -> bytes:
    """The data of an echo reply (RFC 792, RFC 4443)."""
    data = b"is anybody there?"
    kind, protocol = (8, socket.IPPROTO_ICMP) if family == 4 else (128, socket.IPPROTO_ICMPV6)
    request = bytes([kind, 0, 0, 0, 0x12, 0x34, 0, 1]) + data
    if family == 4:  # of IPv6 the kernel writes the checksum
        request = request[:2] + (~ones(request) & 0xFFFF).to_bytes(2) + request[4:]
    with socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_RAW, protocol) as raw:
        raw.settimeout(5)
        raw.sendto(request, (HERE[family], 0))
        while True:
            answer = raw.recv(2048)[20 if family == 4 else 0 :]
            if answer[0] in (0, 129) and answer[4:6] == b"\x12\x34":
                return answer[8:]


def ones(data: bytes) -> int:
    """RFC 1071."""
    total = sum(int.from_bytes(data[i : i + 2].ljust(2, b"\0")) for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def test_wrong_checksums_are_dropped_under_their_name(veth: Veth, tmp_path: Path) -> None:
    """From a raw sender, as the kernel's sockets would not see them either."""
    with gateway(veth, tmp_path) as running:
        running.call()
        here, there = veth.mac(veth.gateway, "media"), veth.mac(veth.far, "far")
        macs = bytes.fromhex(there.replace(":", "")), bytes.fromhex(here.replace(":", ""))
        good = frame.write(*macs, (FAR[4], ALICE), running.ports["alice"], rtp(0))
        tap = inside(veth.far, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
        tap.bind(("far", 0))
        tap.send(good)
        assert running.bob_opens.unprotect_rtp(running.bob.recv(2048)) == rtp(0)
        for at in (24, 40, 60):  # IPv4 header checksum, UDP checksum, payload
            tap.send(good[:at] + bytes([good[at] ^ 0x55]) + good[at + 1 :])
        wait_for(lambda: running.counters().get("checksum") == 3)
        assert drain(running.bob, 0.1) == []
        tap.close()


def test_two_workers_share_the_queues(tmp_path: Path) -> None:
    """Four queues, two workers: frames come to whoever owns the queue and go to the worker of their port; both legs of
    a call of each worker."""
    with Veth(queues=4) as veth, gateway(veth, tmp_path, cores=[0, 1]) as running:
        for worker in (0, 1):
            running.call(worker=worker)
            talk(running, count=100)
            running.alice.close()
            running.bob.close()
        time.sleep(0.05)
        found = [running.counters(worker) for worker in (0, 1)]
        assert [one["forwarded"] for one in found] == [200, 200]
        assert sum(one.get("ring_received", 0) for one in found) == sum(one["ring_sent"] for one in found) == 400
        given = sum(one.get("handed_over", 0) for one in found)
        assert given == sum(one.get("taken_over", 0) for one in found)


@pytest.mark.row("P08")
def test_an_interface_with_ports_of_its_own(tmp_path: Path) -> None:
    """Another range, and narrower, on the second address: calls of both workers go through the rings, and what is sent
    there to a port of the first one's range stays the kernel's."""
    own = FIRST_PORT + 100
    interfaces = [{"name": "four", "address": HERE[4]}, {"name": "six", "address": HERE[6], "ports": [own, own + 15]}]
    with Veth(queues=4) as veth, gateway(veth, tmp_path, cores=[0, 1], interfaces=interfaces) as running:
        for worker in (0, 1):
            running.call(4, 6, worker)
            assert running.ports["bob"][1] == own + 8 * worker + 2
            talk(running, count=100)
            if worker == 1:
                foreign = inside(veth.gateway, lambda: endpoint(HERE[6], FIRST_PORT + 2))
                running.bob.sendto(b"not ours", (HERE[6], FIRST_PORT + 2))
                assert foreign.recv(100) == b"not ours"
            running.alice.close()
            running.bob.close()
        time.sleep(0.05)
        found = [running.counters(worker) for worker in (0, 1)]
        assert [one["forwarded"] for one in found] == [200, 200]
        assert sum(one.get("ring_received", 0) for one in found) == sum(one["ring_sent"] for one in found) == 400
