"""What this process may do, and what of BPF the kernel has."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from firmware_iface import sysfs

# Numbers of linux/capability.h.
CAPABILITIES = {"NET_ADMIN": 12, "NET_RAW": 13, "IPC_LOCK": 14, "SYS_ADMIN": 21, "SYS_NICE": 23, "BPF": 39}


@dataclass(frozen=True, slots=True)
class Privileges:
    kernel: str = ""  # release, as `uname -r`
    capabilities: tuple[str, ...] = ()  # effective ones of this process, of those that media uses
    user: int = 0
    btf: bool = False  # the kernel describes its types: CO-RE programs load
    jit: bool | None = None  # None: it does not say (network namespaces, old kernels)
    unprivileged_bpf: bool = False

    def may(self, capability: str) -> bool:
        return capability in self.capabilities

    @property
    def kernel_version(self) -> tuple[int, int]:
        found = re.match(r"(\d+)\.(\d+)", self.kernel)
        return (int(found[1]), int(found[2])) if found else (0, 0)


def read(root: Path = Path("/")) -> Privileges:
    status = dict(re.findall(r"^(\w+):\s*(.*)$", sysfs.text(root / "proc/self/status"), re.MULTILINE))
    effective = int(status.get("CapEff", "0") or "0", 16)
    sysctl = root / "proc/sys"
    return Privileges(
        kernel=sysfs.text(sysctl / "kernel/osrelease"),
        capabilities=tuple(name for name, number in CAPABILITIES.items() if effective >> number & 1),
        user=int((status.get("Uid", "0").split() or ["0"])[0]),
        btf=(root / "sys/kernel/btf/vmlinux").exists(),
        jit=None if (jit := sysfs.number(sysctl / "net/core/bpf_jit_enable", -1)) < 0 else jit > 0,
        unprivileged_bpf=sysfs.text(sysctl / "kernel/unprivileged_bpf_disabled") == "0",
    )
