"""What a call's media should be: plain values that negotiation produces, the store keeps, the reconciler carries out.

Nothing here knows sockets, SDP or workers. Every key exchange ends in a `ContextSpec`; nothing after it
knows which exchange it was.
"""

from __future__ import annotations

from dataclasses import field, replace
from enum import StrEnum

from appliance.values import frozen


@frozen
class Address:
    """An IP literal and a UDP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@frozen
class MasterKey:
    """One SRTP master key (RFC 3711 section 3.2.1). Never printed: repr shows lengths only."""

    key: bytes = field(repr=False)
    salt: bytes = field(repr=False)
    mki: bytes = b""  # as on the wire; every key of a context has the same length
    rtp_lifetime: int = 0  # packets; 0: the suite's maximum
    rtcp_lifetime: int = 0


class RocPolicy(StrEnum):
    """What becomes of a sender's rollover counter when its peer is re-keyed (rows C13, A14; rtpengine#1443)."""

    AUTO = "auto"  # new key: 0 (RFC 4568 section 6.4), and by trial {the old ROC, 0, +-1}; authentication decides
    RESET = "reset"  # 0 with every new key
    KEEP = "keep"  # goes on under the new key (RFC 3711 section 3.3.1)


@frozen
class ContextSpec:
    """One direction of one secured stream: suite and keys (what `KeysReady` carries)."""

    suite: str  # canonical name of a row of protocols.srtp.suites
    keys: tuple[MasterKey, ...]
    window: int = 128  # replay window, packets
    kdr_log2: int | None = None  # key derivation rate 2**n packets; None: derive once
    encrypt_rtp: bool = True
    encrypt_rtcp: bool = True
    authenticate_rtp: bool = True
    srtcp_tag_as_srtp: bool = False  # FreeSWITCH's quirk (spec/mission.md, trap 5)
    legacy_192: bool = False  # AES-192 keys derived as libsrtp 2.2 to 2.7 do (key-management.md section 6, 1)
    ssrc_limit: int = 16
    initial_roc: int = 0
    roc: RocPolicy = RocPolicy.AUTO
    sending_mki: bytes = b""  # of a sender: the key in use; b"": the first


class Latching(StrEnum):
    """How far a leg's real address may differ from the signalled one (security-and-faults A1, A2)."""

    OFF = "off"  # only the signalled address
    SIGNALLED_HOST = "host"  # plain legs behind NAT: same host, other port; once, then fixed
    ONCE = "once"  # plain legs: the first source within the learning window, then fixed
    AUTHENTICATED = "authenticated"  # secure legs: any source whose packet authenticates


@frozen
class IceCredentials:
    """What the checks of one agent are signed with (RFC 8445 section 5.3)."""

    ufrag: str
    pwd: str = field(repr=False)


@frozen
class IceMedia:
    """ICE on one leg of one stream, for all of its components (RFC 8445, RFC 8839)."""

    local: IceCredentials
    remote: IceCredentials | None = None  # None: not known yet
    lite: bool = True  # the worker answers checks, nobody sends any; false: control runs a full agent beside it
    controlling: bool = False  # of a full agent (section 6.1.1)
    earlier: tuple[IceCredentials, ...] = ()  # ours from before a restart: answered until the new ones are used (ICE-5)
    candidates: tuple[str, ...] = ()  # the peer's, as values of a=candidate (RFC 8839 section 5.1)
    complete: bool = True  # no candidates will follow (RFC 8838: trickle)
    pair_rtp: Address | None = None  # far end of the pair that a full agent has selected (Branch.pairs)
    pair_rtcp: Address | None = None


@frozen
class Fingerprint:
    """Of a certificate (RFC 8122 section 5)."""

    hash: str  # "sha-256", lower case
    value: bytes


@frozen
class LocalCertificate:
    """One of ours, with its key (DER; PKCS #8)."""

    certificate: bytes
    key: bytes = field(repr=False)


SUPPOSED = "+"  # at the end of `DtlsMedia.association`


@frozen
class DtlsMedia:
    """DTLS-SRTP wanted on one leg of one stream (RFC 5763, RFC 8842): what its association has to satisfy. The keys
    that come of it stand in `LegMedia.receive` and `send`; until then the leg is secure without contexts."""

    association: str  # another value: a new association is wanted (DTLS-13)
    certificate: LocalCertificate
    active: bool | None = None  # we send the ClientHello; None: our actpass is not answered yet, we can be the server
    fingerprints: tuple[Fingerprint, ...] = ()  # one must match; none known yet: keys are held back (DTLS-2)
    suites: tuple[str, ...] = ()  # canonical names with a DTLS profile, in our order; empty: all but the weak
    legacy: bool = False  # DTLS 1.0 and old ciphers, by policy of the trunk

    @property
    def supposed(self) -> bool:
        """Nobody said that a new association is wanted; it is supposed to be: the one before may live on."""
        return self.association.endswith(SUPPOSED)


