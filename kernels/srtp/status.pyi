from dataclasses import dataclass

@dataclass(frozen=True, slots=True)
class SsrcView:
    ssrc: int
    roc: int
    rtp_newest: int | None
    rtcp_newest: int | None
    packets: int
    last_ns: int

@dataclass(frozen=True, slots=True)
class KeyView:
    mki: bytes
    in_use: bool
    rtp_packets: int
    rtcp_packets: int
    rtp_lifetime: int
    rtcp_lifetime: int

@dataclass(frozen=True, slots=True)
class CryptoView:
    ready: bool
    send: bool
    keys: int
    mki: bytes
    packets: int
    octets: int
    resyncs: int
    rtp_packets: int
    rtcp_packets: int
    rtp_lifetime: int
    rtcp_lifetime: int
    streams: int
    ssrcs: tuple[SsrcView, ...]
    drops: dict[str, int]
    each_key: tuple[KeyView, ...]
