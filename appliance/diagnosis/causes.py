"""The causes, worst first, each with what to do about it. One row per cause; every face takes the words from here."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Cause(StrEnum):
    """Why media does not flow on a leg; the order of the members is the order of the findings."""

    WORKER_DOWN = "worker-down"
    WAITING_FOR_ANSWER = "waiting-for-answer"
    ICE_CREDENTIALS = "ice-credentials"
    ICE_NO_CHECKS = "ice-no-checks"
    ICE_NO_PAIR = "ice-no-pair"
    ICE_CONSENT_LOST = "ice-consent-lost"
    KEYS_MISSING = "keys-missing"
    KEY_EXPIRED = "key-expired"
    # proven by trial on kept packets
    KEY_SWAPPED = "key-swapped"
    KEY_BEFORE_REKEY = "key-before-rekey"
    KEY_OF_OTHER_LEG = "key-of-other-leg"
    KEY_OF_OTHER_STREAM = "key-of-other-stream"
    TAG_LENGTH = "tag-length"
    SRTCP_TAG_LENGTH = "srtcp-tag-length"
    NULL_AUTH = "null-auth"
    AES_192_LEGACY = "aes-192-legacy"
    MKI_NOT_NEGOTIATED = "mki-not-negotiated"
    MKI_MISSING = "mki-missing"
    MKI_LENGTH = "mki-length"
    MKI_UNKNOWN = "mki-unknown"
    ROC_RESET = "roc-reset"
    ROC_OFF = "roc-off"
    PLAIN_RTP_ON_SECURE_LEG = "plain-rtp-on-secure-leg"
    ENCRYPTION_FLAG = "encryption-flag"
    WRONG_KEY = "wrong-key"
    # from counters
    SSRC_LIMIT = "ssrc-limit"
    LOOP = "loop"
    DUPLICATES = "duplicates"
    WRONG_PORT = "wrong-port"
    OTHER_SOURCE = "other-source"
    MALFORMED = "malformed"
    SEQUENCE_REPEATED = "sequence-repeated"
    CANNOT_SEND = "cannot-send"
    HELD = "held"
    BLOCKED = "blocked"
    NO_ADDRESS = "no-address"
    PRIVATE_ADDRESS = "private-address"
    ONLY_RTCP = "only-rtcp"
    ONE_WAY = "one-way"
    NOTHING_ARRIVES = "nothing-arrives"
    STOPPED = "stopped"
    SRTP_ON_PLAIN_LEG = "srtp-on-plain-leg"
    # no fault
    FLOWS = "flows"
    STRAY_PACKETS = "stray-packets"


class Confidence(StrEnum):
    CERTAIN = "certain"  # verified: a tag, or the state of our own side
    LIKELY = "likely"  # the counters leave little else
    POSSIBLE = "possible"


ADVICE: dict[Cause, str] = {
    Cause.WORKER_DOWN: (
        "Look at `srtpgw workers list` and at the media holder's journal; calls go on by themselves once the "
        "worker is back."
    ),
    Cause.WAITING_FOR_ANSWER: "Nothing to do before the callee answers; media of this kind starts with the answer.",
    Cause.ICE_CREDENTIALS: (
        "The peer checks with another a=ice-ufrag or a=ice-pwd than our last SDP to it had, or than its own had: "
        "of a fork, or of a re-INVITE that did not arrive. Compare the SDP that it got with the one that we sent."
    ),
    Cause.ICE_NO_CHECKS: (
        "No connectivity check reached our port: UDP is blocked in front of the peer or of us, or our candidate is "
        "not reachable from there (behind a NAT set the interface's `advertised` address). Take a trace at the port "
        "shown here."
    ),
    Cause.ICE_NO_PAIR: (
        "Checks come and go, and the peer nominates none: as a rule our answers do not reach it (a firewall that lets "
        "UDP through in one direction), or it uses ICE with another relay in between. Take a trace at the port shown "
        "here."
    ),
    Cause.ICE_CONSENT_LOST: (
        "The peer was reached and is silent since: its network went, it ended without BYE, or it has to restart ICE. "
        "Nothing is sent to it before it checks again (RFC 7675)."
    ),
    Cause.KEYS_MISSING: (
        "The last offer/answer brought no key for this direction: look at its a=crypto lines and at the "
        "trunk's secure_media. With DTLS keys come by a handshake between the media ports: look whether its datagrams "
        "arrive (`calls show`: role, state, ICE pair), and whether the peer's certificate is the one of its SDP. "
        "A peer behind NAT without ICE has to begin: dtls_role = passive on its trunk."
    ),
    Cause.KEY_EXPIRED: "The master key's lifetime is used up: re-key by a re-INVITE with a new a=crypto key.",
    Cause.KEY_SWAPPED: (
        "The peer protects with the key it was given for receiving. RFC 4568: each side sends under the key "
        "of its own a=crypto line. Correct the peer."
    ),
    Cause.KEY_BEFORE_REKEY: (
        "The peer did not take up its new key. Let it re-INVITE, or correct the peer: the key of its last SDP"
        " counts."
    ),
    Cause.KEY_OF_OTHER_LEG: (
        "The far end's key was passed through to this peer. Look for another media relay in between that "
        "rewrites addresses and not keys."
    ),
    Cause.KEY_OF_OTHER_STREAM: "The peer mixes up its m-lines: every stream has a key of its own (RFC 4568 section 4).",
    Cause.TAG_LENGTH: (
        "Allow only the suite that the peer really speaks on its trunk (secure_media), or correct the peer: "
        "it answered one suite and sends another's tag."
    ),
    Cause.SRTCP_TAG_LENGTH: (
        'Set srtcp_tag = "same-as-srtp" on this trunk (FreeSWITCH cuts the tag of SRTCP, too), or "rfc" '
        "where it is set and the peer does not."
    ),
    Cause.NULL_AUTH: (
        "The peer sends SRTP without a tag. If that must be: allow_null_auth on the trunk; better correct the"
        " peer."
    ),
    Cause.AES_192_LEGACY: (
        "One side derives AES-192 keys as libsrtp 2.2 to 2.7 do, the other as RFC 6188 says: set the trunk's "
        "AES-192 quirk accordingly, or use AES-128 or AES-256."
    ),
    Cause.MKI_NOT_NEGOTIATED: (
        "The peer sends an MKI that no a=crypto line announced. Switch the MKI off at the peer, or let it "
        "announce it."
    ),
    Cause.MKI_MISSING: (
        "The a=crypto line of the peer announces an MKI and its packets have none (Asterisk does so). Switch "
        "the MKI off for this peer."
    ),
    Cause.MKI_LENGTH: "The MKI of the peer's packets is not as long as its a=crypto line says. Correct the peer.",
    Cause.MKI_UNKNOWN: "The packets name a master key that was not signalled. Let the peer re-INVITE with all keys.",
    Cause.ROC_RESET: (
        "The peer began its rollover counter anew and kept its key. A re-INVITE with a new key puts both "
        "sides at 0 again."
    ),
    Cause.ROC_OFF: (
        "The rollover counters differ: packets of the past were lost for good, or a relay in between "
        "restarted. A re-INVITE with a new key puts both sides at 0 again."
    ),
    Cause.PLAIN_RTP_ON_SECURE_LEG: (
        "The peer sends RTP although SRTP was agreed. Look at its SRTP setting, or set the trunk's "
        "secure_media to optional or forbidden."
    ),
    Cause.ENCRYPTION_FLAG: "The E bit of its SRTCP is not the negotiated one: compare UNENCRYPTED_SRTCP in both SDPs.",
    Cause.WRONG_KEY: (
        "None of the keys of this call opens the packets: the peer uses a key of another SDP (a fork, an "
        "earlier call), or the SDP was changed on its way. Compare the a=crypto line that the peer logs with "
        "the one that we were given."
    ),
    Cause.SSRC_LIMIT: "More sources than a stream may have at a time: raise ssrc_limit, or let the peer keep its SSRC.",
    Cause.LOOP: (
        "Our own packets come back: an SDP names one of our ports to us, or a relay reflects. Look at the "
        "media addresses of both legs."
    ),
    Cause.DUPLICATES: (
        "Every packet comes more than once: a mirror port, two paths, or a replay. Look at the network of "
        "this leg; the copies do no harm to the audio."
    ),
    Cause.WRONG_PORT: "RTP and RTCP arrive at each other's port: the peer ignores a=rtcp or a=rtcp-mux of our SDP.",
    Cause.OTHER_SOURCE: (
        "The peer sends from another address than it signalled (NAT, or a relay). Let it signal the right "
        'one, or set latching = "once" on its trunk. With ICE only pairs that were checked are heard.'
    ),
    Cause.MALFORMED: "What arrives is no RTP. Take a trace at the port and look who sends it.",
    Cause.SEQUENCE_REPEATED: (
        "The sender behind the other leg repeats sequence numbers under one SSRC. Encrypting them again is "
        "forbidden (RFC 3711 section 9.1): it must change its SSRC when it restarts."
    ),
    Cause.CANNOT_SEND: (
        "The kernel does not take our packets: no route, or a firewall rule on this machine. Try `ip route "
        "get ADDRESS`."
    ),
    Cause.HELD: (
        "A direction attribute (a=sendonly, recvonly, inactive) stops the media. Whoever held the call must "
        "resume it."
    ),
    Cause.BLOCKED: "Media was blocked by command; unblock it.",
    Cause.NO_ADDRESS: (
        "No address to send to is known on this leg (0.0.0.0, port 0, or no answer): nobody can hear anything"
        " there until an SDP brings one."
    ),
    Cause.PRIVATE_ADDRESS: (
        "The media address of the SDP is private and cannot be reached from the other network: set the "
        "interface's `advertised` address, or let the peer's NAT support (STUN, rport) write the right one."
    ),
    Cause.ONLY_RTCP: (
        "RTCP comes and RTP does not: the peer is muted or holds without saying so, or a firewall lets only "
        "the odd port through."
    ),
    Cause.ONE_WAY: (
        "One direction works. Nothing of the other reaches our port: look at the firewall or NAT in front of "
        "that peer, and whether it sends to the address and port shown here."
    ),
    Cause.NOTHING_ARRIVES: (
        "No packet reached our port: a firewall, NAT, or the wrong address in the SDP. Take a trace at the "
        "address and port shown here."
    ),
    Cause.STOPPED: (
        "Media flowed and ended: the peer hung up without BYE, went silent (VAD without comfort noise), or "
        "the network broke."
    ),
    Cause.SRTP_ON_PLAIN_LEG: (
        "The payloads are as much longer than the codec's as an SRTP tag: the peer seems to send SRTP where "
        "RTP was agreed. Look at its SRTP setting, or allow SRTP on its trunk."
    ),
    Cause.FLOWS: (
        "If somebody hears nothing all the same, look beyond the gateway: codec, microphone, the endpoint's "
        "own SRTP errors."
    ),
    Cause.STRAY_PACKETS: "Media flows all the same; somebody else sends to this port, or a few packets were damaged.",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One likely cause. Never holds a key or a payload."""

    cause: Cause
    confidence: Confidence
    sentence: str
    stream: int = -1  # m-line; -1: the whole call
    leg: str = ""  # "a", "b"; empty: both or none
    via_branch: str = ""
    evidence: tuple[tuple[str, str], ...] = field(default=())  # name, value

    @property
    def advice(self) -> str:
        return ADVICE[self.cause]

    @property
    def fault(self) -> bool:
        """Whether this stops media."""
        return self.cause not in (Cause.FLOWS, Cause.STRAY_PACKETS)


RANK = {cause: place for place, cause in enumerate(Cause)}


def ordered(findings: list[Finding]) -> tuple[Finding, ...]:
    """Worst first; of one rank the more certain one, then in order of streams."""
    trust = list(Confidence)
    return tuple(sorted(findings, key=lambda f: (RANK[f.cause], trust.index(f.confidence), f.stream, f.leg)))
