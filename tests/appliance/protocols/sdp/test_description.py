"""Changing a description: only the lines that are meant change."""

from __future__ import annotations

from dataclasses import replace

from appliance.protocols.sdp.description import Description
from appliance.protocols.sdp.fields import Connection
from appliance.protocols.sdp.parse import parse

TEXT = (
    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\na=ice-lite\r\na=setup:actpass\r\n"
    "m=audio 4000 RTP/AVP 0\r\ni=title\r\na=rtcp:4007\r\na=sendonly\r\na=rtpmap:0 PCMU/8000\r\n"
    "m=video 4002/2 RTP/AVP 96 97\r\nc=IN IP6 2001:db8::1\r\na=setup:active"
)


def description() -> Description:
    return parse(TEXT.encode())


def test_connection_is_inserted_where_it_belongs() -> None:
    """RFC 8866 section 5: c= follows m= and i=."""
    sdp = description()
    assert sdp.connection(sdp.media[0]) is None
    sdp.media[0].set_connection(Connection.to("203.0.113.9"))
    assert "i=title\r\nc=IN IP4 203.0.113.9\r\na=rtcp" in sdp.serialise().decode()
    sdp.session.set_connection(Connection.to("2001:db8::2"))
    assert "s=-\r\nc=IN IP6 2001:db8::2\r\nt=0 0" in sdp.serialise().decode()


def test_connection_is_replaced() -> None:
    sdp = description()
    sdp.media[1].set_connection(Connection.to("203.0.113.9"))
    assert sdp.serialise().decode() == TEXT.replace("IP6 2001:db8::1", "IP4 203.0.113.9")


def test_media_line_is_rewritten() -> None:
    sdp = description()
    sdp.media[1].set_media(replace(sdp.media[1].media, port=5000, proto="RTP/SAVP"))
    assert sdp.serialise().decode() == TEXT.replace("4002/2 RTP/AVP", "5000/2 RTP/SAVP")


def test_attributes() -> None:
    sdp = description()
    audio, video = sdp.media
    assert audio.attribute("rtcp") == "4007"
    assert audio.attribute("sendonly") == ""
    assert audio.attribute("rtpma") is None
    assert sdp.attribute(audio, "setup") == "actpass"  # inherited
    assert sdp.attribute(video, "setup") == "active"
    audio.remove("rtcp", "sendonly")
    video.add("rtcp-mux")
    video.add("mid", "1")
    changed = TEXT.replace("a=rtcp:4007\r\na=sendonly\r\n", "") + "\r\na=rtcp-mux\r\na=mid:1\r\n"
    assert sdp.serialise().decode() == changed
