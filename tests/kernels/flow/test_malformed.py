"""The worker's path from the memory port on, with frames that end with the datagram (rows A10, A11, A12)."""

from __future__ import annotations

import random
from typing import Any

import pytest

from kernels.control.commands import InstallCrypto
from kernels.wire.packet import Drop
from tests.kernels.checks import IcePlane, check
from tests.kernels.guarded import INPUTS, SEED, damaged, lies, noise
from tests.kernels.rig import (
    ALICE,
    BOB,
    CM128,
    NULL_AUTH,
    LocalPlane,
    balanced,
    bridge,
    master_key,
    rtcp,
    rtp,
    secure_bridge,
    session,
)

pytestmark = pytest.mark.malformed
TAILROOM = 176


def drops(plane: LocalPlane) -> list[str]:
    """Names of the counters of dropped packets."""
    names = {drop.name.removeprefix("DROP_").lower() for drop in Drop}
    return [name for name in plane.counters() if name in names]


def arrive(plane: LocalPlane, number: int, data: list[bytes], source: Any) -> None:
    """In portions, reading what goes up so that its ring never fills."""
    for start in range(0, len(data), 64):
        plane.send(number, *data[start : start + 64], source=source)
        plane.mailbox.take([])


@pytest.mark.parametrize("slack", [0, TAILROOM])
def test_plain_leg(slack: int) -> None:
    """Every length and lie on a plain bridge: no octet of room, none is needed."""
    plane, chance = LocalPlane(slack=slack), random.Random(SEED)
    plane.do(*bridge())
    for length in range(201):
        arrive(plane, 0, list(lies(length, chance)), ALICE)
    assert balanced(plane.counters(), drops(plane))
    assert plane.counters()["malformed"] > 1000
    assert plane.send(0, rtp(9)) == [(1, rtp(9), BOB)]


@pytest.mark.parametrize("transform", ["cm", "null_auth"])
def test_secure_leg(transform: str) -> None:
    """Into and out of a secure leg: lies from the network side need no room to be opened, the plain side's need the
    trailer's; a suite without tag lets garbage through the cipher and the check after it stops what lies."""
    plane, chance = LocalPlane(slack=TAILROOM), random.Random(SEED)
    plane.do(*(secure_bridge(NULL_AUTH) if transform == "null_auth" else secure_bridge()))
    for length in range(201):
        data = list(lies(length, chance))
        arrive(plane, 0, data, ALICE)
        arrive(plane, 1, data, BOB)
    assert balanced(plane.counters(), drops(plane))


@pytest.mark.row("D10")
@pytest.mark.parametrize("slack", [0, TAILROOM])
def test_ice_leg(slack: int) -> None:
    """STUN to an agent: checks cut at every length, damaged, and noise behind their header. Nothing of it validates
    anybody; answers stay inside the frame; then a real check is answered where there is room."""
    plane, chance = IcePlane(slack=slack), random.Random(SEED)
    real = check(nominate=True)
    data = [real[:length] for length in range(1, len(real))]
    data += [found for found in damaged(real, 20_000) if found != real]
    data += [b"\x00\x01" + chance.randrange(100).to_bytes(2) + real[4:20] + chance.randbytes(60) for _ in range(5_000)]
    arrive(plane, 0, data, ALICE)
    counters = plane.counters()
    assert balanced(counters, drops(plane))
    assert counters["stun"] > 10_000
    status = plane.flow(0).ice
    assert (status.sources, status.answered) == ((), 0)
    arrive(plane, 0, [real, check(user="no:body"), check((0x7FFF, b""))], ALICE)
    assert plane.flow(0).ice.sources[0][0] == ALICE


def test_no_room_for_a_trailer() -> None:
    """A frame without room behind the datagram: nothing is written there, the packet is dropped under its name."""
    plane = LocalPlane(slack=0)
    plane.do(*secure_bridge())
    assert plane.send(0, rtp(1), rtcp()) == []
    assert plane.counters()["too_long"] == 2


def test_noise_and_damage() -> None:
    """10^5 seeded datagrams from the right address of either leg; then both still talk, and every one was counted."""
    plane = LocalPlane(slack=TAILROOM)
    plane.do(*secure_bridge())
    phone = session(master_key(0), True)
    packet = phone.protect_rtp(rtp(1))
    assert isinstance(packet, bytes)
    real = [*noise(INPUTS - 20_000), *(data for data in damaged(packet, 20_000) if data != packet)]
    half = len(real) // 2
    arrive(plane, 1, real[half:], BOB)
    arrive(plane, 0, real[:half], ALICE)
    counters = plane.counters()
    assert balanced(counters, drops(plane))
    assert counters["received"] == len(real)
    assert plane.mailbox.crypto(0).packets == 0
    assert plane.send(1, packet, source=BOB) == [(0, rtp(1), ALICE)]
    plane.do(InstallCrypto(1, CM128, master_key(7), True))  # noise of the plain side took all its SSRCs
    assert len(plane.send(0, rtp(2), source=ALICE)) == 1
