"""Crypto accelerators on the PCI bus: reported, so that an operator knows; no cipher back end uses one yet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from firmware_iface import sysfs

CLASS_ENCRYPTION = 0x10  # PCI base class: encryption controller
CLASS_PROCESSING = 0x12  # processing accelerators

# (vendor, device) -> name. Devices whose class says less than this.
KNOWN = {
    (0x8086, 0x0435): "Intel QuickAssist DH895xCC",
    (0x8086, 0x0443): "Intel QuickAssist DH895xCC (virtual function)",
    (0x8086, 0x37C8): "Intel QuickAssist C62x",
    (0x8086, 0x37C9): "Intel QuickAssist C62x (virtual function)",
    (0x8086, 0x19E2): "Intel QuickAssist C3xxx",
    (0x8086, 0x19E3): "Intel QuickAssist C3xxx (virtual function)",
    (0x8086, 0x6F54): "Intel QuickAssist D15xx",
    (0x8086, 0x18A0): "Intel QuickAssist 200xx",
    (0x8086, 0x4940): "Intel QuickAssist 4xxx",
    (0x8086, 0x4941): "Intel QuickAssist 4xxx (virtual function)",
    (0x8086, 0x4942): "Intel QuickAssist 401xx",
    (0x8086, 0x4944): "Intel QuickAssist 402xx",
    (0x8086, 0x4946): "Intel QuickAssist 420xx",
    (0x177D, 0xA0FD): "Marvell OCTEON TX2 CPT",
    (0x177D, 0xA0F3): "Marvell CN10K CPT",
    (0x1AF4, 0x1054): "virtio crypto",
    (0x15B3, 0xA2D2): "NVIDIA BlueField (crypto offload)",
}


@dataclass(frozen=True, slots=True)
class Accelerator:
    bus: str
    name: str
    driver: str  # kernel driver that holds it; "": none
    node: int


def read(root: Path = Path("/")) -> tuple[Accelerator, ...]:
    devices = sorted((root / "sys/bus/pci/devices").glob("*"))
    return tuple(found for device in devices if (found := of_device(device)) is not None)


def of_device(device: Path) -> Accelerator | None:
    """The accelerator in that folder of /sys/bus/pci/devices; None: it is something else."""
    vendor, number = sysfs.number(device / "vendor"), sysfs.number(device / "device")
    kind = sysfs.number(device / "class") >> 16
    name = KNOWN.get((vendor, number))
    if name is None and kind == CLASS_ENCRYPTION:
        name = f"encryption controller {vendor:04x}:{number:04x}"
    if name is None and kind == CLASS_PROCESSING:
        name = f"processing accelerator {vendor:04x}:{number:04x}"
    if name is None:
        return None
    return Accelerator(
        device.name, name, sysfs.link_name(device / "driver"), max(0, sysfs.number(device / "numa_node"))
    )
