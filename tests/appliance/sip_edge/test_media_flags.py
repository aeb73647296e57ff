"""Trunk policy to NG flags, as rows."""

from __future__ import annotations

import pytest

from appliance.sip_edge.ksr import media_flags
from appliance.sip_edge.ksr.media_flags import Refused
from appliance.sip_edge.ksr.routing import MediaPolicy, Trunk

AVP, SAVP = "m=audio 8000 RTP/AVP 0\r\n", "m=audio 8000 RTP/SAVP 0\r\na=crypto:1 X inline:y\r\n"
DTLS = "m=audio 8000 UDP/TLS/RTP/SAVPF 0\r\na=fingerprint:sha-256 AA\r\n"
OFF = "m=video 0 RTP/AVP 0\r\n"
TLS, UDP = "sip:10.2.0.2;transport=tls", "sip:10.2.0.2"


def flags(
    mode: str, suites: tuple[str, ...] = (), next_hop: str = TLS, transport: str = "tls", strict: bool = True
) -> list[str]:
    callee = Trunk("b", outbound=MediaPolicy(mode, suites), interface="core", flags=("SDES-nopad",))
    return media_flags.offer_flags(Trunk("a", interface="access"), callee, transport, next_hop, strict).split()


@pytest.mark.parametrize(
    ("mode", "protocol"), [("mandatory", "RTP/SAVP"), ("optional", "RTP/SAVP"), ("forbidden", "RTP/AVP")]
)
def test_the_mode_chooses_the_protocol(mode: str, protocol: str) -> None:
    """H01-H03, I04."""
    assert f"transport-protocol={protocol}" in flags(mode)


def test_forbidden_offers_no_key() -> None:
    """H03: no crypto line."""
    assert "SDES-off" in flags("forbidden")
    assert "SDES-off" not in flags("mandatory")


def test_a_suite_list_is_only_that_list_in_that_order() -> None:
    """H08, H10."""
    assert [word for word in flags("mandatory", ("B", "A")) if word.startswith("SDES-o")] == [
        "SDES-only-B", "SDES-only-A", "SDES-order:B;A",
    ]  # fmt: skip
    assert not [word for word in flags("mandatory") if word.startswith("SDES-o")]


def test_quirks_of_the_callees_trunk_come_along() -> None:
    assert flags("mandatory")[-2:] == ["SDES-nopad", "vbr=forbid"]


def test_keys_never_cross_cleartext_signalling_unless_allowed() -> None:
    """C07: mandatory is refused, optional falls back to plain, and an explicit permission sends them."""
    with pytest.raises(Refused, match="sdes_over_cleartext"):
        flags("mandatory", next_hop=UDP)
    assert "transport-protocol=RTP/AVP" in flags("optional", next_hop=UDP)
    assert "transport-protocol=RTP/SAVP" in flags("mandatory", next_hop=UDP, strict=False)


def test_the_gateway_is_told_which_signalling_is_protected() -> None:
    """C07: it decides about the caller's keys by it."""
    assert {"signalling-secure", "signalling-secure-out"} <= set(flags("optional"))
    assert not {"signalling-secure", "signalling-secure-out"} & set(flags("optional", next_hop=UDP, transport="udp"))


@pytest.mark.parametrize(
    ("mode", "sdp", "transport", "reason"),
    [
        ("mandatory", AVP, "tls", "crypto_required"),
        ("mandatory", AVP + SAVP, "tls", ""),  # two alternatives, or two streams: the gateway looks at each
        ("mandatory", SAVP + OFF, "tls", ""),
        ("optional", AVP, "udp", ""),
        ("optional", SAVP, "tls", ""),
        ("optional", SAVP, "udp", "sdes_over_cleartext"),
        ("optional", DTLS, "udp", ""),
        ("forbidden", SAVP, "tls", "crypto_forbidden"),
        ("forbidden", AVP + SAVP, "tls", ""),
        ("forbidden", AVP, "udp", ""),
    ],
)
def test_offers_against_the_callers_trunk(mode: str, sdp: str, transport: str, reason: str) -> None:
    """H01, H03, C07."""
    caller = Trunk("a", inbound=MediaPolicy(mode))
    if not reason:
        media_flags.check_offer(sdp, caller, transport, True)
        return
    with pytest.raises(Refused, match=reason):
        media_flags.check_offer(sdp, caller, transport, True)


