"""Which port back end the holder uses: rings where they are wanted and possible, kernel sockets always."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernels.control.arena import Arena
from kernels.control.configuration import Configuration
from kernels.control.journal import Journal
from kernels.control.sockets import MediaSockets
from kernels.port.port import AnyPort

if TYPE_CHECKING:
    from kernels.control.rings import RingPlane

CAP_NET_ADMIN, CAP_BPF = 12, 39  # linux/capability.h: what attaching a program once more takes


class MediaPorts:
    """Opened once, before privileges are dropped. Never fails: without rings it says why, in `why` and the journal."""

    def __init__(self, configuration: Configuration, media: MediaSockets, journal: Journal) -> None:
        self._media, self._journal = media, journal
        self._rings: RingPlane | None = None
        self._why = media.why
        if configuration.port in ("auto", "xdp"):
            self._open(configuration)

    @property
    def kind(self) -> str:
        """What carries media now, as PlaneInfo says it."""
        best = self._rings.kind if self._rings is not None else "udp"
        return self._media.kind if best == "udp" else best

    @property
    def why(self) -> str:
        """It is this."""
        return f"{self._rings.why}; beside them {self._media.why}" if self._rings is not None else self._why

    @property
    def fds(self) -> list[int]:
        """Readable: time to `check`."""
        return [self._rings.events.fileno()] if self._rings is not None else []

    @property
    def needs(self) -> tuple[int, ...]:
        """Capabilities to keep."""
        return (CAP_NET_ADMIN, CAP_BPF) if self._rings is not None else ()

    def around(self, worker: int, sockets: AnyPort, arena: Arena) -> AnyPort:
        """In the worker's process: what it reads and sends by."""
        return self._rings.port(worker, sockets, arena.next_hops()) if self._rings is not None else sockets

    def check(self) -> list[dict[str, object]]:
        """Look after the rings: news for the control process."""
        news = self._rings.check() if self._rings is not None else []
        for one in news:
            level = "warning" if one["why"] else "info"
            self._journal.write(level, "port", device=one["device"], kind=one["kind"], reason=one["reason"])
        return [{**one, "port_kind": self.kind} for one in news]

    def describe(self) -> dict[str, dict[str, object]]:
        """For the control process, by interface."""
        told = self._media.describe()
        for name, state in (self._rings.describe() if self._rings is not None else {}).items():
            told[name] |= {"port_kind": state["kind"], "why": state["why"], "device": state["device"]}
        return told

    def close_in_child(self) -> None:
        """A worker keeps the rings' sockets and nothing else."""
        if self._rings is not None:
            self._rings.close_in_child()

    def close(self) -> None:
        """Take the program off; only when no worker runs."""
        if self._rings is not None:
            self._rings.close()

    def _open(self, configuration: Configuration) -> None:
        wanted = configuration.port == "xdp"
        try:
            from kernels.control.rings import NotEligible, RingPlane
        except ImportError as error:  # a build without libbpf or libxdp
            self._fall_back(f"no xdp: not in this build ({error.name})", wanted)
            return
        try:
            self._rings = RingPlane(configuration, self._media)
        except NotEligible as error:
            self._fall_back(f"no xdp: {error}", wanted)
        except (OSError, ValueError, MemoryError) as error:
            self._fall_back(f"no xdp: {error}", True)

    def _fall_back(self, why: str, worth_a_warning: bool) -> None:
        self._why = f"{self._media.why}; {why}"
        self._journal.write("warning" if worth_a_warning else "info", "kernel sockets carry the media", why=why)
