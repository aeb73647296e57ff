"""The holder with each kind of kernel sockets: a call through it, descriptors, and what happens without privileges."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from kernels.control.commands import InstallCrypto, InstallFlow
from kernels.control.configuration import Configuration, Interface
from kernels.control.sockets import open_media
from tests.kernels.rig import CM128, Control, discard, drain, endpoint, export, holder, master_key, rtp, session, take

pytestmark = pytest.mark.system
PORT = 22700
KINDS = ("udp-sockets", "udp-wildcard")


class Call:
    """Alice (plain) at PORT, Bob (secure) at PORT + 1."""

    def __init__(self, control: Control, address: str) -> None:
        self.address, self.alice, self.bob = address, endpoint(address), endpoint(address)
        alice, bob = (phone.getsockname()[:2] for phone in (self.alice, self.bob))
        assert control.do(
            InstallCrypto(0, CM128, master_key(0), False),
            InstallCrypto(1, CM128, master_key(1), True),
            InstallFlow(0, "default", PORT, True, True, alice, 1, 1, latching="off"),
            InstallFlow(1, "default", PORT + 1, True, True, bob, 0, 0, 0, 1, True, latching="authenticated"),
        ) == [0] * 4  # fmt: skip
        self.sends, self.opens = session(master_key(0), True), session(master_key(1), False)

    def talks(self, first: int) -> None:
        """Ten packets each way, all of them right."""
        plain = [rtp(first + i) for i in range(10)]
        for data in plain:
            self.alice.sendto(data, (self.address, PORT))
            sealed = self.sends.protect_rtp(data)
            assert isinstance(sealed, bytes)
            self.bob.sendto(sealed, (self.address, PORT + 1))
        assert drain(self.alice) == plain
        assert [self.opens.unprotect_rtp(data) for data in drain(self.bob)] == plain


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_call_through_each_kind(tmp_path: Path, kind: str, address: str) -> None:
    """RTP <-> SRTP, privileges dropped, also after the worker was killed: its successor inherits the same sockets and
    steering."""
    here = [{"name": "default", "address": address}]
    with holder(tmp_path, PORT, port=kind, interfaces=here, user="nobody") as running:
        control = Control(running.path)
        assert control.plane.info.port_kind == kind
        call = Call(control, address)
        call.talks(1)
        os.kill(control.plane.worker(0).pid, 9)
        control.await_news("started")
        call.talks(11)


def test_a_moved_call_is_steered_to_its_new_worker(tmp_path: Path) -> None:
    """The port leads to the other worker; once the old one has seen the move nothing is handed over any more."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    cores = cores if len(cores) == 2 else [cores[0], cores[0] + 1]
    with holder(tmp_path, PORT, port="udp-wildcard", cores=cores, ports=[PORT, PORT + 39]) as running:
        control = Control(running.path)
        call = Call(control, "127.0.0.1")
        call.talks(1)
        assert control.do(export(1, 1), worker=0) == [0]
        assert control.do(take(1), worker=1) == [0]
        assert control.do(discard(1), worker=1) == [0]
        call.talks(11)
        handed_over = control.plane.counters(0)["handed_over"]
        call.talks(21)
        assert control.plane.counters(0)["handed_over"] == handed_over
        assert control.plane.counters(1)["forwarded"] >= 20


@pytest.mark.parametrize("kind", ["auto", "udp", "udp-wildcard"])
def test_many_ports_need_few_descriptors(tmp_path: Path, kind: str) -> None:
    """20,000 ports behind a limit of 200 descriptors, none of them missing; the choice falls on the wildcard."""
    limit = ["prlimit", "--nofile=200:200", "setpriv", "--bounding-set", "-sys_resource"]
    configuration = {
        "socket": str(tmp_path / "media.sock"), "cores": [min(os.sched_getaffinity(0))], "port": kind,
        "interfaces": [{"name": "default", "address": "127.0.0.1"}], "ports": [24000, 43999], "calls": 4,
    }  # fmt: skip
    (tmp_path / "c.json").write_text(json.dumps(configuration))
    command = [*limit, sys.executable, "-m", "kernels.control.holder", str(tmp_path / "c.json")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            ready = next(entry for entry in map(json.loads, process.stderr) if "ready" in entry["event"])
            assert (ready["ports"], ready["port_kind"]) == (20_000, "udp-wildcard")
            assert len(list(Path(f"/proc/{process.pid}/fd").iterdir())) < 60
        finally:
            process.terminate()


def test_without_privileges_there_is_a_socket_for_each_port(tmp_path: Path) -> None:
    """No CAP_BPF, CAP_NET_ADMIN, CAP_NET_RAW: the holder falls back and says why."""
    program = (
        "import json; from kernels.control.configuration import Configuration, Interface;"
        "from kernels.control.sockets import open_media;"
        f"ports = ({PORT}, {PORT + 9});"
        "c = Configuration('', (Interface('a', '127.0.0.1', ports),), ports, (0,), 1, port='udp-wildcard');"
        "m = open_media(c); print(json.dumps([m.kind, m.why, len(m.fds[0])]))"
    )
    prefix = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"]
    done = subprocess.run([*prefix, sys.executable, "-c", program], capture_output=True, text=True, check=True)
    kind, why, count = json.loads(done.stdout)
    assert (kind, count) == ("udp-sockets", 10)
    assert "no wildcard" in why
    assert "not permitted" in why


def test_a_build_without_bpf(monkeypatch: pytest.MonkeyPatch) -> None:
    """clang was missing when the package was made: said so."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    here = (Interface("a", "127.0.0.1", (PORT, PORT + 9)),)
    media = open_media(Configuration("", here, (PORT, PORT + 9), (0,), 1, port="udp-wildcard"))
    try:
        assert media.kind == "udp-sockets"
        assert "not built" in media.why
    finally:
        for fd in media.fds[0]:
            socket.socket(fileno=fd).close()
