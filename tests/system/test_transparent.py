"""Row J11 in the lab: SRTP that passes with its keys. Both ends speak SRTP with each other; the gateway relays, counts
what it cannot read, hides who is who, and holds no key."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.system import dialogue
from tests.system import lab as labs
from tests.system.calls import MEDIA
from tests.system.gateway import Gateway
from tests.system.talk import Talk
from tests.system.test_first_call import assert_freed
from tests.system.trunks import Policy, Trunks, sections

pytestmark = [pytest.mark.system, pytest.mark.row("J11"), pytest.mark.timeout(60)]

SUITE = "AES_256_CM_HMAC_SHA1_80"
PASSES = {"srtp": "transparent"}
TRUNKS = Trunks({
    "both": Policy(caller=PASSES, callee=PASSES),
    "one": Policy(caller=PASSES, callee={"rtp_secure_media": "mandatory"}),
})  # fmt: skip
OFFERED = dialogue.secure(f"7 {SUITE} inline:@inline@")
ANSWERED = dialogue.secure("[$tag] [$suite] inline:@inline@")


@pytest.fixture(scope="module")
def gateway(laboratory: labs.Lab, sip_programs: None) -> Iterator[Gateway]:
    running = TRUNKS.start(laboratory)
    yield running
    assert "Traceback" not in running.log("sip") + running.log("control") + running.log("media")


def test_srtp_passes_with_its_keys(gateway: Gateway) -> None:
    """Crypto lines arrive as they were sent, addresses are the gateway's; every SRTP and SRTCP packet arrives as it was
    sent (each end opens what the other one sealed); the gateway has flows and no context, and no key in its logs."""
    call = TRUNKS.call(gateway.lab, "both", dialogue.calls(OFFERED), dialogue.answers(ANSWERED, SUITE), SUITE,
                       length_ms=3000).start().wait_answered()  # fmt: skip
    (sent,), (offered,) = sections(call.at_caller()[0]), sections(call.invite_at_callee())
    (answered,) = sections(call.answer_at_caller())
    assert (offered.protocol, offered.crypto) == ("RTP/SAVP", sent.crypto)
    assert (answered.protocol, answered.tags, answered.suites) == ("RTP/SAVP", (7,), (SUITE,))
    assert answered.crypto != sent.crypto and offered.port != MEDIA
    for message, here in ((call.invite_at_callee(), call.here), (call.answer_at_caller(), call.there)):
        assert here not in message.body
    before = gateway.counters()
    with Talk(call) as talk:
        assert all(pair.caller_keyed and pair.callee_keyed for pair in talk.pairs)
        talk.run(5, 200, 2_000).assert_flawless(200)
    held, after = gateway.used(), gateway.counters()
    assert (held["calls"], held["cryptos"]) == (1, 0)
    assert after["forwarded"] - before["forwarded"] >= 400
    call.finish()
    assert_freed(gateway)
    for key in (sent.crypto[0][2], answered.crypto[0][2]):
        assert not any(key in gateway.log(name) for name in ("sip", "control", "media"))


def test_one_trunk_alone_passes_nothing_on(gateway: Gateway) -> None:
    """The other one has its own policy: keys end here, as everywhere."""
    call = TRUNKS.call(gateway.lab, "one", dialogue.calls(OFFERED), dialogue.answers(ANSWERED, SUITE), SUITE,
                       length_ms=2000).start().wait_answered()  # fmt: skip
    (sent,), (offered,) = sections(call.at_caller()[0]), sections(call.invite_at_callee())
    assert offered.protocol == "RTP/SAVP" and not set(offered.crypto) & set(sent.crypto)
    with Talk(call) as talk:
        talk.run(5, 100, 2_000).assert_flawless(100)
    call.finish()
    assert_freed(gateway)


def test_plain_rtp_passes_too(gateway: Gateway) -> None:
    """Who offers no SRTP is answered without."""
    done = TRUNKS.call(gateway.lab, "both", dialogue.calls(dialogue.plain()), dialogue.answers(dialogue.plain()))
    done.place_call()
    (offered,), (answered,) = sections(done.invite_at_callee()), sections(done.answer_at_caller())
    assert (offered.protocol, answered.protocol) == ("RTP/AVP", "RTP/AVP")
    assert_freed(gateway)
