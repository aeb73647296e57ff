"""What faces say to the call service and what they are shown: plain frozen values, never a key, never a live object.

Requests go in (`OfferRequest`, ...), replies and views come out (`SdpReply`, `CallView`, ...). A view is a snapshot;
counters in it were read from the arena when it was made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import TYPE_CHECKING

from appliance.calls.media import Address, LocalPorts, StreamMedia
from appliance.protocols.rtcp.voip_metrics import VoipMetrics
from appliance.values import frozen

if TYPE_CHECKING:
    from appliance.policy.options import MediaOptions


# ---------------------------------------------------------------- requests


@frozen
class OfferRequest:
    """An SDP offer. `to_tag` is there inside a dialogue (re-INVITE); `from_tag` is always the one who offers."""

    call_id: str
    from_tag: str
    sdp: bytes = field(repr=False)  # carries SDES keys
    options: MediaOptions
    to_tag: str = ""
    via_branch: str = ""  # tells the branches of a forked INVITE apart
    label: str = ""


@frozen
class AnswerRequest:
    """The answer to an offer. `from_tag` is still the one who offered, `to_tag` the one who answers."""

    call_id: str
    from_tag: str
    to_tag: str
    sdp: bytes = field(repr=False)
    options: MediaOptions
    via_branch: str = ""


@frozen
class SessionRequest:
    """A low-level session: addresses, suites and keys are the caller's; no SDP anywhere.

    `call_id` empty: one is made. With `update_session` the streams replace the old ones by position; streams
    beyond the old number are added, missing ones removed; ports of a stream that stays do not change.
    """

    streams: tuple[StreamMedia, ...]
    call_id: str = ""
    label: str = ""


@frozen
class SdpReply:
    """The SDP for the other side."""

    sdp: bytes = field(repr=False)
    call_id: str = ""
    warnings: tuple[str, ...] = ()
    unavailable: tuple[str, ...] = ()  # words of the request that this SDP cannot have fulfilled


@frozen
class Party:
    """Whose media is meant: the party of a tag, or (without a tag) whose media address or whose call's label it is.
    Nothing given: every party of the call."""

    tag: str = ""
    address: str = ""  # IP literal of its SDP
    label: str = ""


@frozen
class SubscribeRequest:
    """Copies of what parties of a call send are wanted (recorder, monitor). `from_tags` empty: of all parties.
    `to_tag` empty: one is made; a known one: the subscription is offered anew with these sources."""

    call_id: str
    options: MediaOptions
    from_tags: tuple[str, ...] = ()
    to_tag: str = ""


@frozen
class SubscribeReply:
    """Our offer to the subscriber: an m-line for each stream of each party, sendonly."""

    sdp: bytes = field(repr=False)  # carries SDES keys
    call_id: str
    to_tag: str  # names the subscription from now on
    from_tags: tuple[str, ...]  # of each m-line, in order
    lines: tuple[int, ...]  # m-line of the call that each is a copy of
    warnings: tuple[str, ...] = ()


# ---------------------------------------------------------------- views


class CallState(StrEnum):
    OFFERED = "offered"  # an offer is out, no answer yet
    ANSWERED = "answered"  # media runs both ways as negotiated; low-level sessions start here
    ENDED = "ended"  # only in replies to delete and in events


@frozen
class Counters:
    """Packets and UDP payload octets, as seen from the peer of this leg: received from it, sent to it."""

    received_packets: int = 0
    received_octets: int = 0
    sent_packets: int = 0
    sent_octets: int = 0
    lost_packets: int = 0  # that it sent and that did not come, by their numbers (RFC 3550 appendix A.3); of RTP


@frozen
class KeyView:
    """One master key of a context, without itself: packets under it, and how many more (RFC 3711 section 9.2)."""

    mki: bytes = b""
    in_use: bool = False  # protects; when receiving: the one most used
    rtp_packets: int = 0
    rtcp_packets: int = 0
    rtp_left: int = 0
    rtcp_left: int = 0


@frozen
class ContextView:
    """One crypto context (one direction of one stream of one leg), without its keys (A06)."""

    suite: str
    keys: int = 1  # master keys installed (MKI)
    mki_octets: int = 0
    ssrcs: int = 0  # SSRCs in use
    roc: int = 0  # of the SSRC used last
    newest_index: int = 0  # 48 bit packet index, same SSRC
    packets: int = 0
    failures: int = 0  # packets that did not authenticate, were replays, or could not be protected
    newest_rtcp_index: int = 0  # 31 bit SRTCP index, same SSRC
    resyncs: int = 0  # times the ROC was found by trial
    each_key: tuple[KeyView, ...] = ()

    @property
    def highest_sequence(self) -> int:
        """s_l of RFC 3711 section 3.3.1."""
        return self.newest_index & 0xFFFF


@frozen
class DtlsView:
    """The association of a leg (of its RTP, where RTCP has one of its own)."""

    role: str = ""  # ours: client, server; empty: not known yet
    state: str = ""  # waiting, handshaking, keyed, "failed: why"
    rtcp_state: str = ""  # of RTCP's own association; empty: it has none
    suite: str = ""  # that was negotiated
    fingerprint_hash: str = ""  # by which the peer's certificate was known
    fingerprint: str = ""  # of it, as SDP writes it (RFC 8122)
    age_s: float | None = None  # since the keys came


class IceState(StrEnum):
    """How far the ICE of a leg's RTP is."""

    NO_CHECKS = "no checks"  # none of its peer has come
    REFUSED = "refused"  # those that came had a wrong user fragment or password
    CHECKED = "checked"  # some were answered, no pair is selected yet
    CONNECTED = "connected"
    CONSENT_LOST = "consent lost"  # nothing is sent


