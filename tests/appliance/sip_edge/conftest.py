"""A module `KSR` for the routing script: the script's modules import it once, each test gets a fake of its own."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from tests.appliance.sip_edge.fake_ksr import FakeKSR


class _Current(ModuleType):
    """What `import KSR` gives: the fake of the test that runs."""

    fake: FakeKSR

    def __getattr__(self, name: str) -> Any:
        if "fake" not in self.__dict__:  # no test has begun: hypothesis looks at every module
            raise AttributeError(name)
        return getattr(self.fake, name)


sys.modules.setdefault("KSR", _Current("KSR"))


@pytest.fixture
def ksr(monkeypatch: pytest.MonkeyPatch) -> FakeKSR:
    from appliance.sip_edge.ksr import say

    module: Any = sys.modules["KSR"]
    module.fake = FakeKSR()
    monkeypatch.setattr(say, "_tell", lambda line: None)  # its socket is a matter of its own test
    fake: FakeKSR = module.fake
    return fake