def test_a_disabled_answer_keeps_the_lines_and_shows_nothing() -> None:
    """RFC 3264 section 6: as many m-lines as offered, port 0."""
    body = media_flags.disabled_answer("v=0\r\nc=IN IP4 10.2.0.2\r\n" + SAVP + "m=video 9000 RTP/AVP 96\r\n")
    assert body.count("m=") == 2
    assert "m=audio 0 RTP/SAVP 0\r\nm=video 0 RTP/AVP 96" in body
    assert "10.2.0.2" not in body and "crypto" not in body


def test_a_trunks_quirks_shape_what_it_gets_and_judge_what_it_sent() -> None:
    """The same word means one thing for the receiver of an SDP and another for its sender (trap 5)."""
    plain = Trunk("plain", (), "")
    odd = Trunk("odd", (), "", flags=("SDES-srtcp-tag-as-srtp", "trust-address"))
    assert media_flags.quirks(plain, odd) == ["SDES-srtcp-tag-as-srtp", "trust-address", "vbr=forbid"]
    assert media_flags.quirks(odd, plain) == ["SDES-from-srtcp-tag-as-srtp", "vbr=forbid"]
    assert "SDES-from-srtcp-tag-as-srtp" in media_flags.answer_flags(odd, plain).split()


@pytest.mark.row("P06")
def test_g711_is_transcoded_from_and_to_a_trunk_that_says_so() -> None:
    """Whoever offers: the callee may re-INVITE."""
    plain, both = Trunk("plain"), Trunk("both", transcode=("PCMA", "PCMU"))
    words = ["codec-transcode-PCMA", "codec-transcode-PCMU"]
    assert media_flags.quirks(both, plain)[:-1] == media_flags.quirks(plain, both)[:-1] == words
    assert media_flags.quirks(both, Trunk("other", transcode=("PCMU",)))[:-1] == words[::-1]
    assert media_flags.quirks(plain, plain)[:-1] == []


def test_variable_rate_passes_only_where_both_trunks_let_it() -> None:
    """H09: a codec is heard on both legs."""
    strict, lax = Trunk("strict"), Trunk("lax", vbr="allow")
    assert media_flags.quirks(lax, lax)[-1] == "vbr=allow"
    assert media_flags.quirks(lax, strict)[-1] == media_flags.quirks(strict, lax)[-1] == "vbr=forbid"


OVERRIDE = Trunk("open", sdes_over_cleartext=True, outbound=MediaPolicy("mandatory"))


def test_one_trunk_may_show_its_keys() -> None:
    """SDES-23: the override is the trunk's own, in both directions, and nobody else's."""
    closed = Trunk("closed", outbound=MediaPolicy("mandatory"))
    media_flags.check_offer(SAVP, OVERRIDE, "udp", True)
    assert "transport-protocol=RTP/SAVP" in media_flags.offer_flags(closed, OVERRIDE, "tls", UDP, True).split()
    with pytest.raises(Refused, match="sdes_over_cleartext"):
        media_flags.check_offer(SAVP, closed, "udp", True)
    with pytest.raises(Refused, match="sdes_over_cleartext"):
        media_flags.offer_flags(OVERRIDE, closed, "udp", UDP, True)


BINDING = Trunk("phones", secure_in=("AES_CM_128_HMAC_SHA1_32", "AES_CM_128_HMAC_SHA1_80"))
CM80 = "m=audio 8000 RTP/SAVP 0\r\na=crypto:1 aes_cm_128_hmac_sha1_80 inline:y\r\n"
GCM = "m=audio 8000 RTP/SAVP 0\r\na=crypto:1 AEAD_AES_256_GCM inline:y\r\n"


def test_the_fact_rtp_has_crypto() -> None:
    """H12: the suites of an offer, as spelt, in its order."""
    assert media_flags.facts(GCM + CM80).crypto == ("AEAD_AES_256_GCM", "aes_cm_128_hmac_sha1_80")
    assert media_flags.facts(AVP).crypto == ()


@pytest.mark.parametrize(
    ("sdp", "transport", "outbound", "mode"),
    [
        (CM80, "tls", MediaPolicy("optional"), "mandatory"),
        (CM80, "wss", MediaPolicy("forbidden", stated=False), "mandatory"),  # unset is no prohibition
        (CM80, "tls", MediaPolicy("mandatory"), "mandatory"),
        (CM80, "udp", MediaPolicy("optional"), "optional"),  # "if both TLS and SRTP are active"
        (GCM, "tls", MediaPolicy("optional"), "optional"),  # not one of the listed suites
        (AVP, "tls", MediaPolicy("optional"), "optional"),
        (DTLS, "tls", MediaPolicy("optional"), "optional"),
    ],
)
def test_secure_in_means_secure_out(sdp: str, transport: str, outbound: MediaPolicy, mode: str) -> None:
    """H12."""
    callee = Trunk("b", outbound=outbound)
    assert media_flags.bound(BINDING, callee, sdp, transport).outbound.mode == mode
    assert media_flags.bound(Trunk("a"), callee, sdp, transport) == callee  # no rule, no change


