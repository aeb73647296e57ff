"""Rows H01-H11, the callee's side: what each policy puts on the wire towards a trunk, and what its answer may be.

SIPp calls; the offers are read out of the callee's message trace.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from appliance.sip_edge import sipp
from tests.system import dialogue
from tests.system import lab as labs
from tests.system.calls import Call
from tests.system.gateway import Gateway
from tests.system.talk import Talk
from tests.system.test_first_call import B18, assert_freed
from tests.system.trunks import Policy, Section, Trunks, sections

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

SDES_80, SDES_32, SDES_256 = "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32", "AES_256_CM_HMAC_SHA1_80"
SDES_256_32, GCM_256, GCM_128 = "AES_256_CM_HMAC_SHA1_32", "AEAD_AES_256_GCM", "AEAD_AES_128_GCM"
STRONGEST_FIRST = tuple(suite for suite in B18 if not suite.endswith("_8"))  # what needs no permission
OWN = "[$tag] [$suite] inline:@inline@"

# name -> settings of the callee's trunk, suites offered (None: the built-in order)
SECURE: dict[str, tuple[dict[str, str], tuple[str, ...] | None]] = {
    "mandatory": ({"rtp_secure_media": "mandatory"}, None),
    "true": ({"rtp_secure_media": "true"}, None),
    "yes": ({"rtp_secure_media": "yes"}, None),
    "outbound-wins": ({"rtp_secure_media": "false", "rtp_secure_media_inbound": "forbidden",
                       "rtp_secure_media_outbound": f"mandatory:{SDES_32}"}, (SDES_32,)),
    "list-comma": ({"rtp_secure_media": "mandatory:AES_CM_256_HMAC_SHA1_80,AES_CM_256_HMAC_SHA1_32"},
                   (SDES_256, SDES_256_32)),
    "list-colon": ({"rtp_secure_media": f"true:{SDES_32}:{GCM_128}:{SDES_80}"}, (SDES_32, GCM_128, SDES_80)),
    "list-outbound": ({"rtp_secure_media_outbound": "mandatory:AEAD_AES_256_GCM_8,AEAD_AES_128_GCM_8"},
                      ("AEAD_AES_256_GCM_8", "AEAD_AES_128_GCM_8")),
    "suites-apart": ({"rtp_secure_media": "mandatory", "rtp_secure_media_suites": f"{GCM_256}|{SDES_80}"},
                     (GCM_256, SDES_80)),
    "appended-wins": ({"rtp_secure_media": f"mandatory:{SDES_32}", "rtp_secure_media_suites": SDES_256}, (SDES_32,)),
}  # fmt: skip
PLAIN: dict[str, dict[str, str]] = {
    "forbidden": {"rtp_secure_media": "forbidden", "rtp_secure_media_suites": SDES_80},
    "false": {"rtp_secure_media": "false"},
    "off": {"rtp_secure_media": "off"},
    "unset": {},
    "outbound-forbidden": {"rtp_secure_media": "mandatory", "rtp_secure_media_outbound": "forbidden"},
}
OPTIONAL: dict[str, dict[str, str | list[str]]] = {
    "optional": {"rtp_secure_media": "optional"},
    "optional-list": {"rtp_secure_media": f"optional:{SDES_80}"},
    "optional-suites": {"rtp_secure_media": "optional", "rtp_secure_media_suites": f"{SDES_32},{SDES_256}"},
    "osrtp": {"rtp_secure_media": f"optional:{GCM_128},{SDES_80}", "osrtp": ["offer"]},
}
OPTIONAL_SUITES = {
    "optional": STRONGEST_FIRST,
    "optional-list": (SDES_80,),
    "optional-suites": (SDES_32, SDES_256),
    "osrtp": (GCM_128, SDES_80),
}

TRUNKS = Trunks(
    {name: Policy(callee=settings) for name, (settings, _) in SECURE.items()}
    | {name: Policy(callee=settings) for name, settings in PLAIN.items()}
    | {name: Policy(callee=settings) for name, settings in OPTIONAL.items()}
)


@pytest.fixture(scope="module")
def gateway(laboratory: labs.Lab, sip_programs: None) -> Iterator[Gateway]:
    running = TRUNKS.start(laboratory)
    yield running
    assert "Traceback" not in running.log("sip") + running.log("control") + running.log("media")


def live(message: sipp.Message) -> list[Section]:
    return [section for section in sections(message) if section.port]


def numbered(section: Section) -> bool:
    """Tags 1..n, every key another one (I04, C10)."""
    keys = {inline for _, _, inline in section.crypto}
    return section.tags == tuple(range(1, len(section.tags) + 1)) and len(keys) == len(section.tags)


def built_in(section: Section) -> tuple[str, ...]:
    """The suites of B18 among those offered: F8 comes after them."""
    return tuple(suite for suite in section.suites if suite in B18)


@pytest.mark.parametrize("name", SECURE)
def test_a_secure_trunk_is_offered_savp_alone(gateway: Gateway, name: str) -> None:
    """H01, H05, H07, H08, H10, H11: one m-line RTP/SAVP, exactly the suites of the policy in its order."""
    wanted = SECURE[name][1]
    suite = wanted[-1] if wanted else SDES_80
    callee = dialogue.answers(dialogue.secure(OWN), suite)
    done = TRUNKS.call(gateway.lab, name, dialogue.calls(dialogue.plain()), callee, suite).place_call()
    (offered,) = sections(done.invite_at_callee())
    assert offered.protocol == "RTP/SAVP"
    assert numbered(offered)
    if wanted:
        assert offered.suites == wanted
    else:
        assert built_in(offered) == STRONGEST_FIRST
        assert "NULL" not in " ".join(offered.suites)
    (answered,) = sections(done.answer_at_caller())
    assert (answered.protocol, answered.crypto) == ("RTP/AVP", ())


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_trunk_is_offered_avp_without_a_key(gateway: Gateway, name: str) -> None:
    """H03, H04, H06, H07, H10."""
    done = TRUNKS.call(
        gateway.lab, name, dialogue.calls(dialogue.plain()), dialogue.answers(dialogue.plain())
    ).place_call()
    (offered,) = sections(done.invite_at_callee())
    assert (offered.protocol, offered.crypto) == ("RTP/AVP", ())
    assert "crypto" not in done.invite_at_callee().body


@pytest.mark.parametrize("name", ["optional", "optional-list", "optional-suites"])
def test_an_optional_trunk_is_offered_savp_then_avp(gateway: Gateway, name: str) -> None:
    """H02, H08, H10: two m-lines of one stream, the secure one first; the callee takes it."""
    suites = OPTIONAL_SUITES[name]
    callee = dialogue.answers(dialogue.secure(OWN) + dialogue.plain(port="0"), suites[-1])
    done = TRUNKS.call(gateway.lab, name, dialogue.calls(dialogue.plain()), callee, suites[-1]).place_call()
    first, second = sections(done.invite_at_callee())
    assert (first.protocol, second.protocol) == ("RTP/SAVP", "RTP/AVP")
    assert first.port == second.port != 0
    assert numbered(first)
    assert built_in(first) == suites
    assert second.crypto == ()
    (answered,) = sections(done.answer_at_caller())
    assert (answered.protocol, answered.crypto) == ("RTP/AVP", ())


def test_an_optional_trunk_may_take_the_plain_line(gateway: Gateway) -> None:
    """H02: media flows plain on both sides."""
    callee = dialogue.answers(dialogue.secure(port="0") + dialogue.plain())
    call = TRUNKS.call(gateway.lab, "optional", dialogue.calls(dialogue.plain()), callee, length_ms=3000)
    _plain_media_flows(gateway, call)


def test_osrtp_is_one_avp_line_with_keys(gateway: Gateway) -> None:
    """H02 by trunk setting, RFC 8643: the callee takes the key; media flows, secure towards it."""
    callee = dialogue.answers(dialogue.plain(f"a=crypto:{OWN}"), SDES_80)
    call = TRUNKS.call(gateway.lab, "osrtp", dialogue.calls(dialogue.plain()), callee, length_ms=3000)
    call.start().wait_answered()
    (offered,) = sections(call.invite_at_callee())
    assert (offered.protocol, offered.suites) == ("RTP/AVP", OPTIONAL_SUITES["osrtp"])
    assert numbered(offered)
    with Talk(call) as talk:
        talk.run(5, 200, 2_000).assert_flawless(200)
    call.finish()
    assert_freed(gateway)


def test_osrtp_may_be_answered_without_a_key(gateway: Gateway) -> None:
    """RFC 8643 section 3.1: then it is plain RTP."""
    call = TRUNKS.call(
        gateway.lab, "osrtp", dialogue.calls(dialogue.plain()), dialogue.answers(dialogue.plain()), length_ms=3000
    )
    _plain_media_flows(gateway, call)


@pytest.mark.parametrize("answer", [dialogue.plain(), dialogue.secure()], ids=["downgraded", "keyless"])
def test_an_answer_without_crypto_ends_the_call(gateway: Gateway, answer: str) -> None:
    """H01, C3: the caller gets no media of the callee's, both get BYE, the reason is crypto_required."""
    done = TRUNKS.call(
        gateway.lab, "mandatory", dialogue.is_hung_up(dialogue.plain()), dialogue.answers(answer)
    ).place_call()
    assert not live(done.answer_at_caller())
    assert labs.GATEWAY["access"] not in done.answer_at_caller().body
    refused = [line for line in gateway.log("sip").splitlines() if done.at_caller()[0].header("Call-ID") in line]
    assert '"reason": "crypto_required"' in refused[-1]
    assert_freed(gateway)


