"""Commands to a worker and what comes back: plain frozen values.

Slot numbers are the control process's to choose, contents the worker's. Every command is idempotent and
answered by a `Reply` with its ticket.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeVar, dataclass_transform

from kernels.srtp.transform import Transform as Transform  # the suite in numbers

Kind = TypeVar("Kind")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(kind: type[Kind]) -> type[Kind]:
    """A frozen dataclass as mypy sees it. Python's own guard against assignments would make each four times as dear."""
    return dataclass(slots=True, unsafe_hash=True)(kind)


Address = tuple[str, int]  # IP literal, UDP port
Pairs = tuple[tuple[int, int], ...]
Transcodings = tuple[tuple[int, int, str], ...]
MOST_TAPS = 8  # of one flow
MOST_PAYLOAD_TYPES, MOST_EXTENSIONS = 32, 30  # of a flow; the first with those of `transcode`


@frozen
class MasterKeyBytes:
    """One master key. Never printed: repr shows neither key nor salt."""

    key: bytes = field(repr=False)
    salt: bytes = field(repr=False)
    mki: bytes = b""
    rtp_lifetime: int = 0  # packets; 0: the maximum
    rtcp_lifetime: int = 0


@frozen
class InstallCrypto:
    """Create or update one direction of one stream of one leg. Same parameters and key: it continues."""

    slot: int
    transform: Transform
    key: MasterKeyBytes
    send: bool
    window: int = 128  # replay window, packets: 64..1024
    kdr_log2: int | None = None  # key derivation rate 2**n packets; None: derive once
    encrypt_rtp: bool = True
    encrypt_rtcp: bool = True
    authenticate_rtp: bool = True
    ssrc_limit: int = 16
    initial_roc: int = 0
    legacy_192: bool = False  # AES-192 session keys as libsrtp 2.2 to 2.7 derive them
    roc: str = "auto"  # an SSRC's rollover counter under a new key: auto, reset, keep
    also: int | None = None  # receiver: crypto, installed before, that is asked for what this one does not take


@frozen
class AddKey:
    """A further master key (other MKI of the same length) on a crypto."""

    slot: int
    key: MasterKeyBytes


@frozen
class SelectKey:
    """The sender switches to the key with this MKI."""

    slot: int
    mki: bytes


@frozen
class RemoveKey:
    """Wipe one of several master keys. Absent is no error. EBUSY: it protects, or is the only one."""

    slot: int
    mki: bytes


@frozen
class RemoveCrypto:
    """Wipe a crypto. Absent is no error."""

    slot: int


@frozen
class InstallFlow:
    """Create or update a flow. An existing slot on the same port keeps counters, and its learnt address unless
    `remote` changed. `latching` "authenticated" learns only where `receive` is set, else it is strict."""

    slot: int
    interface: str
    port: int
    rtp: bool  # what may arrive on it
    rtcp: bool
    remote: Address | None = None  # where it sends to
    rtp_partner: int | None = None  # flow slots that arrivals leave by
    rtcp_partner: int | None = None
    receive: int | None = None  # crypto slots; None: plain
    send: int | None = None
    secure: bool = False  # keys are required: until they are named nothing passes
    may_send: bool = True
    may_receive: bool = True
    latching: str = "host"  # off, host, once, authenticated
    blocked: bool = False  # what arrives goes no further
    feedback: bool = True  # RTCP feedback (RFC 4585) from and to here
    payload_types: Pairs = ()  # of RTP that leaves here: (number of the leg it comes from, number here)
    transcode: Transcodings = ()  # same, and the payload is G.711 of the other law: (from, to, "pcma" or "pcmu" here)
    extensions: Pairs | None = None  # same for ids of header extensions, others are blanked. None: left alone
    opaque: bool = False  # what arrives is SRTP whose keys others have: it passes as it is
    tos: int = 0  # IPv4 TOS or IPv6 traffic class octet of what leaves here
    tap: bool = False  # gets copies of what arrives at its partners; what it sends itself is dropped
    rtp_tap: int | None = None  # slot of the first tap of arriving RTP; of a tap: of the next one
    rtcp_tap: int | None = None
    dtls: bool = False  # DTLS may arrive and goes up; elsewhere it is dropped
    ice: bool = False  # InstallIce follows: nothing passes before a pair is selected; by `remote` if not lite
    member: bool = False  # no port of its own: `port`, address, keys and ICE are the flow's on it (InstallRoutes)


@frozen
class InstallIce:
    """Create or update the ICE agent of an installed flow with `ice`; it goes with the flow. Other local credentials
    are a restart: the selected pair goes on, under the earlier ones, until a pair is selected under the new ones
    (RFC 8445 section 9). ENOENT: no such flow. ValueError: user fragments of ours of more than 32 octets (RFC 8839
    section 5.4)."""

    slot: int  # of the flow
    local_ufrag: str
    local_pwd: str = field(repr=False)
    remote_ufrag: str = ""  # "": not known yet, any is taken
    earlier_ufrag: str = ""  # ours before a restart: still answered
    earlier_pwd: str = field(default="", repr=False)
    lite: bool = True  # the worker selects; else the control process does, by InstallFlow.remote
    remote_pwd: str = field(default="", repr=False)  # of a full agent: responses prove consent; "": control judges that


