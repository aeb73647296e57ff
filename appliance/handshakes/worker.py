"""A handshake process: `python -m appliance.handshakes.worker DESCRIPTOR MTU`. Its only socket is the one to the front;
it ends with it. The first message is the secret of the cookies."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import math
import select
import signal
import socket
import sys
import time

from appliance.handshakes import messages
from appliance.handshakes.table import Table

BATCH = 64  # messages between two looks at the clock
_PR_SET_DUMPABLE = 4


def main(descriptor: int, mtu: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal: the front decides
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)  # private keys: no core dump, no ptrace by others
    gc.collect()  # associations make no cycles; a full collection through modules and 3,000 of them takes 20 ms
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
    with socket.socket(fileno=descriptor) as front, contextlib.suppress(ConnectionError, BrokenPipeError):
        secret = front.recv(messages.LONGEST)
        table = Table(
            secret,
            send=lambda key, to, data: front.sendall(messages.sending(key, to, data)),
            event=lambda key, source, event: front.sendall(messages.telling(key, source, event)),
            mtu=mtu,
        )
        poll = select.poll()  # descriptors keep their numbers, and a gateway has more than select takes
        poll.register(front, select.POLLIN)
        while _turn(front, table, poll):
            pass


def _turn(front: socket.socket, table: Table, poll: select.poll) -> bool:
    """Wait for messages or for the next time-out, and carry out what there is. False: the front is gone."""
    due = table.next_timeout
    if poll.poll(None if due is None else math.ceil(max(0.0, due - time.monotonic()) * 1000)):
        for _ in range(BATCH):
            try:
                message = front.recv(messages.LONGEST, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            if not message:
                return False
            messages.carry_out(message, table, time.monotonic())
    table.timeout(time.monotonic())
    return True


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
