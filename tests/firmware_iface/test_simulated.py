"""Made-up machines, and what advice says about them."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware_iface import advice, simulated
from firmware_iface.advice import Use

SERVER = """
[machine]
sockets = 2
cores_per_socket = 8
threads_per_core = 2
isolated = "2-7,10-15"
tickless = "2-7"
huge_2m = 512
[[nic]]
name = "enp1s0"
driver = "i40e"
queues = 16
node = 1
interrupts = 100
[[nic]]
name = "enp1s0.7"
vlan = 7
parent = "enp1s0"
[[nic]]
name = "eth0"
driver = "virtio_net"
queues = 2
queues_max = 8
xdp = "generic"
"""


def test_a_server(tmp_path: Path) -> None:
    (tmp_path / "server.toml").write_text(SERVER)
    found = simulated.load(tmp_path / "server.toml")
    assert len(found.cpu.cores) == 32
    assert found.cpu.cores[9].siblings == found.cpu.cores[25].siblings == (9, 25)
    assert [found.cpu.cores[index].node for index in (0, 7, 8, 15, 16, 24)] == [0, 0, 1, 1, 0, 1]
    nic = found.nic("enp1s0")
    assert nic is not None and (nic.queues, nic.node, nic.steering.ntuple) == (16, 1, True)
    assert nic.xdp.zero_copy and nic.vlans == ("enp1s0.7",)
    interrupt = nic.interrupt(3)
    assert interrupt is not None and interrupt.number == 103
    assert found.below("enp1s0.7") is nic and found.below("eth0") is found.nic("eth0")
    assert found.below("nothing") is None
    assert found.memory.free_huge_kib(2048) == 1024 * 2048


@pytest.mark.parametrize(
    ("description", "words"),
    [
        ({"machine": {"sockts": 2}}, "sockts"),
        ({"nic": [{"name": "e", "speed": 5}]}, "speed"),
        ({"nics": []}, "nics"),
        ({"nic": [{"name": "e", "xdp": "fast"}]}, "fast"),
        ({"nic": [{"name": "e.7", "vlan": 7, "parent": "e"}]}, "parent"),
        ({"nic": [{"driver": "i40e"}]}, "name"),
    ],
)
def test_descriptions_that_are_wrong(description: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        simulated.machine(description)


def said(use: Use, **machine: object) -> str:
    description = {
        "machine": {"isolated": "1-3", "tickless": "1-3", "huge_2m": 8, **machine},
        "nic": [
            {"name": "fine", "driver": "ice", "queues": 4, "interrupts": 50, "offloads": ["rx-vlan-hw-parse"]},
            {"name": "plain", "driver": "virtio_net", "queues": 1, "queues_max": 4},
            {"name": "slow", "driver": "e1000e", "queues": 1},
            {"name": "off", "driver": "ice", "queues": 4, "active": False},
            {"name": "far", "driver": "ice", "queues": 4, "node": 1},
            {"name": "dead", "driver": "ice", "queues": 4, "carrier": False},
            {"name": "bond0", "kind": "bond"},
            {"name": "fine.7", "vlan": 7, "parent": "fine"},
        ],
    }
    return "\n".join(advice.lines(simulated.machine(description), use))


def test_a_good_machine_needs_no_advice() -> None:
    assert said(Use(("fine",), (1, 2, 3))) == ""


@pytest.mark.parametrize(
    ("use", "machine", "words"),
    [
        (Use(("plain",), (1, 2)), {}, "no ntuple on plain (virtio_net): packets that arrive on the wrong queue"),
        (Use(("plain",), (1, 2)), {}, "1 queues for 2 workers (it has 4: ethtool -L plain combined 2)"),
        (Use(("plain",), (1,)), {}, "plain (virtio_net) has no zero-copy"),
        (Use(("slow",), (1,)), {}, "no native XDP"),
        (Use(("off",), (1, 2)), {}, "ethtool -K off ntuple on"),
        (Use(("far",), (1,)), {}, "cores 1 are not on node 1, where far is"),
        (Use(("dead",), (1,)), {}, "dead has no link"),
        (Use(("bond0",), (1,)), {}, "no XDP on bond0: a bond's packets come in on its members"),
        (Use(("fine.7",), (1, 2)), {}, "fine.7 is VLAN 7 on fine"),
        (Use(("fine.7",), (1, 2)), {}, "ethtool -K fine rxvlan off"),
        (Use((), (0, 1)), {}, "cores 0 carry media and are not isolated"),
        (Use((), (1, 2, 3)), {"tickless": "2"}, "cores 1,3 have the timer tick"),
        (Use((), (1, 5)), {"threads_per_core": 2, "isolated": "1,5"}, "cores 1,5 are SMT siblings of each other"),
        (Use(), {"huge_2m": 0}, "no huge pages"),
        (Use(), {"capabilities": ["NET_RAW"]}, "lacks CAP_NET_ADMIN, CAP_BPF"),
        (Use(), {"kernel": "4.19.0"}, "older than 5.10"),
        (Use(), {"btf": False}, "no BTF"),
        (Use(), {"jit": False}, "JIT"),
    ],
)  # fmt: skip
def test_advice(use: Use, machine: dict[str, object], words: str) -> None:
    assert words in said(use, **machine)


def test_advice_keeps_silent_about_what_does_not_carry_media() -> None:
    assert "bond0" not in said(Use(("fine",), (1,))) and "slow" not in said(Use(("fine",), (1,)))
