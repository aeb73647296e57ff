"""Section H from the setting to the SDP: the trunk's words -> the SIP edge's NG flags -> the negotiation (H01 to H12).

Nothing between is made up: settings are validated, flags become the dictionary that Kamailio's module makes of them,
and the SDPs are what the call would see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from appliance.config.schema import Settings
from appliance.errors import CryptoRequired, NotAcceptable
from appliance.policy.defaults import media_options
from appliance.policy.options import MediaOptions
from appliance.protocols.ng import flags as ng_flags
from appliance.sip_edge import from_settings
from appliance.sip_edge.ksr import media_flags, refusal
from appliance.sip_edge.ksr.media_flags import Refused
from tests.appliance.calls.sdps import ALICE, BOB, Call, crypto, cryptos, media, read, sdp

CM256_80, CM256_32, CM80 = "AES_256_CM_HMAC_SHA1_80", "AES_256_CM_HMAC_SHA1_32", "AES_CM_128_HMAC_SHA1_80"
GCM_8 = "AEAD_AES_256_GCM_8"
PLAIN_OFFER = sdp(ALICE, media(8000, "RTP/AVP"))


@dataclass
class Edge:
    """Two trunks, `phones` and `core`, over TLS."""

    settings: Settings

    @classmethod
    def of(cls, phones: dict[str, Any], core: dict[str, Any]) -> Edge:
        rows = [
            {"name": "phones", "match": ["10.1.0.0/16"], **phones},
            {"name": "core", "match": ["10.2.0.0/16"], **core},
        ]
        return cls(Settings(trunks=rows))

    def options(self, words: str) -> MediaOptions:
        media = self.settings.media
        base = media_options(self.settings.security, window=media.replay_window, ssrc_limit=media.ssrc_limit)
        options = ng_flags.read(refusal.dictionary(words), base)
        assert options.unknown == ()
        return options

    def call(self, text: bytes, transport: str = "tls") -> tuple[Call, Any]:
        """An offer from phones to core, as the routing script treats it. Refused, NotAcceptable."""
        phones, core = (from_settings.trunk(row, self.settings) for row in self.settings.trunks)
        strict = self.settings.security.sdes_requires_tls
        media_flags.check_offer(text.decode(), phones, transport, strict)
        core = media_flags.bound(phones, core, text.decode(), transport)
        words = media_flags.offer_flags(phones, core, transport, "sip:10.2.0.2;transport=tls", strict)
        call = Call()
        return call, call.offer(text, self.options(words))

    def answer(self, call: Call, text: bytes) -> bytes:
        phones, core = (from_settings.trunk(row, self.settings) for row in self.settings.trunks)
        return call.answer(text, self.options(media_flags.answer_flags(core, phones))).sdp


def setting(line: str) -> dict[str, str]:
    name, _, value = line.partition("=")
    return {name: value}


def profiles(text: bytes) -> list[str]:
    return [section.media.proto for section in read(text).media]


EIGHT = [
    ("rtp_secure_media=mandatory:AES_CM_256_HMAC_SHA1_80,AES_CM_256_HMAC_SHA1_32", [CM256_80, CM256_32], True),
    ("rtp_secure_media=true:AES_CM_256_HMAC_SHA1_80,AES_CM_256_HMAC_SHA1_32", [CM256_80, CM256_32], True),
    ("rtp_secure_media=optional:AES_CM_256_HMAC_SHA1_80", [CM256_80], False),
    ("rtp_secure_media=true:AES_CM_256_HMAC_SHA1_80", [CM256_80], True),
    ("rtp_secure_media_inbound=true:AEAD_AES_256_GCM_8", [GCM_8], True),
    ("rtp_secure_media_inbound=mandatory:AEAD_AES_256_GCM_8", [GCM_8], True),
    ("rtp_secure_media_outbound=true:AEAD_AES_128_GCM_8", ["AEAD_AES_128_GCM_8"], True),
    ("rtp_secure_media_outbound=optional:AEAD_AES_128_GCM_8", ["AEAD_AES_128_GCM_8"], False),
]
"""The reference's lines, verbatim; suites; does it insist?"""


@pytest.mark.parametrize(("line", "suites", "insists"), [row for row in EIGHT if "inbound" not in row[0]])
def test_the_eight_lines_outbound(line: str, suites: list[str], insists: bool) -> None:
    """H01, H02, H05, H07, H08, B13, B14: the offer has exactly the list, in its order, tags 1..n."""
    call, offered = Edge.of({}, setting(line)).call(PLAIN_OFFER)
    assert profiles(offered.sdp)[0] == "RTP/SAVP"
    assert [(one.tag, one.suite.name) for one in cryptos(offered.sdp) if one.suite] == list(enumerate(suites, 1))
    if insists:
        with pytest.raises(CryptoRequired):  # an answer without keys ends the call
            Edge.of({}, setting(line)).answer(call, sdp(BOB, media(9000, "RTP/AVP")))