def test_a_refused_secure_offer_is_put_again_plain(gateway: Gateway) -> None:
    """H02: 488 -> one more INVITE with RTP/AVP and no key, of the same call; then media flows."""
    callee = dialogue.answers(dialogue.plain(), refuses_first=488)
    call = TRUNKS.call(gateway.lab, "optional", dialogue.calls(dialogue.plain()), callee, length_ms=3000)
    _plain_media_flows(gateway, call)
    first, second = invites(call)
    assert first.header("Call-ID") == second.header("Call-ID")
    assert first.header("Via") != second.header("Via")
    assert sections(first)[0].crypto
    (again,) = sections(second)
    assert (again.protocol, again.crypto) == ("RTP/AVP", ())
    assert second.body.count("v=0") == 1


def test_a_refusal_after_early_media_is_put_again_too(gateway: Gateway) -> None:
    """H02, RFC 3960: the keys of the 183 are of no use any more; the 200's plain media flows."""
    early = dialogue.secure(OWN) + dialogue.plain(port="0")
    callee = dialogue.answers(dialogue.plain(), SDES_80, refuses_first=488, early=early)
    call = TRUNKS.call(gateway.lab, "optional", dialogue.calls(dialogue.plain()), callee, length_ms=3000)
    _plain_media_flows(gateway, call)
    assert len(invites(call)) == 2


