from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.firmware_iface.wires import Wires


@pytest.fixture
def wires() -> Iterator[Wires]:
    if os.geteuid():
        pytest.skip("needs root for network namespaces")
    with Wires() as built:
        yield built
