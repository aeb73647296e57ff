"""Calls move between workers, and workers are drained, on a plane that obeys commands."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from appliance.calls import adoption, moving
from appliance.calls.draining import Draining
from appliance.calls.views import EventKind
from appliance.errors import InvalidRequest, MediaUnavailable, NoCapacity, Overloaded, UnknownCall
from appliance.placement.balance import PATIENCE
from appliance.placement.load import Sample
from appliance.placement.mover import MoveRefused
from appliance.placement.placer import Rules
from appliance.state.drained import DrainedWorkers
from appliance.state.store import Loaded
from kernels.control.commands import ExportStream, InstallCrypto, InstallFlow, RemoveFlow
from tests.appliance.calls.test_service import answer, offer, session, up
from tests.appliance.rig import Rig


def where(rig: Rig) -> list[tuple[int, int]]:
    """(flows, contexts) of every worker."""
    return [(len(worker.flows), len(worker.cryptos)) for worker in rig.plane.workers]


async def ends_clean(rig: Rig) -> None:
    for call in rig.calls.list(100):
        await rig.calls.delete(call.call_id)
    await asyncio.sleep(0.02)
    assert rig.plane.empty() and rig.everything_is_free() and rig.plane.faults() == []
    assert all(state == "empty" for state, _ in rig.plane.transfers())


async def test_there_and_back_with_everything() -> None:
    rig = Rig()
    await up(rig, "c")
    home = rig.calls.get("c").worker
    before = rig.calls.get("c").streams[0].a.local
    view = await rig.calls.move_call("c", 1 - home)
    assert view.worker == 1 - home
    assert view.streams[0].a.local == before  # the endpoints know the ports
    assert where(rig)[home] == (0, 0)
    assert [worker.calls for worker in rig.inventory.workers] == ([0, 1] if home == 0 else [1, 0])
    await asyncio.sleep(0.01)
    log = rig.plane.workers[1 - home].log
    assert not any(isinstance(command, InstallCrypto) for command in log)  # nothing anew
    # whoever follows commands sees flows come here and go there
    assert {command.port for command in log if isinstance(command, InstallFlow)} >= {before.rtp}
    assert any(isinstance(command, RemoveFlow) for command in rig.plane.workers[home].log)
    await offer(rig, "c", to_tag="b")  # re-INVITE where it lives now
    await rig.calls.move_call("c", home)
    assert where(rig)[1 - home] == (0, 0)
    assert rig.calls.statistics().calls_moved == 2
    await rig.calls.move_call("c", home)  # is there already
    assert rig.calls.statistics().calls_moved == 2
    await ends_clean(rig)


async def test_all_branches_move() -> None:
    rig = Rig()
    await up(rig, "c")
    await offer(rig, "c", via_branch="two")
    home = rig.calls.get("c").worker
    flows = sum(count for count, _ in where(rig))
    await rig.calls.move_call("c", 1 - home)
    assert where(rig)[home] == (0, 0)
    assert where(rig)[1 - home][0] == flows
    await ends_clean(rig)


async def test_ports_of_a_moved_call_are_not_given_away() -> None:
    rig = Rig()
    await up(rig, "c")
    home = rig.calls.get("c").worker
    used = {ports for worker in rig.plane.workers for ports in [f.port for f in worker.flows.values()]}
    await rig.calls.move_call("c", 1 - home)
    for number in range(6):
        await up(rig, f"n{number}")
    ports = [flow.port for worker in rig.plane.workers for flow in worker.flows.values()]
    assert len(ports) == len(set(ports))
    assert used <= set(ports)
    await ends_clean(rig)


async def test_a_call_that_rings_moves_and_is_answered_there() -> None:
    rig = Rig()
    offered = await offer(rig, "c")
    to = 1 - rig.calls.get("c").worker
    await rig.calls.move_call("c", to)
    await answer(rig, offered, "c")
    assert where(rig)[1 - to] == (0, 0)
    assert rig.calls.get("c").worker == to
    await ends_clean(rig)


async def test_steering_follows_the_call() -> None:
    """Whoever steers NICs hears where the ports of a moved call go, and that they come home when it ends."""
    rig = Rig()
    told: list[tuple[str, int, int]] = []
    rig.reconciler.mover.steer = lambda *said: told.append(said)
    await up(rig, "c")
    home = rig.calls.get("c").worker
    stream = rig.calls.get("c").streams[0]
    ports = {stream.a.local.rtp, stream.b.local.rtp}
    assert told == []
    await rig.calls.move_call("c", 1 - home)
    assert {(port, worker) for _, port, worker in told} == {(port, 1 - home) for port in ports}
    told.clear()
    await rig.calls.delete("c")
    assert {(port, worker) for _, port, worker in told} == {(port, home) for port in ports}
    await ends_clean(rig)


async def test_a_tick_during_a_move_does_not_decide_it_twice() -> None:
    rig = Rig()
    await up(rig, "c")
    ledger = rig.calls.ledger
    to = 1 - rig.calls.get("c").worker
    await asyncio.gather(rig.calls.move_call("c", to), moving.finish(ledger), moving.finish(ledger))
    assert rig.calls.statistics().calls_moved == 1
    await ends_clean(rig)


async def test_new_calls_are_refused_when_every_worker_is_busy() -> None:
    """F19: by what was measured; established calls go on; counted by reason."""
    rig = Rig()
    await up(rig, "c")
    rig.inventory.rules = lambda: Rules(admit_below=0.9)
    for worker in rig.inventory.workers:
        for second in (1, 2):
            worker.window.add(Sample(second * 10**9, second * 95 * 10**7, second * 95 * 10**7, 1000 * second, 0))
    with pytest.raises(Overloaded, match=r"worker 0 busy 95%, limit 90%"):
        await up(rig, "new")
    assert rig.calls.statistics().errors == {"overloaded": 1}
    await offer(rig, "c", to_tag="b")
    await ends_clean(rig)


async def test_watchers_hear_of_it() -> None:
    rig = Rig()
    await up(rig, "c")
    events = rig.calls.watch()
    assert [(await anext(events)).kind for _ in range(2)] == [EventKind.SNAPSHOT, EventKind.SYNCED]
    to = 1 - rig.calls.get("c").worker
    await rig.calls.move_call("c", to)
    event = await anext(events)
    assert event.kind is EventKind.MOVED and event.call is not None and event.call.worker == to
    await events.aclose()  # type: ignore[attr-defined]
    await ends_clean(rig)


async def test_refusals_change_nothing() -> None:
    rig = Rig()
    await up(rig, "c")
    home, before = rig.calls.get("c").worker, where(rig)
    with pytest.raises(UnknownCall):
        await rig.calls.move_call("nobody", 0)
    with pytest.raises(InvalidRequest, match="no worker 7"):
        await rig.calls.move_call("c", 7)
    rig.inventory[1 - home].available = False
    with pytest.raises(NoCapacity, match="does not run"):
        await rig.calls.move_call("c", 1 - home)
    rig.inventory[1 - home].available = True
    rig.plane.refuse = {ExportStream: "E2BIG"}
    with pytest.raises(MoveRefused, match="E2BIG"):
        await rig.calls.move_call("c", 1 - home)
    rig.plane.refuse = {}
    assert where(rig) == before and rig.calls.get("c").worker == home
    await ends_clean(rig)


async def test_the_other_worker_has_no_slots() -> None:
    rig = Rig()
    await up(rig, "c")
    home = rig.calls.get("c").worker
    flows = rig.inventory[1 - home].flows
    hoard = [flows.take() for _ in range(flows.free - 1)]
    with pytest.raises(NoCapacity, match="no flow slot is free"):
        await rig.calls.move_call("c", 1 - home)
    for number in hoard:
        flows.give_back(number)
    await ends_clean(rig)


async def test_a_silent_worker_leaves_it_undecided_and_it_is_finished_later() -> None:
    rig = Rig()
    await up(rig, "c")
    to = 1 - rig.calls.get("c").worker
    rig.plane.silent = True
    with pytest.raises(MediaUnavailable):
        await rig.calls.move_call("c", to)
    with pytest.raises(MediaUnavailable):
        await offer(rig, "c", to_tag="b")
    rig.plane.speak()
    await asyncio.sleep(0.02)
    await moving.finish(rig.calls.ledger)
    assert rig.calls.get("c").worker == to
    assert not rig.calls.ledger.unfinished
    await ends_clean(rig)


async def test_a_call_that_ends_while_it_is_undecided() -> None:
    rig = Rig()
    await up(rig, "c")
    rig.plane.silent = True
    with pytest.raises(MediaUnavailable):
        await rig.calls.move_call("c", 1 - rig.calls.get("c").worker)
    rig.plane.speak()
    await asyncio.sleep(0.02)
    await rig.calls.delete("c")
    await moving.finish(rig.calls.ledger)
    await ends_clean(rig)


@pytest.mark.parametrize("commands", [0, 1, 2, 3])
async def test_control_dies_in_a_move(commands: int) -> None:
    """kill -9 after so many commands (none, export, import, discard): the next control process carries the plan out,
    and never installs a key anew."""
    old = Rig(timeout_s=0.05)
    await up(old, "c")
    to = 1 - old.calls.get("c").worker
    records = {}

    submit, left = old.plane.submit, [commands]

    def mortal(worker: int, command: object, *, wake: bool = True) -> int:
        if left[0] == 0:
            records.update({} if records else old.store.records)
            raise OSError(5, "dead")
        left[0] -= 1
        ticket = submit(worker, command, wake=wake)  # type: ignore[arg-type]
        if left[0] == 0:
            records.update(old.store.records)
        return ticket

    if commands == 0:
        left[0] = 0
    old.plane.submit = mortal  # type: ignore[assignment,method-assign]
    with contextlib.suppress(MediaUnavailable):
        await old.calls.move_call("c", to)
    if commands == 3:
        records = dict(old.store.records)
    old.plane.submit = submit  # type: ignore[method-assign]
    old.plane.poll()
    for worker in old.plane.workers:
        worker.log.clear()
    old.stop()
    new = Rig(old.plane, old.store)
    new.store.records = records
    report = adoption.adopt(new.calls.ledger, Loaded(records, []))
    await asyncio.sleep(0.02)
    assert (report.adopted, report.lost) == (1, {})
    log = [command for worker in new.plane.workers for command in worker.log]
    # on its way: passed over; arrived: repeated, where it is now
    assert any(isinstance(command, InstallCrypto) for command in log) == (commands == 3)
    await moving.finish(new.calls.ledger)
    await asyncio.sleep(0.02)
    assert new.calls.get("c").worker == to
    assert where(new)[1 - to] == (0, 0)
    await ends_clean(new)


async def test_a_worker_replaced_in_the_middle_gets_nothing_anew() -> None:
    """F2: its keys are on their way; installing them again where they were would use indices twice."""
    rig = Rig()
    await up(rig, "c")
    home = rig.calls.get("c").worker
    placement = next(iter(rig.calls.ledger.registry)).branches[0].placement
    assert placement is not None
    rig.reconciler.mover.plan(placement, 1 - home)
    rig.plane.workers[home].log.clear()
    adoption.audit(rig.calls.ledger, home, reinstall=True)
    assert not any(isinstance(command, InstallCrypto | InstallFlow) for command in rig.plane.workers[home].log)
    rig.reconciler.mover.abandon(placement)
    await ends_clean(rig)


# ---------------------------------------------------------------- drain


async def drained(rig: Rig, worker: int) -> None:
    for _ in range(200):
        if not rig.inventory[worker].calls:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("not drained")


async def test_drain_moves_every_call_away() -> None:
    rig = Rig()
    for number in range(8):
        await up(rig, f"c{number}")
    await rig.calls.create_session(session())
    assert rig.inventory[0].calls > 0
    await rig.calls.drain_worker(0)
    await drained(rig, 0)
    assert where(rig)[0] == (0, 0)
    assert rig.calls.statistics().workers[0].state == "drained"
    for number in range(4):
        await up(rig, f"n{number}")
    assert rig.inventory[0].calls == 0
    await rig.calls.drain_worker(0, drained=False)
    await up(rig, "again")
    assert rig.calls.get("again").worker == 0
    await ends_clean(rig)


async def test_drain_waits_where_there_is_no_room_and_says_so() -> None:
    rig = Rig()
    await up(rig, "c")
    home = rig.calls.get("c").worker
    rig.inventory[1 - home].available = False
    await rig.calls.drain_worker(home)
    await asyncio.sleep(0.02)
    view = rig.calls.statistics().workers[home]
    assert view.state == "drain"
    assert "waits for 1 calls to end: no media worker is available" in view.note
    with pytest.raises(NoCapacity):
        await up(rig, "new")
    await rig.calls.delete("c")
    assert rig.calls.statistics().workers[home].state == "drained"
    with pytest.raises(InvalidRequest, match="no worker 9"):
        await rig.calls.drain_worker(9)


async def test_load_is_evened_out_where_that_is_wished() -> None:
    rig = Rig()
    for number in range(8):
        await up(rig, f"c{number}")
    wished = [False]
    draining = Draining(rig.calls.ledger, DrainedWorkers(), lambda: wished[0])
    for second in (1, 2):
        rig.inventory[0].window.add(Sample(second * 10**9, second * 8 * 10**8, second * 8 * 10**8, 1000 * second, 0))
        rig.inventory[1].window.add(Sample(second * 10**9, 0, 0, 0, 0))
    before = [worker.calls for worker in rig.inventory.workers]
    for wish in (False, True):
        wished[0] = wish
        for _ in range(PATIENCE):
            draining.tick()
        await asyncio.sleep(0.1)
        moved = before[0] // 2 if wish else 0
        assert [worker.calls for worker in rig.inventory.workers] == [before[0] - moved, before[1] + moved]
    await ends_clean(rig)


async def test_the_wish_outlives_the_control_process(tmp_path: Path) -> None:
    old = Rig()
    for number in range(4):
        await up(old, f"c{number}")
    wanted = DrainedWorkers(tmp_path / "drained.json")
    wanted.set(1, True)
    old.stop()
    new = Rig(old.plane, old.store)
    adoption.adopt(new.calls.ledger, Loaded(old.store.records, []))
    draining = Draining(new.calls.ledger, DrainedWorkers(tmp_path / "drained.json"))
    draining.tick()
    await drained(new, 1)
    assert where(new)[1] == (0, 0)
    await ends_clean(new)


def test_a_damaged_file_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "drained.json"
    path.write_text("{half")
    assert list(DrainedWorkers(path)) == []
    DrainedWorkers(path).set(3, True)
    assert list(DrainedWorkers(path)) == [3]
