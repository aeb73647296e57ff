"""Fixtures of the system tests: the lab, and what of foreign programs this machine has."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.sip_edge import kamailio, sipp
from tests.system import lab as labs

PEERS = {"sipp", "baresip", "linphonec", "tshark"}


@pytest.fixture(scope="session")
def namespaces() -> None:
    """Skip, saying why, where namespaces cannot be made (no root, no kernel support)."""
    reason = labs.available()
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def sip_programs() -> None:
    missing = [
        name for name, found in (("kamailio", kamailio.find("kamailio")), ("sipp", sipp.available())) if not found
    ]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    """A directory that the accounts of Kamailio and of the gateway may pass through; removed with the keys in it."""
    path = Path(tempfile.mkdtemp(prefix=labs.PREFIX))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def laboratory(namespaces: None, directory: Path) -> Iterator[labs.Lab]:
    with labs.Lab(directory) as built:
        yield built


@pytest.fixture(autouse=True)
def no_call_outlives_its_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """A failed test's SIPp or telephone would keep the port that the next one needs."""
    yield
    if "laboratory" in request.fixturenames:
        for process in request.getfixturevalue("laboratory").processes:
            if PEERS & set(process.args):
                labs.end(process)
