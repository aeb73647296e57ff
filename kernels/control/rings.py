"""The AF_XDP side of the holder: which devices have rings, how they do, and how they come back.

Opened once before privileges are dropped. Everything may fail, and then kernel sockets carry the media: a device that
cannot says why, once; one that is lost in mid-call is noticed (`check`), told of, and tried again with growing waits.
A program of somebody else is never taken off.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass

from kernels.control.configuration import Configuration
from kernels.control.sockets import MediaSockets
from kernels.port import netdev
from kernels.port import program as bpf
from kernels.port.media import MediaProgram
from kernels.port.nexthop import NextHops
from kernels.port.port import AnyPort
from kernels.port.xdp import XdpPort
from kernels.port.xsk import Rings

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 30.0
MODES = {"auto": (True, False), "native": (True,), "generic": (False,)}  # of xdp_mode: in the driver?


class NotEligible(OSError):
    """No interface is on a device that rings can serve: nothing to warn of."""


@dataclass(slots=True)
class DeviceState:
    """A device with rings, and whether they are in use now."""

    device: netdev.Device
    interfaces: tuple[str, ...]  # names of the settings
    first: int  # its queue q has place `first + q` in the program's table
    mode: str = ""  # native, generic
    link: int = -1  # BPF link
    failed: str = ""  # why it could not be attached last
    why: str = ""  # "": in use
    wait_s: float = FIRST_WAIT_S
    try_at: float = 0.0


class RingPlane:
    """All rings of a holder. OSError in words when there can be none."""

    def __init__(self, configuration: Configuration, media: MediaSockets) -> None:
        self._mode, self._media = configuration.xdp_mode, media
        self._workers = len(configuration.cores)
        self.excluded: dict[str, str] = {}  # interface -> why it has no rings
        self._of: dict[str, int] = {}  # interface -> number of its device
        self.devices = self._find_devices()
        self.rings: list[Rings | None] = []
        with contextlib.ExitStack() as opened:
            opened.callback(self.close)
            self._program: MediaProgram | None = None
            self._program = MediaProgram(sum(state.device.queues for state in self.devices))
            for worker in range(self._workers):
                self.rings.append(self._open_rings(worker))
            self._connect(self._program)
            for state in self.devices:
                self._attach(state)
                self._use(state, state.failed)
            if all(state.why for state in self.devices):
                raise OSError("; ".join(state.why for state in self.devices))
            self.events = netdev.link_events()
            opened.pop_all()

    @property
    def kind(self) -> str:
        """What media runs on: the best that any device has now; "udp": none has."""
        return min((self._kind(state) for state in self.devices), key=ORDER.index)

    @property
    def why(self) -> str:
        """It is this."""
        told = [f"{self._kind(state)} on {state.device.name}" for state in self.devices if not state.why]
        told += [f"kernel sockets on {', '.join(one.interfaces)}: {one.why}" for one in self.devices if one.why]
        return "; ".join(told + [f"kernel sockets on {name}: {why}" for name, why in self.excluded.items()])

    def port(self, worker: int, other: AnyPort, hops: NextHops) -> AnyPort:
        """The worker's port around its kernel sockets (called in the worker's process)."""
        rings = self.rings[worker]
        if rings is None:
            return other
        places: list[tuple[str, int | None, int, int]] = []
        for interface in self._media.interfaces:
            number = self._of.get(interface.name)
            tags = (0, 0) if number is None else self.devices[number].device.tags
            places.append((interface.address, number, *tags))
        return XdpPort(rings, other, places, (self._media.ranges[0].start, self._media.share, self._workers), hops)

    def check(self) -> list[dict[str, object]]:
        """Look after every device: news of those that were lost or came back."""
        with contextlib.suppress(OSError):  # nothing more to read, or some were lost: we look anyway
            while self.events.recv(1 << 16):
                pass
        news = []
        for state in self.devices:
            why = self._trouble(state)
            if why and time.monotonic() >= state.try_at:
                self._again(state)
                why = self._trouble(state)
            if why != state.why:
                self._use(state, why)
                news.append(self._tell(state))
        return news

    def describe(self) -> dict[str, dict[str, str]]:
        """Interface -> port kind, reason, device."""
        told = {name: {"kind": "udp", "why": why, "device": ""} for name, why in self.excluded.items()}
        for state in self.devices:
            now = {"kind": self._kind(state), "why": state.why, "device": state.device.name}
            told |= dict.fromkeys(state.interfaces, now)
        return told

    def counters(self) -> dict[str, int]:
        """Of the XDP program: frames by verdict."""
        return self._program.counters() if self._program is not None else {}

    def close_in_child(self) -> None:
        """A worker keeps its sockets and no link: the program goes with the holder."""
        for state in self.devices:
            if state.link >= 0:
                os.close(state.link)
        self.events.close()

    def close(self) -> None:
        """Detach and close; only when no worker runs."""
        for state in self.devices:
            if state.link >= 0:
                os.close(state.link)
                state.link = -1
        for rings in self.rings:
            if rings is not None:
                rings.close()
        if self._program is not None:
            self._program.close()

    # -- opening -----------------------------------------------------------------------------------------

    def _find_devices(self) -> list[DeviceState]:
        found: dict[netdev.Device, list[str]] = {}
        for interface in self._media.interfaces:
            try:
                device = netdev.find_device(interface.address)
            except OSError as error:
                self.excluded[interface.name] = str(error)
                continue
            found.setdefault(device, []).append(interface.name)
        if not found:
            raise NotEligible("; ".join(dict.fromkeys(self.excluded.values())))
        states: list[DeviceState] = []
        first = 0
        for device, names in found.items():
            self._of |= dict.fromkeys(names, len(states))
            states.append(DeviceState(device, tuple(names), first))
            first += device.queues
        return states

    def _open_rings(self, worker: int) -> Rings | None:
        """Queue q of a device is worker q % workers'. Zero copy where every driver has it."""
        queues = [
            (state.device.name, state.device.ifindex, number, queue)
            for number, state in enumerate(self.devices)
            for queue in range(worker, state.device.queues, self._workers)
        ]
        if not queues:
            return None
        if self._mode != "generic":
            with contextlib.suppress(OSError):
                return Rings(queues, zero_copy=True)
        return Rings(queues)

    def _connect(self, program: MediaProgram) -> None:
        """Tell the program of rings and addresses."""
        for rings in self.rings:
            for number, queue, socket in rings.sockets() if rings is not None else []:
                program.set_ring(self.devices[number].first + queue, socket)
        ports = range(self._media.ranges[0].start, self._media.ranges[-1].stop)
        for interface in self._media.interfaces:
            if interface.name in self._of:
                state = self.devices[self._of[interface.name]]
                foreign = self._media.busy.get(interface.name, [])
                program.set_local(state.device, interface.address, ports, state.first, foreign)

    def _attach(self, state: DeviceState) -> None:
        """Native where the driver can, else generic; says in `state` what became of it."""
        assert self._program is not None
        for native in MODES[self._mode]:
            mode = "native" if native else "generic"
            try:
                state.link = self._program.attach(state.device.ifindex, native)
            except OSError as error:
                state.failed = f"{mode} XDP on {state.device.name}: {error.strerror or error}"
            else:
                state.mode, state.failed = mode, ""
                return

    # -- watching ----------------------------------------------------------------------------------------

    def _trouble(self, state: DeviceState) -> str:
        """Why a device's rings are of no use now, "" when they are."""
        try:
            if not netdev.running(state.device.name):
                return "link down"
            if state.link < 0:
                return state.failed
            program, ifindex = bpf.attached(state.link)
        except OSError:
            return "device gone"
        if ifindex != state.device.ifindex:
            return "program detached"
        if self._program is None or program != self._program.id:
            return f"program replaced by BPF program {program}"
        return ""

    def _again(self, state: DeviceState) -> None:
        """Attach once more if our program is off; the next time waits double."""
        with contextlib.suppress(OSError):
            if state.link >= 0 and bpf.attached(state.link)[1] != 0:
                return  # still there: link down, or replaced from inside. Nothing for us to do
        state.try_at = time.monotonic() + state.wait_s
        state.wait_s = min(2 * state.wait_s, LONGEST_WAIT_S)
        if state.link >= 0:
            os.close(state.link)
            state.link = -1
        self._attach(state)
        if state.link >= 0:
            state.wait_s = FIRST_WAIT_S

    def _use(self, state: DeviceState, why: str) -> None:
        """Workers send by the device's rings from now on, or (with a reason) no longer."""
        state.why = why
        for rings in self.rings:
            if rings is not None:
                rings.set_usable(self.devices.index(state), not why)

    def _kind(self, state: DeviceState) -> str:
        if state.why:
            return "udp"
        zero_copy = all(rings.zero_copy for rings in self.rings if rings is not None)
        return f"xdp-{state.mode}" + ("-zerocopy" if zero_copy and state.mode == "native" else "")

    def _tell(self, state: DeviceState) -> dict[str, object]:
        names, kind = ", ".join(state.interfaces), self._kind(state)
        text = (
            f"xdp lost on {names}: {state.why}; kernel sockets take over"
            if state.why
            else f"xdp is back on {names} ({kind})"
        )
        return {
            "event": "port",
            "interfaces": list(state.interfaces),
            "device": state.device.name,
            "kind": kind,
            "why": state.why,
            "reason": text,
        }


ORDER = ("xdp-native-zerocopy", "xdp-native", "xdp-generic", "udp")  # from fast to slow
