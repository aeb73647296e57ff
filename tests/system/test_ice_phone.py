"""A phone with ICE of RFC 5245 (baresip), plain RTP behind the gateway: it checks until it has a pair and never again,
so nothing but its media tells that it is there (ICE-7). SIP on both sides through the SIP edge."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.system import lab as labs
from tests.system import phones
from tests.system.gateway import Gateway, started
from tests.system.sound import compare
from tests.system.test_first_call import assert_freed

pytestmark = [pytest.mark.system, pytest.mark.timeout(90)]

TALK_S = 35  # longer than consent would last
SPEECH_S = TALK_S + 10  # aufile ends its call with its file


@pytest.fixture
def gateway(laboratory: labs.Lab, sip_programs: None) -> Iterator[Gateway]:
    if not shutil.which("baresip"):
        pytest.skip("not installed: baresip")
    with started(laboratory, "forbidden") as running:
        yield running


class IcePhone(phones.Baresip):
    """Its offer has ICE; two components."""

    def _account(self) -> str:
        return super()._account().rstrip() + ";medianat=ice\n"


@pytest.mark.long
@pytest.mark.row("ICE-7", "ICE-4", "G20")
def test_a_phone_of_rfc_5245_is_heard_after_half_a_minute(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both hear each other until the end."""
    monkeypatch.setattr(phones, "PLAYED_S", SPEECH_S)
    monkeypatch.setattr(phones, "_BARESIP", phones._BARESIP + "module ice.so\n")
    core = phones.Baresip(gateway.lab, "core", 51).start(TALK_S + 6)
    phone = IcePhone(gateway.lab, "access", 52).start(TALK_S, dials=True).finish()
    assert_freed(gateway)
    labs.end(core.process)
    for heard, played in ((phone.heard(), core.played), (core.heard(), phone.played)):
        found = compare(played, heard)
        assert found.found > TALK_S - 3.5, found
    assert gateway.counters()["ice_answered"] == 4
