"""Rows H01-H11, the caller's side: which offers each policy takes from a trunk, and with which suite it answers.

SIPp calls; the callee's trunk is one without SRTP, the answers are read out of the caller's message trace.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator

import pytest

from appliance.sip_edge import sipp
from tests.system import dialogue
from tests.system import lab as labs
from tests.system.gateway import Gateway
from tests.system.talk import Talk
from tests.system.test_first_call import assert_freed
from tests.system.trunks import Policy, Trunks, sections

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

SDES_80, SDES_32 = "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32"
SDES_256, SDES_192_ALIAS = "AES_256_CM_HMAC_SHA1_80", "AES_CM_192_HMAC_SHA1_80"
OCTETS = {SDES_80: 30, SDES_32: 30, SDES_256: 46, SDES_192_ALIAS: 38}

SETTINGS: dict[str, dict[str, str]] = {
    "mandatory": {"rtp_secure_media": "mandatory"},
    "true": {"rtp_secure_media": "true"},
    "optional": {"rtp_secure_media": "optional"},
    "forbidden": {"rtp_secure_media": "forbidden"},
    "false": {"rtp_secure_media": "false"},
    "unset": {},
    "inbound-forbidden": {"rtp_secure_media": "mandatory", "rtp_secure_media_inbound": "forbidden"},
    "inbound-mandatory": {"rtp_secure_media": "forbidden", "rtp_secure_media_inbound": "mandatory",
                          "rtp_secure_media_outbound": "optional"},
    "list": {"rtp_secure_media": "mandatory:AES_CM_256_HMAC_SHA1_80"},
    "weak-first": {"rtp_secure_media_inbound": f"optional:{SDES_32},{SDES_80}"},
    "offerers-choice": {"rtp_secure_media": "optional", "suite_choice": "offerer"},
}  # fmt: skip
TRUNKS = Trunks({name: Policy(caller=settings) for name, settings in SETTINGS.items()})


@pytest.fixture(scope="module")
def gateway(laboratory: labs.Lab, sip_programs: None) -> Iterator[Gateway]:
    running = TRUNKS.start(laboratory)
    yield running
    assert "Traceback" not in running.log("sip") + running.log("control") + running.log("media")


def offer(*suites: str) -> str:
    """RTP/SAVP with one line for each suite, tags 11, 12, ..."""
    keys = {suite: base64.b64encode(os.urandom(OCTETS[suite])).decode() for suite in suites}
    return dialogue.secure(*(f"{tag} {suite} inline:{keys[suite]}" for tag, suite in enumerate(suites, 11)))


OWN = f"7 {SDES_80} inline:@inline@"
BOTH = dialogue.secure(OWN) + dialogue.plain()  # two alternatives of one stream on one port (row G09)


@pytest.mark.parametrize("name", ["mandatory", "true", "optional", "unset", "inbound-mandatory"])
def test_a_secure_offer_is_taken(gateway: Gateway, name: str) -> None:
    """H01, H02, H05, H06, H07: answered RTP/SAVP with the offered tag, a key of ours; media flows."""
    call = TRUNKS.call(gateway.lab, name, dialogue.calls(dialogue.secure(OWN)), dialogue.answers(dialogue.plain()),
                       length_ms=3000)  # fmt: skip
    call.start().wait_answered()
    (answered,) = sections(call.answer_at_caller())
    assert (answered.protocol, answered.tags, answered.suites) == ("RTP/SAVP", (7,), (SDES_80,))
    (offered,) = sections(call.invite_at_callee())
    assert (offered.protocol, offered.crypto) == ("RTP/AVP", ())
    with Talk(call) as talk:
        talk.run(5, 200, 2_000).assert_flawless(200)
    call.finish()
    assert_freed(gateway)


@pytest.mark.parametrize("name", ["optional", "forbidden", "false", "unset", "inbound-forbidden"])
def test_a_plain_offer_is_taken(gateway: Gateway, name: str) -> None:
    """H02-H04, H06, H07."""
    done = TRUNKS.call(
        gateway.lab, name, dialogue.calls(dialogue.plain()), dialogue.answers(dialogue.plain())
    ).place_call()
    (answered,) = sections(done.answer_at_caller())
    assert (answered.protocol, answered.crypto) == ("RTP/AVP", ())


@pytest.mark.parametrize("name", ["mandatory", "true", "inbound-mandatory", "list"])
def test_a_plain_offer_is_refused(gateway: Gateway, name: str) -> None:
    """H01, H05, H07: 488, and the callee hears nothing of it."""
    _refused(gateway, name, dialogue.plain(), "crypto_required")


@pytest.mark.parametrize("name", ["forbidden", "false", "inbound-forbidden"])
def test_a_secure_offer_is_refused(gateway: Gateway, name: str) -> None:
    """H03, H04, H07: SAVP alone -> 488."""
    _refused(gateway, name, offer(SDES_80), "crypto_forbidden")


@pytest.mark.parametrize(("name", "chosen"), [("mandatory", 0), ("optional", 0), ("unset", 0), ("forbidden", 1)])
def test_of_two_alternatives_the_policy_takes_one(gateway: Gateway, name: str, chosen: int) -> None:
    """H01-H03, H06, G09: one m-line is answered, the other one gets port 0; the callee is offered one stream."""
    done = TRUNKS.call(gateway.lab, name, dialogue.calls(BOTH), dialogue.answers(dialogue.plain())).place_call()
    answered = sections(done.answer_at_caller())
    assert [section.protocol for section in answered] == ["RTP/SAVP", "RTP/AVP"]
    assert [bool(section.port) for section in answered] == [place == chosen for place in (0, 1)]
    assert answered[0].tags == ((7,) if chosen == 0 else ())
    assert len([section for section in sections(done.invite_at_callee()) if section.port]) == 1


@pytest.mark.parametrize(
    ("name", "offered", "tag"),
    [
        ("optional", (SDES_32, SDES_80, SDES_256), 13),
        ("optional", (SDES_256, SDES_32), 11),
        ("unset", (SDES_80, SDES_192_ALIAS), 12),
        ("weak-first", (SDES_256, SDES_80, SDES_32), 13),
        ("list", (SDES_80, SDES_256), 12),
        ("offerers-choice", (SDES_32, SDES_256), 11),
    ],
)
def test_the_strongest_common_suite_is_answered(
    gateway: Gateway, name: str, offered: tuple[str, ...], tag: int
) -> None:
    """H08, H11, B18, B19, trap 2: by our order or the list's, whatever the offer's; its tag, in its spelling."""
    done = TRUNKS.call(
        gateway.lab, name, dialogue.calls(offer(*offered)), dialogue.answers(dialogue.plain())
    ).place_call()
    (answered,) = sections(done.answer_at_caller())
    assert (answered.tags, answered.suites) == ((tag,), (offered[tag - 11],))


def test_no_common_suite_is_refused(gateway: Gateway) -> None:
    """H08: the list is all there is."""
    done = TRUNKS.call(gateway.lab, "list", dialogue.is_refused(offer(SDES_80, SDES_32), 488)).place_call()
    assert done.at_caller()[-1].start_line.startswith("ACK")
    assert_freed(gateway)


def test_a_secured_call_is_not_taken_down_to_rtp(gateway: Gateway) -> None:
    """C3: a re-INVITE without crypto on a mandatory leg -> 488; the session stays, secured as it was."""
    caller = dialogue.offers_again(dialogue.secure(OWN), dialogue.plain(), 488)
    call = TRUNKS.call(gateway.lab, "mandatory", caller, dialogue.answers(dialogue.plain()), length_ms=4000)
    call.start().wait_answered()
    with Talk(call) as talk:
        labs.wait_for(lambda: sipp.find(call.at_caller(), "SIP/2.0 488", sent=False), 5, "the re-INVITE is not refused")
        talk.run(5, 200, 2_000).assert_flawless(200)
    call.finish()
    assert len([m for m in call.at_callee() if m.start_line.startswith("INVITE")]) == 1
    assert_freed(gateway)


def _refused(gateway: Gateway, name: str, media: str, reason: str) -> None:
    done = TRUNKS.call(gateway.lab, name, dialogue.is_refused(media, 488)).place_call()
    call_id = done.at_caller()[0].header("Call-ID")
    (line,) = [line for line in gateway.log("sip").splitlines() if call_id in line and '"sip_refused"' in line]
    assert f'"reason": "{reason}"' in line
    assert gateway.used()["calls"] == 0
