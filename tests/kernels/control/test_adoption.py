"""A new worker takes over what a dead one left, in this process and turn by turn (DESIGN section 2, F2)."""

from __future__ import annotations

import os

import pytest

from kernels.control.arena import structs
from kernels.control.commands import InstallCrypto, Punt, RemoveFlow, Reply, WorkerNews
from tests.kernels.rig import ALICE, BOB, CM128, LocalPlane, master_key, rtp, secure_bridge, session


def test_calls_go_on_with_the_next_index() -> None:
    """Flows, addresses, ROC, replay state stay; the receiver accepts everything (no index twice), replays stay out."""
    plane = LocalPlane()
    plane.do(*secure_bridge())
    phone_out, phone_in = session(master_key(0), True), session(master_key(1), False)
    moved = ("198.51.100.8", 9)
    before = phone_out.protect_rtp(rtp(65535))
    plane.send(1, before, source=moved)
    sealed = [data for _, data, _ in plane.send(0, rtp(65535), rtp(65536))]
    plane.start()
    sealed += [data for _, data, _ in plane.send(0, rtp(65537))]
    assert [phone_in.unprotect_rtp(data) for data in sealed] == [rtp(65535), rtp(65536), rtp(65537)]
    assert plane.send(1, before, source=moved) == []
    assert plane.send(1, phone_out.protect_rtp(rtp(65536)), source=moved) == [(0, rtp(65536), ALICE)]
    assert plane.flow(1).current == moved
    assert plane.counters()["replay"] == 1


def test_counters_go_on() -> None:
    plane = LocalPlane()
    plane.do(*secure_bridge())
    plane.send(0, rtp(1), rtp(2))
    busy = plane.counters()["busy_ns"]
    plane.start()
    plane.send(0, rtp(3))
    counters = plane.counters()
    assert (counters["received"], counters["forwarded"], counters.get("interrupted", 0)) == (3, 3, 0)
    assert counters["busy_ns"] >= busy


def test_commands_in_the_ring_are_carried_out_by_the_next_worker() -> None:
    plane = LocalPlane()
    tickets = [plane.mailbox.submit(InstallCrypto(0, CM128, master_key(0), False)), plane.mailbox.submit(RemoveFlow(3))]
    plane.start()
    plane.worker.turn()
    replies: list[Reply | Punt | WorkerNews] = []
    plane.mailbox.take(replies)
    assert [reply.ticket for reply in replies if isinstance(reply, Reply)] == tickets
    assert plane.mailbox.cryptos() == [0]


def test_a_change_that_was_cut_off_loses_only_the_learnt_address() -> None:
    """A torn address must not be sent to."""
    plane = LocalPlane()
    plane.do(*secure_bridge())
    plane.send(1, session(master_key(0), True).protect_rtp(rtp(1)), source=ALICE)
    assert plane.flow(1).current == ALICE
    sequence = plane.mailbox.regions()["flows"] + structs()["Flow"]
    os.pwrite(plane.fd, bytes([plane.arena.mapping[sequence] | 1]), sequence)
    with pytest.raises(BlockingIOError):
        plane.flow(1)
    plane.start()
    assert plane.flow(1).current == BOB
    assert plane.flow(1).packets_in == 1
