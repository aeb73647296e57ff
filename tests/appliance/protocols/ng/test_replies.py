"""The reply shapes of query and list."""

from __future__ import annotations

from typing import Any

from appliance.protocols.ng.codec import decode, reply
from appliance.protocols.ng.replies import MediaReply, StreamReply, StreamStats, TagReply, call_list, query

RTP = StreamReply(
    "192.0.2.1", 30002, ("203.0.113.1", 4000), ("203.0.113.1", 4000), "AES_CM_128_HMAC_SHA1_80", 1402064124,
    flags=("RTP", "filled", "confirmed"), stats=StreamStats(343, 56950, 1),
)  # fmt: skip
RTCP = StreamReply("2001:db8::1", 30003, None, None, rtcp=True, flags=("RTCP",), stats=StreamStats(2, 164))


def test_query() -> None:
    """The keys of rtpengine's documentation, "query" message."""
    media = MediaReply(1, "audio", "RTP/SAVP", ("initialized", "SDES"), (RTP, RTCP))
    tags = [
        TagReply("a", 1402064111, "b", "caller", (media, media)),
        TagReply("", 1402064112, "a"),
    ]
    body: Any = query(1402064111.25, 1402064116, tags)
    assert (body["created"], body["created_us"], body["last signal"]) == (1402064111, 250000, 1402064116)
    assert body["totals"] == {
        "RTP": {"packets": 686, "bytes": 113900, "errors": 2},
        "RTCP": {"packets": 4, "bytes": 328, "errors": 0},
    }
    assert body["tags"]["<untagged 1>"]["tag"] == ""
    first = body["tags"]["a"]
    assert {key: first[key] for key in first if key != "medias"} == {
        "tag": "a", "created": 1402064111, "label": "caller", "in dialogue with": "b",
        "subscriptions": [{"tag": "b", "type": "offer/answer"}],
        "subscribers": [{"tag": "b", "type": "offer/answer"}],
    }  # fmt: skip
    assert first["medias"][0]["streams"] == [
        {
            "local port": 30002, "local address": "192.0.2.1", "family": "IPv4",
            "endpoint": {"family": "IPv4", "address": "203.0.113.1", "port": 4000},
            "advertised endpoint": {"family": "IPv4", "address": "203.0.113.1", "port": 4000},
            "crypto suite": "AES_CM_128_HMAC_SHA1_80", "last packet": 1402064124, "flags": ["RTP", "filled",
            "confirmed"],
            "stats": {"packets": 343, "bytes": 56950, "errors": 1},
        },
        {
            "local port": 30003, "local address": "2001:db8::1", "family": "IPv6", "endpoint": {},
            "advertised endpoint": {}, "last packet": 0, "flags": ["RTCP"],
            "stats": {"packets": 2, "bytes": 164, "errors": 0},
        },
    ]  # fmt: skip
    for request in (b"1 d7:command5:querye", b'1 {"command":"query"}'):
        assert decode(reply(decode(request), body)).body == body


def test_list() -> None:
    assert call_list(["x", "y"]) == {"result": "ok", "calls": ["x", "y"]}
