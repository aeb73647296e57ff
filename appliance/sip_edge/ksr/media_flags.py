"""Trunk policy to NG flags, and what a trunk's policy says about an SDP body: pure functions.

The flags are rtpengine's own (its ng_control_protocol document), written the way Kamailio's rtpengine module
takes them: words, `key=value`, `SDES-word`, `replace-word`, `rtcp-mux-word`. Standard library only: this runs in
Kamailio's embedded Python.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from appliance.sip_edge.ksr.routing import MediaPolicy, Trunk, transport_of
from appliance.sip_edge.ksr.rules import transparent, webrtc

_MEDIA_LINE = re.compile(r"^m=\S+ (\d+)\S* (\S+)", re.MULTILINE)
_CRYPTO_LINE = re.compile(r"^a=crypto:[ \t]*\d+[ \t]+(\w+)", re.MULTILINE)
_SECURE_PROTOCOLS = frozenset({"RTP/SAVP", "RTP/SAVPF", "UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF"})

PROTECTED = frozenset({"tls", "wss"})  # SIP transports that hide SDES keys

SMIME = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime", "multipart/signed", "multipart/encrypted"})

# Always: hide the other side's addresses.
COMMON = ("replace-origin", "replace-session-connection")


FROM = {"SDES-": "SDES-from-", "DTLS-": "DTLS-reverse-"}  # a trunk's words while its SDP is the one that comes


class Refused(Exception):
    """The offer cannot be taken under the trunk's policy; `reason` is the word for the log and the counter."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class OfferFacts:
    """What policy asks about an SDP body: lines in use (port not 0) by kind."""

    secure: int
    plain: int
    crypto: tuple[str, ...]  # suites of its crypto lines, as spelt, in order (row H12: `rtp_has_crypto`)


def facts(sdp: str) -> OfferFacts:
    """Count the m-lines of an SDP body; a disabled one (port 0, RFC 3264 section 6) is neither."""
    used = [protocol.upper() for port, protocol in _MEDIA_LINE.findall(sdp) if port != "0"]
    secure = sum(protocol in _SECURE_PROTOCOLS for protocol in used)
    return OfferFacts(secure, len(used) - secure, tuple(_CRYPTO_LINE.findall(sdp)))


def by_its_leg(caller: Trunk, transport: str) -> Trunk:
    """The trunk of whoever offers, as its offer is judged: a WebRTC leg is DTLS-SRTP by nature, so that
    `rtp_secure_media = forbidden`, which other phones of the trunk may need, does not shut it out."""
    if not webrtc.is_webrtc(caller.webrtc, transport):
        return caller
    mode = "mandatory" if "mandatory" in (caller.inbound.mode, webrtc.MODES[caller.webrtc]) else "optional"
    return replace(caller, inbound=replace(caller.inbound, mode=mode))


def check_offer(sdp: str, caller: Trunk, transport: str, sdes_requires_tls: bool) -> None:
    """Refused when the caller's offer contradicts its trunk's policy (rows H01, H03, C07)."""
    offer, mode = facts(sdp), caller.inbound.mode
    if mode == "mandatory" and offer.plain and not offer.secure:  # of alternatives, the gateway takes the secure one
        raise Refused("crypto_required")
    if mode == "forbidden" and offer.secure and not offer.plain:
        raise Refused("crypto_forbidden")
    keyless = offer.plain and mode != "mandatory"  # an alternative without keys: that one is answered
    if offer.secure and offer.crypto and not keyless and sdes_requires_tls and not _may_show_keys(caller, transport):
        raise Refused("sdes_over_cleartext")


def check_passed_on(sdp: str, caller: Trunk, callee: Trunk, next_hop: str, sdes_requires_tls: bool) -> None:
    """Refused where the caller's keys, which pass with its SRTP, would be seen on the callee's side (rows C07, J11)."""
    offer = facts(sdp)
    shown = sdes_requires_tls and not _may_show_keys(callee, transport_of(next_hop))
    if passes(caller, callee) and offer.secure and offer.crypto and shown:
        raise Refused("sdes_over_cleartext")


