"""NG words to MediaOptions: every spelling, nothing fatal, nothing silently lost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.calls.media import Latching, RocPolicy
from appliance.policy.codec_wishes import CodecWishes
from appliance.policy.options import KEEP_TOS, Choice, DtlsOptions, Ice, MediaOptions, SdesOptions, Spelling, Vbr
from appliance.policy.secure_media import Mode, SecureMedia
from appliance.policy.suites import offered
from appliance.protocols.ng.flags import ENVELOPE, KEYS, WORDS, interpret, read
from appliance.protocols.ng.wishes import Done

from .test_codec import KAMAILIO

CM80, CM256 = "AES_CM_128_HMAC_SHA1_80", "AES_256_CM_HMAC_SHA1_80"


def test_what_kamailio_sends() -> None:
    """Ecosystem 2.1, the captured offer."""
    options = read(KAMAILIO)
    assert options == MediaOptions(
        transport_protocol="RTP/SAVP",
        sdes=SdesOptions(suites=(CM80,), pad=True),
        dtls=DtlsOptions(enabled=False),
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
        ({"ICE": "force-relay"}, {"ice": Ice.FORCE, "unavailable": ("ICE=force-relay",)}),
        ({"ICE": ["force", "lite-forward", "lite-backward", "trickle", "ice2"]},
         {"ice": Ice.FORCE, "ice_lite": "both", "trickle": True}),
        ({"flags": ["ICE-lite-forward", "ICE-force"]}, {"ice": Ice.FORCE, "ice_lite": "forward"}),
        ({"flags": ["ICE-lite-off"], "ICE": "no-lite"}, {"ice_lite": "off"}),
        ({"ICE-lite": "sideways"}, {"unknown": ("ICE-lite=sideways",)}),
        ({"DTLS": "no"}, {"dtls": DtlsOptions(enabled=False)}),
        ({"DTLS": "passive", "DTLS-fingerprint": "SHA-384"},
         {"dtls": DtlsOptions(role="passive", fingerprint="sha-384")}),
        ({"flags": ["DTLS-sha1", "DTLS-certificate:trunk-7", "DTLS-fingerprint-peer", "no tls id"]},
         {"dtls": DtlsOptions(sha1=True, certificate="trunk-7", fingerprint="peer", tls_id=False),
          "flags": frozenset({"no-tls-id"})}),
        ({"DTLS": ["fresh:always", "certificate:../etc", "fresh:often"]},
         {"dtls": DtlsOptions(fresh="always"), "unknown": ("DTLS=certificate:../etc", "DTLS=fresh:often")}),
        ({"flags": ["DTLS-reverse-passive", "DTLS-reverse-legacy", "DTLS-reverse-fingerprint:SHA-1"]},
         {"dtls_from": DtlsOptions(role="passive", legacy=True, fingerprint="sha-1")}),
        ({"DTLS-reverse": ["off", "what"], "DTLS-fingerprint": "MD5"},
         {"dtls_from": DtlsOptions(enabled=False), "unknown": ("DTLS-reverse=what", "dtls-fingerprint=MD5")}),
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
         {"codecs": CodecWishes(strip=frozenset({"opus"})), "unknown": ("xyz", "frobnicate"),
          "unavailable": ("record-call=yes",)}),
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


CODECS = ["opus/48000/2", "PCMA"]

KEY_EFFECTS: dict[str, tuple[Any, dict[str, Any]]] = {
    "flags": (["asymmetric"], {"latching": Latching.OFF, "flags": frozenset({"asymmetric"})}),
    "rtpp-flags": ("label=x RTP/AVP", {"label": "x", "transport_protocol": "RTP/AVP"}),
    "template": ("t", {"tos": 8}),
    "transport-protocol": ("RTP/SAVP", {"transport_protocol": "RTP/SAVP"}),
    "sdes": (["static", "priority"], sdes(static=True, preferred=True)),
    "sdes-from": (["nopad"], {"sdes_from": SdesOptions(pad=False)}),
    "dtls": ("active", {"dtls": DtlsOptions(role="active")}),
    "dtls-reverse": ("active", {"dtls_from": DtlsOptions(role="active")}),
    "dtls-fingerprint": ("SHA-1", {"dtls": DtlsOptions(fingerprint="sha-1")}),
    "osrtp": (["accept"], {"osrtp": frozenset({"accept-rfc", "accept-legacy"})}),
    "ice": ("lite-forward", {"ice_lite": "forward"}),
    "ice-lite": (["off", "both"], {"ice_lite": "both"}),
    "rtcp-mux": (["reject"], {"rtcp_mux": frozenset({"reject"})}),
    "generate-rtcp": ("on", {"unavailable": ("generate-rtcp=on",)}),
    "rtcp-interval": (5000, {}),
    "bundle": (["reject", "accept"], {"bundle": frozenset({"reject", "accept"})}),
    "replace": (["origin full"], {"replace": frozenset({"origin"})}),
    "direction": (["x", "y"], {"interface_a": "x", "interface_b": "y"}),
    "interface": ("x", {"interface_a": "x", "interface_b": "x"}),
    "from-interface": ("x", {"interface_a": "x"}),
    "to-interface": ("x", {"interface_b": "x"}),
    "address-family": ("IP6", {"address_family": "IP6"}),
    "media-address": ("192.0.2.1", {"media_address": "192.0.2.1"}),
    "received-from": ("192.0.2.1", {"received_from": "192.0.2.1"}),
    "endpoint-learning": ("heuristic", {"latching": Latching.ONCE}),
    "tos": (184, {"tos": 184}),
    "vbr": ("allow", {"vbr": Vbr.ALLOW}),
    "label": ("the caller", {"label": "the caller"}),
    "from-label": ("x", {"label": "x"}),
    "codec": ({"strip": ["all"], "except": CODECS, "what": []},
              {"codecs": CodecWishes(strip=frozenset({"all"}), exempt=frozenset(CODECS)), "unknown": ("codec-what",)}),
    "codecs": ({"offer": CODECS}, {"codecs": CodecWishes(offer=tuple(CODECS))}),
    "codec-strip": (CODECS, {"codecs": CodecWishes(strip=frozenset(CODECS))}),
    "codec-mask": (CODECS, {"codecs": CodecWishes(mask=frozenset(CODECS))}),
    "codec-except": (CODECS, {"codecs": CodecWishes(exempt=frozenset(CODECS))}),
    "codec-offer": (CODECS, {"codecs": CodecWishes(offer=tuple(CODECS))}),
    "codec-order": (CODECS, {"codecs": CodecWishes(order=tuple(CODECS))}),
    "codec-transcode": (CODECS, {"codecs": CodecWishes(transcode=tuple(CODECS))}),
    "transcode": ("PCMA", {"codecs": CodecWishes(transcode=("PCMA",))}),
    "codec-accept": (CODECS, {"codecs": CodecWishes(accept=frozenset(CODECS))}),
    "codec-consume": (CODECS, {"codecs": CodecWishes(consume=frozenset(CODECS))}),
    "passthrough": ("off", {}),
    "ptime": (20, {"unavailable": ("ptime=20",)}),
    "sdp-attr": ({"audio": {"add": ["x"]}}, {"unavailable": ("sdp-attr",)}),
    "alias-key": ("none", {}),
    "rtp-secure-media-inbound": ("forbidden", {"inbound": SecureMedia(Mode.FORBIDDEN)}),
    "rtp-secure-media-outbound": ("forbidden", {"outbound": SecureMedia(Mode.FORBIDDEN)}),
}  # fmt: skip
VALUES_OF_COMMANDS = frozenset(
    ["inbound-peer", "outbound-peer", "set-label", "supports", "limit", "all", "address", "from-tags", "to-label",
     "delete-delay", "drop-traffic", "media-echo"]
)  # fmt: skip


@pytest.mark.parametrize("key", sorted(KEYS))
def test_every_key(key: str) -> None:
    """Peers 1.2, row by row: each key does what its row says, and is reported when it cannot be done."""
    if key in VALUES_OF_COMMANDS:
        asked = interpret({key: "7"})
        assert asked.value(key) == "7" and asked.options == MediaOptions(replace=frozenset())
        return
    row = KEYS[key]
    if key in KEY_EFFECTS:
        value, change = KEY_EFFECTS[key]
        asked = interpret({key: value}, templates={"t": "TOS=8"})
    else:  # nothing but the report
        assert row.done in (Done.NO, Done.IGNORED), f"{key} has an effect and no test"
        asked = interpret({key: "something"})
        change = {"unavailable": (f"{key}=something",)} if row.done is Done.NO else {}
    assert asked.options == MediaOptions(**({"replace": frozenset()} | change))


WORD_EFFECTS: dict[str, dict[str, Any]] = {
    "trust-address": {"use_received_from": False},
    "sip-source-address": {"use_received_from": True},
    "asymmetric": {"latching": Latching.OFF},
    "no-rtcp-attribute": {"rtcp_attribute": False},
    "no-rtcp-xr": {"rtcp_xr": False},
    "avp-feedback-offer": {"avp_feedback": True},
    "avp-feedback-accept": {"avp_feedback_from": True},
    "pad-crypto": sdes(pad=True),
    "signalling-secure": {"signalling_secure": True},
    "signalling-secure-out": {"signalling_secure_out": True},
    "webrtc": {"transport_protocol": "UDP/TLS/RTP/SAVPF", "ice": Ice.FORCE, "rtcp_attribute": False,
               "rtcp_mux": frozenset({"offer", "require"}), "trickle": True,
               "flags": frozenset({"webrtc", "generate-mid"}), **sdes(enabled=False)},
    "trickle-ice": {"trickle": True},
    "reject-ice": {"ice_rejected": True},
    "ice-reject": {"ice_rejected": True},
    "no-tls-id": {"dtls": DtlsOptions(tls_id=False)},
    "always-transcode": {"codecs": CodecWishes(accept=frozenset({"all"}))},
}  # fmt: skip
FOR_THE_READER = frozenset(
    ["full-rtcp-attribute", "fragment", "media-control", "generate-mid", "loop-protect", "new-branch", "fatal", "fast",
     "all", "opaque"]
)
"""Words with an effect where they are looked up in `flags`: tests of negotiation and of the NG commands."""


@pytest.mark.parametrize("word", sorted(WORDS))
def test_every_word(word: str) -> None:
    """Peers 1.2: each word changes what it says, is always so, is ignored on purpose, or is reported."""
    row, options = WORDS[word], read({"flags": [word.replace("-", " ").upper()]})
    expected = {"replace": frozenset(), "flags": frozenset({word})} | WORD_EFFECTS.get(word, {})
    if row.done is Done.NO:
        assert [report.lower() for report in options.unavailable] in ([word], ["rtcp-mirror"])
        expected["unavailable"] = options.unavailable
    assert options == MediaOptions(**expected)
    assert row.done is not Done.YES or word in WORD_EFFECTS or word in FOR_THE_READER, f"{word} has no test"


@pytest.mark.parametrize(
    ("value", "octet"), [(184, 184), ("184", 184), (0, 0), (-1, KEEP_TOS), (256, None), (10**12, None)]
)
def test_tos(value: Any, octet: int | None) -> None:
    """rtpengine's rule: negative leaves what was set, 256 and more is the default."""
    assert read({"TOS": value}).tos == octet
    assert read({"TOS": "high"}).unknown == ("tos=high",)


def test_templates() -> None:
    """Named flag sets (1.2 "templates"): those of `first`, then the message's own words over them; a template may name
    templates, not itself for ever."""
    sets = {"default": "TOS=8 label=d", "offer": "label=o template=more", "more": "SDES-nopad", "loop": "template=loop"}
    asked = interpret({"label": "mine"}, templates=sets, first=("default", "offer", "absent"))
    assert (asked.options.tos, asked.options.label, asked.options.sdes.pad) == (8, "mine", False)
    assert interpret({}, templates=sets, first=("default", "offer")).options.label == "o"
    assert interpret({"template": "nix"}, templates=sets).options.unknown == ("template=nix",)
    assert interpret({"template": "loop"}, templates=sets).options.unknown == ("template=loop",)


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


def test_a_list_that_is_not_closed_ends_at_the_next() -> None:
    """C1: what would be searched to its end again and again (found by make fuzz: 180 ms for 26 KB)."""
    assert read({"rtpp-flags": "SDES=[pad SDES=[nopad]"}).sdes.pad is False