@pytest.mark.parametrize(("line", "suites", "insists"), [row for row in EIGHT if "outbound" not in row[0]])
def test_the_eight_lines_inbound(line: str, suites: list[str], insists: bool) -> None:
    """H01, H02, H05, H07, H08: of an offer only the list is taken; plain RTP only where it does not insist."""
    edge = Edge.of(setting(line), {})
    lines = [crypto(tag, name, tag) for tag, name in enumerate((CM80, *reversed(suites)), 1)]
    call, _ = edge.call(sdp(ALICE, media(8000, "RTP/SAVP", *lines)))
    (answered,) = cryptos(edge.answer(call, sdp(BOB, media(9000, "RTP/AVP"))))
    assert answered.suite and answered.suite.name == suites[0]
    with pytest.raises(CryptoRequired):
        edge.call(sdp(ALICE, media(8000, "RTP/SAVP", crypto(1, CM80))))
    if insists:
        with pytest.raises(Refused, match="crypto_required"):
            edge.call(PLAIN_OFFER)
    else:
        assert profiles(edge.call(PLAIN_OFFER)[1].sdp) == ["RTP/AVP"]


@pytest.mark.parametrize("word", ["forbidden", "false", "no", "off", "0"])
def test_forbidden_in_all_its_words(word: str) -> None:
    """H03, H04, H10: no key either way; a suite list beside it means nothing."""
    words = {"rtp_secure_media": word, "rtp_secure_media_suites": CM80}
    with pytest.raises(Refused, match="crypto_forbidden"):
        Edge.of(words, {}).call(sdp(ALICE, media(8000, "RTP/SAVP", crypto(1, CM80))))
    both = sdp(ALICE, media(8000, "RTP/SAVP", crypto(1, CM80)), media(8000, "RTP/AVP"))
    call, _ = Edge.of(words, {}).call(both)
    answer = read(Edge.of(words, {}).answer(call, sdp(BOB, media(9000, "RTP/AVP"))))
    assert [(one.media.proto, one.media.port > 0) for one in answer.media] == [("RTP/SAVP", False), ("RTP/AVP", True)]
    _, offered = Edge.of({}, words).call(PLAIN_OFFER)
    assert profiles(offered.sdp) == ["RTP/AVP"] and cryptos(offered.sdp) == []


def test_unset() -> None:
    """H06: SAVP is taken, plain is offered."""
    edge = Edge.of({}, {})
    call, offered = edge.call(sdp(ALICE, media(8000, "RTP/SAVP", crypto(1, CM80))))
    assert profiles(offered.sdp) == ["RTP/AVP"] and cryptos(offered.sdp) == []
    assert [one.tag for one in cryptos(edge.answer(call, sdp(BOB, media(9000, "RTP/AVP"))))] == [1]


def test_directions_and_lists() -> None:
    """H07, H10, H13: all three differ; the separate list serves the direction without one of its own, with bars too."""
    words = {
        "rtp_secure_media": "forbidden", "rtp_secure_media_inbound": "mandatory",
        "rtp_secure_media_outbound": f"optional:{CM80}", "rtp_secure_media_suites": f"{CM256_32}|{CM256_80}",
    }  # fmt: skip
    _, offered = Edge.of({}, words).call(PLAIN_OFFER)
    assert [one.spelling for one in cryptos(offered.sdp)] == [CM80]
    edge = Edge.of(words, {})
    lines = (crypto(1, CM80, 1), crypto(2, CM256_80, 2), crypto(3, CM256_32, 3))
    call, _ = edge.call(sdp(ALICE, media(8000, "RTP/SAVP", *lines)))
    assert [one.tag for one in cryptos(edge.answer(call, sdp(BOB, media(9000, "RTP/AVP"))))] == [3]


def test_without_a_list_the_strongest_common_suite() -> None:
    """H11, B18, B19: all suites are offered, strongest first; of an offer the strongest is taken, or by setting the
    offerer's first."""
    _, offered = Edge.of({}, {"rtp_secure_media": "true"}).call(PLAIN_OFFER)
    names = [one.spelling for one in cryptos(offered.sdp)]
    assert names[:3] == ["AEAD_AES_256_GCM", "AEAD_AES_128_GCM", CM256_80] and len(names) == 10
    lines = (crypto(1, CM80, 1), crypto(2, "AEAD_AES_256_GCM", 2), crypto(3, CM256_80, 3))
    for words, tag in (({}, 2), ({"suite_choice": "offerer"}, 1)):
        edge = Edge.of(words, {})
        call, _ = edge.call(sdp(ALICE, media(8000, "RTP/SAVP", *lines)))
        assert [one.tag for one in cryptos(edge.answer(call, sdp(BOB, media(9000, "RTP/AVP"))))] == [tag]


