"""The loop of a fleet as Cython writes it: no Python objects, no GIL, no exceptions (STYLE 4.2, 4.3)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.kernels.control.test_generated_c import code_of
from tests.kernels.srtp.test_generated import HARMLESS, PYTHON

PATHS = {
    "load/shuttle": {"fleet_send", "fleet_listen", "settle_sent", "verify", "write_packet", "owner_of", "due_now"},
    "load/fleet": {"turn", "turns", "all_written", "missing"},
    "load/raw": {"raw_receive", "raw_transmit", "raw_release", "describe", "reap", "frame_read", "frame_write"},
}


@pytest.mark.parametrize("module", PATHS)
def test_no_python_in_the_loop(module: str, tmp_path: Path) -> None:
    bodies = code_of(module, tmp_path)
    for function in PATHS[module]:
        found = [body for name, body in bodies.items() if re.search(rf"_\d+[a-z]+_{function}$", name)]
        assert found, function
        assert all(set(PYTHON.findall(body)) <= HARMLESS for body in found), function
