"""Values of single lines."""

from __future__ import annotations

import pytest

from appliance.errors import InvalidSdp
from appliance.protocols.sdp import profiles
from appliance.protocols.sdp.fields import Connection, MediaLine, Origin, family, parse_rtcp


@pytest.mark.parametrize(
    ("value", "literal"),
    [
        ("IN IP4 192.0.2.1", True),
        ("IN IP4 224.2.1.1/127/3", True),
        ("IN IP6 2001:db8::1", True),
        ("IN IP4 gateway.example.org", False),
        ("IN IP4 2001:db8::1", False),
        ("IN IP6 fe80::1%eth0", False),
        ("IN IP4 1.2.3.4.", False),
        ("IN IP4", False),
    ],
)
def test_connection(value: str, literal: bool) -> None:
    connection = Connection.parse(value, 4)
    assert str(connection) == value
    assert connection.literal is literal


@pytest.mark.parametrize("value", ["", "IN", "IN IP5 1.2.3.4", "ATM IP4 1.2.3.4", "IN IP4 1.2.3.4 5"])
def test_broken_connection(value: str) -> None:
    with pytest.raises(InvalidSdp, match="line 4"):
        Connection.parse(value, 4)


@pytest.mark.parametrize(
    "value", ["audio 4000 RTP/AVP 0 8 127", "audio 4000/2 RTP/SAVP 0", "application 9 DTLS/SCTP 5000", "x 0 TCP/MSRP *"]
)
def test_media_line(value: str) -> None:
    assert str(MediaLine.parse(value, 1)) == value


@pytest.mark.parametrize(
    ("value", "version"), [("- 1 2 IN IP4 1.2.3.4", "2"), ("Z 20472192 0 IN IP4", "0"), ("a-b 7 8 IN IP6 ::1", "8")]
)
def test_origin(value: str, version: str) -> None:
    origin = Origin.parse(value, 2)
    assert str(origin) == value
    assert origin.version == version


def test_origin_without_user_name() -> None:
    """The reference's Jitsi writes three fields before IN; some write two."""
    assert Origin.parse("1 2 IN IP4 1.2.3.4", 2).username == "-"
    with pytest.raises(InvalidSdp):
        Origin.parse("1 2 3 4 IN IP4 1.2.3.4", 2)


@pytest.mark.parametrize(
    ("value", "result"),
    [("4001", (4001, "")), ("9 IN IP4 0.0.0.0", (9, "0.0.0.0")), ("5 IN IP6 ::1", (5, "::1"))],  # noqa: S104
)
def test_rtcp(value: str, result: tuple[int, str]) -> None:
    assert parse_rtcp(value, 1) == result


@pytest.mark.parametrize("value", ["", "x", "65536", "-1", "1 IN", "1 IN IP4 host", "1 IN IP4 1.2.3.4 5", "٣"])
def test_broken_rtcp(value: str) -> None:
    with pytest.raises(InvalidSdp):
        parse_rtcp(value, 1)


def test_families() -> None:
    assert (family("1.2.3.4"), family("::1"), family("x"), family("")) == ("IP4", "IP6", "", "")


def test_profiles() -> None:
    """SDP-1, and G07: an unknown token has no profile."""
    assert all(row.token == token for token, row in profiles.PROFILES.items())
    assert profiles.find("rtp/savpf") is profiles.PROFILES["RTP/SAVPF"]
    assert profiles.find("TCP/RTP/AVP") is None
    for row in profiles.PROFILES.values():
        assert profiles.variant(row, secure=True).secure
        assert not profiles.variant(row, secure=False).secure
        assert profiles.variant(row, secure=True).feedback == row.feedback
