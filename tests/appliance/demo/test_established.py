"""What the demonstration reads out of SDP, which trunk it takes, and when it calls itself passed."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from appliance.config.load import load
from appliance.config.types import HostPort
from appliance.demo import cost, media, result, route
from appliance.demo.established import CallFailed, offered_spelling, read_sdp
from appliance.protocols.srtp import suites

KEY = bytes(range(46))
SDP = (
    "v=0\r\nc=IN IP4 10.0.0.1\r\nm=audio 4000 RTP/SAVP 0\r\n{more}"
    f"a=crypto:3 AES_CM_256_HMAC_SHA1_80 inline:{base64.b64encode(KEY).decode()}|2^31\r\nm=video 5000 RTP/SAVP 96\r\n"
)


@pytest.mark.parametrize(
    ("more", "rtp", "rtcp"),
    [
        ("", ("10.0.0.1", 4000), ("10.0.0.1", 4001)),
        ("a=rtcp:4009\r\n", ("10.0.0.1", 4000), ("10.0.0.1", 4009)),
        ("a=rtcp:4009 IN IP4 10.0.0.9\r\n", ("10.0.0.1", 4000), ("10.0.0.9", 4009)),
        ("a=rtcp-mux\r\n", ("10.0.0.1", 4000), ("10.0.0.1", 4000)),
        ("c=IN IP4 10.0.0.2\r\n", ("10.0.0.2", 4000), ("10.0.0.2", 4001)),
    ],
)
def test_addresses_and_keys(more: str, rtp: tuple[str, int], rtcp: tuple[str, int]) -> None:
    """RFC 3264, RFC 3605, RFC 5761."""
    found = read_sdp(SDP.format(more=more))
    assert (found.rtp, found.rtcp) == (rtp, rtcp)
    assert found.keys == {"AES_CM_256_HMAC_SHA1_80": KEY}
    assert KEY.hex() not in repr(found)


def test_any_spelling_of_a_suite_is_found_and_an_absent_one_named() -> None:
    """Trap 2."""
    offer, suite = read_sdp(SDP.format(more="")), suites.find("AES_256_CM_HMAC_SHA1_80")
    other = suites.find("AEAD_AES_256_GCM")
    assert suite and other
    assert offered_spelling(offer, suite) == "AES_CM_256_HMAC_SHA1_80"
    with pytest.raises(CallFailed, match="does not offer AEAD_AES_256_GCM"):
        offered_spelling(offer, other)


def test_audio_must_be_there() -> None:
    with pytest.raises(CallFailed):
        read_sdp("v=0\r\nm=audio 0 RTP/AVP 0\r\n")


def test_the_embedded_configuration_has_a_way_for_it() -> None:
    way = route.find(load(environment={}))
    assert (way.caller, way.callee) == ("127.0.0.2", HostPort("127.0.0.3", 5060))


def test_keys_are_split_as_sdes_joins_them() -> None:
    """RFC 4568 section 6.1: key, then salt."""
    suite = suites.find("AES_256_CM_HMAC_SHA1_80")
    assert suite
    split = media.split(suite, KEY)
    assert (split.key, split.salt) == (KEY[:32], KEY[32:])


def test_passed_means_that_everything_arrived_once_and_unchanged() -> None:
    way = result.Direction("x", 10, 10, 0, 0, 0, 1, 1)
    good = result.Result("S", "SIP", "t", 1.0, 1.0, (way, way), None)
    assert good.passed
    for change in (
        {"received": 9},
        {"lost": 1},
        {"corrupted": 1},
        {"header_changed": 1},
        {"rtcp_received": 0},
        {"sent": 0},
    ):
        assert not replace(good, directions=(way, replace(way, **change))).passed


def test_cost_is_the_difference_of_two_measurements() -> None:
    assert cost.per_packet(cost.Work(100, 10), cost.Work(1100, 20)) == 100
    assert cost.per_packet(cost.Work(100, 10), cost.Work(1100, 10)) is None
    assert cost.per_packet(None, cost.Work(1, 1)) is None
