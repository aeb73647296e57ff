"""Everything a face may ask for when it hands in an SDP, in one face-neutral value. Pure data.

`protocols/ng/flags.py` builds it from an NG dictionary, the gRPC servicer from a message, the console from arguments;
the defaults of a deployment (settings, trunk) are a `MediaOptions` too, which the face's words are laid over
(`dataclasses.replace`).
"""

from __future__ import annotations

from dataclasses import field
from enum import StrEnum
from typing import Literal

from appliance.calls.media import Latching, RocPolicy
from appliance.policy.codec_wishes import CodecWishes
from appliance.policy.secure_media import SecureMedia
from appliance.values import frozen

KEEP_TOS = -1  # the TOS octet stays what it was
MOST_MKI_KEYS = 4  # keys that a line of ours may carry


class Spelling(StrEnum):
    """How the 192- and 256-bit AES-CM suites are written in our offers (spec/mission.md trap 2). Answers echo the
    offer's."""

    RFC = "rfc"  # AES_256_CM_HMAC_SHA1_80 (RFC 6188)
    ALIAS = "alias"  # AES_CM_256_HMAC_SHA1_80 (FreeSWITCH and kin)


class Choice(StrEnum):
    """Which of several acceptable crypto lines of an offer we answer (B19)."""

    STRONGEST = "strongest"  # our order: the policy's list, else the built-in one
    OFFERER = "offerer"  # the first acceptable line as written (RFC 4568 section 5.1.2)


class Ice(StrEnum):
    """ICE towards the other side, with our addresses as the only candidates. A peer's candidates never pass: they would
    lead media past us."""

    DEFAULT = "default"  # offered where this side offers it
    REMOVE = "remove"
    FORCE = "force"  # always offered; not again to a peer that answered without
    OPTIONAL = "optional"  # the same: rtpengine's difference is in the foreign candidates


class Vbr(StrEnum):
    """What becomes of variable bit rate codecs on secured media, whose packet lengths tell what is said (H09, RFC 6562
    section 3). RFC 6562's third way, padding every payload to one length, is not available."""

    FORBID = "forbid"  # made constant where the codec's parameters can say so, else dropped
    ALLOW = "allow"


@frozen
class SdesOptions:
    """SDES (RFC 4568) towards the side that receives our SDP; `choice` and the allowances also judge the side that
    sent one."""

    enabled: bool = True  # false: no a=crypto is written towards the other side
    suites: tuple[
        str, ...
    ] = ()  # only these, in this order (canonical names); naming a weak suite allows it. Empty: built-in order
    without: frozenset[str] = frozenset()  # canonical names never offered
    order: tuple[str, ...] = ()  # canonical names moved to the front of our offer, in this order
    offerer_preference: tuple[str, ...] = ()  # same for choosing among the lines of the side that offered
    nonew: bool = False  # offer only suites that the other side's offer contained
    static: bool = False  # keep the negotiated suite in re-offers
    choice: Choice = Choice.STRONGEST
    spelling: Spelling = Spelling.RFC
    pad: bool = True  # base64 padding in the lines we write
    lifetime_log2: int = 0  # write |2^n after each key; 0: leave the field out
    liberal_lifetime: bool = False  # clamp a lifetime above the suite's maximum instead of refusing the line (C05)
    lifetime_floor_log2: int = 0  # refuse lines whose keys live for fewer than 2^n packets (Asterisk: 20); 0: take any
    mki_keys: int = 0  # keys in each line we write, MKI 1..n of one octet (C06); 0: one key without MKI
    over_cleartext: bool = False  # this trunk's keys may travel over signalling that is not protected (SDES-23, C07)
    preferred: bool = False  # SDES before DTLS-SRTP where an m-line carries both (D07)
    allow_weak: frozenset[str] = (
        frozenset()
    )  # canonical names of weak suites this trunk allows without naming them (B10)
    unencrypted_srtp: bool = False  # RFC 4568 section 6.3.2: write it, and accept it
    unencrypted_srtcp: bool = False
    unauthenticated_srtp: bool = False  # section 6.3.3
    srtcp_tag_as_srtp: bool = False  # FreeSWITCH's SRTCP tag: 4 octets of _32, none of NULL_AUTH (mission.md trap 5)
    legacy_192: bool = False  # AES-192 keys derived as libsrtp 2.2 to 2.7 do (key-management.md section 6, 1)
    gcm8_answered_as_gcm: bool = False  # Cisco: AEAD_AES_n_GCM answers an offer of AEAD_AES_n_GCM_8 (freeswitch#691)
    roc: RocPolicy = RocPolicy.AUTO  # what a new key does to the rollover counter (C13, rtpengine#1443)
    window: int = 128  # replay window of our receive contexts, packets; a peer's WSH may raise it up to max_window
    max_window: int = 1024
    ssrc_limit: int = 16  # sources per receive context


