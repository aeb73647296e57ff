"""The AF_XDP side of the holder: which devices have rings, how they do, and how they come back.

Opened once before privileges are dropped. Everything may fail, and then kernel sockets carry the media: a device that
cannot says why, once; a device that is lost in mid-call is noticed (`check`), told of, and tried again with growing
waits. A program of somebody else is never taken off.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
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


@dataclass(slots=True)
class DeviceState:
    """A device with rings, and whether they are in use now."""

    device: netdev.Device
    interfaces: tuple[str, ...]  # names of the settings
    mode: str = ""  # native, generic
    link: int = -1  # BPF link
    why: str = ""  # "": in use
    wait_s: float = FIRST_WAIT_S
    try_at: float = 0.0


class RingPlane:
    """All rings of a holder. OSError in words when there can be none."""

    def __init__(self, configuration: Configuration, media: MediaSockets) -> None:
        self._configuration, self._media = configuration, media
        self.excluded: dict[str, str] = {}  # interface -> why it has no rings
        self.devices: list[DeviceState] = []
        self._of: dict[str, netdev.Device] = {}
        self._find_devices()
        self._workers = len(configuration.cores)
        self._program: MediaProgram | None = None
        self.rings: list[Rings | None] = []
        try:
            self._program = MediaProgram(sum(state.device.queues for state in self.devices))
            self.rings = [self._open_rings(worker) for worker in range(self._workers)]
            self._connect(self._program)
            for state in self.devices:
                self._attach(self._program, state)
        except BaseException:
            self.close()
            raise
        self.events = netdev.link_events()

    @property
    def program(self) -> MediaProgram | None:
        """The XDP program, on every device."""
        return self._program

    @property
    def kind(self) -> str:
        """What media runs on now: the best that any device has; "udp": all are lost."""
        modes = {state.mode for state in self.devices if not state.why}
        if "native" in modes and any(rings and rings.zero_copy for rings in self.rings):
            return "xdp-native-zerocopy"
        return "xdp-native" if "native" in modes else "xdp-generic" if modes else "udp"

    @property
    def lost(self) -> str:
        """Devices that kernel sockets stand in for, and why; "": none."""
        return "; ".join(f"xdp lost on {one.device.name}: {one.why}" for one in self.devices if one.why)

    def port(self, worker: int, other: AnyPort, hops: NextHops) -> AnyPort:
        """The worker's port around its kernel sockets (called in the worker's process)."""
        rings = self.rings[worker]
        if rings is None:
            return other
        numbering = ([(shares[0].start, len(shares[0])) for shares in self._media.ranges], self._workers)
        numbers = {state.device.ifindex: i for i, state in enumerate(self.devices)}
        locals_: list[tuple[str, int | None, int, int]] = []
        for interface in self._media.interfaces:
            device = self._of.get(interface.name)
            outer, inner = (*(device.vlans if device else ()), 0, 0)[:2]
            locals_.append((interface.address, numbers[device.ifindex] if device else None, outer, inner))
        return XdpPort(rings, other, locals_, numbering, hops, bool(self._configuration.busy_poll_us))

    def check(self) -> list[dict[str, object]]:
        """Look after every device: news of those that were lost or came back."""
        with contextlib.suppress(BlockingIOError):
            while self.events.recv(1 << 16):
                pass
        news = []
        for number, state in enumerate(self.devices):
            why = self._trouble(state)
            if why and not state.why:
                state.wait_s = FIRST_WAIT_S
                state.try_at = time.monotonic() + state.wait_s  # whoever did it may not be done yet
            elif why and time.monotonic() >= state.try_at and self._again(state):
                why = self._trouble(state)
            if why != state.why:
                state.why = why
                for rings in self.rings:
                    if rings is not None:
                        rings.set_usable(number, not why)
                news.append(self._tell(state))
        return news

    def describe(self) -> dict[str, dict[str, object]]:
        """Interface -> port kind, reason, device."""
        told: dict[str, dict[str, object]] = {
            name: {"kind": "udp", "why": why, "device": ""} for name, why in self.excluded.items()
        }
        for state in self.devices:
            kind = "udp" if state.why else f"xdp-{state.mode}"
            for name in state.interfaces:
                told[name] = {"kind": kind, "why": state.why, "device": state.device.name}
        return told

    def counters(self) -> dict[str, int]:
        """Of the XDP program."""
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

    def _find_devices(self) -> None:
        names: dict[int, list[str]] = {}
        for interface in self._media.interfaces:
            try:
                device = netdev.find_device(interface.address)
            except OSError as error:
                self.excluded[interface.name] = str(error)
                continue
            self._of[interface.name] = device
            names.setdefault(device.ifindex, []).append(interface.name)
        for ifindex, users in names.items():
            self.devices.append(DeviceState(self._of[users[0]], tuple(users)))
            assert self.devices[-1].device.ifindex == ifindex
        if not self.devices:
            raise OSError("; ".join(dict.fromkeys(self.excluded.values())))

    def _open_rings(self, worker: int) -> Rings | None:
        """Queue q of a device is worker q % workers'. Zero copy where every driver has it."""
        queues = [
            (state.device.name, state.device.ifindex, number, queue)
            for number, state in enumerate(self.devices)
            for queue in range(worker, state.device.queues, self._workers)
        ]
        if not queues:
            return None
        if self._configuration.xdp_mode in ("auto", "zerocopy"):
            with contextlib.suppress(OSError):
                return Rings(queues, zero_copy=True, busy_poll_us=self._configuration.busy_poll_us)
        return Rings(queues, busy_poll_us=self._configuration.busy_poll_us)

    def _connect(self, program: MediaProgram) -> None:
        """Tell the program of rings and addresses."""
        first = [0, *itertools.accumulate(state.device.queues for state in self.devices)]
        for rings in self.rings:
            for number, queue, socket in rings.sockets() if rings is not None else []:
                program.set_ring(first[number] + queue, socket)
        numbers = {state.device.ifindex: i for i, state in enumerate(self.devices)}
        for interface, shares in zip(self._media.interfaces, self._media.ranges, strict=True):
            device = self._of.get(interface.name)
            if device is not None:
                ports = range(shares[0].start, shares[-1].stop)
                base = first[numbers[device.ifindex]]
                busy = self._media.busy.get(interface.name, [])
                program.set_local(device.ifindex, interface.address, ports, device.vlans, base, device.queues, busy)

    def _attach(self, program: MediaProgram, state: DeviceState) -> None:
        """Native where the driver can, else generic. OSError."""
        modes = {"native": (True,), "zerocopy": (True,), "generic": (False,)}.get(
            self._configuration.xdp_mode, (True, False)
        )
        for native in modes:
            try:
                state.link = program.attach(state.device.ifindex, native)
                state.mode = "native" if native else "generic"
                return
            except OSError as error:
                if error.errno in (errno.EBUSY, errno.EEXIST):
                    raise OSError(error.errno, f"{state.device.name} is busy: another XDP program is there") from None
                failure = OSError(error.errno, f"{state.device.name}: {error.strerror}")
        raise failure

    # -- watching ----------------------------------------------------------------------------------------

    def _trouble(self, state: DeviceState) -> str:
        """Why a device's rings are of no use now, "" when they are."""
        try:
            if not netdev.running(state.device.name):
                return "link down"
            if state.link < 0:
                return "program detached"
            program, ifindex = bpf.attached(state.link)
        except OSError:
            return "device gone"
        if ifindex != state.device.ifindex:
            return "program detached"
        if self._program is None or program != self._program.id:
            return f"program replaced by BPF program {program}"
        return ""

    def _again(self, state: DeviceState) -> bool:
        """Attach once more if nobody else has taken the place; waits double."""
        state.try_at = time.monotonic() + state.wait_s
        state.wait_s = min(2 * state.wait_s, LONGEST_WAIT_S)
        try:
            if self._program is None or (state.link >= 0 and bpf.attached(state.link)[1] != 0):
                return True  # still attached: link down, or replaced from inside; nothing for us to do
            if state.link >= 0:
                os.close(state.link)
                state.link = -1
            self._attach(self._program, state)
        except OSError:
            return False
        state.wait_s = FIRST_WAIT_S
        return True

    def _tell(self, state: DeviceState) -> dict[str, object]:
        names = ", ".join(state.interfaces)
        if state.why:
            text = f"xdp lost on {names}: {state.why}; kernel sockets take over"
        else:
            text = f"xdp is back on {names} ({state.mode})"
        return {
            "event": "port",
            "interfaces": list(state.interfaces),
            "device": state.device.name,
            "kind": "udp" if state.why else f"xdp-{state.mode}",
            "reason": text,
        }
