"""Holder, workers and control as real processes on loopback."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernels.cipher import select
from kernels.control.commands import InstallCrypto, InstallFlow, RemoveFlow
from kernels.control.configuration import ConfigurationError
from kernels.control.errors import LayoutMismatch, PlaneBusy
from kernels.control.holder import choose_cipher
from kernels.control.mailbox import DROPS
from kernels.control.plane import MediaPlane
from tests.kernels.rig import (
    CM128,
    Control,
    HolderProcess,
    balanced,
    drain,
    endpoint,
    holder,
    master_key,
    rtcp,
    rtp,
    session,
    wait_for,
)

PORT = 22100


@pytest.fixture
def running(tmp_path: Path) -> Iterator[HolderProcess]:
    with holder(tmp_path, PORT) as process:
        yield process


class Call:
    """Alice plain, Bob secure, each with a socket of their own; RTCP muxed."""

    def __init__(self, control: Control, slot: int = 0) -> None:
        self.alice, self.bob = endpoint(), endpoint()
        self.a_port, self.b_port = PORT + 2 * slot, PORT + 2 * slot + 1
        self.bob_out, self.bob_in = session(master_key(2 * slot), True), session(master_key(2 * slot + 1), False)
        f = slot
        assert control.do(
            InstallCrypto(f, CM128, master_key(2 * slot), False),
            InstallCrypto(f + 1, CM128, master_key(2 * slot + 1), True),
            InstallFlow(f, "default", self.a_port, True, True, self.alice.getsockname(), f + 1, f + 1, latching="off"),
            InstallFlow(
                f + 1, "default", self.b_port, True, True, self.bob.getsockname(), f, f, f, f + 1, True,
                latching="authenticated",
            ),
        ) == [0] * 4  # fmt: skip

    def from_alice(self, data: bytes) -> None:
        self.alice.sendto(data, ("127.0.0.1", self.a_port))

    def from_bob(self, data: bytes | object) -> None:
        assert isinstance(data, bytes)
        self.bob.sendto(data, ("127.0.0.1", self.b_port))

    def works(self, sequence: int) -> bool:
        self.from_alice(rtp(sequence))
        self.from_bob(self.bob_out.protect_rtp(rtp(sequence)))
        return self.bob_in.unprotect_rtp(self.bob.recv(2000)) == rtp(sequence) and self.alice.recv(2000) == rtp(
            sequence
        )


@pytest.mark.parametrize("cipher", [*select.names(), "auto", "multibuffer"])
def test_the_plane_says_which_cipher_runs(tmp_path: Path, cipher: str) -> None:
    """Holder, worker and description are of one mind: chosen before the fork, and media flows by it."""
    if cipher == "multibuffer" and select.names() == ("openssl",):
        pytest.skip("neither vaes nor ipsec-mb runs on this CPU")
    with holder(tmp_path, PORT, cipher=cipher) as process:
        control = Control(process.path)
        info = control.plane.info
        assert info.cipher == cipher if cipher in select.names() else info.cipher in select.names()
        assert info.cipher in info.why
        assert ("as set" if cipher in select.names() else " ns a packet") in info.why or info.cipher == "openssl"
        assert Call(control).works(1)


def test_a_cipher_that_cannot_run_here_is_a_mistake_of_the_configuration() -> None:
    before = select.selected()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(select._lacking, "vaes", "this CPU lacks VAES")
        with pytest.raises(ConfigurationError, match=r"cipher: .*vaes does not run here: this CPU lacks VAES"):
            choose_cipher("vaes")
    choose_cipher(str(before))


def test_a_call_both_ways(running: HolderProcess) -> None:
    """A24: RTP and RTCP, both directions, byte-exact, through kernel sockets; counters add up."""
    control = Control(running.path)
    call = Call(control)
    packets = [rtp(65500 + i, os.urandom(160)) for i in range(100)]
    for packet in packets:
        call.from_alice(packet)
        call.from_bob(call.bob_out.protect_rtp(packet))
    assert [call.bob_in.unprotect_rtp(data) for data in drain(call.bob)] == packets
    assert drain(call.alice) == packets
    call.from_alice(rtcp())
    assert call.bob_in.unprotect_rtcp(call.bob.recv(2000)) == rtcp()
    call.from_bob(call.bob_out.protect_rtcp(rtcp()))
    assert call.alice.recv(2000) == rtcp()
    wait_for(lambda: control.plane.counters(0)["received"] == 202)  # what is published is a little older
    status = control.plane.flow(0, 0)
    assert (status.interface, status.port, status.packets_in, status.packets_out) == ("default", PORT, 101, 101)
    assert control.plane.crypto(0, 1).streams[0].roc == 1
    counters = control.plane.counters(0)
    assert (counters["received"], counters["forwarded"]) == (202, 202)
    assert balanced(counters, DROPS)
    worker = control.plane.worker(0)
    assert worker.state == "run"
    assert 0 < worker.busy_ns < 10**10
    assert time.monotonic_ns() - worker.heartbeat_ns < 10**9
    assert control.do(RemoveFlow(0), RemoveFlow(1)) == [0, 0]
    assert control.plane.flows(0) == []


def test_worker_is_killed_in_the_middle_of_a_stream(running: HolderProcess) -> None:
    """F2, B5: replaced; goes on with the next index, the receiver accepts everything, losses are few and counted."""
    control = Control(running.path)
    call = Call(control)
    old = control.plane.worker(0).pid
    sent = 0
    received: list[bytes] = []
    for number in range(300):
        call.from_alice(rtp(65400 + number))
        sent += 1
        if number == 150:
            os.kill(old, signal.SIGKILL)
        time.sleep(0.002)
    received = drain(call.bob)
    opened = [call.bob_in.unprotect_rtp(data) for data in received]
    assert all(isinstance(data, bytes) for data in opened)  # nothing refused: no index twice, ROC right across the wrap
    assert len(set(received)) == len(received)
    assert sent - len(opened) <= 5
    news = control.await_news("lost")
    assert (news.worker, news.pid, news.reason) == (0, old, "signal SIGKILL")
    news = control.await_news("started")
    status = control.plane.worker(0)
    assert (status.state, status.restarts) == ("run", 1)
    assert status.pid == news.pid != old
    assert any(event["event"] == "worker lost" for event in running.events())
    wait_for(lambda: control.plane.counters(0)["received"] + control.plane.counters(0)["interrupted"] >= len(opened))
    counters = control.plane.counters(0)
    assert balanced(counters, DROPS)
    assert counters["interrupted"] <= 5
    assert call.works(65700)


def test_worker_hangs(running: HolderProcess) -> None:
    """F4: no heartbeat for a second: replaced, the gap is bounded, what waited in the sockets is delivered."""
    control = Control(running.path)
    call = Call(control)
    assert call.works(1)
    old = control.plane.worker(0).pid
    os.kill(old, signal.SIGSTOP)
    stopped = time.monotonic()
    call.from_alice(rtp(2))
    call.bob.settimeout(4)
    assert call.bob_in.unprotect_rtp(call.bob.recv(2000)) == rtp(2)
    assert 0.5 < time.monotonic() - stopped < 3
    assert "no heartbeat" in control.await_news("lost").reason
    assert control.plane.worker(0).pid != old
    with pytest.raises(ProcessLookupError):
        os.kill(old, 0)
    assert call.works(3)


ATTACH_AND_INSTALL = """
import sys, time
sys.path.insert(0, ".")
from tests.kernels.rig import *
control = Control(sys.argv[1])
print(control.do(InstallFlow(3, "default", int(sys.argv[2]), True, True, ("127.0.0.1", 9)),
                 InstallCrypto(2, CM128, master_key(1), True)), flush=True)