MOST_ROUTES, LONGEST_MID = 16, 16  # streams of one port; octets


@frozen
class Route:
    """A stream of a port that several share: what arrives for it."""

    flow: int  # slot: the port's own flow, or a member of it
    payload_types: tuple[int, ...] = ()  # numbers here; one that several streams have tells nothing
    mid: str = ""  # its media identification


@frozen
class InstallRoutes:
    """BUNDLE (RFC 9143): which streams share the port of a flow; none: its own alone. Arriving RTP is given to a stream
    by MID, else by SSRC (learnt from the other two), else by payload type; RTCP to those whose SSRCs it speaks of.
    ENOENT: no such flow, or a member; ENOSPC. Idempotent; SSRCs learnt stay with their flows (after a move, with the
    places of `routes`)."""

    slot: int  # of the flow that has the port
    routes: tuple[Route, ...]
    mid_extension: int | None = None  # id of the header extension that carries MID


@frozen
class RemoveFlow:
    """Free a flow and its port. Absent is no error."""

    slot: int


TRANSFER_RECORDS = 32  # streams that may be on their way between workers at one time
FourSlots = tuple[int | None, int | None, int | None, int | None]
MOVE_CRYPTOS = 8  # of a stream: receive and send of each leg, and two more each to receive with
MoveCryptos = tuple[int | None, ...]  # at most as many


@frozen
class ExportStream:
    """Give a stream away: its flows and cryptos go into a transfer record, the slots are wiped, its sockets are `to`'s.
    Errors: ENOENT (a slot is empty or suspended), EBUSY (the record holds another move), E2BIG (too many SSRCs)."""

    record: int  # 0..TRANSFER_RECORDS-1
    move: int  # 64 bits, unique: who repeats a command names the same move
    to: int  # worker
    flows: FourSlots
    cryptos: MoveCryptos


@frozen
class ImportStream:
    """Take a stream out of a transfer record, into slots of this worker, in the same places as in the export. With an
    error nothing was taken: the record is still full. ENOENT (no such move there), ENOSPC, EADDRINUSE."""

    record: int
    move: int
    flows: FourSlots
    cryptos: MoveCryptos


@frozen
class DiscardTransfer:
    """Wipe a transfer record if it holds this move; sockets nobody serves go back to the worker of their range."""

    record: int
    move: int


Command = (
    InstallCrypto
    | AddKey
    | SelectKey
    | RemoveKey
    | RemoveCrypto
    | InstallFlow
    | InstallIce
    | InstallRoutes
    | RemoveFlow
    | ExportStream
    | ImportStream
    | DiscardTransfer
)


@frozen
class Reply:
    """The worker carried a command out. `error` is 0, or the name of an errno (`EINVAL`, `ENOSPC`, ...)."""

    worker: int
    ticket: int
    error: Literal[0] | str


@frozen
class Punt:
    """A datagram that is not media, or news of a flow's ICE agent (kind "ice"): `source` was validated first ("valid",
    under these credentials), or is the pair that is now selected ("nominated"), or was and has not been heard for 30 s
    ("expired")."""

    worker: int
    flow: int
    kind: str  # stun, zrtp, dtls, ice
    source: Address
    data: bytes  # of kind ice: b"valid", b"nominated", b"expired"
    received_ns: int  # CLOCK_MONOTONIC


@frozen
class WorkerNews:
    """A worker was lost or came up. Its calls are still in its tables."""

    worker: int
    event: str  # lost, started
    pid: int
    restarts: int
    reason: str  # for a person: "signal SIGKILL", "no heartbeat for 1.2 s", ...


@frozen
class PortNews:
    """A device's AF_XDP rings were lost (kernel sockets carry its interfaces) or are back."""

    interfaces: tuple[str, ...]
    device: str
    kind: str  # what carries them now: udp, xdp-native, xdp-generic
    reason: str  # for a person: "xdp lost on access: link down; kernel sockets take over"


@frozen
class BanReply:
    """The holder's answer to one message about bans (kernels.control.bans). Networks as text."""

    ticket: int
    error: str  # for a person; "": all was done
    gave_way: tuple[str, ...] = ()  # ended early for want of room
    failed: tuple[str, ...] = ()  # not banned: see error
    dropped: tuple[int, ...] = ()  # packets, in the order of the question
    held: int = 0  # bans in force
    total: dict[str, int] = field(default_factory=dict)  # packets dropped by each means
    gave_way_total: int = 0
    closed: int = 0  # TCP connections of banned sources that were ended
    connections: str = ""  # why they cannot be
