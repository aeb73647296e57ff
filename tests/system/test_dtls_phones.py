"""Phones that key their media by DTLS-SRTP through the whole gateway, plain SIP and RTP on the other side: baresip
(OpenSSL) and Linphone (mbed TLS). What each end recorded is compared with what the other end played."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import pytest

from tests.system import lab as labs
from tests.system import phones
from tests.system.gateway import PLACES, Gateway, started
from tests.system.sound import compare
from tests.system.test_first_call import assert_freed

pytestmark = [pytest.mark.system, pytest.mark.timeout(90)]

TALK_S = 5
SEEDS = count(61)
SETTINGS = """
[media]
ports = "{ports[0]}-{ports[1]}"
calls = 20
""" + PLACES + """[sip]
listen = ["udp:{access}:5060", "tcp:{access}:5060", "udp:{core}:5060"]
[[trunks]]
name = "phones"
match = ["10.77.1.2/32"]
destination = "sip:10.77.2.2:5060"
interface = "access"
rtp_secure_media = "mandatory"
dtls = "offer"
dtls_role = "{role}"
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
def gateway(laboratory: labs.Lab, sip_programs: None, request: pytest.FixtureRequest) -> Iterator[Gateway]:
    """Parameter: `dtls_role`."""
    if missing := [name for name in ("baresip", "linphonec") if not shutil.which(name)]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    with started(laboratory, "forbidden", settings=SETTINGS, values={"role": request.param}) as running:
        yield running


@pytest.mark.row("D01", "D02", "D05", "D08", "DTLS-1")
@pytest.mark.parametrize("gateway", ["active"], indirect=True)
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
    assert_heard(phone, core)


@pytest.mark.row("D01", "D02", "D08", "DTLS-9")
@pytest.mark.parametrize("gateway", ["passive"], indirect=True)
def test_a_phone_that_knows_no_address_of_its_own(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """As behind NAT: its SDP says 127.0.0.1, there is no ICE, so it has to begin (`dtls_role = "passive"`). RTP and
    RTCP are apart: it begins twice. Media goes to where its handshake came from."""
    settings = phones._LINPHONE.replace("media_encryption=srtp", "media_encryption=dtls").replace(
        "root_ca={authority}\n", ""
    )
    monkeypatch.setattr(phones, "_LINPHONE", settings)
    core = phones.Baresip(gateway.lab, "core", next(SEEDS)).start(TALK_S + 15)
    phone = phones.Linphone(gateway.lab, "access", next(SEEDS)).start(None)
    phone.call(f"sip:phone@{labs.GATEWAY['access']}:5060;transport=tcp")
    labs.wait_for(lambda: "is fully encrypted" in phone.log(), 15, phone.log)
    time.sleep(TALK_S)
    phone.finish()
    labs.end(core.process)
    assert_freed(gateway)
    assert_heard(phone, core)


def assert_heard(phone: phones.Baresip | phones.Linphone, core: phones.Baresip) -> None:
    for heard, played in ((phone.heard(), core.played), (core.heard(), phone.played)):
        found = compare(played, heard)
        assert found.found >= TALK_S / 2, found
