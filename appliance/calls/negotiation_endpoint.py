"""Where a peer wants media, as its SDP says: addresses, direction, rtcp-mux. Pure."""

from __future__ import annotations

from appliance.calls.media import Address
from appliance.calls.negotiation_streams import DISCARD_PORT
from appliance.errors import IncompleteSdp
from appliance.policy.options import MediaOptions
from appliance.protocols.sdp.description import Description, Media
from appliance.protocols.sdp.fields import DIRECTIONS, UNSPECIFIED, Connection, family, invalid, parse_rtcp
from appliance.values import frozen


@frozen
class Endpoint:
    """Where a peer wants media and which way it flows, as its SDP says."""

    rtp: Address | None
    rtcp: Address | None
    direction: str
    zero: bool  # held the old way, by 0.0.0.0 (RFC 2543)
    mux: bool


def endpoint(sdp: Description, media: Media, options: MediaOptions) -> Endpoint:
    """Address, RTCP address, direction and mux of an m-line that is in use. InvalidSdp when there is no address to
    send to."""
    connection = sdp.connection(media)
    number = media.number
    if connection is None:
        raise IncompleteSdp(f"SDP line {number}: no c= line for this m-line", field="sdp")
    ice = sdp.attribute(media, "ice-ufrag") is not None
    if not connection.literal and not ice:
        raise invalid(number, "the c= line that holds here has no IP address")
    nowhere = connection.host in UNSPECIFIED or not connection.literal  # browsers hide addresses behind mDNS names
    zero = nowhere and not ice  # with ICE: no address yet (row G19)
    host = _host(connection, options)
    port = media.media.port
    rtp = None if nowhere or port == DISCARD_PORT else Address(host, port)
    direction = _direction(sdp, media)
    if zero:
        direction = "sendonly" if DIRECTIONS[direction][0] else "inactive"
    return Endpoint(rtp, _rtcp(media, rtp), direction, zero, media.has("rtcp-mux"))


def _host(connection: Connection, options: MediaOptions) -> str:
    if options.use_received_from and family(options.received_from):
        return options.received_from
    return connection.host


def _rtcp(media: Media, rtp: Address | None) -> Address | None:
    """`a=rtcp`, else the next port (RFC 3605, RFC 3550 section 11)."""
    if rtp is None:
        return None
    for at, line in enumerate(media.lines):
        if line.type == "a" and line.value.startswith("rtcp:"):
            port, host = parse_rtcp(line.value[5:], media.number + at)
            if host in UNSPECIFIED or port in (0, DISCARD_PORT):
                return None
            return Address(host or rtp.host, port)
    return Address(rtp.host, rtp.port + 1) if rtp.port < 65535 else None


def _direction(sdp: Description, media: Media) -> str:
    for section in (media, sdp.session):
        for type, value, _ in section.lines:
            if type == "a" and value in DIRECTIONS:
                return value
    return "sendrecv"
