"""Trunk policy to NG flags, as rows."""

from __future__ import annotations

import pytest

from appliance.sip_edge import media_flags
from appliance.sip_edge.media_flags import Refused
from appliance.sip_edge.routing import MediaPolicy, Trunk

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
    assert flags("mandatory")[-1] == "SDES-nopad"


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
        ("mandatory", AVP + SAVP, "tls", "crypto_required"),
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
    if not reason:
        media_flags.check_offer(sdp, MediaPolicy(mode), transport, True)
        return
    with pytest.raises(Refused, match=reason):
        media_flags.check_offer(sdp, MediaPolicy(mode), transport, True)


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
    assert media_flags.quirks(plain, odd) == ["SDES-srtcp-tag-as-srtp", "trust-address"]
    assert media_flags.quirks(odd, plain) == ["SDES-from-srtcp-tag-as-srtp"]
    assert "SDES-from-srtcp-tag-as-srtp" in media_flags.answer_flags(odd, plain).split()
