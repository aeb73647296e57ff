from collections.abc import Sequence

from kernels.load.plan import KeyBytes, Run, RunReport, StreamConfig, StreamReport
from kernels.srtp.transform import Transform

PATTERN_KEY: int

class Endpoints:
    """Many RTP or SRTP endpoints driven by one thread; sockets are bound when constructed, OSError when that fails."""

    def __init__(self, streams: Sequence[StreamConfig], pattern_key: int = ...) -> None: ...
    def run(self, seconds: float, packets: int = 0, interval_us: int = 0, settle_ms: int = 300) -> None:
        """Send and verify, without the GIL; stops by itself. Counts start anew; SRTP state and sequence go on."""
    def perform(self, run: Run) -> None:
        """`run` with the values of a `Run`."""
    def connect(self, place: int, remote: tuple[str, int], rtcp_remote: tuple[str, int] | None = None) -> None:
        """Point a stream at where it sends to (addresses that were not known when sockets were bound)."""
    def secure(self, place: int, transform: Transform, send_key: KeyBytes | None, receive_key: KeyBytes | None) -> None:
        """Install or replace the keys of a stream. ValueError, OSError."""
    def ports(self) -> list[tuple[int, int]]:
        """Local RTP and RTCP port of every stream (equal with rtcp-mux)."""
    def report(self) -> list[StreamReport]: ...
    def summary(self) -> RunReport: ...
    def close(self) -> None: ...
