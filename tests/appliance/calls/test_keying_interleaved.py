"""A9: packets of every kind in every moment of keying, on real workers (memory ports). A thousand orders of events,
each named by its seed. Two things must never come out: what should have been protected, and what could not be opened.
"""

from __future__ import annotations

import asyncio
import random

import pytest

from appliance.calls.keyed import Keys, Seat
from appliance.calls.media import Address, ContextSpec, LegMedia
from appliance.errors import GatewayError
from appliance.placement.desired_contexts import transform_of
from appliance.protocols.dtls.outputs import Failed, Reason
from kernels.control.commands import Punt
from kernels.srtp.session import Session
from tests.appliance.calls.test_keying import PEER, STRANGER, House, hello, keys, wish
from tests.appliance.packet_plane import PacketPlane
from tests.appliance.processes import rtp

PLAIN = ("127.0.0.1", 40000)
FROM_A, FROM_B = b"in clear, from leg a", b"in clear, from leg b"
SEEDS, STEPS = 1000, 14


class Scene:
    """A call of plain RTP at a and DTLS at b, and what its peers know."""

    def __init__(self, seed: int, plane: PacketPlane, house: House) -> None:
        self.random = random.Random(seed)
        self.plane, self.house = plane, house
        self.serial, self.association, self.issued = 0, 0, 0
        self.senders: dict[int, Session] = {}  # number of keys -> the peer's
        self.passed = 0

    def leg(self) -> LegMedia:
        dtls = wish(self.random.choice((False, False, True)) if not self.association else False, f"{self.association}")
        return LegMedia("default", Address(*PEER), None, True, secure=True, dtls=dtls)

    async def begin(self) -> None:
        await self.house.up(self.leg())

    async def step(self) -> None:
        """One event, and as much time for what follows of it as chance will have."""
        deed = self.random.choice((
            self.from_a, self.from_a, self.plain_from_b, self.under_keys, self.under_keys, self.under_no_keys,
            self.ready, self.ready, self.stranger, self.again, self.anew, self.move,
        ))  # fmt: skip
        await deed()
        for _ in range(self.random.choice((0, 0, 1, 3, 12))):
            await asyncio.sleep(0)

    # ---------------------------------------------------------------- packets

    def arrives(self, side: str, packet: bytes, source: tuple[str, int]) -> list[bytes]:
        """What goes to leg a's peer; what goes to b's is judged here."""
        placed = self.house.branch.placement.streams[0]
        port, to_a = placed.placement.leg(side).rtp, []
        for _, data, to in self.plane.arrive(placed.placement.worker, port, source, packet):
            if to == PLAIN:
                to_a.append(data)
            elif to == PEER and data[0] >> 6 == 2:
                assert FROM_A not in data and FROM_B not in data
                assert self.held, "protected under what?"
                self.passed += 1
        return to_a

    @property
    def held(self) -> Keys | None:
        found: Keys | None = self.house.branch.keyed.get(Seat(0, "b", "rtp"))
        return found

    def packet(self, payload: bytes) -> bytes:
        self.serial += 1
        return rtp(self.serial, payload=payload)

    async def from_a(self) -> None:
        assert self.arrives("a", self.packet(FROM_A), PLAIN) == []

    async def plain_from_b(self) -> None:
        assert self.arrives("b", self.packet(FROM_B), self.random.choice((PEER, STRANGER))) == []

    async def under_keys(self) -> None:
        """Of any number that was ever issued: only what is held, now or still, opens it."""
        if not self.senders:
            return
        number = self.random.choice(list(self.senders))
        packet = self.packet(FROM_B)
        sealed = self.senders[number].protect_rtp(packet)
        assert isinstance(sealed, bytes)
        for out in self.arrives("b", sealed, PEER):
            held = self.held
            known = [] if held is None else [held.receive, *([held.earlier] if held.earlier else [])]
            assert out == packet and keys(number).receive in known
            self.passed += 1

    async def under_no_keys(self) -> None:
        sealed = session(keys(250).receive).protect_rtp(self.packet(FROM_B))
        assert isinstance(sealed, bytes)
        assert self.arrives("b", sealed, PEER) == []

    # ---------------------------------------------------------------- keying

    async def ready(self) -> None:
        opened = list(self.house.associations.opened)
        if opened:
            self.issued += 2
            self.house.keying.event(opened[-1], Address(*PEER), keys(self.issued))
            self.senders[self.issued] = session(keys(self.issued).receive)

    async def stranger(self) -> None:
        worker, slot = self.house.slot()
        self.house.keying.punt(_punt(worker, slot, hello(self.random.randrange(250))))
        for key in list(self.house.associations.opened):
            self.house.keying.event(key, Address(*STRANGER), Failed(self.random.choice(list(Reason))))

    async def again(self) -> None:
        await self.house.up(self.leg())

    async def anew(self) -> None:
        self.association += 1
        await self.house.up(self.leg())

    async def move(self) -> None:
        call = self.house.rig.calls.ledger.registry.get("c")
        if call is not None and call.worker is not None:
            try:
                await self.house.rig.calls.move_call("c", 1 - call.worker)
            except GatewayError as refused:
                assert "being changed" in str(refused)


def session(spec: ContextSpec) -> Session:
    return Session(transform_of(spec.suite), spec.keys[0].key, spec.keys[0].salt, send=True)


def _punt(worker: int, slot: int, data: bytes) -> Punt:
    return Punt(worker, slot, "dtls", STRANGER, data, 0)


@pytest.mark.row("A9", "DTLS-10")
async def test_nothing_half_keyed_passes() -> None:
    passed, plane = 0, PacketPlane()
    house = House(plane)  # type: ignore[arg-type]
    for seed in range(SEEDS):
        scene = Scene(seed, plane, house)
        try:
            await scene.begin()
            for _ in range(STEPS):
                await scene.step()
            await house.rig.calls.delete("c")
            assert house.rig.everything_is_free() and not house.associations.opened
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r}") from error
        house.rig.now += 1000  # ports that rest after a call
        passed += scene.passed
    house.rig.stop()
    assert passed > SEEDS  # it does pass where it may
