"""`[[trunks]]`: a peer of the SIP edge; whom it is recognised by, how its media is secured, and its quirks."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator

from appliance.config.rows import Effect, Table, row
from appliance.config.types import Networks, OptionalIPLiteral, OptionalSipSocket, SipSockets, Words
from appliance.policy import secure_media
from appliance.policy.options import MOST_MKI_KEYS

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"  # of trunks and interfaces: they travel in NG flags and metric labels

DESTINATION_SET = re.compile(r"^set:[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")
SIP_URI = re.compile(r"^sips?:(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:\d{1,5})?(;[^\s<>]*)?$")


def _policy(value: str) -> str:
    if value.strip():
        secure_media.parse(value)
    return value.strip()


def _suites(value: str) -> str:
    secure_media.parse_suites(value)
    return value.strip()


def _secure_in(value: str) -> str:
    return "any" if value.strip().lower() == "any" else _suites(value)


def no_padding(value: str) -> str:
    """RFC 6562 section 5 would pad every payload to one length; the data plane cannot."""
    if value == "pad":
        raise ValueError("padding payloads to one length (RFC 6562 section 5) is not available; forbid or allow")
    return value


def _sip_uri(value: str) -> str:
    if value and not SIP_URI.match(value):
        raise ValueError(f"{value!r} is not a SIP URI of a next hop, such as sip:192.0.2.1:5060;transport=tcp")
    return value


SecureMediaWords = Annotated[str, AfterValidator(_policy)]
SuiteList = Annotated[str, AfterValidator(_suites)]
SecureIn = Annotated[str, AfterValidator(_secure_in)]


def _target(value: str) -> str:
    return value if value == "registrar" or DESTINATION_SET.match(value) else _sip_uri(value)


NextHop = Annotated[str, AfterValidator(_sip_uri)]
Target = Annotated[str, AfterValidator(_target)]


class Trunk(Table):
    """A peer of the SIP edge. "Inbound" is what comes from it, "outbound" what goes to it."""

    name: str = row(help="Name in logs, metrics and other settings.", effect=Effect.NEXT_CALL, pattern=NAME)
    match: Networks = row(
        (), help="Source networks that this trunk's SIP comes from; the longest one wins.", effect=Effect.NEXT_CALL
    )
    sockets: SipSockets = row(
        (), help="Our sockets, of sip.listen, that its requests arrive on: two realms may then have the same source "
        "networks. Empty: any.", effect=Effect.NEXT_CALL,
    )  # fmt: skip
    realm: str = row(
        "", help="Realm of its users: they alone prove their passwords here and register, and calls to them have this "
        "trunk's media policy. Empty: as sip_auth.realm and sip_registrar.trunk say.", effect=Effect.NEXT_CALL,
        pattern=r"^[A-Za-z0-9.:_-]{0,64}$",
    )  # fmt: skip
    listen: OptionalSipSocket = row(
        "", help="Our socket towards it, one of sip.listen; empty: by route.", effect=Effect.NEXT_CALL
    )
    destination: Target = row(
        "", help="Where calls that come from this trunk go: a next hop (SIP URI), set:NAME (destinations), registrar.",
        effect=Effect.NEXT_CALL,
    )  # fmt: skip
    uri: NextHop = row("", help="Its own SIP URI: where [[routes]] to it go.", effect=Effect.NEXT_CALL)
    authenticate: Literal["address", "digest", "certificate"] = row(
        "address",
        help="What proves that a request is its: the source address, a password besides (digest; not for addresses "
        "that the SIP edge's tables trust), or a name in its TLS certificate (certificate).",
        effect=Effect.NEXT_CALL,
    )
    peer_names: Words = row(
        (), help="Names, one of which must be in its certificate: DNS name, address, host of a SIP URI; its common "
        "name only when it has none of these (RFC 5922).",
        effect=Effect.NEXT_CALL,
    )  # fmt: skip
    interface: str = row(
        "default", help="Media interface that faces it; a name of [[interfaces]].", effect=Effect.NEXT_CALL
    )

    trust_identity: bool = row(
        False, help="Believe its P-Asserted-Identity and Remote-Party-ID (a trust domain of RFC 3325).",
        effect=Effect.NEXT_CALL,
    )  # fmt: skip
    send_identity: Literal["none", "pai", "rpid"] = row(
        "none", help="Tell it who calls, in P-Asserted-Identity or Remote-Party-ID; never of a caller who asked for "
        "privacy.", effect=Effect.NEXT_CALL,
    )  # fmt: skip

    mode: Literal["b2bua", "proxy"] = row(
        "b2bua",
        help="proxy: calls between two trunks that both say so are only passed on: we stay in their route "
        "(Record-Route), and neither hide one side from the other nor touch their SDP; media goes its own way.",
        effect=Effect.NEXT_CALL,
    )
    srtp: Literal["terminate", "transparent"] = row(
        "terminate",
        help="transparent: between two trunks that both say so, SRTP passes with its keys (a=crypto) as it is: "
        "relayed, counted, from its source alone, neither opened nor translated; no policy of suites holds.",
        effect=Effect.NEXT_CALL,
    )
    rtp_secure_media: SecureMediaWords = row(
        "",
        help="SRTP towards and from it: mandatory, optional or forbidden (true, false), with suites after a colon "
        "or comma. Unset: taken when it offers it, not offered to it.",
        effect=Effect.NEXT_CALL,
    )
    rtp_secure_media_inbound: SecureMediaWords = row(
        "", help="The same for its offers only; wins over rtp_secure_media.", effect=Effect.NEXT_CALL
    )
    rtp_secure_media_outbound: SecureMediaWords = row(
        "", help="The same for our offers to it only; wins over rtp_secure_media.", effect=Effect.NEXT_CALL
    )
    rtp_secure_media_suites: SuiteList = row(
        "", help="Suites in order of preference where the mode has no list of its own.", effect=Effect.NEXT_CALL
    )

    suite_choice: Literal["strongest", "offerer"] = row(
        "strongest", help="Which acceptable suite of its offer we answer with.", effect=Effect.NEXT_CALL
    )
    suite_spelling: Literal["rfc", "alias"] = row(
        "rfc",
        help="How our offers write the 192 and 256 bit suites: AES_256_CM_... (rfc) or AES_CM_256_... (alias).",
        effect=Effect.NEXT_CALL,
    )
    allow_null_auth: bool = row(
        False, help="Accept and offer SRTP without authentication on this trunk.", effect=Effect.NEXT_CALL
    )
    allow_null_cipher: bool = row(
        False, help="Accept and offer SRTP without encryption on this trunk.", effect=Effect.NEXT_CALL
    )
    allow_gcm_8: bool = row(
        False,
        help="Accept and offer AEAD_AES_*_GCM_8 (FreeSWITCH; 8-octet tags) on this trunk.",
        effect=Effect.NEXT_CALL,
    )
    srtcp_tag: Literal["rfc", "same-as-srtp"] = row(
        "rfc",
        help="SRTCP tag of the _32 suites and of AES_CM_128_NULL_AUTH: 80 bit (rfc), or as FreeSWITCH has it, 32 bit "
        "and none.",
        effect=Effect.NEXT_CALL,
    )
    legacy_192: bool = row(
        False,
        help="Derive AES-192 keys as libsrtp 2.2 to 2.7 does (FreeSWITCH, Asterisk on them): needed when 192-bit "
        "suites alone fail to authenticate.",
        effect=Effect.NEXT_CALL,
    )
    gcm8_answered_as_gcm: bool = row(
        False,
        help="Take AEAD_AES_*_GCM as the answer to our offer of AEAD_AES_*_GCM_8, as some Cisco phones write it; "
        "media then has 8-octet tags.",
        effect=Effect.NEXT_CALL,
    )
    roc: Literal["auto", "reset", "keep"] = row(
        "auto",
        help="Its rollover counter when it sends a new key: 0 (reset, as Teams does), as before (keep), or found out "
        "by authentication (auto).",
        effect=Effect.NEXT_CALL,
    )
    key_exchange: Literal["dtls_first", "sdes_first"] = row(
        "dtls_first",
        help="Which keying is answered where one of its m-lines carries both a fingerprint and crypto lines.",
        effect=Effect.NEXT_CALL,
    )
    webrtc: Literal["websocket", "always", "never"] = row(
        "websocket",
        help="Which of its legs are WebRTC ones (UDP/TLS/RTP/SAVPF, ICE, rtcp-mux): those whose SIP comes over "
        "WebSocket, all, none.",
        effect=Effect.NEXT_CALL,
    )
    dtls: Literal["accept", "offer", "off"] = row(
        "accept",
        help="DTLS-SRTP: taken where it offers it (accept); also what our offers of SRTP to it ask for, as "
        "UDP/TLS/RTP/SAVP and instead of SDES (offer); none, not on WebRTC legs either (off).",
        effect=Effect.NEXT_CALL,
    )
    dtls_role: Literal["active", "passive"] = row(
        "active",
        help="Who begins the handshake where it leaves that to us (actpass): we (active), or it, as a peer behind NAT "
        "may need (passive).",
        effect=Effect.NEXT_CALL,
    )
    dtls_fingerprint: Literal["sha-256", "sha-384", "sha-512", "sha-224", "sha-1", "peer"] = row(
        "sha-256",
        help="Hash of the fingerprint that we show it; peer: the one that its offer has (RFC 8122).",
        effect=Effect.NEXT_CALL,
    )
    dtls_sha1: bool = row(
        False, help="Take SHA-1 fingerprints from it (Jitsi of old). MD5 is never taken.", effect=Effect.NEXT_CALL
    )
    dtls_legacy: bool = row(
        False, help="DTLS 1.0 and the ciphers of its time on this trunk (Jitsi of old).", effect=Effect.NEXT_CALL
    )
    dtls_certificate: Literal["auto", "call", "trunk"] = row(
        "auto",
        help="The certificate that we show it: a new one for every call, so that calls cannot be told to be of one "
        "gateway (call), one that stays, so that it can notice a change (trunk; RFC 5763 section 8.4), or the first "
        "for WebRTC legs and the second for others (auto; RFC 8827 section 6.5).",
        effect=Effect.NEXT_CALL,
    )
    ice: Literal["accept", "offer", "off"] = row(
        "accept",
        help="ICE: answered where it offers it (accept); also offered to it (offer); its own counts as not there "
        "(off).",
        effect=Effect.NEXT_CALL,
    )
    rtcp_mux: Literal["accept", "offer", "require", "off"] = row(
        "accept",
        help="RTP and RTCP on one port: taken where it offers it (accept); also offered to it (offer), or with no port "
        "for RTCP at all (require); not taken (off).",
        effect=Effect.NEXT_CALL,
    )
    rtcp_feedback: Literal["profile", "attribute"] = row(
        "profile",
        help="RTCP feedback (requests for keyframes and retransmissions, RFC 4585) from and to it: where its SDP says "
        "RTP/AVPF or RTP/SAVPF (profile), or also where it has a=rtcp-fb under RTP/AVP, as many video phones write "
        "it, which is offered to it then (attribute). Video between browsers and phones needs it.",
        effect=Effect.NEXT_CALL,
    )
    rtcp_xr: Literal["pass", "remove"] = row(
        "pass",
        help="What the other side says of extended RTCP reports (a=rtcp-xr, RFC 3611) reaches it (pass), or not "
        "(remove): for phones that choke on it.",
        effect=Effect.NEXT_CALL,
    )
    sdes_over_cleartext: Literal["refuse", "allow"] = row(
        "refuse",
        help="SDES keys to and from it over SIP that is not TLS (or WSS), though security.sdes_requires_tls holds. "
        "allow: whoever sees its SIP can listen in.",
        effect=Effect.NEXT_CALL,
    )
    secure_out_when_secure_in: SecureIn = row(
        "",
        help="Calls that it offers with SRTP over TLS, by a suite of this list (any: by every suite), leave with SRTP "
        "or not at all, whatever the other trunk's mode says short of forbidden.",
        effect=Effect.NEXT_CALL,
    )
    vbr: Annotated[Literal["", "forbid", "allow"], BeforeValidator(no_padding)] = row(
        "",
        help="Variable bit rate codecs on secured media: made constant or dropped (forbid), or let pass; empty: as "
        "security.vbr.",
        effect=Effect.NEXT_CALL,
    )
    transcode: tuple[Literal["PCMA", "PCMU"], ...] = row(
        (),
        help="G.711 for calls from and to it whose sides have different laws: offered to the other side, behind the "
        "codecs of the offer, where the offer has the other law alone, and transcoded where nothing else is common. "
        "Both sides keep one ptime. Empty: codecs pass as they are.",
        effect=Effect.NEXT_CALL,
    )
    sdes_padding: bool = row(
        True, help="Pad base64 keys with '=' in the crypto lines we write.", effect=Effect.NEXT_CALL
    )
    sdes_lifetime_log2: int = row(
        0, help="Write key lifetime 2^n in our crypto lines; 0: leave it out.", effect=Effect.NEXT_CALL,
        unit="log2 packets", ge=0, le=48,
    )  # fmt: skip
    sdes_lifetime_floor_log2: int = row(
        0, help="Refuse crypto lines whose keys live for fewer than 2^n packets (Asterisk: 20); 0: take any.",
        effect=Effect.NEXT_CALL, unit="log2 packets", ge=0, le=48,
    )  # fmt: skip
    sdes_mki: int = row(
        0,
        help="Master keys in each crypto line we write, with MKI 1 and up of one octet (as FreeSWITCH's "
        "rtp_secure_media_mki); 0: one key without MKI. Its own MKIs are understood in any case.",
        effect=Effect.NEXT_CALL, unit="keys", ge=0, le=MOST_MKI_KEYS,
    )  # fmt: skip
    sdes_liberal_lifetime: bool = row(
        False, help="Clamp a lifetime above the suite's maximum instead of refusing the line.", effect=Effect.NEXT_CALL
    )
    sdes_unencrypted_srtp: bool = row(
        False, help="Offer and accept UNENCRYPTED_SRTP (RFC 4568 section 6.3.2).", effect=Effect.NEXT_CALL
    )
    sdes_unencrypted_srtcp: bool = row(False, help="Offer and accept UNENCRYPTED_SRTCP.", effect=Effect.NEXT_CALL)
    sdes_unauthenticated_srtp: bool = row(
        False, help="Offer and accept UNAUTHENTICATED_SRTP (RFC 4568 section 6.3.3).", effect=Effect.NEXT_CALL
    )
    osrtp: tuple[Literal["offer", "offer-legacy", "accept-rfc", "accept-legacy"], ...] = row(
        (), help="Opportunistic SRTP (RFC 8643; legacy: the dual m-line form).", effect=Effect.NEXT_CALL
    )
    latching: Literal["auto", "off", "host", "once", "authenticated"] = row(
        "auto", help="How far its media address may differ from the signalled one.", effect=Effect.NEXT_CALL
    )
    media_address: OptionalIPLiteral = row(
        "", help="Address written in SDP towards it instead of the interface's.", effect=Effect.NEXT_CALL
    )
    flags: Words = row((), help="Further rtpengine NG flags for its side of a call.", effect=Effect.NEXT_CALL)
