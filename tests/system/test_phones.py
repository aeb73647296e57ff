"""Telephones of other makers through the whole gateway: SIP over TLS with SDES on one side, plain SIP and RTP on the
other. What each end recorded is compared with what the other end played.

As delivered: `sdes_requires_tls` is on.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator

import pytest

from tests.system import lab as labs
from tests.system import wire
from tests.system.certificates import Authority, available
from tests.system.gateway import PLACES, Gateway
from tests.system.phones import Baresip, Linphone
from tests.system.sound import Likeness, compare
from tests.system.test_first_call import assert_freed

pytestmark = [pytest.mark.system, pytest.mark.timeout(90)]

SETTINGS = """
[media]
ports = "{ports[0]}-{ports[1]}"
calls = 20
""" + PLACES + """[sip]
listen = ["udp:{access}:5060", "tcp:{access}:5060", "tls:{access}:5061", "udp:{core}:5060", "tls:{core}:5061"]
certificate = "{certificate.chain}"
key = "{certificate.key}"
[[trunks]]
name = "phones"
match = ["10.77.1.2/32"]
destination = "{to_core}"
interface = "access"
rtp_secure_media = "mandatory:{phones_suite}"
sdes_over_cleartext = "{cleartext}"
secure_out_when_secure_in = "{binding}"
[[trunks]]
name = "core"
match = ["10.77.2.2/32"]
destination = "{to_phones}"
interface = "core"
rtp_secure_media = "{policy}"
transcode = [{transcode}]
"""
GCM_256, SDES_80, SDES_256 = "AEAD_AES_256_GCM", "AES_CM_128_HMAC_SHA1_80", "AES_256_CM_HMAC_SHA1_80"
TALK_S = 7  # how long the one who calls stays


@pytest.fixture(scope="module")
def authority(laboratory: labs.Lab) -> Authority:
    missing = [name for name in ("baresip", "tshark") if not shutil.which(name)]
    if missing or not available():
        pytest.skip(f"not installed: {', '.join(missing) or 'openssl'}")
    return Authority(laboratory.directory / "ca")


@pytest.fixture
def plain_core(laboratory: labs.Lab, sip_programs: None, authority: Authority) -> Iterator[Gateway]:
    """Phones: TLS and SDES; core: UDP and RTP."""
    yield from _gateway(laboratory, authority, phones_suite=SDES_80)


@pytest.fixture
def strong_phones(laboratory: labs.Lab, sip_programs: None, authority: Authority) -> Iterator[Gateway]:
    """As `plain_core`, with AES-256."""
    yield from _gateway(laboratory, authority, phones_suite=SDES_256)


@pytest.fixture
def clear_phones(laboratory: labs.Lab, sip_programs: None, authority: Authority) -> Iterator[Gateway]:
    """Phones that are called over TCP: their trunk permits keys there, and no other one does."""
    to_phones = f"sip:{labs.ADDRESS['access']}:5060;transport=tcp"
    yield from _gateway(laboratory, authority, phones_suite=SDES_256, to_phones=to_phones, cleartext="allow")


@pytest.fixture
def secure_core(laboratory: labs.Lab, sip_programs: None, authority: Authority) -> Iterator[Gateway]:
    """TLS and SDES on both sides, with another suite on each."""
    to_core = f"sip:{labs.ADDRESS['core']}:5061;transport=tls"
    yield from _gateway(laboratory, authority, f"mandatory:{GCM_256}", to_core=to_core, phones_suite=SDES_80)


@pytest.fixture
def binding_phones(laboratory: labs.Lab, sip_programs: None, authority: Authority) -> Iterator[Gateway]:
    """The dialplan of the reference: a core without a word about SRTP, bound by calls that come with SDES over TLS."""
    to_core = f"sip:{labs.ADDRESS['core']}:5061;transport=tls"
    yield from _gateway(laboratory, authority, "", to_core=to_core, phones_suite=SDES_80,
                        binding="AES_CM_128_HMAC_SHA1_32|AES_CM_128_HMAC_SHA1_80")  # fmt: skip


def _gateway(lab: labs.Lab, authority: Authority, policy: str = "forbidden", **settings: str) -> Iterator[Gateway]:
    values = {
        "certificate": authority.issue(labs.GATEWAY["access"]), "to_core": f"sip:{labs.ADDRESS['core']}:5060",
        "to_phones": f"sip:{labs.ADDRESS['access']}:5061;transport=tls", "cleartext": "refuse",
        "binding": "", "transcode": "", **settings,
    }  # fmt: skip
    running = Gateway(lab, policy, settings=SETTINGS, values=values).start()
    yield running
    labs.end(running.process, patience=15)
    assert "Traceback" not in running.log("sip") + running.log("control") + running.log("media")


def assert_heard(likeness: Likeness) -> None:
    """Most of the call, as it was played; the rest is set-up and the first packets of the jitter buffer."""
    assert likeness.found >= TALK_S / 2, likeness
    assert likeness.correlation > 0.98, likeness
    assert 0.9 < likeness.level < 1.1, likeness


def _call(caller: Baresip, callee: Baresip) -> None:
    callee.start(TALK_S + 6)
    caller.start(TALK_S, dials=True).finish()
    callee.finish()
    assert_heard(compare(callee.played, caller.heard()))
    assert_heard(compare(caller.played, callee.heard()))


def test_a_baresip_phone_calls_out(plain_core: Gateway, authority: Authority) -> None:
    """H01, C07: RTP/SAVP over TLS from the phone, RTP/AVP over UDP to the core, speech both ways. On the wires: the
    speech is to be heard on the core's, and is not on the phone's."""
    phone = Baresip(plain_core.lab, "access", 1, "srtp-mand", authority)
    core = Baresip(plain_core.lab, "core", 2)
    wires = {role: wire.Wire(plain_core.lab, role) for role in ("access", "core")}
    _call(phone, core)
    for one in wires.values():
        one.stop()
    assert phone.suite() == SDES_80
    assert core.suite() == ""
    assert_freed(plain_core)
    for role, peer, played in (("access", phone.address, phone.played), ("core", core.address, core.played)):
        for sender, speech in ((peer, played), (labs.GATEWAY[role], (core if role == "access" else phone).played)):
            payloads = wires[role].payloads(sender)
            assert len(payloads) > 50 * TALK_S / 2
            found = compare(speech, wire.pcmu(payloads)).found
            assert found == 0 if role == "access" else found >= TALK_S / 2, (role, sender)


def test_a_baresip_phone_is_called(plain_core: Gateway, authority: Authority) -> None:
    """H01, C07: the other way round; the gateway calls the phone over TLS."""
    phone = Baresip(plain_core.lab, "access", 3, "srtp-mand", authority)
    _call(Baresip(plain_core.lab, "core", 4), phone)
    assert phone.suite() == SDES_80
    assert_freed(plain_core)


def test_two_baresip_phones_with_different_suites(secure_core: Gateway, authority: Authority) -> None:
    """H08, A24: AES-128-CM on one leg, AES-256-GCM on the other, TLS on both. (baresip offers AES-128-CM alone, and
    takes every suite it knows.)"""
    phone = Baresip(secure_core.lab, "access", 5, "srtp-mand", authority)
    core = Baresip(secure_core.lab, "core", 6, "srtp-mand", authority)
    _call(phone, core)
    assert (phone.suite(), core.suite()) == (SDES_80, GCM_256)
    assert_freed(secure_core)


def test_a_call_that_comes_secured_goes_on_secured(binding_phones: Gateway, authority: Authority) -> None:
    """H12: inbound SDES over TLS with a suite of the condition -> SRTP outbound, where unset alone would mean RTP."""
    phone = Baresip(binding_phones.lab, "access", 11, "srtp-mand", authority)
    core = Baresip(binding_phones.lab, "core", 12, "srtp-mand", authority)
    _call(phone, core)
    assert phone.suite() == SDES_80
    assert core.suite()
    assert_freed(binding_phones)


@pytest.fixture
def mixed_laws(laboratory: labs.Lab, sip_programs: None, authority: Authority) -> Iterator[Gateway]:
    """As `plain_core`, with G.711 transcoded to and from the core."""
    yield from _gateway(laboratory, authority, phones_suite=SDES_80, transcode='"PCMA", "PCMU"')


@pytest.mark.long
@pytest.mark.row("P06")
def test_a_phone_with_a_law_alone_and_one_with_mu_law_alone(mixed_laws: Gateway, authority: Authority) -> None:
    """PCMA over SDES on one side, PCMU over RTP on the other, speech both ways at its level, each way round; the law of
    the core's wire is the core's."""
    for first, codecs in ((21, ("pcma", "pcmu")), (23, ("pcmu", "pcma"))):
        phone = Baresip(mixed_laws.lab, "access", first, "srtp-mand", authority, codec=codecs[0])
        core = Baresip(mixed_laws.lab, "core", first + 1, codec=codecs[1])
        listening = wire.Wire(mixed_laws.lab, "core")
        _call(phone, core) if first == 21 else _call(core, phone)
        listening.stop()
        law = 0 if codecs[1] == "pcmu" else 8
        for address in (core.address, labs.GATEWAY["core"]):
            assert set(listening.types(address)) == {law}
        assert phone.suite() == SDES_80
        assert_freed(mixed_laws)
    counters = mixed_laws.counters()
    assert counters["transcoded"] > 4 * 50 * TALK_S / 2


@pytest.mark.row("P06")
def test_without_the_word_two_laws_do_not_meet(plain_core: Gateway, authority: Authority) -> None:
    """The core refuses the offer, as it would without a gateway between."""
    core = Baresip(plain_core.lab, "core", 25).start(TALK_S)
    phone = Baresip(plain_core.lab, "access", 26, "srtp-mand", authority, codec="pcma").start(4, dials=True).finish()
    core.finish()
    assert "488" in phone.log()
    assert "transcoded" not in {name for name, count in plain_core.counters().items() if count}
    assert_freed(plain_core)


@pytest.fixture
def linphone(laboratory: labs.Lab, authority: Authority) -> Iterator[Linphone]:
    if not shutil.which("linphonec"):
        pytest.skip("not installed: linphone-cli")
    phone = Linphone(laboratory, "access", 7)
    yield phone.start(authority)
    labs.end(phone.process)


def test_a_linphone_calls_out(strong_phones: Gateway, linphone: Linphone) -> None:
    """H01, C07, B07: SDES over TLS with AES-256 alone (linphone offers it third), RTP to the core."""
    core = Baresip(strong_phones.lab, "core", 8).start(TALK_S + 8)
    linphone.call()
    labs.wait_for(lambda: "Call established" in core.log(), 10, linphone.log)
    time.sleep(TALK_S)
    linphone.finish()
    labs.wait_for(lambda: "terminated" in core.log(), 5, core.log)
    labs.end(core.process)
    assert_heard(compare(core.played, linphone.heard()))
    assert_heard(compare(linphone.played, core.heard()))
    assert_freed(strong_phones)


def test_a_linphone_is_called(clear_phones: Gateway, linphone: Linphone) -> None:
    """H01, C07: the trunk's word permits SDES over TCP; the gateway offers AES-256 alone."""
    core = Baresip(clear_phones.lab, "core", 9).start(TALK_S, dials=True).finish()
    linphone.finish()
    assert_heard(compare(core.played, linphone.heard()))
    assert_heard(compare(linphone.played, core.heard()))
    assert_freed(clear_phones)
