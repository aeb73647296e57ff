"""NG words to MediaOptions: every spelling, nothing fatal, nothing silently lost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.calls.media import Latching, RocPolicy
from appliance.policy.options import Choice, Ice, MediaOptions, SdesOptions, Spelling, Vbr
from appliance.policy.secure_media import Mode, SecureMedia
from appliance.policy.suites import offered
from appliance.protocols.ng.flags import ENVELOPE, KEYS, WORDS, read

from .test_codec import KAMAILIO

CM80, CM256 = "AES_CM_128_HMAC_SHA1_80", "AES_256_CM_HMAC_SHA1_80"


def test_what_kamailio_sends() -> None:
    """Ecosystem 2.1, the captured offer."""
    options = read(KAMAILIO)
    assert options == MediaOptions(
        transport_protocol="RTP/SAVP",
        sdes=SdesOptions(suites=(CM80,), pad=True),
        dtls="off",
        osrtp=frozenset({"accept-rfc", "accept-legacy"}),
        ice=Ice.REMOVE,
        rtcp_mux=frozenset({"demux"}),
        replace=frozenset({"origin", "session-connection"}),
        received_from="127.0.0.1",
        label="caller",
    )


@pytest.mark.parametrize(
    "flags",
    [
        "transport-protocol=RTP/SAVP SDES-only-AES_CM_128_HMAC_SHA1_80 SDES-pad DTLS=off "
        "OSRTP-accept ICE=remove rtcp-mux-demux "
        "replace-origin replace-session-connection received-from=[IP4 127.0.0.1] label=caller",
        "RTP/SAVP SDES=[only-AES_CM_128_HMAC_SHA1_80 pad] DTLS-off OSRTP=accept ICE-remove rtcp-mux=[demux] "
        "replace=[origin session-connection] received-from=[IP4 127.0.0.1] label=caller",
    ],
)
@pytest.mark.parametrize("key", ["rtpp-flags", "rtpp_flags"])
def test_the_same_as_one_string(flags: str, key: str) -> None:
    """Newer Kamailios send their command line as it is."""
    assert read({key: flags}) == read(KAMAILIO)


@pytest.mark.parametrize("key", ["transport-protocol", "transport protocol", "Transport_Protocol"])
def test_spellings_of_keys(key: str) -> None:
    assert read({key: "rtp/savpf"}).transport_protocol == "RTP/SAVPF"


def sdes(**change: Any) -> dict[str, Any]:
    return {"sdes": SdesOptions(**change)}


@pytest.mark.parametrize(
    ("body", "change"),
    [
        ({"SDES": ["off"]}, sdes(enabled=False)),
        ({"SDES": "disable"}, sdes(enabled=False)),
        ({"SDES": ["nopad"]}, sdes(pad=False)),
        ({"SDES": ["lifetime", "static", "nonew"]}, sdes(lifetime_log2=31, static=True, nonew=True)),
        ({"SDES": ["UNENCRYPTED_SRTP"]}, sdes(unencrypted_srtp=True)),
        ({"SDES": ["unencrypted_srtcp", "unauthenticated_srtp"]}, sdes(unencrypted_srtcp=True,
         unauthenticated_srtp=True)),
        ({"SDES": ["unencrypted_srtp", "encrypted_srtp"]}, sdes()),
        ({"flags": ["SDES-liberal-lifetime", "SDES-choice-offerer", "SDES-spelling-alias", "SDES-srtcp-tag-as-srtp"]},
         sdes(liberal_lifetime=True, choice=Choice.OFFERER, spelling=Spelling.ALIAS, srtcp_tag_as_srtp=True)),
        ({"SDES": ["mki-2", "lifetime-20", "lifetime-floor-20", "legacy-192", "gcm8-answered-as-gcm", "roc-reset",
                   "over-cleartext", "prefer"]},
         sdes(mki_keys=2, lifetime_log2=20, lifetime_floor_log2=20, legacy_192=True, gcm8_answered_as_gcm=True,
              roc=RocPolicy.RESET, over_cleartext=True, preferred=True)),
        ({"SDES": ["mki-5", "lifetime-49", "roc-what"]},
         {"unknown": ("SDES-mki-5", "SDES-lifetime-49", "SDES-roc-what")}),
        ({"SDES": ["from-roc-keep", "from-nonsense", "nopad"]},  # as Kamailio sends SDES-from-...
         {"sdes_from": SdesOptions(roc=RocPolicy.KEEP), "sdes": SdesOptions(pad=False),
          "unknown": ("SDES-from-nonsense",)}),
        ({"flags": ["vbr=allow"]}, {"vbr": Vbr.ALLOW}),
        ({"vbr": "pad"}, {"unknown": ("vbr=pad",)}),
        ({"flags": ["SDES-from-nopad", f"SDES-from-only-{CM80}"], "SDES-from": ["what"]},
         {"sdes_from": SdesOptions(pad=False, suites=(CM80,)), "unknown": ("SDES-from-what",)}),
        ({"SDES": [f"no-{CM80}", "no-AES_CM_256_HMAC_SHA1_80"]}, sdes(without=frozenset({CM80, CM256}))),
        ({"SDES": [f"only-{CM80}", "only-aead_aes_256_gcm"]}, sdes(suites=(CM80, "AEAD_AES_256_GCM"))),
        ({"SDES": [f"order:{CM80};AES_CM_256_HMAC_SHA1_80;"]}, sdes(order=(CM80, CM256))),
        ({"flags": [f"SDES-offerer_pref:{CM80};"]}, sdes(offerer_preference=(CM80,))),
        ({"flags": ["pad crypto"]}, sdes() | {"flags": frozenset({"pad-crypto"})}),
        ({"ICE": "force"}, {"ice": Ice.FORCE}),
        ({"DTLS": "no"}, {"dtls": "off"}),
        ({"DTLS": "passive", "DTLS-fingerprint": "SHA-256"}, {"dtls": "passive", "dtls_fingerprint": "SHA-256"}),
        ({"OSRTP": ["offer-RFC"]}, {"osrtp": frozenset({"offer"})}),
        ({"OSRTP": "offer-legacy"}, {"osrtp": frozenset({"offer-legacy"})}),
        ({"rtcp-mux": ["offer", "require"]}, {"rtcp_mux": frozenset({"offer", "require"})}),
        ({"replace": ["SDP version", "session name", "zero-address"]},
         {"replace": frozenset({"sdp-version", "session-name", "zero-address"})}),
        ({"direction": ["external", "internal"]}, {"interface_a": "external", "interface_b": "internal"}),
        ({"rtpp-flags": "direction=ext direction=int"}, {"interface_a": "ext", "interface_b": "int"}),
        ({"interface": "one"}, {"interface_a": "one", "interface_b": "one"}),
        ({"from-interface": "x", "to-interface": "y"}, {"interface_a": "x", "interface_b": "y"}),
        ({"media address": "192.0.2.9", "address family": "IP6"}, {"media_address": "192.0.2.9",
         "address_family": "IP6"}),
        ({"received from": ["IP4", "192.0.2.8"], "flags": ["SIP source address"]},
         {"received_from": "192.0.2.8", "use_received_from": True, "flags": frozenset({"sip-source-address"})}),
        ({"flags": ["asymmetric"]}, {"latching": Latching.OFF, "flags": frozenset({"asymmetric"})}),
        ({"flags": ["endpoint-learning-immediate"]}, {"latching": Latching.ONCE}),
        ({"flags": ["no rtcp attribute"]}, {"rtcp_attribute": False, "flags": frozenset({"no-rtcp-attribute"})}),
        ({"flags": ["full-rtcp-attribute"]}, {"flags": frozenset({"full-rtcp-attribute"})}),
        ({"flags": ["signalling-secure", "signalling-secure-out"]},
         {"signalling_secure": True, "signalling_secure_out": True,
          "flags": frozenset({"signalling-secure", "signalling-secure-out"})}),
        ({"flags": ["transport-protocol=RTP/AVP"]}, {"transport_protocol": "RTP/AVP"}),
        ({"transport protocol": "accept"}, {"flags": frozenset({"transport-protocol-accept"})}),
        ({"rtp-secure-media-outbound": "mandatory:AES_CM_256_HMAC_SHA1_80,AEAD_AES_256_GCM"},
         {"outbound": SecureMedia(Mode.MANDATORY, (CM256, "AEAD_AES_256_GCM"))}),
        ({"rtp-secure-media-inbound": "forbidden"}, {"inbound": SecureMedia(Mode.FORBIDDEN)}),
        ({"record call": "yes", "supports": ["load limit"], "xyz": "1", "flags": ["codec-strip-opus", "frobnicate"]},
         {"unknown": ("xyz", "codec-strip-opus", "frobnicate")}),
        ({"ICE": "magic", "DTLS": "never", "SDES": ["perhaps", "no-FOO"], "rtcp-mux": ["maybe"]},
         {"unknown": ("ICE=magic", "DTLS=never", "SDES-perhaps", "SDES-no-FOO", "rtcp-mux-maybe")}),
    ],
    ids=lambda value: str(value)[:50],
)  # fmt: skip
def test_words(body: dict[str, Any], change: dict[str, Any]) -> None:
    assert read(body) == MediaOptions(**({"replace": frozenset()} | change))


def test_defaults_are_laid_under() -> None:
    """A deployment's defaults hold where the message says nothing; `replace` is always the message's."""
    defaults = MediaOptions(
        sdes=SdesOptions(pad=False, window=512), sdes_requires_tls=False, interface_a="x", interface_b="y"
    )
    options = read({"SDES": ["lifetime"], "from-interface": "z"}, defaults)
    assert options.sdes == SdesOptions(pad=False, window=512, lifetime_log2=31)
    assert (options.sdes_requires_tls, options.interface_a, options.interface_b) == (False, "z", "y")
    assert options.replace == frozenset()


def test_unknown_suites_fail_closed() -> None:
    """`only-` an unknown suite permits nothing; an unreadable policy demands what cannot be met; both are reported."""
    options = read({"SDES": ["only-AES_512"]})
    assert offered(options.sdes, None) == ()
    assert options.unknown == ("SDES-only-AES_512",)
    options = read({"rtp-secure-media-inbound": "mandatory:FOO"})
    assert options.inbound and options.inbound.mode is Mode.MANDATORY
    assert offered(options.sdes, options.inbound) == ()
    assert options.unknown


def test_tables_do_not_overlap() -> None:
    assert not ENVELOPE & KEYS.keys()
    assert all(word == word.lower() and " " not in word for word in (*KEYS, *WORDS, *ENVELOPE))


VALUES = st.recursive(
    st.text(max_size=10) | st.integers() | st.none() | st.sampled_from(sorted(WORDS)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(max_size=10) | st.sampled_from(sorted(KEYS)), VALUES, max_size=6))
def test_fuzz(body: dict[str, Any]) -> None:
    """Never raises, whatever stands behind a key."""
    assert isinstance(read(body), MediaOptions)