@frozen
class IceView:
    """The agent of a leg."""

    lite: bool = True
    pair_rtp: Address | None = None  # far end of the selected pair
    pair_rtcp: Address | None = None
    consent: bool = False  # it is fresh: media is sent (RFC 7675)
    consent_age_s: float | None = None  # None: never
    checks_answered: int = 0
    checks_refused: int = 0
    controlling: bool = False
    state: IceState = IceState.NO_CHECKS
    refused: Mapping[str, int] = field(default_factory=dict)  # by reason: malformed, user, integrity, attribute


@frozen
class ReportView:
    """What the peer of a leg last reported on the stream that it gets from us (RFC 3550 section 6.4.1)."""

    age_s: float
    fraction_lost: float  # 0 to 1, since its report before
    lost_packets: int  # in all; negative: duplicates
    jitter: int  # in units of the stream's timestamp
    round_trip_ms: float | None  # between us and it; None: it answered no sender report yet
    jitter_ms: float | None = None  # None: the clocks of the codecs that may come differ


@frozen
class LegView:
    """One side of one stream."""

    interface: str
    local: LocalPorts
    remote_rtp: Address | None = None  # signalled
    remote_rtcp: Address | None = None
    learnt_rtp: Address | None = None  # where packets really come from, once known
    learnt_rtcp: Address | None = None
    mux: bool = False
    secure: bool = False
    may_send: bool = True
    may_receive: bool = True
    blocked: bool = False  # what it sends goes no further
    echo: bool = False  # what it sends goes back to it
    transcoding: str = ""  # of RTP towards it: "PCMU to PCMA"; empty: passes as it is
    latching: str = ""
    receive: ContextView | None = None
    send: ContextView | None = None
    rtcp_receive: ContextView | None = None  # where RTCP has keys of its own
    rtcp_send: ContextView | None = None
    dtls: DtlsView | None = None  # None: keyed otherwise, or plain
    ice: IceView | None = None
    receive_also: tuple[ContextView, ...] = ()  # keys before a re-key, or offered ones, while they are taken too
    rtp: Counters = Counters()
    rtcp: Counters = Counters()
    drops: Mapping[str, int] = field(default_factory=dict)  # by Drop name in lower case, only those above zero
    last_packet_age_s: float | None = None  # None: nothing came yet
    report: ReportView | None = None
    voip_metrics: VoipMetrics | None = None  # None: the peer sends none


@frozen
class StreamView:
    index: int  # m-line, from 0, within its branch
    kind: str  # audio, video, ...
    a: LegView
    b: LegView
    via_branch: str = ""  # branch of a forked call this stream belongs to
    from_tag: str = ""  # party on leg a
    to_tag: str = ""  # party on leg b; empty before its answer
    copies_of: int | None = None  # copies of what a leg of this m-line sends, for a subscriber on the same leg here
    subscriber: str = ""  # its tag


