"""Row I10: Jitsi 2.10, Zoiper 5 and FreeSWITCH 1.9 call through the gateway as the reference shows them: their m-lines,
crypto lines and attributes as captured (tests/vectors/sdp_reference), with ports and one key of the test's own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.system import dialogue
from tests.system import lab as labs
from tests.system.gateway import Gateway
from tests.system.talk import Talk
from tests.system.test_first_call import assert_freed
from tests.system.trunks import Policy, Setting, Trunks

pytestmark = [pytest.mark.system, pytest.mark.row("I10", "P12"), pytest.mark.timeout(60)]

FIXTURES = Path(__file__).resolve().parents[1] / "vectors" / "sdp_reference"
SUITE = "AES_CM_128_HMAC_SHA1_80"


@dataclass(frozen=True)
class Profile:
    """`codec`: what the callee answers; `live`: profile and place of the m-line that is answered, of so many."""

    fixture: str
    codec: str
    live: tuple[str, int, int]
    settings: dict[str, Setting]

    @property
    def media(self) -> str:
        """Its m-sections; every line of SUITE has the caller's key."""
        text = (FIXTURES / f"{self.fixture}.sdp").read_text().replace("\r\n", "\n")
        text = re.sub(r"^(m=\S+) \d+", r"\1 [field0]", text[text.index("m=") :], flags=re.MULTILINE)
        return re.sub(rf"({SUITE} inline:)\S+", r"\1@inline@", text).rstrip("\n") + "\n"


SECURE: dict[str, Setting] = {"rtp_secure_media_inbound": f"mandatory:{SUITE}", "dtls": "off"}
PROFILES = {
    "jitsi": Profile("04_jitsi_invite_four_mlines_same_port", "9 G722/8000", ("RTP/SAVPF", 1, 4), SECURE),
    "zoiper": Profile("05_zoiper_avp_offer", "0 PCMU/8000", ("RTP/AVP", 0, 1), {}),
    "freeswitch": Profile("06_freeswitch_savp_offer_nine_cryptos", "8 PCMA/8000", ("RTP/SAVP", 0, 1), SECURE),
}
TRUNKS = Trunks({name: Policy(caller=profile.settings) for name, profile in PROFILES.items()})


@pytest.fixture(scope="module")
def gateway(laboratory: labs.Lab, sip_programs: None) -> Iterator[Gateway]:
    running = TRUNKS.start(laboratory)
    yield running
    assert "Traceback" not in running.log("sip") + running.log("control") + running.log("media")


@pytest.mark.parametrize("name", PROFILES)
def test_a_peer_of_the_reference_calls(gateway: Gateway, name: str) -> None:
    """The expected m-line is answered and no other; the callee is offered the codecs, and none of the caller's keys;
    media and RTCP flow both ways without loss."""
    profile = PROFILES[name]
    number, _, codec = profile.codec.partition(" ")
    answer = f"m=audio [field0] RTP/AVP {number}\na=rtpmap:{number} {codec}\n"
    scenarios = dialogue.calls(profile.media), dialogue.answers(answer)
    call = TRUNKS.call(gateway.lab, name, *scenarios, SUITE, length_ms=3000)
    call.start().wait_answered()
    answered = re.findall(r"^m=audio (\d+) (\S+)", call.answer_at_caller().body, re.MULTILINE)
    protocol, place, count = profile.live
    assert len(answered) == count
    assert [at for at, (port, _) in enumerate(answered) if port != "0"] == [place] and answered[place][1] == protocol
    offered = call.invite_at_callee().body
    assert number in offered.split("RTP/AVP", 1)[1].split("\n")[0].split()
    assert "inline:" not in offered and "fingerprint" not in offered
    with Talk(call) as talk:
        talk.run(5, 100, 2_000).assert_flawless(100)
    call.finish()
    assert_freed(gateway)


@pytest.mark.row("J12")
def test_every_call_has_its_record(gateway: Gateway) -> None:
    """Suite, keys, packets, failures, loss and MOS of both legs."""
    path = gateway.lab.directory / "state" / "call-records.jsonl"
    records: dict[str, Any] = {}

    def written() -> bool:
        lines = path.read_text().splitlines() if path.exists() else []
        records.update({one["caller"]: one for one in map(json.loads, lines)})
        return len(records) == len(PROFILES)

    labs.wait_for(written, 8, gateway.log("control"))
    for name, profile in PROFILES.items():
        record = records[f"a{TRUNKS[name].number}"]
        caller, callee = (one for one in record["media"] if one["received_packets"])
        secure = profile.settings != {}
        assert (caller["side"], caller["suite"], caller["key_exchange"]) == (
            "caller", SUITE if secure else "", "SDES" if secure else "",
        )  # fmt: skip
        for leg in (caller, callee):
            assert leg["received_packets"] >= 100 and (leg["failures"], leg["lost_packets"]) == (0, 0)
            assert 4.0 < leg["mos"] <= 4.41  # 4.41 without delay; jitter and round trips are this machine's
        assert (callee["suite"], record["status"], record["reason"]) == ("", 200, "")
