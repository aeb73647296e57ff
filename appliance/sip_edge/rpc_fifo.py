"""Long answers of Kamailio's RPC: by a pipe that we make for each; a datagram holds 64 KiB (module jsonrpcs, FIFO).

    question -> <run>/kamailio_rpc.fifo, one line, written at once
    answer   -> <run>/events/<name that the question says>, of any length, until Kamailio closes it
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FIFO = "kamailio_rpc.fifo"  # in the run directory
REPLIES = "events"  # the folder there where Kamailio's group, and so control, may make pipes
MOST_OCTETS = 64 * 1024 * 1024  # of an answer
AT_ONCE = 1 << 16


class TooLong(Exception):
    """An answer of more than MOST_OCTETS."""


async def exchange(run: Path, question: dict[str, Any]) -> dict[str, Any]:
    """The answer. OSError: nobody reads the pipe, or the question is too long for one write; ValueError: it is no JSON
    object; TooLong."""
    with _pipe(run / REPLIES) as (name, reading):
        _ask(run / FIFO, json.dumps({**question, "reply_name": name}).encode() + b"\n")
        answer = json.loads(await _all_of(reading))
    if not isinstance(answer, dict):
        raise ValueError("no object")
    return answer


@contextmanager
def _pipe(folder: Path) -> Iterator[tuple[str, int]]:
    """A new one, which Kamailio's account may write to: its name and our end of it."""
    path = folder / f"reply-{secrets.token_hex(8)}"
    os.mkfifo(path, 0o600)
    try:
        os.chown(path, -1, folder.stat().st_gid)
        path.chmod(0o620)
        reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            yield path.name, reading
        finally:
            os.close(reading)
    finally:
        with contextlib.suppress(OSError):
            path.unlink()


def _ask(path: Path, line: bytes) -> None:
    if len(line) > 4096:  # PIPE_BUF: others may ask at the same time
        raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
    writing = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    try:
        os.write(writing, line)
    finally:
        os.close(writing)


async def _all_of(pipe: int) -> bytes:
    """What is written until the writer is done. Before it begins, a pipe reads as ended: so it is waited for."""
    loop = asyncio.get_running_loop()
    found = bytearray()
    while True:
        await _readable(loop, pipe)
        try:
            data = os.read(pipe, AT_ONCE)
        except BlockingIOError:
            continue
        if not data:
            if found:
                return bytes(found)
            await asyncio.sleep(0.01)
        found += data
        if len(found) > MOST_OCTETS:
            raise TooLong


async def _readable(loop: asyncio.AbstractEventLoop, pipe: int) -> None:
    ready = asyncio.Event()
    loop.add_reader(pipe, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(pipe)
