"""Descriptor limit, privileges, service manager."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.kernels.rig import Control, holder, wait_for

PORT = 22200
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@needs_root
def test_privileges_are_dropped(tmp_path: Path) -> None:
    """H4, H6: holder and worker run as the configured user, cannot come back, and are not dumpable: /proc/PID is
    root's though the process is not."""
    import pwd

    account = pwd.getpwnam("nobody")
    with holder(tmp_path, PORT, user="nobody") as running:
        assert Path(running.path).stat().st_uid == account.pw_uid
        control = Control(running.path)  # root may
        for pid in (running.process.pid, control.plane.worker(0).pid):
            status = Path(f"/proc/{pid}/status").read_text()
            ids = {line.split()[0]: line.split()[1:] for line in status.splitlines() if line.startswith(("Uid", "Gid"))}
            assert set(ids["Uid:"]) == {str(account.pw_uid)}
            assert set(ids["Gid:"]) == {str(account.pw_gid)}
            assert Path(f"/proc/{pid}/environ").stat().st_uid == 0
            flags = Path(f"/proc/{pid}/smaps").read_text().split("srtpgw-arena")[1].split("VmFlags:")[1].split("\n")[0]
            assert {"dd", "lo"} <= set(flags.split())
        os.kill(control.plane.worker(0).pid, 9)
        assert control.await_news("started").restarts >= 0
        assert wait_for(lambda: control.plane.worker(0).restarts == 1)


def test_descriptor_limit_shrinks_the_range(tmp_path: Path) -> None:
    """F15: fewer ports than wanted is said once and shown in the inventory."""

    configuration = {
        "socket": str(tmp_path / "media.sock"),
        "cores": [min(os.sched_getaffinity(0))],
        "interfaces": [{"name": "default", "address": "127.0.0.1"}],
        "ports": [PORT, PORT + 999],
        "calls": 4,
    }
    (tmp_path / "c.json").write_text(json.dumps(configuration))
    # CAP_SYS_RESOURCE (root) would raise the limit: run without capabilities where we have them
    limit = ["prlimit", "--nofile=400:400"]
    prefix = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"] if os.geteuid() == 0 else []
    command = [*limit, *prefix, sys.executable, "-m", "kernels.control.holder", str(tmp_path / "c.json")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: Path(configuration["socket"]).exists() or process.poll() is not None, 30)  # type: ignore[arg-type]
        assert process.poll() is None, process.communicate(timeout=10)[1]
        wait_for(lambda: _attaches(str(configuration["socket"])), 10)
        control = Control(str(configuration["socket"]))
        (ports,) = control.plane.info.interfaces["default"].ports
        assert 200 < len(ports) <= 400 - 100
    finally:
        process.terminate()
        log = process.communicate(timeout=10)[1]
    shrunk = [json.loads(line) for line in log.splitlines() if "shrunk" in line]
    assert len(shrunk) == 1
    assert "instead of 1000" in shrunk[0]["why"]


def _attaches(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    time.sleep(0.1)
    return True


def test_service_manager_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Type=notify: READY once sockets and workers stand, STATUS and WATCHDOG while it lives, STOPPING at the end."""
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "notify"))
    manager.settimeout(3)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "5000000")
    told = []
    with holder(tmp_path, PORT):
        while "STATUS=1 of 1 workers run" not in told:
            told.append(manager.recv(200).decode())
    assert told[0] == "READY=1"
    assert "WATCHDOG=1" in told
    while told[-1] != "STOPPING=1":
        told.append(manager.recv(200).decode())
