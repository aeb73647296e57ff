"""Fixtures of the tests with a browser: one gateway and one registered Chromium for each file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.system import lab as labs
from tests.system.certificates import Authority
from tests.system.gateway import Gateway
from tests.system.webrtc import chromium, rig
from tests.system.webrtc.chromium import Chromium


@pytest.fixture(scope="module")
def authority(laboratory: labs.Lab, sip_programs: None) -> Authority:
    """Also the address of the phones with SDES is there."""
    if missing := chromium.available():
        pytest.skip(missing)
    labs._ip("-n", labs.name("core"), "address", "add", f"{rig.SECURE}/24", "dev", "gw")
    return Authority(laboratory.directory / "ca")


@pytest.fixture(scope="module")
def gateway(laboratory: labs.Lab, authority: Authority) -> Iterator[Gateway]:
    with rig.gateway(laboratory, authority) as running:
        yield running


@pytest.fixture(scope="module")
def registered(laboratory: labs.Lab, authority: Authority, gateway: Gateway) -> Iterator[Chromium]:
    with chromium.browser(laboratory, "access", 1, authority) as browser:
        rig.register(browser)
        yield browser


@pytest.fixture
def browser(registered: Chromium) -> Iterator[Chromium]:
    """Registered, and nothing noted of earlier calls; afterwards it is honest again."""
    registered.run("events.length = 0")
    yield registered
    registered.run("forged = ''")