def test_what_fell_back_stays_plain(gateway: Gateway) -> None:
    """H02, RFC 3261 section 14: a re-INVITE does not put the refused offer again."""
    caller = dialogue.offers_again(dialogue.plain(), dialogue.plain(), 200)
    callee = dialogue.answers(dialogue.plain(), refuses_first=488, invites=2)
    done = TRUNKS.call(gateway.lab, "optional", caller, callee, length_ms=200).place_call()
    (again,) = sections(invites(done)[-1])
    assert len(invites(done)) == 3
    assert (again.protocol, again.crypto) == ("RTP/AVP", ())
    assert_freed(gateway)


def test_plain_rtp_is_not_offered_a_third_time(gateway: Gateway) -> None:
    """H02: a callee that refuses both has refused the call."""
    done = TRUNKS.call(
        gateway.lab, "optional", dialogue.is_refused(dialogue.plain(), 488), dialogue.refuses(488, times=2)
    ).place_call()
    assert len(invites(done)) == 2
    assert_freed(gateway)


@pytest.mark.parametrize("name", ["mandatory", "unset"])
def test_no_other_policy_is_put_again(gateway: Gateway, name: str) -> None:
    """H01, C3: SRTP that is mandatory is never given up; H06: what was plain has nothing to give up."""
    done = TRUNKS.call(
        gateway.lab, name, dialogue.is_refused(dialogue.plain(), 488), dialogue.refuses(488)
    ).place_call()
    assert len(invites(done)) == 1
    assert_freed(gateway)


