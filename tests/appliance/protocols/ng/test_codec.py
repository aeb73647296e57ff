"""The NG envelope: cookie, both formats, errors in rtpengine's words."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.protocols.ng import bencode, codec
from appliance.protocols.ng.codec import Format, Malformed, decode, error, reply

KAMAILIO = {
    "supports": ["load limit"], "sdp": "v=0\r\n", "ICE": "remove", "label": "caller", "DTLS": "off",
    "flags": ["OSRTP-accept"],
    "replace": ["origin", "session-connection"], "transport-protocol": "RTP/SAVP", "rtcp-mux": ["demux"],
    "SDES": ["only-AES_CM_128_HMAC_SHA1_80", "pad"], "call-id": "c", "via-branch": "b",
    "received-from": ["IP4", "127.0.0.1"],
    "from-tag": "t", "command": "offer",
}  # fmt: skip


@pytest.mark.parametrize("format", list(Format))
def test_what_kamailio_sends(format: Format) -> None:
    """Ecosystem 2.1: unsorted keys, command last; the answer goes back with the cookie and in the format of the
    request."""
    body = bencode.encode(KAMAILIO) if format is Format.BENCODE else json.dumps(KAMAILIO).encode()
    message = decode(b"2713_5 " + body)
    assert message.body == KAMAILIO
    assert (message.cookie, message.format, message.sdp) == (b"2713_5", format, b"v=0\r\n")
    assert (message.word("call-id"), message.word("sdp"), message.word("supports"), message.word("x")) == (
        "c",
        "v=0\r\n",
        "",
        "",
    )
    answer = decode(reply(message, {"result": "ok", "sdp": "v=0\r\n"}))
    assert (answer.cookie, answer.format, answer.body) == (b"2713_5", format, {"result": "ok", "sdp": "v=0\r\n"})


def test_spaces_for_hyphens() -> None:
    assert decode(b"1 d7:call id1:xe").word("call-id") == "x"


def test_octets_survive() -> None:
    """An SDP of any encoding goes through bencode unharmed; JSON carries UTF-8 only."""
    message = decode(b"1 d3:sdp4:\xe9\xff\x00ae")
    assert message.sdp == b"\xe9\xff\x00a"
    assert reply(message, {"sdp": codec.text(message.sdp)}) == b"1 d3:sdp4:\xe9\xff\x00ae"
    as_json = decode('1 {"sdp":"é"}'.encode())
    assert as_json.sdp == "é".encode()
    assert reply(as_json, {"sdp": "\udcff"}) == '1 {"sdp":"\ufffd"}'.encode()


@pytest.mark.parametrize(
    ("datagram", "reason", "cookie"),
    [
        (b"", "no cookie", b""),
        (b"cookie", "no cookie", b""),
        (b" d1:a1:be", "no cookie", b""),
        (b"x" * 300 + b" de", "no cookie", b""),
        (b"1 ", codec.NO_PAYLOAD, b"1"),
        (b"1 hello", codec.UNKNOWN_FORMAT, b"1"),
        (b"1 d1:a", codec.UNDECODABLE_BENCODE, b"1"),
        (b"1 de trailing", codec.UNDECODABLE_BENCODE, b"1"),
        (b'1 {"a":', codec.UNDECODABLE_JSON, b"1"),
        (b'1 {"a":"\xff"}', codec.UNDECODABLE_JSON, b"1"),
        (b'1 {"a":NaN}', codec.UNDECODABLE_JSON, b"1"),
        (b'1 {"a":"\\ud800"}', codec.UNDECODABLE_JSON, b"1"),
        (b'1 {"\\udcff":1}', codec.UNDECODABLE_JSON, b"1"),
        (b'1 {"a":' + b"9" * 5000 + b"}", codec.UNDECODABLE_JSON, b"1"),
        (b'1 {"a":' + b"[" * 60_000, codec.UNDECODABLE_JSON, b"1"),
        (b'1 {"a":' + b"[" * 20 + b"]" * 20 + b"}", codec.UNDECODABLE_JSON, b"1"),
        (b"1 d" + b"x" * codec.MAX_MESSAGE, "too long", b""),
    ],
    ids=lambda value: repr(value[:24]),
)
def test_malformed(datagram: bytes, reason: str, cookie: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        decode(datagram)
    assert reason in caught.value.reason
    assert caught.value.cookie == cookie
    answer = error(caught.value)
    if cookie:
        assert decode(answer).body == {"result": "error", "error-reason": caught.value.reason}
    else:
        assert answer == b""


def test_refusal_of_a_request() -> None:
    message = decode(b'7 {"command":"dance"}')
    assert error(message, codec.UNKNOWN_COMMAND) == b'7 {"result":"error","error-reason":"Unrecognized command"}'


@given(st.binary(max_size=80))
def test_fuzz(data: bytes) -> None:
    """Any datagram is a message whose echo can be written, or Malformed."""
    for datagram in (data, b"1 " + data, b"1 d" + data, b"1 {" + data, b'1 {"a":' + data + b"}"):
        try:
            message = decode(datagram)
        except Malformed as fault:
            error(fault)
        else:
            assert reply(message, message.body).startswith(message.cookie)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_fuzz_json(value: object) -> None:
    try:
        message = decode(b"1 " + json.dumps({"a": value}).encode())
    except Malformed:
        return
    assert decode(reply(message, message.body)) == message
