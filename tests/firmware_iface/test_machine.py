"""Memory, isolation, privileges, accelerators on made-up machines (folders); the whole tree on this one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from firmware_iface import accelerators, inventory, isolation, memory, privileges, sysfs
from firmware_iface.accelerators import Accelerator
from firmware_iface.memory import HugePages
from tests.firmware_iface.machines import tree


@pytest.mark.parametrize(
    ("text", "cores"),
    [("", set()), ("0", {0}), ("0-3,8\n", {0, 1, 2, 3, 8}), ("3,1", {1, 3}), ("(null)", set()), ("1-x,2", {2})],
)
def test_lists(text: str, cores: set[int]) -> None:
    assert sysfs.parse_list(text) == cores


def test_files_that_are_not_there_or_odd(tmp_path: Path) -> None:
    assert (sysfs.text(tmp_path / "x"), sysfs.number(tmp_path / "x", 7), sysfs.link_name(tmp_path / "x")) == ("", 7, "")
    tree(tmp_path, {"choice": "always [madvise] never\n", "plain": "tsc\n", "hex": "0x8086\n", "odd": "-\n"})
    assert sysfs.chosen(tmp_path / "choice") == "madvise" and sysfs.chosen(tmp_path / "plain") == "tsc"
    assert sysfs.number(tmp_path / "hex") == 0x8086 and sysfs.number(tmp_path / "odd", 3) == 3


def test_memory(tmp_path: Path) -> None:
    node = "sys/devices/system/node/node"
    tree(
        tmp_path,
        {
            "proc/meminfo": "MemTotal:       24684084 kB\nMemAvailable:   22035112 kB\nHugePages_Total:       0\n",
            "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
            f"{node}0/hugepages/hugepages-2048kB/nr_hugepages": "512\n",
            f"{node}0/hugepages/hugepages-2048kB/free_hugepages": "500\n",
            f"{node}1/hugepages/hugepages-2048kB/nr_hugepages": "64\n",
            f"{node}1/hugepages/hugepages-2048kB/free_hugepages": "64\n",
            f"{node}1/hugepages/hugepages-1048576kB/nr_hugepages": "2\n",
            f"{node}1/hugepages/hugepages-1048576kB/free_hugepages": "1\n",
        },
    )
    found = memory.read(tmp_path, lock_limit=64 << 20)
    assert (found.total_kib, found.transparent, found.lock_limit_octets) == (24684084, "madvise", 64 << 20)
    assert HugePages(1, 1048576, 2, 1) in found.huge_pages and len(found.huge_pages) == 3
    assert found.free_huge_kib(2048) == 564 * 2048
    assert memory.read(tmp_path, lock_limit=-1).lock_limit_octets is None


def test_isolation(tmp_path: Path) -> None:
    cpus = "sys/devices/system/cpu"
    tree(
        tmp_path,
        {
            "proc/cmdline": "quiet isolcpus=2-3 nohz_full=3 rcu_nocbs=2 root=/dev/sda1\n",
            f"{cpus}/isolated": "2-3\n",
            f"{cpus}/nohz_full": "3\n",
            f"{cpus}/smt/active": "1\n",
            f"{cpus}/cpu2/cpufreq/scaling_governor": "powersave\n",
            "sys/devices/system/clocksource/clocksource0/current_clocksource": "hpet\n",
        },
    )
    found = isolation.read(tmp_path)
    assert (found.isolated, found.tickless, found.rcu_offloaded) == ((2, 3), (3,), (2, 3))
    assert (found.smt, found.governor(2), found.governor(0), found.clocksource) == (True, "powersave", "", "hpet")
    assert isolation.read(tmp_path / "nothing") == isolation.Isolation()


def test_privileges(tmp_path: Path) -> None:
    tree(
        tmp_path,
        {
            "proc/self/status": "Name:\tpython\nUid:\t997\t997\t997\t997\nCapEff:\t0000008000003000\n",
            "proc/sys/kernel/osrelease": "6.1.0-30-amd64\n",
            "proc/sys/net/core/bpf_jit_enable": "1\n",
            "proc/sys/kernel/unprivileged_bpf_disabled": "2\n",
            "sys/kernel/btf/vmlinux": "",
        },
    )
    found = privileges.read(tmp_path)
    assert found.capabilities == ("NET_ADMIN", "NET_RAW", "BPF") and found.may("BPF") and not found.may("IPC_LOCK")
    assert (found.user, found.kernel_version, found.btf, found.jit) == (997, (6, 1), True, True)
    assert not found.unprivileged_bpf
    nothing = privileges.read(tmp_path / "nothing")
    assert nothing.kernel_version == (0, 0) and nothing.jit is None and not nothing.capabilities


def test_accelerators(tmp_path: Path) -> None:
    pci = "sys/bus/pci/devices"
    devices = {
        "0000:3d:00.0": ("0x8086", "0x37c8", "0x0b4000"),  # QAT by number
        "0000:3e:00.0": ("0x1234", "0x5678", "0x108000"),  # by class
        "0000:3f:00.0": ("0x1af4", "0x1000", "0x020000"),  # a NIC
    }
    for bus, (vendor, device, kind) in devices.items():
        tree(tmp_path, {f"{pci}/{bus}/vendor": vendor, f"{pci}/{bus}/device": device, f"{pci}/{bus}/class": kind})
    tree(tmp_path, {f"{pci}/0000:3d:00.0/numa_node": "1"}, {f"{pci}/0000:3d:00.0/driver": "sys/bus/pci/drivers/c6xx"})
    assert accelerators.read(tmp_path) == (
        Accelerator("0000:3d:00.0", "Intel QuickAssist C62x", "c6xx", 1),
        Accelerator("0000:3e:00.0", "encryption controller 1234:5678", "", 0),
    )


def test_this_machine_as_a_tree() -> None:
    found = inventory.read()
    assert found.cpu.cores and not found.faults
    assert {"lo"} <= {one.name for one in found.nics}
    assert found.privileges.kernel_version >= (4, 0)
    tree_ = json.loads(json.dumps(inventory.as_tree(found)))
    assert tree_["nics"][0]["link"]["name"] == "lo" and "steering" in tree_["nics"][0]


def test_a_kernel_that_refuses_netlink_is_a_fault_and_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("firmware_iface.links.read", refuse)
    found = inventory.read()
    assert found.nics == () and found.faults == ("network interfaces: Operation not permitted",)
