"""Where the parts of a packet are: the fixed header that stays readable, and the trailer that SRTP adds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

RTP_HEADER = 12
RTCP_HEADER = 8  # the part of RTCP that stays in clear: first header word and the sender's SSRC
SRTCP_WORD = 4  # E flag and index


class Drop(StrEnum):
    """Why a packet went no further; the names of kernels/wire/packet.pxd in lower case, as far as SRTP needs them."""

    TOO_SHORT = "too_short"
    MALFORMED = "malformed"
    AUTH_FAIL = "auth_fail"
    REPLAY = "replay"
    REPLAY_OLD = "replay_old"
    UNKNOWN_MKI = "unknown_mki"
    SSRC_LIMIT = "ssrc_limit"
    KEY_EXPIRED = "key_expired"
    ENCRYPTION_FLAG = "encryption_flag"
    TX_REPLAY = "tx_replay"
    NOT_KEYED = "not_keyed"


@dataclass(frozen=True, slots=True)
class Header:
    """The readable part of a packet."""

    octets: int  # of RTP: with CSRCs and the header extension
    ssrc: int
    sequence: int  # 0 for RTCP


def read_header(data: bytes, trailer: int, *, rtcp: bool) -> Header | Drop:
    """Find the header in a packet whose last `trailer` octets are not RTP (RFC 3550 sections 5.1, 5.3.1, 6.4)."""
    end = len(data) - trailer
    if end < (RTCP_HEADER if rtcp else RTP_HEADER):
        return Drop.TOO_SHORT
    if data[0] >> 6 != 2:
        return Drop.MALFORMED
    if rtcp:
        return Header(RTCP_HEADER, int.from_bytes(data[4:8], "big"), 0)
    octets = RTP_HEADER + 4 * (data[0] & 0x0F)
    if data[0] & 0x10:
        if octets + 4 > end:
            return Drop.MALFORMED
        octets += 4 + 4 * int.from_bytes(data[octets + 2 : octets + 4], "big")
    if octets > end:
        return Drop.MALFORMED
    return Header(octets, int.from_bytes(data[8:12], "big"), int.from_bytes(data[2:4], "big"))
