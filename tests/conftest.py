"""What a run of the tests leaves behind: no process, also when it is interrupted.

Fixtures stop what they start. Whatever is still a child of ours at the end, because of a test that failed in an unlucky
place, is ended here by its pid and named in the summary; SIGTERM (a time limit of CI) unwinds as Ctrl-C does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from types import FrameType

import pytest

PATIENCE_S = 5.0  # for what is about to end
OURS = ("multiprocessing",)  # helpers of this Python, which end with it
LEFT = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    own = os.getpid()

    def interrupt(number: int, frame: FrameType | None) -> None:
        if os.getpid() == own:
            signal.default_int_handler(number, frame)
        signal.signal(number, signal.SIG_DFL)  # a child that was forked and not executed
        os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, interrupt)
    config.stash[LEFT] = []


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while children() and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid, words in children().items():
        session.config.stash[LEFT].append(f"{pid}: {words}")
        end(pid)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if left := config.stash[LEFT]:
        terminalreporter.section("left running, ended now")
        for line in left:
            terminalreporter.write_line(line[:300])


def children() -> dict[int, str]:
    """Processes of ours that run: pid -> command line."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, parent = (entry / "stat").read_text().rpartition(") ")[2].split()[:2]
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            if int(parent) == os.getpid() and state != "Z" and not any(word in words for word in OURS):
                found[int(entry.name)] = words
    return found


def end(pid: int) -> None:
    """SIGTERM, then SIGKILL; the whole group where the process leads one."""
    with contextlib.suppress(ProcessLookupError):
        kill = os.killpg if os.getpgid(pid) == pid else os.kill
        kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE_S
        while pid in children():
            if time.monotonic() > deadline:
                kill(pid, signal.SIGKILL)
                break
            time.sleep(0.05)
