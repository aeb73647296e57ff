"""The command line's way to the gateway: its gRPC API over the Unix socket, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appliance.cli.exits import Exit, fail

if TYPE_CHECKING:
    import grpc

TIMEOUT_S = 10.0


@contextmanager
def connected(socket: Path) -> Iterator[grpc.Channel]:
    """A channel; refused and unanswered requests inside end the command with a sentence and an exit code."""
    import grpc

    from appliance.cli import naming

    if not socket.exists():
        fail(Exit.NOT_RUNNING, f"the gateway is not running here: there is no {socket} (start it: srtpgw up)")
    options = [("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(f"unix:{socket.resolve()}", options=options) as channel:
        try:
            yield grpc.intercept_channel(channel, *naming.interceptors())
        except grpc.RpcError as error:
            _explain(error, socket)


def _explain(error: Any, socket: Path) -> None:
    import grpc

    code, details = error.code(), error.details()
    if code is grpc.StatusCode.UNAVAILABLE and not _from_the_gateway(error):
        why = "permission denied" if "ermission denied" in (details or "") else "nobody answers"
        fail(Exit.NOT_RUNNING, f"the gateway is not running, or is not for you: {socket}: {why}")
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        fail(Exit.NOT_RUNNING, f"no answer from {socket} within {TIMEOUT_S:g} s")
    fail(Exit.NOT_FOUND if code is grpc.StatusCode.NOT_FOUND else Exit.FAILED, details or code.name)


def _from_the_gateway(error: Any) -> bool:
    """UNAVAILABLE is also what a draining gateway says, then with details; gRPC itself gives none."""
    return any(key == "grpc-status-details-bin" for key, _ in error.trailing_metadata() or ())
