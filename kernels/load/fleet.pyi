from collections.abc import Sequence

from kernels.load.plan import Run, RunReport, StreamReport, Talker
from kernels.port.port import AnyPort

PATTERN_KEY: int

class Fleet:
    """Thousands of RTP or SRTP endpoints on one or two ports (`(port, number of its sockets)`), driven by one thread.

    The talkers of a side take turns, so all send at the same rate; a packet that arrives is compared octet for octet
    with what was sent, on the socket and from the source where it belongs. ValueError: a plan that makes no sense.
    """

    def __init__(
        self, ports: Sequence[tuple[AnyPort, int]], talkers: Sequence[Talker], pattern_key: int = ...
    ) -> None: ...
    def start(self, run: Run) -> None:
        """Begin a run; counts start anew, SRTP state and sequence go on. ValueError: no rate."""
    def step(self) -> bool:
        """One turn: what is due leaves, what has arrived is verified. True: the run is over."""
    def perform(self, run: Run) -> None:
        """A whole run without the GIL, at full use of this core; stops by itself."""
    def report(self) -> list[StreamReport]:
        """What happened to each side, summed over its talkers (`number`: the side; latency: of the whole run)."""
    def silent(self) -> int:
        """Talkers that heard nothing in a run in which their partner sent."""
    def summary(self) -> RunReport: ...
