"""What the control process may know of the media plane: snapshots, plain frozen values."""

from __future__ import annotations

from dataclasses import dataclass, field

from kernels.control.commands import Address


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """A worker's place and its capacities."""

    index: int
    cpu: int  # -1: not pinned
    flows: int
    cryptos: int
    streams: int


@dataclass(frozen=True, slots=True)
class InterfaceInfo:
    """A named local address and the UDP ports of each worker on it."""

    address: str
    ports: tuple[range, ...]  # index = worker
    busy: frozenset[int] = frozenset()  # of these, held by other programs
    port_kind: str = "udp"  # now, as last told by PortNews
    why: str = ""  # it is not AF_XDP
    device: str = ""  # whose rings carry it


@dataclass(frozen=True, slots=True)
class PlaneInfo:
    """What runs, and why it is this."""

    version: str
    port_kind: str  # udp-sockets, udp-wildcard, xdp-generic, xdp-native, xdp-native-zerocopy
    cipher: str  # vaes, ipsec-mb, openssl
    why: str  # it is this port and this cipher
    workers: tuple[WorkerInfo, ...]
    interfaces: dict[str, InterfaceInfo]
    huge_pages: str = ""  # behind the arena: "2 MiB reserved", "transparent" (all, or how much), "none"
    ban_means: tuple[str, ...] = ()  # what keeps banned sources out: xdp, sk_lookup; none: not permitted or not built
    ban_why: str = ""  # it is these


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """How a worker is. Times are CLOCK_MONOTONIC nanoseconds."""

    state: str  # boot, run, drain, halt, fail
    pid: int
    cpu: int
    heartbeat_ns: int
    busy_ns: int  # CPU time of this and all earlier workers of this place
    restarts: int


@dataclass(frozen=True, slots=True)
class IceStatus:
    """The ICE agent of a flow. Times are CLOCK_MONOTONIC nanoseconds."""

    lite: bool
    selected: Address | None  # the far end of the selected pair
    present: bool  # it was selected under the present credentials, not those before a restart
    consent_ns: int  # when the selected pair last gave consent; 0: never
    consent: bool  # that is not 30 s ago: media and DTLS are sent
    sources: tuple[tuple[Address, int], ...]  # validated: where from, when last heard
    answered: int  # checks, with success
    nominations: int  # changes of the selected pair
    refused: dict[str, int]  # by reason, those above 0: malformed, user, integrity, attribute, unexpected, unanswered
    asks: bool = True  # of a lite one: its peer asks for consent (RFC 7675); phones of RFC 5245 never do


@dataclass(frozen=True, slots=True)
class Report:
    """What the far end last reported on the stream that it gets by a flow (RFC 3550 section 6.4.1)."""

    age_s: float
    fraction_lost: float  # 0 to 1, since the report before
    lost: int  # in all; negative: duplicates
    jitter: int  # in units of the stream's timestamp
    round_trip_ms: float | None  # between us and the far end; None: it answered no sender report yet


@dataclass(frozen=True, slots=True)
class FlowStatus:
    """A flow: what was commanded and what became of it."""

    slot: int
    interface: str
    port: int
    rtp: bool
    rtcp: bool
    remote: Address | None  # as signalled
    rtp_partner: int | None
    rtcp_partner: int | None
    receive: int | None
    send: int | None
    secure: bool
    may_send: bool
    may_receive: bool
    latching: str
    current: Address | None  # what is accepted and where it sends to
    learnt: bool  # `current` is not the signalled address
    packets_in: int  # accepted
    octets_in: int
    packets_out: int
    octets_out: int
    last_packet_ns: int  # of the last accepted one; 0: none yet
    ssrc_in: int | None
    ssrc_changes: int
    lost: int  # estimate, RFC 3550 appendix A.3
    drops: dict[str, int]  # by Drop name in lower case, those above 0
    dtls: bool = False
    ice: IceStatus | None = None  # its agent; None: none installed
    member: bool = False  # of a port that is another flow's
    report: Report | None = None  # the newest; None: none came
    voip_metrics: bytes = b""  # RFC 3611 section 4.7, behind the block's header; empty: none came


@dataclass(frozen=True, slots=True)
class KeptDatagram:
    """A datagram that was dropped. Whole where the leg is secure (at most 1552 octets) and nothing was decrypted; of
    all others the header."""

    flow: int  # slot
    drop: str  # Drop name in lower case
    kind: str  # rtp, rtcp, ...
    received_ns: int  # CLOCK_MONOTONIC
    source: Address | None
    length: int  # of the datagram
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """One SSRC of a crypto."""

    ssrc: int
    roc: int
    rtp_newest: int | None  # 48-bit index; None: no packet yet
    rtcp_newest: int | None
    packets: int
    last_ns: int


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """One master key of a crypto: how far it is used (RFC 3711 section 9.2), never itself."""

    mki: bytes
    in_use: bool  # protects; when receiving: the one most used
    rtp_packets: int
    rtcp_packets: int
    rtp_lifetime: int
    rtcp_lifetime: int


@dataclass(frozen=True, slots=True)
class CryptoStatus:
    """A cryptographic context: numbers, never keys."""

    slot: int
    state: str  # ready, suspended
    send: bool
    cipher: str
    auth: str
    key_octets: int
    rtp_tag: int
    rtcp_tag: int
    keys: int
    mki: bytes
    packets: int
    octets: int
    rtp_packets: int  # under the key in use
    rtcp_packets: int
    rtp_lifetime: int
    rtcp_lifetime: int
    resyncs: int
    stream_count: int
    streams: tuple[StreamStatus, ...]
    drops: dict[str, int]
    each_key: tuple[KeyStatus, ...] = ()
