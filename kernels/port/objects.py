"""Where the compiled BPF programs are: package data, the same in an installed and in an editable tree."""

from __future__ import annotations

import contextlib
import importlib.util
from importlib import resources


class NotBuilt(OSError):
    """This build has no BPF programs: clang, libbpf or libxdp were missing when it was made."""


def read_object(name: str) -> bytes:
    """The ELF file of `kernels/port/bpf/<name>.bpf.c`. NotBuilt."""
    with contextlib.suppress(FileNotFoundError):
        if importlib.util.find_spec("kernels.port.program"):
            return (resources.files("kernels.port") / f"{name}.bpf.o").read_bytes()
    raise NotBuilt(f"not built: {name}.bpf.o needs clang, libbpf-dev and libxdp-dev when the package is made")