def test_a_trunk_that_forbids_srtp_gets_no_call_that_must_be_secure() -> None:
    """H12 against H03: refused, never sent on in the clear."""
    with pytest.raises(Refused, match="secure_in_forbidden_out"):
        media_flags.bound(BINDING, Trunk("b", outbound=MediaPolicy("forbidden")), CM80, "tls")


@pytest.mark.parametrize(
    ("mode", "flags", "form"),
    [
        ("mandatory", (), set()),
        ("mandatory", ("OSRTP-offer",), {"OSRTP-offer"}),
        ("optional", (), {"OSRTP-offer-legacy"}),
        ("optional", ("OSRTP-offer",), {"OSRTP-offer"}),
    ],
)
def test_the_form_in_which_a_callee_is_asked_for_srtp(mode: str, flags: tuple[str, ...], form: set[str]) -> None:
    """H01, H02: the mode goes along, so that no opportunistic word opens a mandatory trunk to a plain answer."""
    callee = Trunk("b", outbound=MediaPolicy(mode), flags=flags)
    words = media_flags.offer_flags(Trunk("a"), callee, "tls", "sip:10.0.0.1;transport=tls", True).split()
    assert {word for word in words if word.startswith("OSRTP")} == form
    assert f"rtp-secure-media-outbound={mode}" in words


BROWSERS = Trunk("browsers", outbound=MediaPolicy("forbidden"), inbound=MediaPolicy("forbidden"))
WSS = "sip:10.2.0.2:4711;transport=ws"


@pytest.mark.row("D06", "G06", "DTLS-18")
@pytest.mark.parametrize(
    ("setting", "next_hop", "webrtc"),
    [("websocket", WSS, True), ("websocket", TLS, False), ("always", TLS, True), ("never", WSS, False)],
)
def test_a_webrtc_leg_follows_from_trunk_and_transport(setting: str, next_hop: str, webrtc: bool) -> None:
    """DTLS-SRTP, ICE and rtcp-mux and no key in SIP, whatever rtp_secure_media says to the trunk's other phones; plain
    RTP without any of them for the others."""
    callee = Trunk("b", outbound=MediaPolicy("forbidden"), webrtc=setting)
    words = set(media_flags.offer_flags(Trunk("a"), callee, "udp", next_hop, True).split())
    browsers = {"transport-protocol=UDP/TLS/RTP/SAVPF", "ICE=force", "rtcp-mux-require", "SDES-off"}
    others = {"transport-protocol=RTP/AVP", "ICE=remove", "rtcp-mux-demux", "DTLS=off", "SDES-off"}
    assert (browsers if webrtc else others) <= words
    assert not ((others if webrtc else browsers) - {"SDES-off"}) & words


@pytest.mark.row("D06", "G06")
def test_a_browsers_offer_is_not_shut_out_by_its_trunks_other_phones() -> None:
    """It cannot but offer DTLS-SRTP; a trunk that is always WebRTC takes nothing else (DTLS-18)."""
    with pytest.raises(Refused, match="crypto_forbidden"):
        media_flags.check_offer(DTLS, BROWSERS, "wss", True)
    media_flags.check_offer(DTLS, media_flags.by_its_leg(BROWSERS, "wss"), "wss", True)
    assert media_flags.by_its_leg(BROWSERS, "udp") == BROWSERS
    always = media_flags.by_its_leg(Trunk("a", webrtc="always"), "tls")
    with pytest.raises(Refused, match="crypto_required"):
        media_flags.check_offer(AVP, always, "tls", True)


@pytest.mark.row("G20", "G23")
def test_a_webrtc_offerer_is_answered_as_it_offered() -> None:
    """ICE=remove in an answer would take away what the offerer's own SDP has: of nobody's."""
    assert not {"ICE=remove", "DTLS=off"} & set(media_flags.answer_flags(Trunk("b"), Trunk("a"), "wss").split())
    words = set(media_flags.answer_flags(Trunk("b"), Trunk("a"), "udp").split())
    assert "DTLS=off" in words and "ICE=remove" not in words
