"""Commands and replies through the rings; what happens to keys in them."""

from __future__ import annotations

import dataclasses

import pytest

from kernels.control.commands import (
    AddKey,
    InstallCrypto,
    InstallFlow,
    Punt,
    RemoveCrypto,
    RemoveFlow,
    Reply,
    SelectKey,
    Transform,
    WorkerNews,
)
from kernels.control.errors import RingFull
from tests.kernels.rig import CM128, LocalPlane, bridge, master_key, rtp, secure_bridge


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (InstallFlow(10_000, "memory", 0, True, True), "EINVAL"),
        (InstallFlow(0, "memory", 16, True, True), "EINVAL"),
        (InstallFlow(0, "memory", 0, True, True, rtp_partner=10_000), "EINVAL"),
        (InstallFlow(0, "memory", 0, True, True, receive=10_000), "EINVAL"),
        (InstallCrypto(10_000, CM128, master_key(0), False), "EINVAL"),
        (InstallCrypto(0, CM128, master_key(0), False, window=7), "EINVAL"),
        (AddKey(3, master_key(0)), "ENOENT"),
        (SelectKey(3, b"x"), "ENOENT"),
        (RemoveFlow(10_000), "EINVAL"),
        (RemoveCrypto(10_000), "EINVAL"),
        (RemoveFlow(5), 0),
        (RemoveCrypto(5), 0),
    ],
)
def test_answers(command: InstallFlow, error: int | str) -> None:
    plane = LocalPlane()
    assert plane.do(command) == [error]
    assert (plane.mailbox.flows(), plane.mailbox.cryptos()) == ([], [])


def test_a_port_has_one_flow() -> None:
    plane = LocalPlane()
    plane.do(*bridge())
    assert plane.do(InstallFlow(2, "memory", 1, True, True)) == ["EADDRINUSE"]
    assert plane.do(RemoveFlow(1), InstallFlow(2, "memory", 1, True, True)) == [0, 0]
    assert plane.mailbox.flows() == [0, 2]


def test_a_slot_that_moves_to_another_port_starts_clean() -> None:
    plane = LocalPlane()
    a, b = bridge()
    plane.do(a, b)
    plane.send(0, rtp(1))
    assert plane.do(dataclasses.replace(a, port=4)) == [0]
    assert plane.flow(0).packets_in == 0
    assert plane.send(0, rtp(2)) == []
    assert len(plane.send(4, rtp(3))) == 1


@pytest.mark.parametrize(
    "command",
    [
        InstallFlow(0, "memory", 0, True, True, ("example.org", 5)),
        InstallFlow(0, "memory", 0, True, True, ("192.0.2.1", 0)),
        InstallCrypto(0, dataclasses.replace(CM128, key_octets=32), master_key(0), False),
        InstallCrypto(0, CM128, dataclasses.replace(master_key(0), mki=bytes(129)), False),
    ],
)
def test_our_own_mistakes_raise_and_send_nothing(command: InstallFlow) -> None:
    plane = LocalPlane()
    with pytest.raises(ValueError, match=r".+"):
        plane.mailbox.submit(command, 0)
    assert master_key(0).key not in plane.arena.mapping[:]
    assert plane.do(*bridge()) == [0, 0]
    with pytest.raises(ValueError, match="unknown transform"):
        Transform("ROT13", "NONE", 16, 14, 0, 0)


def test_ring_full_and_empty_again() -> None:
    """The worker does not keep up: RingFull, nothing lost, all answered later in order."""
    plane = LocalPlane()
    tickets = []
    with pytest.raises(RingFull):
        for _ in range(5000):
            tickets.append(plane.mailbox.submit(RemoveFlow(1)))
    assert len(tickets) == 1024
    for _ in range(1024 // 8):
        plane.worker.turn()
    replies: list[Reply | Punt | WorkerNews] = []
    plane.mailbox.take(replies)
    assert [reply.ticket for reply in replies if isinstance(reply, Reply)] == tickets
    plane.mailbox.submit(RemoveFlow(1))


def test_nobody_reads_replies() -> None:
    """Control is dead: commands wait in the ring rather than lose their answer; media is untouched."""
    plane = LocalPlane()
    plane.do(*bridge())
    submitted = 0
    with pytest.raises(RingFull):
        for _ in range(10_000):
            plane.mailbox.submit(RemoveFlow(7))
            submitted += 1
            plane.worker.turn()
    assert submitted == 2048 + 1024
    assert len(plane.send(0, rtp(1))) == 1


def test_keys_leave_the_rings_and_the_arena() -> None:
    """H4: after execution no ring holds key octets; after removal nothing does; reprs never do."""
    plane = LocalPlane()
    keys = [master_key(n, mki=bytes([n])) for n in range(3)]
    plane.do(
        InstallCrypto(0, CM128, keys[0], False),
        AddKey(0, keys[1]),
        InstallCrypto(1, CM128, keys[2], True),
        SelectKey(1, b"\x02"),
    )
    start, end = plane.mailbox.regions()["commands"], plane.mailbox.regions()["flows"]
    ring = plane.arena.mapping[start:end]
    for key in keys:
        assert key.key not in ring
        assert key.salt not in ring
        assert key.key not in repr(InstallCrypto(0, CM128, key, False)).encode("latin1")
        assert "xa0" not in repr(key)
    plane.do(RemoveCrypto(0), RemoveCrypto(1))
    everything = plane.arena.mapping[:]
    assert not any(secret in everything for key in keys for secret in (key.key, key.salt))


def test_keys_are_in_the_ring_before_execution() -> None:
    """The search of the test above would find them."""
    plane = LocalPlane()
    plane.mailbox.submit(InstallCrypto(0, CM128, master_key(0), False))
    start, end = plane.mailbox.regions()["commands"], plane.mailbox.regions()["flows"]
    assert master_key(0).key in plane.arena.mapping[start:end]


def test_removal_frees_everything() -> None:
    """B12: set up and tear down more often than there are slots of any kind."""
    plane = LocalPlane(calls=2)
    for _ in range(100):
        assert plane.do(*secure_bridge()) == [0, 0, 0, 0]
        assert plane.do(RemoveFlow(0), RemoveFlow(1), RemoveCrypto(0), RemoveCrypto(1)) == [0] * 4
    assert (plane.mailbox.flows(), plane.mailbox.cryptos()) == ([], [])