def test_a_weak_suite_by_its_switch() -> None:
    """B10, B17, trap 3: refused on every trunk but the one that allows it."""
    weak = sdp(ALICE, media(8000, "RTP/SAVP", crypto(1, GCM_8)))
    with pytest.raises(CryptoRequired, match="8-octet AEAD tag is no SRTP standard"):
        Edge.of({}, {"allow_gcm_8": True}).call(weak)
    Edge.of({"allow_gcm_8": True}, {}).call(weak)


RULE = {"secure_out_when_secure_in": "AES_CM_128_HMAC_SHA1_32,AES_CM_128_HMAC_SHA1_80"}


@pytest.mark.parametrize(("suite", "transport", "secured"), [(CM80, "tls", True), (CM256_80, "tls", False)])
def test_secure_in_means_secure_out(suite: str, transport: str, secured: bool) -> None:
    """H12: FreeSWITCH's dialplan condition as a setting."""
    text = sdp(ALICE, media(8000, "RTP/SAVP", crypto(1, suite)))
    call, offered = Edge.of(RULE, {}).call(text, transport)
    assert profiles(offered.sdp) == (["RTP/SAVP"] if secured else ["RTP/AVP"])
    if secured:
        with pytest.raises(CryptoRequired):
            Edge.of(RULE, {}).answer(call, sdp(BOB, media(9000, "RTP/AVP")))
        with pytest.raises(Refused, match="secure_in_forbidden_out"):
            Edge.of(RULE, {"rtp_secure_media": "false"}).call(text)


def test_keys_over_cleartext_by_trunk() -> None:
    """C07, SDES-23: refused with the word, unless this trunk allows it."""
    text = sdp(ALICE, media(8000, "RTP/SAVP", crypto(1, CM80)))
    with pytest.raises(Refused, match="sdes_over_cleartext"):
        Edge.of({}, {"sdes_over_cleartext": "allow"}).call(text, "udp")
    Edge.of({"sdes_over_cleartext": "allow"}, {}).call(text, "udp")


def test_vbr_by_trunk() -> None:
    """H09."""
    text = sdp(ALICE, media(8000, "RTP/AVP", "a=rtpmap:97 EVS/16000", formats="97"))
    secure = {"rtp_secure_media": "true"}
    with pytest.raises(NotAcceptable, match="constant bit rate"):
        Edge.of({"vbr": "allow"}, secure).call(text)
    Edge.of({"vbr": "allow"}, secure | {"vbr": "allow"}).call(text)


@pytest.mark.row("P06")
def test_transcoding_by_trunk() -> None:
    """A-law alone on one side, mu-law alone on the other: only where one of the trunks says so."""
    text = sdp(ALICE, media(8000, "RTP/AVP", "a=rtpmap:101 telephone-event/8000", formats="0 101"))
    answer = sdp(BOB, media(9000, "RTP/AVP", formats="8"))
    for one, other in (({"transcode": ["PCMA"]}, {}), ({}, {"transcode": ["PCMU", "PCMA"]})):
        edge = Edge.of(one, other)
        call, offered = edge.call(text)
        assert read(offered.sdp).media[0].media.formats == ("0", "8", "101")
        assert read(edge.answer(call, answer)).media[0].media.formats == ("0",)
    _, offered = Edge.of({}, {}).call(text)
    assert read(offered.sdp).media[0].media.formats == ("0", "101")


def test_keys_with_mki_by_trunk() -> None:
    """C06: towards the trunk that wants them, in offers and answers, and not towards the other."""
    two = {"rtp_secure_media": "true", "sdes_mki": 2, "sdes_lifetime_log2": 31}
    text = sdp(ALICE, media(8000, "RTP/SAVP", crypto(1, CM80)))
    edge = Edge.of({}, two)
    call, offered = edge.call(text)
    assert all(b"|2^31|2:1" in line for line in offered.sdp.split(b"\r\n") if line.startswith(b"a=crypto"))
    edge = Edge.of(two, {})
    call, _ = edge.call(text)
    answered = edge.answer(call, sdp(BOB, media(9000, "RTP/AVP")))
    assert [[key.mki for key in one.keys] for one in cryptos(answered)] == [[b"\1", b"\2"]]