@frozen
class Bundled:
    """One of several streams that share a port on a leg (RFC 9143), and with it address, keys, ICE and DTLS: those of
    the carrier. How its packets are told from the others' (section 9.2)."""

    carrier: int  # m-line whose port it is
    member: bool = False  # it is another stream's port
    mid: str = ""
    payload_types: tuple[int, ...] = ()  # that the peer may send for it
    extension: int = 0  # id of the header extension that carries MID on this leg; 0: not agreed on


@frozen
class LegMedia:
    """One media stream (m-line) as one leg sees it. A leg without keys in a direction is plain RTP there."""

    interface: str  # name of ours that faces this leg
    remote_rtp: Address | None = None  # None: not known yet, send nothing
    remote_rtcp: Address | None = None  # None with mux, or not known yet
    mux: bool = False  # RTP and RTCP on one port (RFC 5761)
    secure: bool = False  # keys are required here: until they are installed nothing passes
    receive: ContextSpec | None = None  # what this leg's sender uses
    send: ContextSpec | None = None  # what we use towards this leg
    may_send: bool = True  # media from this leg is let in (direction attribute)
    may_receive: bool = True  # media is sent towards this leg
    blocked: bool = False  # what this leg sends is judged and counted, and goes no further
    echo: bool = False  # what this leg sends goes back to it (and not to the other leg)
    feedback: bool = True  # AVPF: RTCP feedback (RTPFB, PSFB) passes from and to this leg (RFC 4585)
    payload_types: tuple[tuple[int, int], ...] = ()  # of RTP towards this leg: (the other leg's number, this leg's)
    transcode: tuple[tuple[int, int, str], ...] = ()  # same, and the payload becomes G.711 of this law: pcma, pcmu
    extensions: tuple[tuple[int, int], ...] | None = None  # same for RFC 8285 ids; others are blanked. None: untouched
    tos: int | None = None  # IP TOS / traffic class octet of what we send to this leg; None: the system's
    opaque: bool = False  # plain here, SRTP of others in truth: relayed as it is, nothing behind its headers is read
    receive_also: tuple[ContextSpec, ...] = ()  # tried when `receive` fails: the keys before a re-key, ...
    latching: Latching = Latching.SIGNALLED_HOST
    ice: IceMedia | None = None
    dtls: DtlsMedia | None = None
    rtcp_receive: ContextSpec | None = None  # of RTCP, where `rtcp_apart`: for it `receive` and `send` do not count
    rtcp_send: ContextSpec | None = None
    rtcp_receive_also: ContextSpec | None = None
    bundle: Bundled | None = None  # several streams share its port

    @property
    def rtcp_apart(self) -> bool:
        """Whether RTCP has an association of its own, and so keys of its own (RFC 5764 section 4; DTLS-9)."""
        return self.dtls is not None and not self.mux


@frozen
class StreamMedia:
    """One media stream through the gateway: the two legs it joins, whatever their kinds."""

    kind: str  # audio, video, text, ...
    a: LegMedia  # towards the one who offered
    b: LegMedia
    # m-line whose packets are copied: to leg a what leg a of it sends, to leg b what leg b sends. A leg without
    # interface gets nothing. What the legs of such a stream send goes nowhere. None: a stream of the call itself
    copies_of: int | None = None

    def leg(self, side: str) -> LegMedia:
        """Leg "a" or "b"."""
        return self.a if side == "a" else self.b

    def with_leg(self, side: str, leg: LegMedia) -> StreamMedia:
        return replace(self, a=leg) if side == "a" else replace(self, b=leg)


@frozen
class LocalPorts:
    """Our own ports of one leg of one stream; rtcp equals rtp with rtcp-mux."""

    address: str
    rtp: int
    rtcp: int


@frozen
class StreamPlacement:
    """Where a stream lives: all of its contexts on one worker."""

    worker: int
    a: LocalPorts
    b: LocalPorts

    def leg(self, side: str) -> LocalPorts:
        """Ours of leg "a" or "b"."""
        return self.a if side == "a" else self.b
