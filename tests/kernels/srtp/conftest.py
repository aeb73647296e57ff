"""Tests that ask for `every_cipher` run on every cipher back end of this machine, not only on the selected one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kernels.cipher import select


@pytest.fixture(scope="module", params=select.names())
def every_cipher(request: pytest.FixtureRequest) -> Iterator[str]:
    before = select.selected()
    yield select.select(request.param)
    if before is not None:
        select.select(before)
