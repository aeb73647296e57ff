"""A trunk's settings for DTLS-SRTP, ICE and rtcp-mux: setting -> NG words -> what the negotiation is asked for."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.config.load import load
from appliance.config.schema import Settings
from appliance.policy.options import DtlsOptions, Ice, MediaOptions
from appliance.protocols.ng import flags as ng_flags
from appliance.sip_edge import from_settings
from appliance.sip_edge.ksr import media_flags
from appliance.sip_edge.ksr.routing import Trunk

TLS, UDP = "sip:10.2.0.2;transport=tls", "sip:10.2.0.2"


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load(environment={})


def trunk(settings: Settings, **values: Any) -> Trunk:
    tables = settings.model_dump(mode="json")
    tables["trunks"] = [{"name": "one", "match": ["10.0.0.0/8"], **values}]
    changed = Settings.model_validate(tables)
    return from_settings.trunk(changed.trunks[0], changed)


def asked(words: str) -> MediaOptions:
    options = ng_flags.read({"rtpp-flags": words})
    assert options.unknown == options.unavailable == ()
    return options


def offered(caller: Trunk, callee: Trunk, next_hop: str = TLS) -> MediaOptions:
    return asked(media_flags.offer_flags(caller, callee, "tls", next_hop, sdes_requires_tls=True))


@pytest.mark.parametrize(
    ("values", "dtls"),
    [
        ({}, DtlsOptions(certificate="one")),
        ({"dtls": "off"}, DtlsOptions(enabled=False, certificate="one")),
        ({"dtls_role": "passive"}, DtlsOptions(role="passive", certificate="one")),
        ({"dtls_sha1": True, "dtls_legacy": True}, DtlsOptions(sha1=True, legacy=True, certificate="one")),
        ({"dtls_certificate": "trunk"}, DtlsOptions(certificate="one", fresh="never")),
        ({"dtls_certificate": "call"}, DtlsOptions(fresh="always")),
        ({"dtls_fingerprint": "peer"}, DtlsOptions(fingerprint="peer", certificate="one")),
        ({"dtls_fingerprint": "sha-1"}, DtlsOptions(fingerprint="sha-1", certificate="one")),
        ({"dtls": "offer"}, DtlsOptions(role="active", certificate="one")),
    ],
)
def test_dtls_of_the_side_whose_sdp_comes(settings: Settings, values: dict[str, Any], dtls: DtlsOptions) -> None:
    """D02, D03, DTLS-19: in its offers, and in its answers."""
    mine, plain = trunk(settings, **values), Trunk("b")
    assert (offered(mine, plain).dtls_from or DtlsOptions()) == dtls
    answered = asked(media_flags.answer_flags(mine, plain))
    assert (answered.dtls_from or DtlsOptions()) == dtls


@pytest.mark.parametrize("secure", ["mandatory", "optional"])
@pytest.mark.parametrize("next_hop", [TLS, UDP])
def test_dtls_is_offered(settings: Settings, secure: str, next_hop: str) -> None:
    """D05, C07: UDP/TLS/RTP/SAVP where SRTP is wanted, also where SDES keys could be seen; the suites go along."""
    mine = trunk(
        settings,
        dtls="offer",
        dtls_role="passive",
        dtls_certificate="trunk",
        rtp_secure_media=f"{secure}:AEAD_AES_256_GCM",
    )
    options = offered(Trunk("a"), mine, next_hop)
    assert options.transport_protocol == "UDP/TLS/RTP/SAVP"
    assert options.dtls == DtlsOptions(role="passive", certificate="one", fresh="never")
    assert options.outbound is not None and options.outbound.suites == ("AEAD_AES_256_GCM",)
    forbidden = offered(Trunk("a"), trunk(settings, dtls="offer", rtp_secure_media="forbidden"))
    assert forbidden.transport_protocol == "RTP/AVP"


@pytest.mark.parametrize(
    ("values", "towards", "judged"),
    [
        ({}, {}, {}),
        ({"ice": "offer"}, {"ice": Ice.FORCE}, {}),
        ({"ice": "off"}, {}, {"ice_rejected": True}),
        ({"rtcp_mux": "offer"}, {"rtcp_mux": {"demux", "offer"}}, {}),
        ({"rtcp_mux": "require"}, {"rtcp_mux": {"demux", "require"}}, {}),
        ({"rtcp_mux": "off"}, {}, {"rtcp_mux": {"demux", "reject"}}),
        ({"rtcp_xr": "remove"}, {"rtcp_xr": False}, {}),
        ({"rtcp_feedback": "attribute"}, {"avp_feedback": True}, {"avp_feedback_from": True}),
    ],
)
def test_ice_and_rtcp_mux(
    settings: Settings, values: dict[str, Any], towards: dict[str, Any], judged: dict[str, Any]
) -> None:
    """G20, G23: words about our offer to it, words about its own; neither speaks about the other trunk."""
    mine, plain = trunk(settings, **values), trunk(settings)
    usual = {"ice": Ice.REMOVE, "ice_rejected": False, "rtcp_mux": {"demux"}, "rtcp_xr": True,
             "avp_feedback": False, "avp_feedback_from": False}  # fmt: skip
    for options, change in ((offered(plain, mine), towards), (offered(mine, plain), judged)):
        assert {name: getattr(options, name) for name in usual} == {**usual, **change}


@pytest.mark.parametrize("transport", ["udp", "wss"])
def test_offered_ice_is_answered(settings: Settings, transport: str) -> None:
    """G20: an answer's request does not take away what the offer's let stand; `ice = "off"` is said with the offer."""
    words = media_flags.answer_flags(trunk(settings), trunk(settings), transport)
    assert asked(words).ice is Ice.DEFAULT


@pytest.mark.parametrize(("webrtc", "browser"), [("always", True), ("never", False), ("websocket", False)])
def test_webrtc(settings: Settings, webrtc: str, browser: bool) -> None:
    """G06: a trunk whose legs are WebRTC ones by setting, not by the transport of its SIP."""
    options = offered(Trunk("a"), trunk(settings, webrtc=webrtc))
    assert (options.transport_protocol == "UDP/TLS/RTP/SAVPF") == (options.ice is Ice.FORCE) == browser