Fresh = Literal["webrtc", "always", "never"]


@frozen
class DtlsOptions:
    """DTLS-SRTP on one leg (RFC 5763)."""

    enabled: bool = True  # false: neither offered nor taken
    role: str = ""  # where the peer leaves it to us: "active" (client; the same as ""), "passive"
    fingerprint: str = ""  # hash of our a=fingerprint; "": SHA-256; "peer": the peer's where we answer
    sha1: bool = False  # the peer's SHA-1 fingerprint will do
    legacy: bool = False  # DTLS 1.0 and ciphers that are as old
    tls_id: bool = True  # offer a=tls-id (RFC 8842); answered where it is offered
    certificate: str = ""  # name of the one that stays (key continuity); "": the gateway's own
    fresh: Fresh = "webrtc"  # which calls are shown a new one of their own instead


@frozen
class MediaOptions:
    """One request's wishes. "This side" is the one whose SDP is handed in, "the other side" gets the SDP we write."""

    transport_protocol: str = ""  # profile towards the other side ("RTP/SAVP"); "": as the policy says, else as offered
    inbound: SecureMedia | None = None  # policy of this side's trunk; None: whatever is offered
    outbound: SecureMedia | None = None  # policy of the other side's trunk; None: transport_protocol, else as offered
    sdes: SdesOptions = field(default_factory=SdesOptions)
    sdes_from: SdesOptions | None = None  # this side's trunk: how its lines are judged, its quirks. None: see `sdes`
    sdes_requires_tls: bool = True  # C07: keys only over protected signalling
    signalling_secure: bool = False  # this side's SDP came over TLS
    signalling_secure_out: bool = False  # the other side's SDP leaves over TLS
    vbr: Vbr = Vbr.FORBID  # of streams that are secured on either leg
    dtls: DtlsOptions = field(default_factory=DtlsOptions)  # towards the other side
    dtls_from: DtlsOptions | None = None  # of this side, whose SDP is handed in. None: DtlsOptions()
    osrtp: frozenset[str] = frozenset()  # "offer", "offer-legacy", "accept-rfc", "accept-legacy"
    ice: Ice = Ice.DEFAULT
    ice_rejected: bool = False  # this side's ICE counts as not there
    ice_lite: str = ""  # "off", "forward" (we are lite towards the other side), "backward" (towards this), "both";
    # "": lite, but full towards a peer that offers as a lite one: two lite agents never check
    trickle: bool = False  # tell the other side that its candidates may come later (a peer that offers it is told too)
    bundle: frozenset[str] = frozenset()  # "accept", "offer", "require", "strict", "reject"; see negotiation_bundle
    rtcp_mux: frozenset[str] = frozenset()  # "offer", "require", "demux", "accept", "reject"
    codecs: CodecWishes = field(default_factory=CodecWishes)  # what of this side's codecs the other side is offered
    rtcp_attribute: bool = True  # false: never write a=rtcp
    avp_feedback: bool = False  # a=rtcp-fb is offered to the other side under RTP/AVP too, and taken from its answer
    avp_feedback_from: bool = False  # it is taken from this side's SDP under RTP/AVP
    rtcp_xr: bool = True  # false: a=rtcp-xr (RFC 3611 section 5) does not pass to the other side
    replace: frozenset[str] = frozenset({"origin", "session-connection"})  # NG words; what of the session part is ours
    interface_a: str = ""  # towards this side ("" : default)
    interface_b: str = ""  # towards the other side
    address_family: str = ""  # "", "IP4", "IP6": wished for towards the other side
    media_address: str = ""  # address written instead of the placement's towards the other side
    received_from: str = ""  # where this side's signalling came from
    use_received_from: bool = (
        False  # send media to `received_from` instead of the address in the SDP ("SIP-source-address")
    )
    latching: Latching | None = None  # None: by the kind of leg
    tos: int | None = None  # TOS octet of what we send in this call; None: the system's; KEEP_TOS
    label: str = ""
    flags: frozenset[str] = (
        frozenset()
    )  # understood words without a field of their own ("trust-address", "symmetric", ...)
    unknown: tuple[str, ...] = ()  # words not understood: reported, never fatal
    unavailable: tuple[str, ...] = ()  # words understood that this gateway cannot carry out: the same