time.sleep(60)
"""


def test_control_is_killed_and_comes_back(running: HolderProcess) -> None:
    """F1: what a dead control process installed is listed for the next one, which can remove it."""
    child = subprocess.Popen(
        [sys.executable, "-c", ATTACH_AND_INSTALL, running.path, str(PORT + 6)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "[0, 0]\n"
    child.kill()
    child.wait()
    control = Control(running.path)
    assert control.plane.flows(0) == [3]
    assert control.plane.cryptos(0) == [2]
    status = control.plane.flow(0, 3)
    assert (status.port, status.remote) == (PORT + 6, ("127.0.0.1", 9))
    assert control.do(RemoveFlow(3)) == [0]
    assert control.plane.flows(0) == []


def test_media_goes_on_without_control(running: HolderProcess) -> None:
    control = Control(running.path)
    call = Call(control)
    control.plane.close()
    control.plane.close()
    assert call.works(1)
    again = Control(running.path)
    assert again.plane.flow(0, 0).packets_in == 1


def test_one_control_at_a_time(running: HolderProcess) -> None:
    """The rings have one writer."""
    control = Control(running.path)
    with pytest.raises(PlaneBusy):
        MediaPlane.attach(running.path)
    assert control.do(RemoveFlow(0)) == [0]


def test_socket_is_for_the_owner_only(running: HolderProcess) -> None:
    mode = Path(running.path).stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_other_users_are_refused(running: HolderProcess) -> None:
    """SO_PEERCRED decides, whatever the file mode says."""
    Path(running.path).chmod(0o666)
    for folder in Path(running.path).parents:
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    code = f"from socket import *; s = socket(AF_UNIX, SOCK_SEQPACKET); s.connect({running.path!r}); print(s.recv(99))"
    out = subprocess.run(
        ["/usr/bin/python3", "-c", code],
        user="nobody",
        group="nogroup",
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    )
    assert "refused" in out.stdout
    Control(running.path)


def test_processes_leave_no_dumps(running: HolderProcess) -> None:
    """H4: arena locked and kept out of dumps, in holder and worker (that neither is dumpable: test_privileges)."""
    worker = Control(running.path).plane.worker(0).pid
    for pid in (running.process.pid, worker):
        text = Path(f"/proc/{pid}/smaps").read_text()
        flags = text[text.index("srtpgw-arena") :].split("VmFlags:")[1].splitlines()[0].split()
        assert "dd" in flags
        if os.geteuid() == 0:
            assert "lo" in flags
        assert len(list(Path(f"/proc/{pid}/task").iterdir())) == 1  # single-threaded, both


def test_says_which_pages_the_arena_has(running: HolderProcess) -> None:
    """One answer in the journal and to the control process; the arena is whole 2-MiB pages."""
    (ready,) = [event for event in running.events() if event["event"] == "media holder ready"]
    plane = MediaPlane.attach(running.path)
    assert plane.info.huge_pages == ready["huge_pages"]
    plane.close()
    assert ready["huge_pages"].startswith(("2 MiB reserved", "transparent", "none"))
    assert ready["arena_octets"] % (2 << 20) == 0


def test_bad_layout_is_refused(running: HolderProcess) -> None:
    plane = MediaPlane.attach(running.path)
    memory = os.dup(plane._memory)
    plane.close()
    before = os.pread(memory, 4, 8)
    os.pwrite(memory, b"\xff\xff\x00\x00", 8)
    with pytest.raises(LayoutMismatch, match="ArenaHeader"):
        MediaPlane.attach(running.path)
    os.pwrite(memory, before, 8)
    MediaPlane.attach(running.path).close()
    with pytest.raises(OSError, match=r"."):
        os.ftruncate(memory, 4096)  # sealed


def test_end(running: HolderProcess) -> None:
    """SIGTERM: workers stop, the arena is wiped, the socket is gone, exit code 0; the attached control hears of it."""
    control = Control(running.path)
    assert control.do(InstallCrypto(0, CM128, master_key(0), False)) == [0]
    worker = control.plane.worker(0).pid
    memory = os.dup(control.plane._memory)
    assert running.end() == 0
    assert os.pread(memory, os.fstat(memory).st_size, 0).count(0) == os.fstat(memory).st_size
    assert not Path(running.path).exists()
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)
    with pytest.raises(ConnectionResetError):
        wait_for(control.plane.poll)


def test_killed_holder_takes_its_workers_along(running: HolderProcess) -> None:
    control = Control(running.path)
    worker = control.plane.worker(0).pid
    running.process.kill()
    running.process.wait()
    wait_for(lambda: not Path(f"/proc/{worker}").exists() or "Z" in Path(f"/proc/{worker}/stat").read_text())


def test_leftover_socket_is_replaced_and_a_live_one_is_not(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as leftover:
        leftover.bind(str(tmp_path / "media.sock"))
    with holder(tmp_path, PORT) as first:
        second = subprocess.run(
            [sys.executable, "-m", "kernels.control.holder", str(tmp_path / "holder.json")],
            capture_output=True,
            timeout=30,
        )
        assert second.returncode == 1
        Control(first.path)


def test_two_workers_two_interfaces_both_families(tmp_path: Path) -> None:
    """Shares are contiguous, even and disjoint; IPv4 on one leg, IPv6 on the other."""
    interfaces = [{"name": "four", "address": "127.0.0.1"}, {"name": "six", "address": "::1"}]
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        pytest.skip("one core")
    with holder(tmp_path, PORT + 1, interfaces=interfaces, cores=cores) as running:
        control = Control(running.path)
        shares = control.plane.info.interfaces["six"].ports
        assert [(len(s), s.start % 2) for s in shares] == [(18, 0), (18, 0)]
        assert shares[0].stop == shares[1].start
        for worker, share in enumerate(shares):
            alice, bob = endpoint(), endpoint("::1")
            assert control.do(
                InstallFlow(0, "four", share.start, True, True, alice.getsockname(), 1),
                InstallFlow(1, "six", share.start, True, True, bob.getsockname()[:2], 0),
                worker=worker,
            ) == [0, 0]
            alice.sendto(rtp(1), ("127.0.0.1", share.start))
            data, source = bob.recvfrom(2000)
            assert (data, source[:2]) == (rtp(1), ("::1", share.start))
            bob.sendto(rtp(2), ("::1", share.start))
            assert alice.recv(2000) == rtp(2)
            assert os.sched_getaffinity(control.plane.worker(worker).pid) == {cores[worker]}
            assert control.plane.flow(worker, 1).interface == "six"
            with pytest.raises(ValueError, match="not worker"):
                control.plane.submit(1 - worker, InstallFlow(0, "four", share.start, True, True))


def test_port_held_by_another_program(tmp_path: Path) -> None:
    other = endpoint(port=PORT + 5)
    with holder(tmp_path, PORT) as running:
        control = Control(running.path)
        assert control.plane.info.interfaces["default"].busy == {PORT + 5}
        with pytest.raises(ValueError, match=str(PORT + 5)):
            control.plane.submit(0, InstallFlow(0, "default", PORT + 5, True, True))
        assert any(event["event"] == "ports held by others" for event in running.events())
    other.close()


def test_flood_from_one_socket_is_counted(running: HolderProcess) -> None:
    """F12, F20: what the kernel could not queue and what was dropped adds up to what was sent."""
    control = Control(running.path)
    call = Call(control)
    worker = control.plane.worker(0).pid
    os.kill(worker, signal.SIGSTOP)  # so that the receiver overflows for certain, as large as it is
    for number in range(40_000):
        call.from_bob(rtp(number, ssrc=number + 1))
    os.kill(worker, signal.SIGCONT)
    received = 0
    while (now := control.plane.counters(0)["received"]) == 0 or now != received:  # until it has read all there was
        received = now
        time.sleep(0.3)
    call.from_bob(rtp(1))  # the kernel tells of earlier losses with the next datagram
    wait_for(lambda: control.plane.counters(0)["received"] == received + 1)
    counters = control.plane.counters(0)
    assert balanced(counters, DROPS)
    assert counters["received"] + counters["overflows"] == 40_001
    assert counters["overflows"] > 0
    assert counters["auth_fail"] == counters["received"]
    assert call.works(7)


def test_commands_per_second(running: HolderProcess) -> None:
    """A call set-up is about 8 commands; 5,000 commands a second are wanted, here with margin for a busy machine."""
    control = Control(running.path)
    started = time.monotonic()
    for _ in range(20):
        assert (
            control.do(*[InstallFlow(n, "default", PORT + n, True, True, ("127.0.0.1", 9)) for n in range(40)])
            == [0] * 40
        )
    assert 800 / (time.monotonic() - started) > 1000
