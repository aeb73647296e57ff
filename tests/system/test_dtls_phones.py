"""A desk phone that keys its media by DTLS-SRTP (baresip: OpenSSL, AES-CM alone) through the whole gateway, plain SIP
and RTP on the other side. What each end recorded is compared with what the other end played."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import pytest

from tests.system import lab as labs
from tests.system import phones
from tests.system.gateway import Gateway
from tests.system.sound import compare
from tests.system.test_first_call import assert_freed

pytestmark = [pytest.mark.system, pytest.mark.timeout(90)]

TALK_S = 5
SEEDS = count(61)
SETTINGS = """
[media]
ports = "{ports[0]}-{ports[1]}"
calls = 20
[paths]
run = "{run}"
state = "{state}"
[[interfaces]]
name = "access"
address = "{access}"
[[interfaces]]
name = "core"
address = "{core}"
[ng]
listen = ["127.0.0.1:25500"]
[sip]
listen = ["udp:{access}:5060", "udp:{core}:5060"]
[[trunks]]
name = "phones"
match = ["10.77.1.2/32"]
destination = "sip:10.77.2.2:5060"
interface = "access"
rtp_secure_media = "mandatory"
dtls = "offer"
[[trunks]]
name = "core"
match = ["10.77.2.2/32"]
destination = "sip:10.77.1.2:5060"
interface = "core"
rtp_secure_media = "{policy}"
"""


@dataclass
class DtlsBaresip(phones.Baresip):
    mediaenc: str = "dtls_srtp"


@pytest.fixture(scope="module")
def gateway(laboratory: labs.Lab, sip_programs: None) -> Iterator[Gateway]:
    if not shutil.which("baresip"):
        pytest.skip("not installed: baresip")
    running = Gateway(laboratory, "forbidden", settings=SETTINGS).start()
    yield running
    labs.end(running.process, patience=15)
    assert "Traceback" not in running.log("sip") + running.log("control") + running.log("media")


@pytest.mark.row("D01", "D02", "D05", "D08", "DTLS-1")
@pytest.mark.parametrize("dials", [True, False], ids=["calls", "is called"])
def test_a_phone_with_dtls(gateway: Gateway, dials: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says actpass and we are the client, or active and we are the server; both hear each other."""
    monkeypatch.setattr(phones, "_BARESIP", phones._BARESIP + "module dtls_srtp.so\n")
    core = phones.Baresip(gateway.lab, "core", next(SEEDS))
    phone = DtlsBaresip(gateway.lab, "access", next(SEEDS))
    caller, callee = (phone, core) if dials else (core, phone)
    callee.start(TALK_S + 8)
    time.sleep(0.5)
    caller.start(TALK_S, dials=True).finish()
    labs.end(callee.process)
    assert_freed(gateway)
    assert "DTLS-SRTP complete" in phone.log(), phone.log()
    for heard, played in ((phone.heard(), core.played), (core.heard(), phone.played)):
        found = compare(played, heard)
        assert found.found >= TALK_S / 2, found
