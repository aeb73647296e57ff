"""What a machine is to do for its workers, and doing it."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware_iface import inventory, setup, simulated
from firmware_iface.rules import Share
from firmware_iface.setup import NicPlan, Plan, Report, Worker
from firmware_iface.steering import RuleBook
from tests.firmware_iface.machines import tree
from tests.firmware_iface.wires import NEAR, Wires, run_inside

MACHINE = simulated.machine(
    {
        "machine": {"cores_per_socket": 8},
        "nic": [
            {"name": "enp1s0", "driver": "ice", "queues": 4, "interrupts": 70},
            {"name": "enp1s0.7", "vlan": 7, "parent": "enp1s0"},
            {"name": "eth0", "driver": "virtio_net", "queues": 1, "interrupts": 90},
            {"name": "bond0", "kind": "bond"},
        ],
    }
)
WORKERS = (Worker(2, range(30000, 32048)), Worker(3, range(32048, 34096)))


def test_worker_n_is_queue_n() -> None:
    plan = setup.plan(MACHINE, {"192.0.2.1": "enp1s0"}, {"192.0.2.1": WORKERS})
    shares = (Share(WORKERS[0].ports, 0, "192.0.2.1"), Share(WORKERS[1].ports, 1, "192.0.2.1"))
    assert plan == Plan((NicPlan("enp1s0", shares, {0: 2, 1: 3}),))


def test_vlans_share_their_parents_queues() -> None:
    owners = {"192.0.2.1": "enp1s0", "2001:db8::7": "enp1s0.7"}
    (nic,) = setup.plan(MACHINE, owners, dict.fromkeys(owners, WORKERS)).nics
    assert nic.device == "enp1s0" and [(share.queue, share.address) for share in nic.shares] == [
        (0, "192.0.2.1"), (1, "192.0.2.1"), (0, "2001:db8::7"), (1, "2001:db8::7"),
    ]  # fmt: skip


def test_what_cannot_be_set_up_is_said() -> None:
    owners = {"192.0.2.1": "eth0", "192.0.2.2": "bond0"}
    plan = setup.plan(MACHINE, owners, dict.fromkeys(("192.0.2.1", "192.0.2.2", "192.0.2.3"), WORKERS))
    assert [(nic.device, nic.cores) for nic in plan.nics] == [("eth0", {0: 2})]
    assert "worker 1 and up" in plan.notes[0] and "bond" in plan.notes[1] and "no interface has it" in plan.notes[2]


@pytest.mark.system
def test_on_a_real_link(wires: Wires, tmp_path: Path) -> None:
    """veth takes no flow rules and has no interrupts: said, and the rest is done."""
    queues = "sys/class/net/wire/queues"
    tree(tmp_path, {f"{queues}/rx-{n}/rps_cpus": "3\n" for n in (0, 1)})
    tree(tmp_path, {f"{queues}/tx-{n}/xps_cpus": "0\n" for n in (0, 1)})

    async def work() -> tuple[Report, Report]:
        machine = inventory.read()
        plan = setup.plan(machine, {"10.78.1.1": "wire"}, {"10.78.1.1": WORKERS})
        assert not plan.notes and plan.nics[0].cores == {0: 2, 1: 3}
        book = RuleBook(tmp_path / "steering.json")
        return setup.apply(machine, plan, book, tmp_path), setup.apply(machine, plan, book, tmp_path)

    first, second = run_inside(NEAR, work)
    lines = list(first.lines())
    assert any("no flow rules" in line and "handed over" in line for line in lines), lines
    assert "no RPS on wire queue 0" in lines and (tmp_path / queues / "rx-1/rps_cpus").read_text() == "0"
    assert not any(done.changed for done in second.settings)


def test_nothing_planned_takes_everything_back(tmp_path: Path) -> None:
    (tmp_path / "steering.json").write_text('{"gwhw-gone": {"7": {"family": 4, "port": 8, "mask": 65528, "queue": 0}}}')
    report = setup.apply(MACHINE, Plan(), RuleBook(tmp_path / "steering.json"), tmp_path)
    assert [(outcome.device, outcome.how) for outcome in report.outcomes] == [("gwhw-gone", "none")]
    assert "No such device" in report.outcomes[0].why
