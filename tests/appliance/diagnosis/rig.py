"""A whole call service over a real worker in this process: what is asked by SDP or session becomes flows and contexts,
packets go through the packet path, and `why` looks at what became of them. Only sockets are missing."""

from __future__ import annotations

import contextlib
import os
import time
import weakref
from collections.abc import Container
from typing import Any

from appliance.calls.diagnosing import gather
from appliance.calls.media import Address, ContextSpec, Latching, LegMedia, MasterKey, StreamMedia
from appliance.calls.views import CallView, SessionRequest
from appliance.diagnosis.causes import Cause, Finding
from appliance.diagnosis.diagnose import diagnose
from appliance.protocols.srtp import suites
from kernels.control.commands import Command, InstallFlow
from kernels.control.status import InterfaceInfo, KeptDatagram, PlaneInfo, WorkerInfo, WorkerStatus
from kernels.srtp.session import Session
from kernels.srtp.transform import Transform
from tests.appliance.rig import Rig
from tests.kernels.rig import LocalPlane, rtp

PORTS = range(42500, 42500 + LocalPlane.SOCKETS)
OURS = "192.0.2.10"
ALICE, BOB = Address("192.0.2.1", 4000), Address("198.51.100.7", 5000)
CM80, CM32 = "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32"


class WorkerPlane:
    """`kernels.control.plane.MediaPlane` over one worker that turns when it is told to."""

    def __init__(self, address: str = OURS) -> None:
        self.local = LocalPlane()
        capacities = self.local.arena.capacities()
        info = WorkerInfo(0, -1, capacities["flows"], capacities["cryptos"], capacities["streams"])
        self.info = PlaneInfo("1", "memory", "auto", "test", (info,), {"default": InterfaceInfo(address, (PORTS,))})
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._end = weakref.finalize(self, os.close, self._event)

    def fileno(self) -> int:
        return self._event

    def wake(self, worker: int) -> None:
        pass

    def submit(self, worker: int, command: Command, *, wake: bool = True) -> int:
        number = command.port - PORTS.start if isinstance(command, InstallFlow) else None
        ticket = self.local.mailbox.submit(command, number)
        os.eventfd_write(self._event, 1)
        return ticket

    def poll(self) -> list[Any]:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._event)
        found: list[Any] = []
        for _ in range(16):
            self.local.worker.turn()
        self.local.mailbox.take(found)
        return found

    def flow(self, worker: int, slot: int) -> Any:
        return self.local.mailbox.flow(slot, lambda number: ("default", PORTS.start + number))

    def crypto(self, worker: int, slot: int) -> Any:
        return self.local.mailbox.crypto(slot)

    def flows(self, worker: int) -> list[int]:
        return self.local.mailbox.flows()

    def cryptos(self, worker: int) -> list[int]:
        return self.local.mailbox.cryptos()

    def counters(self, worker: int) -> dict[str, int]:
        return self.local.mailbox.counters()

    def samples(self, worker: int, slots: Container[int]) -> list[KeptDatagram]:
        return self.local.mailbox.samples(slots)

    def worker(self, worker: int) -> WorkerStatus:
        return self.local.mailbox.worker()

    def transfers(self) -> list[tuple[str, int]]:
        return []

    def close(self) -> None:
        self._end()


class Scene:
    """One call and its two phones. Leg a is Alice's, leg b Bob's."""

    def __init__(self, address: str = OURS) -> None:
        self.plane = WorkerPlane(address)
        self.rig = Rig(self.plane)  # type: ignore[arg-type]
        self.calls = self.rig.calls
        self.sent = 0

    async def session(self, a: LegMedia, b: LegMedia, *more: StreamMedia) -> CallView:
        request = SessionRequest((StreamMedia("audio", a, b), *more), "call")
        if self.calls.ledger.registry.get("call") is None:
            return await self.calls.create_session(request)
        return await self.calls.update_session(request)

    def send(
        self, side: str, *packets: bytes, source: Address | None = None, rtcp: bool = False, line: int = 0
    ) -> None:
        """Datagrams of a leg's peer arrive at our port of that leg."""
        stream = self.calls.get("call").streams[line]
        local = (stream.a if side == "a" else stream.b).local
        peer = source or (ALICE if side == "a" else BOB)
        number = (local.rtcp if rtcp else local.rtp) - PORTS.start
        self.plane.local.send(number, *packets, source=(peer.host, peer.port))

    def speech(self, side: str, count: int = 20, session: Session | None = None, **keywords: Any) -> None:
        """Some packets of voice, protected if a session is given; the sequence goes on from call to call."""
        plain = [rtp(1000 + self.sent + n, voice(n), ssrc=ord(side)) for n in range(count)]
        self.sent += count
        self.send(side, *(sealed(session, packet) for packet in plain), **keywords)

    def why(self, later_s: float = 0.0) -> tuple[Finding, ...]:
        call = self.calls.ledger.registry.get("call")
        assert call is not None
        return diagnose(gather(call, self.rig.snapshots, lambda: time.monotonic_ns() + int(later_s * 1e9)))

    def causes(self, later_s: float = 0.0) -> list[Cause]:
        return [finding.cause for finding in self.why(later_s)]

    def first(self, later_s: float = 0.0) -> Finding:
        return self.why(later_s)[0]

    def close(self) -> None:
        self.rig.stop()
        self.plane.close()


def voice(number: int) -> bytes:
    """20 ms of a tone in G.711: few different octets, as speech has."""
    return bytes(0x80 | ((number * 160 + n) * 7 // 3 & 0x1F) for n in range(160))


def sealed(session: Session | None, packet: bytes) -> bytes:
    if session is None:
        return packet
    protected = session.protect_rtp(packet)
    assert isinstance(protected, bytes), protected
    return protected


def master(suite: str = CM80, mki: bytes = b"") -> MasterKey:
    row = suites.find(suite)
    assert row is not None
    return MasterKey(os.urandom(row.key_octets), os.urandom(row.salt_octets), mki)


def context(suite: str = CM80, key: MasterKey | None = None, **keywords: Any) -> ContextSpec:
    return ContextSpec(suite, (key or master(suite),), **keywords)


def plain(remote: Address | None, **keywords: Any) -> LegMedia:
    rtcp = Address(remote.host, remote.port + 1) if remote else None
    return LegMedia("default", remote, rtcp, **keywords)


def secure(remote: Address | None, receive: ContextSpec | None, send: ContextSpec | None, **keywords: Any) -> LegMedia:
    rtcp = Address(remote.host, remote.port + 1) if remote else None
    return LegMedia(
        "default", remote, rtcp, secure=True, receive=receive, send=send, latching=Latching.AUTHENTICATED, **keywords
    )


def phone(spec: ContextSpec, suite: str = "", key: MasterKey | None = None, **keywords: Any) -> Session:
    """What the peer protects with: the context's first key, unless said otherwise."""
    row = suites.find(suite or spec.suite)
    assert row is not None
    used = key or spec.keys[0]
    transform = Transform(row.cipher, row.auth, row.key_octets, row.salt_octets, row.rtp_tag, row.rtcp_tag)
    return Session(transform, used.key, used.salt, send=True, **keywords)