def check_keys_seen(
    sdp: str, caller: Trunk, transport: str, callee: Trunk, next_hop: str, sdes_requires_tls: bool
) -> None:
    """Refused where an SDP that passes as it is (row P03) would show keys on either side (row C07)."""
    offer = facts(sdp)
    safe = _may_show_keys(caller, transport) and _may_show_keys(callee, transport_of(next_hop))
    if sdes_requires_tls and offer.secure and offer.crypto and not safe:
        raise Refused("sdes_over_cleartext")


def passes(one: Trunk, other: Trunk) -> bool:
    """SRTP passes between them as it is (row J11)."""
    return one.srtp == other.srtp == transparent.PASSED


def unreadable(content_type: str) -> tuple[int, str, str]:
    """Status, phrase and reason for an offer whose body is no SDP: S/MIME (RFC 3261 section 23, row C08), which we have
    no key for, or any other type (section 21.4.13). It is never passed on: it may hold addresses and keys."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind in SMIME:
        return 488, "Not Acceptable Here", "smime_without_key"
    return 415, "Unsupported Media Type", "body_not_sdp"


def bound(caller: Trunk, callee: Trunk, sdp: str, transport: str) -> Trunk:
    """The callee; bound to SRTP when the caller's trunk binds calls that come secured, over TLS, by one of its suites
    (row H12). Refused when the callee's trunk says in words that it never takes SRTP."""
    offer = facts(sdp)
    secured = offer.secure and {name.upper() for name in offer.crypto} & set(caller.secure_in)
    if not secured or transport not in PROTECTED or callee.outbound.mode == "mandatory":
        return callee
    if callee.outbound.mode == "forbidden" and callee.outbound.stated:
        raise Refused("secure_in_forbidden_out")
    return replace(callee, outbound=replace(callee.outbound, mode="mandatory"))


def as_it_offered(caller: Trunk) -> Trunk:
    """A caller that offered SRTP, when the callee offers to it: what it may answer with is what it may offer (C3)."""
    return replace(caller, outbound=MediaPolicy("mandatory", caller.inbound.suites))


def offer_flags(caller: Trunk, callee: Trunk, transport: str, next_hop: str, sdes_requires_tls: bool) -> str:
    """Flags of rtpengine_offer from `caller`, whose SIP came over `transport`, to `callee`. Optional is secure (I04).

    A WebRTC callee is asked for DTLS-SRTP whatever `rtp_secure_media` says: it takes nothing else; no key is in SIP.
    Refused when the callee's policy needs SDES keys on a signalling path that would show them (row C07).
    """
    policy = callee.outbound
    wanted = policy.mode != "forbidden"
    outwards = transport_of(next_hop)
    if passes(caller, callee):
        words = [*COMMON, *webrtc.REMOVED, f"direction={caller.interface}", f"direction={callee.interface}"]
        return " ".join((*words, transparent.WORD, "SDES-off", *callee.flags))
    if webrtc.is_webrtc(callee.webrtc, outwards):
        words = [*COMMON, *webrtc.OFFERED, *_between(caller, callee, transport, outwards)]
        return " ".join((*words, *quirks(caller, callee)))
    if wanted and callee.dtls == "offer":
        flags = [*COMMON, *webrtc.REMOVED, "transport-protocol=UDP/TLS/RTP/SAVP"]
        flags += _between(caller, callee, transport, outwards)
        flags += [f"rtp-secure-media-outbound={':'.join((policy.mode, *policy.suites))}"]
        return " ".join((*flags, *quirks(caller, callee)))
    if wanted and sdes_requires_tls and not _may_show_keys(callee, outwards):
        if policy.mode == "mandatory":
            raise Refused("sdes_over_cleartext")
        wanted = False
    flags = [*COMMON, *webrtc.REMOVED, f"transport-protocol={'RTP/SAVP' if wanted else 'RTP/AVP'}"]
    flags += _between(caller, callee, transport, outwards)
    flags += [*suite_flags(policy.suites), *secure_form(callee)] if wanted else ["SDES-off"]
    return " ".join((*flags, *quirks(caller, callee)))


