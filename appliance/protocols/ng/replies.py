"""The reply bodies of query, list and delete, with rtpengine's keys (Kamailio and its scripts read them by name).
Plain values in."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.protocols.ng.value import Value
from appliance.values import frozen


@frozen
class StreamStats:
    """Counters of packets received on one port."""

    packets: int = 0
    bytes: int = 0
    errors: int = 0

    def body(self) -> dict[str, Value]:
        return {"packets": self.packets, "bytes": self.bytes, "errors": self.errors}

    def __add__(self, other: StreamStats) -> StreamStats:
        return StreamStats(self.packets + other.packets, self.bytes + other.bytes, self.errors + other.errors)


@frozen
class StreamReply:
    """One port of one m-line of one leg. Endpoints are (host, port)."""

    local_address: str
    local_port: int
    endpoint: tuple[str, int] | None
    advertised: tuple[str, int] | None
    crypto_suite: str = ""  # "" : plain
    last_packet: int = 0  # UNIX time, s; 0: none yet
    rtcp: bool = False
    flags: tuple[str, ...] = ()  # of RTP, RTCP, filled, confirmed
    stats: StreamStats = StreamStats()


@frozen
class MediaReply:
    """One m-line of one leg. `flags` of initialized, send, recv, rtcp-mux, SDES, DTLS-SRTP, ICE."""

    index: int  # from 1
    type: str
    protocol: str
    flags: tuple[str, ...]
    streams: tuple[StreamReply, ...]


@frozen
class TagReply:
    """One leg."""

    tag: str
    created: int  # UNIX time, s
    in_dialogue_with: str = ""
    label: str = ""
    medias: tuple[MediaReply, ...] = ()


def query(created: float, last_signal: int, tags: Sequence[TagReply]) -> dict[str, Value]:
    """The body of a query's answer (and of a delete's)."""
    totals = {False: StreamStats(), True: StreamStats()}
    for tag in tags:
        for media in tag.medias:
            for stream in media.streams:
                totals[stream.rtcp] += stream.stats
    return {
        "result": "ok",
        "created": int(created),
        "created_us": int(created % 1 * 1e6),
        "last signal": last_signal,
        "SSRC": {},  # statistics from RTCP reports: we make none
        "tags": {tag.tag or f"<untagged {place}>": _tag(tag) for place, tag in enumerate(tags)},
        "totals": {"RTP": totals[False].body(), "RTCP": totals[True].body()},
    }


def _tag(tag: TagReply) -> dict[str, Value]:
    body: dict[str, Value] = {"tag": tag.tag, "created": tag.created}
    if tag.label:
        body["label"] = tag.label
    if tag.in_dialogue_with:
        body["in dialogue with"] = tag.in_dialogue_with  # before rtpengine 10; newer ones list both directions
    partner = [{"tag": tag.in_dialogue_with, "type": "offer/answer"}]
    body["subscriptions"] = body["subscribers"] = partner
    body["medias"] = [_media(media) for media in tag.medias]
    return body


def _media(media: MediaReply) -> dict[str, Value]:
    return {
        "index": media.index,
        "type": media.type,
        "protocol": media.protocol,
        "flags": list(media.flags),
        "streams": [_stream(stream) for stream in media.streams],
    }


def _stream(stream: StreamReply) -> dict[str, Value]:
    body: dict[str, Value] = {"local port": stream.local_port, "local address": stream.local_address}
    body["family"] = _family(stream.local_address)
    body["endpoint"] = _endpoint(stream.endpoint) if stream.endpoint else {}
    body["advertised endpoint"] = _endpoint(stream.advertised) if stream.advertised else {}
    if stream.crypto_suite:
        body["crypto suite"] = stream.crypto_suite
    body["last packet"] = stream.last_packet
    body["flags"] = list(stream.flags)
    body["stats"] = stream.stats.body()
    return body


def _endpoint(endpoint: tuple[str, int]) -> dict[str, Value]:
    return {"family": _family(endpoint[0]), "address": endpoint[0], "port": endpoint[1]}


def _family(host: str) -> str:
    return "IPv6" if ":" in host else "IPv4"


def call_list(call_ids: Sequence[str]) -> dict[str, Value]:
    """The body of a list's answer."""
    return {"result": "ok", "calls": list(call_ids)}
