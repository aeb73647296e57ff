"""Tests about the instrumented build belong to `make test-asan` alone: elsewhere they are not selected, so that a skip
always means that something is missing on the machine. Tests that ask for `every_cipher` run on every cipher back end
of this machine, not only on the selected one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kernels.cipher import select
from tests.kernels.guarded import SANITIZED


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if SANITIZED:
        return
    elsewhere = [item for item in items if item.get_closest_marker("sanitized")]
    if elsewhere:
        config.hook.pytest_deselected(items=elsewhere)
        items[:] = [item for item in items if item not in set(elsewhere)]


@pytest.fixture(scope="module", params=select.names())
def every_cipher(request: pytest.FixtureRequest) -> Iterator[str]:
    before = select.selected()
    yield select.select(request.param)
    if before is not None:
        select.select(before)
