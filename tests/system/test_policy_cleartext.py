"""Rows C07, C4: `sdes_requires_tls` as delivered, and SIP over UDP. No key of ours or theirs may be in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.system import dialogue
from tests.system import gateway as gateways
from tests.system import lab as labs
from tests.system.gateway import Gateway
from tests.system.test_policy_inbound import BOTH, OWN
from tests.system.trunks import Policy, Trunks, sections

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

SETTINGS = gateways.TOML.replace("[security]\nsdes_requires_tls = false\n", "")
PERMITTED = {"rtp_secure_media": "mandatory", "sdes_over_cleartext": "allow"}
TRUNKS = Trunks(
    {
        "optional": Policy({"rtp_secure_media": "optional"}, {"rtp_secure_media": "optional"}),
        "mandatory-in": Policy({"rtp_secure_media": "mandatory"}, {}),
        "mandatory-out": Policy({}, {"rtp_secure_media": "mandatory"}),
        "permitted": Policy(PERMITTED, PERMITTED),
    }
)


@pytest.fixture(scope="module")
def gateway(laboratory: labs.Lab, sip_programs: None) -> Iterator[Gateway]:
    assert "sdes_requires_tls" not in SETTINGS
    yield TRUNKS.start(laboratory, SETTINGS)


def test_an_optional_callee_is_offered_rtp(gateway: Gateway) -> None:
    """C07, H02."""
    done = TRUNKS.call(
        gateway.lab, "optional", dialogue.calls(dialogue.plain()), dialogue.answers(dialogue.plain())
    ).place_call()
    (offered,) = sections(done.invite_at_callee())
    assert (offered.protocol, offered.crypto) == ("RTP/AVP", ())


def test_of_two_alternatives_the_keyless_one_is_answered(gateway: Gateway) -> None:
    """C07: an offer with keys over UDP is answered without crypto where the policy is optional."""
    done = TRUNKS.call(gateway.lab, "optional", dialogue.calls(BOTH), dialogue.answers(dialogue.plain())).place_call()
    assert [bool(section.port) for section in sections(done.answer_at_caller())] == [False, True]
    assert "crypto" not in done.answer_at_caller().body


@pytest.mark.parametrize("name", ["optional", "mandatory-in"])
def test_keys_that_were_shown_are_refused(gateway: Gateway, name: str) -> None:
    """C07, C4: RTP/SAVP alone over UDP -> 488, and the log says why."""
    done = TRUNKS.call(gateway.lab, name, dialogue.is_refused(dialogue.secure(OWN), 488)).place_call()
    call_id = done.at_caller()[0].header("Call-ID")
    assert any(call_id in line and "sdes_over_cleartext" in line for line in gateway.log("sip").splitlines())


def test_a_mandatory_callee_is_not_called(gateway: Gateway) -> None:
    """C07, C3: neither keys in the clear nor plain RTP: the caller gets 488."""
    TRUNKS.call(gateway.lab, "mandatory-out", dialogue.is_refused(dialogue.plain(), 488)).place_call()
    assert '"reason": "sdes_over_cleartext"' in gateway.log("sip")


def test_a_trunk_may_permit_it(gateway: Gateway) -> None:
    """C4: by a word of its own, and for itself only."""
    own = "[$tag] [$suite] inline:@inline@"
    done = TRUNKS.call(
        gateway.lab, "permitted", dialogue.calls(dialogue.secure(OWN)),
        dialogue.answers(dialogue.secure(own), "AES_CM_128_HMAC_SHA1_80"),
    ).place_call()  # fmt: skip
    assert sections(done.answer_at_caller())[0].tags == (7,)
    assert sections(done.invite_at_callee())[0].protocol == "RTP/SAVP"
