"""Debian's rtpengine-daemon in user space (table -1) on loopback, with ports of our choice, ended by its own pid."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.system.ng import NgClient

PROGRAM = shutil.which("rtpengine")


@contextlib.contextmanager
def rtpengine(
    control: int,
    ports: tuple[int, int],
    *,
    log: Path,
    cpu: int | None = None,
    level: int = 5,
    extra: Sequence[str] = (),
) -> Iterator[tuple[NgClient, int]]:
    """A client of it and its pid. `control`: NG port; `ports`: first and last media port; `cpu`: pinned there;
    `extra`: more options."""
    assert PROGRAM is not None
    command = [
        PROGRAM, "--table=-1", "--foreground", "--log-stderr", f"--log-level={level}", "--config-file=none",
        "--interface=127.0.0.1", f"--listen-ng=127.0.0.1:{control}", f"--port-min={ports[0]}",
        f"--port-max={ports[1]}", "--num-threads=1", "--delete-delay=0", "--timeout=60", *extra,
    ]  # fmt: skip
    if cpu is not None:
        command = ["taskset", "-c", str(cpu), *command]
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        client = NgClient(("127.0.0.1", control))
        try:
            client.wait_ready()
            yield client, process.pid
        finally:
            client.close()
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
