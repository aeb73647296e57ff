"""Whose interrupt is which: names as drivers write them, devices with and without vectors of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware_iface import affinity, interrupts, napi, nic
from firmware_iface.links import Link
from tests.firmware_iface.machines import tree

PROC = """\
           CPU0       CPU1
 38:          7          9 PCI-MSIX-0000:00:03.0   1-edge      virtio2-input.0
 39:          1          0 PCI-MSIX-0000:00:03.0   2-edge      virtio2-output.0
 40:          0          0 PCI-MSIX-0000:00:04.0   0-edge      virtio3-config
 60:          5          5  IR-PCI-MSI 1048576-edge      i40e-enp1s0-TxRx-0
 61:          0         11  IR-PCI-MSI 1048577-edge      i40e-enp1s0-TxRx-1
 62:          0          0  IR-PCI-MSI 1048578-edge      i40e-0000:01:00.0:misc
NMI:          0          0   Non-maskable interrupts
bad line
"""


@pytest.mark.parametrize(
    ("name", "queue"),
    [
        ("i40e-enp1s0-TxRx-3", 3),
        ("ice-enp1s0-TxRx-12", 12),
        ("enp1s0-TxRx-0", 0),
        ("ens5-Tx-Rx-7", 7),
        ("mlx5_comp3@pci:0000:01:00.0", 3),
        ("virtio2-input.3", 3),
        ("virtio2-output.3", None),
        ("virtio2-config", None),
        ("eth0-rx-2", 2),
        ("eth0-tx-2", None),
        ("mlx5_async0@pci:0000:01:00.0", None),
        ("mlx5_pages_eq@pci:0000:01:00.0", None),
        ("i40e-0000:01:00.0:misc", None),
        ("i40e-0000:01:00.0:fdir-TxRx-0", None),
        ("iavf-0000:01:02.0:mbx", None),
        ("ena-mgmnt@pci:0000:00:05.0", None),
        ("enp1s0", None),
    ],
)
def test_names(name: str, queue: int | None) -> None:
    assert interrupts.queue_of(name) == queue


def machine(root: Path) -> Path:
    files = {
        "proc/interrupts": PROC,
        "proc/irq/38/smp_affinity_list": "0-1\n",
        "proc/irq/60/smp_affinity_list": "0\n",
        "proc/irq/61/smp_affinity_list": "1\n",
        "proc/irq/62/smp_affinity_list": "0-1\n",
        "sys/devices/pci0/virtio2/x": "",
        "sys/devices/pci1/msi_irqs/60": "",
        "sys/devices/pci1/msi_irqs/61": "",
        "sys/devices/pci1/msi_irqs/62": "",
        "sys/devices/pci1/msi_irqs/63": "",  # not requested: not in /proc/interrupts
        "sys/devices/pci0/msi_irqs/38": "",
        "sys/devices/pci0/msi_irqs/39": "",
    }
    links = {"sys/class/net/eth0/device": "sys/devices/pci0/virtio2", "sys/class/net/enp1s0/device": "sys/devices/pci1"}
    return tree(root, files, links)


def test_of_devices(tmp_path: Path) -> None:
    root = machine(tmp_path)
    known = interrupts.table(root)
    assert known[61] == ("i40e-enp1s0-TxRx-1", 11) and len(known) == 6
    found = interrupts.of_device(root, "enp1s0", known)
    assert [(one.number, one.queue, one.cores) for one in found] == [(60, 0, (0,)), (61, 1, (1,)), (62, None, (0, 1))]
    found = interrupts.of_device(root, "eth0", known)
    assert [(one.number, one.queue, one.count) for one in found] == [(38, 0, 16), (39, None, 1)]
    assert interrupts.of_device(root, "veth0", known) == ()
    assert interrupts.table(tmp_path / "nothing") == {}


def test_what_the_kernel_says_counts_more_than_names(tmp_path: Path) -> None:
    root = machine(tmp_path)
    found = interrupts.of_device(root, "enp1s0", interrupts.table(root), {60: 3, 38: 9})
    assert [(one.number, one.queue) for one in found] == [(60, 3), (61, None), (62, None)]


def test_queues_joined_with_interrupts() -> None:
    def message(**attributes: int) -> dict[str, object]:
        return type("Message", (dict,), {"get_attr": dict.get})(
            {f"NETDEV_A_{key}": at for key, at in attributes.items()}
        )

    queues = [
        message(QUEUE_ID=0, QUEUE_TYPE=0, QUEUE_NAPI_ID=513),
        message(QUEUE_ID=1, QUEUE_TYPE=0, QUEUE_NAPI_ID=514),
        message(QUEUE_ID=1, QUEUE_TYPE=1, QUEUE_NAPI_ID=514),
        message(QUEUE_ID=2, QUEUE_TYPE=0, QUEUE_NAPI_ID=515),  # a driver that does not tell
        message(QUEUE_ID=0, QUEUE_TYPE=0),  # veth without NAPI
    ]
    instances = [message(NAPI_ID=513, NAPI_IRQ=60), message(NAPI_ID=514, NAPI_IRQ=61), message(NAPI_ID=515)]
    assert napi.join(queues, instances) == {60: 0, 61: 1}


def test_this_kernel_is_asked_without_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(number > 0 and queue >= 0 for number, queue in napi.receive_queues().items())
    monkeypatch.setattr(napi, "FAMILY", "no-such")
    assert napi.receive_queues() == {}


def test_affinity(tmp_path: Path) -> None:
    root = machine(tmp_path)
    queues = "sys/class/net/enp1s0/queues"
    tree(root, {f"{queues}/rx-0/rps_cpus": "00000000,00000003\n", f"{queues}/tx-0/xps_cpus": "00000000,00000000\n"})
    subject = nic.Nic(Link(2, "enp1s0"), interrupts=interrupts.of_device(root, "enp1s0", interrupts.table(root)))
    plan = affinity.plan(subject, {0: 1, 1: 1, 5: 0})
    done = {one.setting.path: one for one in affinity.apply(plan, root)}
    assert done["proc/irq/60/smp_affinity_list"].changed and not done["proc/irq/61/smp_affinity_list"].changed
    assert (root / "proc/irq/60/smp_affinity_list").read_text() == "1"
    assert done[f"{queues}/rx-0/rps_cpus"].changed and not done[f"{queues}/tx-0/xps_cpus"].changed
    assert done[f"{queues}/rx-5/rps_cpus"].error == "the kernel has no such file"
    assert not any(one.changed for one in affinity.apply(plan, root))
    assert [one.path for one in affinity.plan(subject, {0: 1}, spreading_off=False)] == [
        "proc/irq/60/smp_affinity_list"
    ]


def test_what_may_not_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = machine(tmp_path)
    subject = nic.Nic(Link(2, "enp1s0"), interrupts=interrupts.of_device(root, "enp1s0", interrupts.table(root)))

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "write_text", refuse)
    (done,) = affinity.apply(affinity.plan(subject, {0: 1}, spreading_off=False), root)
    assert "not permitted" in done.error and not done.changed and done.before == "0"
