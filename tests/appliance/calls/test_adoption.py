"""A new control process on the plane and the records of a dead one (F1, F17)."""

from __future__ import annotations

import asyncio

import pytest

from appliance.calls import adoption
from appliance.calls.views import CallState
from appliance.errors import UnknownCall
from appliance.state.store import Loaded
from kernels.control.commands import InstallFlow
from tests.appliance.calls.test_service import answer, offer, session, up
from tests.appliance.rig import Rig


async def restarted(old: Rig, **damage: bytes) -> tuple[Rig, adoption.Adoption]:
    """kill -9: nothing of the old process survives but plane and records."""
    old.stop()
    new = Rig(old.plane, old.store)
    report = adoption.adopt(new.calls.ledger, Loaded({**old.store.records, **damage}, []))
    await asyncio.sleep(0.01)
    return new, report


async def test_every_call_is_known_again_and_can_end() -> None:
    old = Rig()
    for i in range(5):
        await up(old, f"c{i}")
    await offer(old, "half")
    low = await old.calls.create_session(session())
    before = [(dict(worker.flows), dict(worker.cryptos)) for worker in old.plane.workers]
    new, report = await restarted(old)
    assert (report.adopted, report.lost, report.skipped, report.orphans) == (7, {}, [], 0)
    assert [(dict(worker.flows), dict(worker.cryptos)) for worker in new.plane.workers] == before
    view = new.calls.get("c0")
    assert view.adopted and view.state is CallState.ANSWERED and (view.from_tag, view.to_tag) == ("a", "b")
    assert new.calls.get(low.call_id).low_level
    await up(new, "fresh")  # takes no port or slot that is in use
    await offer(new, "c1", to_tag="b")  # re-INVITE on an adopted call
    for call in new.calls.list(100):
        await new.calls.delete(call.call_id)
    await asyncio.sleep(0.01)
    assert new.plane.empty() and new.everything_is_free() and new.plane.faults() == [] and not new.store.records


async def test_orphans_are_removed_and_nothing_in_use() -> None:
    old = Rig()
    await up(old, "kept")
    await up(old, "forgotten")
    del old.store.records["forgotten"]
    new, report = await restarted(old)
    assert report.adopted == 1 and report.orphans == 6
    assert sum(len(worker.flows) for worker in new.plane.workers) == 4
    with pytest.raises(UnknownCall):
        new.calls.get("forgotten")


async def test_lost_contexts_end_the_call() -> None:
    """RFC 3711 section 9.1: the sender's index is gone, the same key must not start anew."""
    old = Rig()
    await up(old)
    for worker in old.plane.workers:
        worker.cryptos.clear()
        worker.flows.clear()
    new, report = await restarted(old)
    assert report.lost == {"c1": "its contexts are gone"} and new.everything_is_free() and not new.store.records


async def test_lost_flows_of_a_plain_call_are_installed_again() -> None:
    old = Rig()
    await old.calls.create_session(session(call_id="x"))
    for worker in old.plane.workers:
        worker.flows.clear()
    new, report = await restarted(old)
    assert report.adopted == 1 and sum(len(worker.flows) for worker in new.plane.workers) == 3


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"{}",
        b"\xff",
        b'{"version":1}',
        b'{"version":1,"created":1,"changed":1,"label":"","low_level":false,"revision":1,"branches":[{}]}',
        b'{"version":99}',
    ],
)
async def test_records_that_make_no_sense(record: bytes) -> None:
    old = Rig()
    await up(old)
    new, report = await restarted(old, bad=record)
    assert report.skipped == ["bad"] and report.adopted == 1 and new.calls.statistics().records_skipped == 1


async def test_two_records_that_claim_the_same_ports() -> None:
    old = Rig()
    await up(old)
    old.store.records["twin"] = old.store.records["c1"]
    new, report = await restarted(old)
    assert report.adopted == 1 and list(report.lost) == ["twin"]
    await new.calls.delete("c1")
    assert new.everything_is_free()


async def test_worker_that_comes_back_is_told_everything() -> None:
    rig = Rig()
    await up(rig)
    worker = next(worker for worker in rig.plane.workers if worker.flows)
    index = rig.plane.workers.index(worker)
    flow = worker.flows.popitem()[1]
    worker.flows[77] = InstallFlow(77, "default", 1, True, False)
    assert adoption.audit(rig.calls.ledger, index, reinstall=True) == 1
    await asyncio.sleep(0.01)
    assert worker.flows[flow.slot] == flow and 77 not in worker.flows


async def test_tags_that_are_no_utf8_survive_in_a_record() -> None:
    """F1: they come in as surrogates, which the fast encoder of records refuses; what it encoded before stays."""
    old, odd = Rig(), "\udcff\udc80"
    await answer(old, await offer(old, "c", odd), "c", odd)
    new, report = await restarted(old)
    assert (report.adopted, report.skipped) == (1, [])
    assert new.calls.get("c").from_tag == odd
    await offer(new, "c", odd, to_tag="b")
    third, report = await restarted(new)
    assert report.adopted == 1 and third.calls.get("c").from_tag == odd