def test_busy_is_busy(gateway: Gateway) -> None:
    """486 says nothing about the offer."""
    done = TRUNKS.call(
        gateway.lab, "optional", dialogue.is_refused(dialogue.plain(), 486), dialogue.refuses(486)
    ).place_call()
    assert len(invites(done)) == 1
    call_id = done.at_caller()[0].header("Call-ID")
    assert any(call_id in line and '"status": 486' in line for line in gateway.log("sip").splitlines())


def test_nobody_rings_after_cancel(gateway: Gateway) -> None:
    """H02: the callee's 488 crosses the CANCEL; no second INVITE."""
    caller = dialogue.cancels(dialogue.plain(), status=488)
    done = TRUNKS.call(gateway.lab, "optional", caller, dialogue.refuses_after_cancel(488)).place_call()
    assert len(invites(done)) == 1
    assert_freed(gateway)


ISAC = "m=audio [field0] RTP/AVP 96\na=rtpmap:96 ISAC/16000\n"
CODECS = (
    "m=audio [field0] RTP/AVP 96 97 0\na=rtpmap:96 opus/48000/2\na=fmtp:96 useinbandfec=1\n"
    "a=rtpmap:97 speex/16000\na=fmtp:97 vbr=on\na=rtpmap:0 PCMU/8000\n"
)


def test_no_variable_bit_rate_on_a_secured_leg(gateway: Gateway) -> None:
    """H09, RFC 6562 section 3: opus is asked for a constant rate, speex with vbr=on is not offered."""
    callee = dialogue.answers(dialogue.secure(OWN), SDES_80)
    done = TRUNKS.call(gateway.lab, "mandatory", dialogue.calls(CODECS), callee).place_call()
    offer = done.invite_at_callee().body
    assert re.search(r"^m=audio \d+ RTP/SAVP 96 0\s*$", offer, re.MULTILINE)
    assert re.search(r"^a=fmtp:96 .*\bcbr=1\b", offer, re.MULTILINE)
    assert "speex" not in offer


def test_a_plain_leg_keeps_its_codecs(gateway: Gateway) -> None:
    """H09 speaks of secured media only."""
    done = TRUNKS.call(gateway.lab, "unset", dialogue.calls(CODECS), dialogue.answers(dialogue.plain())).place_call()
    assert re.search(r"^m=audio \d+ RTP/AVP 96 97 0\s*$", done.invite_at_callee().body, re.MULTILINE)
    assert "cbr" not in done.invite_at_callee().body


def test_nothing_but_variable_bit_rate_is_refused(gateway: Gateway) -> None:
    """H09: nothing is left -> 488."""
    TRUNKS.call(gateway.lab, "mandatory", dialogue.is_refused(ISAC, 488)).place_call()
    assert_freed(gateway)


def _plain_media_flows(gateway: Gateway, call: Call) -> None:
    call.start().wait_answered()
    (answered,) = live(call.answer_at_caller())
    assert (answered.protocol, answered.crypto) == ("RTP/AVP", ())
    with Talk(call) as talk:
        talk.run(5, 200, 2_000).assert_flawless(200)
    call.finish()
    assert_freed(gateway)


def invites(call: Call) -> list[sipp.Message]:
    """INVITEs at the callee, retransmissions left out."""
    found = [m for m in call.at_callee() if not m.sent and m.start_line.startswith("INVITE")]
    return list({message.header("Via"): message for message in found}.values())
