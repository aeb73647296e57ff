"""Tests about the instrumented build belong to `make test-asan` alone: elsewhere they are not selected, so that a skip
always means that something is missing on the machine."""

from __future__ import annotations

import pytest

from tests.kernels.guarded import SANITIZED


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if SANITIZED:
        return
    elsewhere = [item for item in items if item.get_closest_marker("sanitized")]
    if elsewhere:
        config.hook.pytest_deselected(items=elsewhere)
        items[:] = [item for item in items if item not in set(elsewhere)]