@frozen
class CallView:
    """One call. `created` and `changed` are seconds since the epoch; `revision` rises with every change."""

    call_id: str
    state: CallState
    created: float
    changed: float
    revision: int
    worker: int
    from_tag: str = ""
    to_tag: str = ""
    label: str = ""
    low_level: bool = False  # made by create_session
    adopted: bool = False  # taken over from an earlier control process
    streams: tuple[StreamView, ...] = ()
    copies: tuple[StreamView, ...] = ()  # for subscribers: one leg each


@frozen
class WorkerView:
    index: int
    cpu: int
    state: str  # boot, run, drain (wanted empty), drained (is), halt, fail
    pid: int
    restarts: int
    heartbeat_age_s: float
    busy: float  # share of its core that work took lately, 0..1
    calls: int
    flows_used: int
    flows: int
    cryptos_used: int
    cryptos: int
    ports_used: Mapping[str, int] = field(default_factory=dict)  # by interface
    ports_free: Mapping[str, int] = field(default_factory=dict)
    counters: Mapping[str, int] = field(default_factory=dict)  # by name, as the worker publishes them
    packets_per_s: float = 0.0
    drops_per_s: float = 0.0
    cycles_per_packet: float | None = None  # None: no packets lately, or the clock is unknown
    headroom: float = 0.0  # share of its core that is left below media.admit_below
    headroom_packets_per_s: float | None = None  # if they cost what packets cost now
    note: str = ""  # what keeps a drained worker from being empty


@frozen
class Statistics:
    """The whole gateway since this control process started (`started`: seconds since the epoch)."""

    version: str
    started: float
    uptime_s: float
    port_kind: str  # "udp", "xdp"
    cipher: str
    why: str  # why these two were chosen
    draining: bool
    calls: int  # now
    calls_answered: int  # of them
    calls_most: int  # most at one time
    calls_total: int  # ever
    calls_adopted: int
    calls_failed: int
    records_skipped: int  # damaged records found at start
    requests: Mapping[str, int] = field(default_factory=dict)  # offer, answer, delete, ...
    errors: Mapping[str, int] = field(default_factory=dict)  # by reason (errors.py)
    call_seconds_total: float = 0.0  # of calls that ended
    workers: tuple[WorkerView, ...] = ()
    calls_moved: int = 0  # to another worker
    streams_transcoded: int = 0  # now


# ---------------------------------------------------------------- events


class EventKind(StrEnum):
    SNAPSHOT = "snapshot"  # a call that was there when the watch began
    SYNCED = "synced"  # end of the snapshot; `call` is None
    CREATED = "created"
    ANSWERED = "answered"
    UPDATED = "updated"  # re-INVITE, new branch, update_session
    ENDED = "ended"  # with final counters
    FAILED = "failed"  # could not be set up or could not be kept; `reason` says why
    ADOPTED = "adopted"  # taken over at start
    SILENT = "silent"  # no media for the configured time; the call is ended next
    MOVED = "moved"  # to another worker, with everything it knows
    KEY_EXPIRING = "key_expiring"  # a master key is nearly used up; `reason` says which and how far
    KEY_EXHAUSTED = "key_exhausted"  # nothing is secured or accepted under it any more
    KEYED = "keyed"  # a handshake gave keys, media may pass; `reason` says of which component
    FINGERPRINT_MISMATCH = "fingerprint_mismatch"  # a peer proved to have another certificate than it signalled
    HANDSHAKE_FAILED = "handshake_failed"  # no keys for a component; `reason` says which and why
    ICE_FAILED = "ice_failed"  # no pair of candidates is valid, and none will be; `reason` says of which component
    CONSENT_LOST = "consent_lost"  # the peer consents no longer, nothing is sent to it (RFC 7675)
    ROC_FOUND = "roc_found"  # a peer's rollover counter was another than expected and was found by trial
    WORKER = "worker"  # a worker was replaced; `worker` says which
    DRAINING = "draining"  # no new calls from now on


@frozen
class CallEvent:
    kind: EventKind
    time: float  # seconds since the epoch
    call_id: str = ""
    call: CallView | None = None
    reason: str = ""  # errors.py reason, or a word such as "deleted", "silence", "media-lost"
    worker: int = -1
