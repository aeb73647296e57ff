"""What can be told from sizes and octets without any key: plain RTP where SRTP was agreed, and the reverse.

Only static payload types (RFC 3551 table 4) have sizes that say something.
"""

from __future__ import annotations

from appliance.protocols.srtp.packet import Drop, read_header

FRAME_OCTETS = {0: 80, 8: 80, 9: 80, 3: 33, 7: 14, 15: 20, 18: 10}
"""Octets of 10 ms, or of one frame, by payload type: PCMU, PCMA, G722, GSM, LPC, G728, G729."""

TRAILERS = (10, 4, 16, 8)  # octets that SRTP adds without an MKI
RANDOM_OCTETS = 0.88  # of the values that random octets would show; voice shows fewer
SHORTEST_JUDGED = 80  # octets of payload


def plain_rtp(packet: bytes) -> bool:
    """Whether the payload has exactly the size of its codec's frames, so that there is no room for a tag."""
    header = read_header(packet, 0, rtcp=False)
    if isinstance(header, Drop):
        return False
    frame, payload = FRAME_OCTETS.get(packet[1] & 0x7F), len(packet) - header.octets
    return frame is not None and payload > 0 and payload % frame == 0


def plain_rtcp(packet: bytes) -> bool:
    """Whether a compound RTCP packet fills the datagram to the last octet (RFC 3550 section 6.1)."""
    at = 0
    while at + 4 <= len(packet):
        if packet[at] >> 6 != 2 or not 192 <= packet[at + 1] <= 223:
            return False
        at += 4 * (1 + int.from_bytes(packet[at + 2 : at + 4], "big"))
    return at == len(packet) and at > 0


def looks_random(payload: bytes) -> bool:
    """Ciphertext shows nearly as many different octets as chance does; speech does not. False when too short to say."""
    if len(payload) < SHORTEST_JUDGED:
        return False
    by_chance = 256 * (1 - (255 / 256) ** len(payload))
    return len(set(payload)) >= RANDOM_OCTETS * by_chance


def payload_of(packet: bytes) -> bytes:
    """The payload of an RTP packet without a trailer; empty when it is none."""
    header = read_header(packet, 0, rtcp=False)
    return b"" if isinstance(header, Drop) else packet[header.octets :]


def longer_than_codec(octets: int, packets: int, payload_types: tuple[int, ...]) -> int | None:
    """By how many octets the packets, all of one size, are longer than frames of the first codec: an SRTP trailer's
    length, or None."""
    frame = FRAME_OCTETS.get(payload_types[0]) if payload_types else None
    if frame is None or packets == 0 or octets % packets:
        return None
    over = (octets // packets - 12) % frame
    return over if over in TRAILERS else None