def _between(caller: Trunk, callee: Trunk, transport: str, outwards: str) -> list[str]:
    """What holds for both legs: interfaces, how the caller's offer is judged, whose signalling is protected."""
    words = [f"direction={caller.interface}", f"direction={callee.interface}"]
    words += [f"rtp-secure-media-inbound={':'.join((caller.inbound.mode, *caller.inbound.suites))}"]
    words += ["signalling-secure"] if transport in PROTECTED else []
    words += ["signalling-secure-out"] if outwards in PROTECTED else []
    return words


def _may_show_keys(trunk: Trunk, transport: str) -> bool:
    return transport in PROTECTED or trunk.sdes_over_cleartext


def answer_flags(answerer: Trunk, offerer: Trunk, transport: str = "udp") -> str:
    """Flags of rtpengine_answer: the offerer's protocol is the gateway's to remember. `transport`: of the offerer's
    SIP; a WebRTC offerer is answered with ICE and DTLS as it offered them, every other one with the ICE it offered."""
    kept = webrtc.is_webrtc(offerer.webrtc, transport)
    words = () if kept else tuple(word for word in webrtc.REMOVED if not word.startswith("ICE="))
    if passes(answerer, offerer):
        return " ".join((*COMMON, *words, transparent.WORD, *offerer.flags))
    return " ".join((*COMMON, *words, *quirks(answerer, offerer)))


def quirks(sender: Trunk, receiver: Trunk) -> list[str]:
    """The trunks' own words for an SDP on its way: plain SDES and DTLS words shape what `receiver` gets, `SDES-from-`
    and `DTLS-reverse-` ones say how the lines of `sender` are judged, and how they are answered. A codec passes both
    legs, so the stricter word about it holds; what may be transcoded may be so from and to either."""
    judged = [f"{FROM[word[:5]]}{word[5:]}" for word in sender.flags if word[:5] in FROM]
    judged += sender.judging
    vbr = "allow" if sender.vbr == receiver.vbr == "allow" else "forbid"
    made = dict.fromkeys((*receiver.transcode, *sender.transcode))
    return [*receiver.flags, *judged, *(f"codec-transcode-{name}" for name in made), f"vbr={vbr}"]


def secure_form(callee: Trunk) -> list[str]:
    """How a callee is asked for SRTP: a mandatory one by RTP/SAVP alone, whatever its trunk says about opportunistic
    forms; an optional one by its trunk's form, else by two m-lines, RTP/SAVP first (rows H01, H02)."""
    chosen = any(word.startswith("OSRTP-offer") for word in callee.flags)
    words = [f"rtp-secure-media-outbound={callee.outbound.mode}"]
    return [*words, "OSRTP-offer-legacy"] if callee.outbound.mode == "optional" and not chosen else words


def suite_flags(suites: Iterable[str]) -> list[str]:
    """SDES words for a suite list: only these, in this order; none for an empty list (all, strongest first)."""
    names = list(suites)
    if not names:
        return []
    return [f"SDES-only-{name}" for name in names] + [f"SDES-order:{';'.join(names)}"]


def disabled_answer(sdp: str) -> str:
    """The answer that refuses every m-line of `sdp` (port 0, RFC 3264 section 6) and shows no address or key."""
    lines = ["v=0", "o=- 0 0 IN IP4 0.0.0.0", "s=-", "c=IN IP4 0.0.0.0", "t=0 0"]
    lines += [re.sub(r"^(m=\S+) \S+", r"\1 0", line) for line in sdp.splitlines() if line.startswith("m=")]
    return "\r\n".join(lines) + "\r\n"
