"""Payload formats: codec names, renumbering and dropping as text edits (rows G25 to G28)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.protocols.sdp import formats
from appliance.protocols.sdp.description import Media
from appliance.protocols.sdp.parse import parse

from . import fixtures

HEAD = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\nc=IN IP4 192.0.2.1\r\n"


def section(*lines: str) -> Media:
    return parse((HEAD + "".join(f"{line}\r\n" for line in lines)).encode()).media[0]


def test_codecs_of_the_reference() -> None:
    """G25, G26: every codec that the reference's offers name, by name and clock."""
    found = {
        codec
        for name in fixtures.NAMES
        for media in parse(fixtures.strict(name)).media
        for codec in formats.codecs(media).values()
    }
    assert found >= {
        "opus/48000/2", "isac/16000", "isac/32000", "g722/8000", "pcmu/8000", "pcma/8000", "speex/8000", "speex/16000",
        "speex/32000", "ilbc/8000", "g726-32/8000", "telephone-event/48000", "telephone-event/32000",
        "telephone-event/16000", "telephone-event/8000", "gsm/8000",
    }  # fmt: skip


def test_names() -> None:
    media = section("m=audio 1 RTP/AVP 0 9 96 97 98", "a=rtpmap:96 OPUS/48000/2", "a=rtpmap:97 L16/8000/1",
                    "a=rtpmap:97 again/1", "a=rtpmap:9 G722/8000")  # fmt: skip
    assert formats.codecs(media) == {
        "0": "pcmu/8000", "9": "g722/8000", "96": "opus/48000/2", "97": "l16/8000", "98": "",
    }  # fmt: skip


def test_renumbering() -> None:
    """Every place that says a number, and no other digits; swaps are not applied twice."""
    media = section(
        "m=video 1 RTP/AVPF 96 97 98 99 100", "a=rtpmap:96 VP8/90000", "a=rtpmap:97 rtx/90000",
        "a=fmtp:97 apt=96;rtx-time=96", "a=rtpmap:98 red/90000", "a=fmtp:98 96/99", "a=rtpmap:99 ulpfec/90000",
        "a=rtpmap:100 H264/90000", "a=fmtp:100 profile-level-id=42e01f;x-apt=96", "a=rtcp-fb:96 nack pli",
        "a=rtcp-fb:* nack", "a=rtcp:96", "a=ssrc:96 cname:x",
    )  # fmt: skip
    text = str(formats.renumbered(media, {"96": "99", "99": "96"}))
    assert text.split("\r\n")[:-1] == [
        "m=video 1 RTP/AVPF 99 97 98 96 100", "a=rtpmap:99 VP8/90000", "a=rtpmap:97 rtx/90000",
        "a=fmtp:97 apt=99;rtx-time=96", "a=rtpmap:98 red/90000", "a=fmtp:98 99/96", "a=rtpmap:96 ulpfec/90000",
        "a=rtpmap:100 H264/90000", "a=fmtp:100 profile-level-id=42e01f;x-apt=96", "a=rtcp-fb:99 nack pli",
        "a=rtcp-fb:* nack", "a=rtcp:96", "a=ssrc:96 cname:x",
    ]  # fmt: skip
    assert media.media.formats == ("96", "97", "98", "99", "100")  # the given one is left alone


def test_dropping() -> None:
    media = section("m=audio 1 RTP/AVP 96 8 101", "a=rtpmap:96 opus/48000/2", "a=fmtp:96 cbr=1", "a=rtcp-fb:* nack",
                    "a=rtpmap:101 telephone-event/8000", "a=ptime:20")  # fmt: skip
    assert str(formats.only(media, ["101", "8"])).split("\r\n")[:-1] == [
        "m=audio 1 RTP/AVP 101 8", "a=rtcp-fb:* nack", "a=rtpmap:101 telephone-event/8000", "a=ptime:20",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kept", "left"), [("96 97", "96 97"), ("97 98", "98"), ("98 99", "98"), ("96 98 99", "96 98 99")]
)
def test_companions_follow(kept: str, left: str) -> None:
    """RTX and RED go with their primaries (RFC 4588, RFC 2198)."""
    media = section("m=video 1 RTP/AVP 96 97 98 99", "a=rtpmap:96 VP8/90000", "a=rtpmap:97 rtx/90000",
                    "a=fmtp:97 apt=96", "a=rtpmap:98 H264/90000", "a=rtpmap:99 red/90000",
                    "a=fmtp:99 96/98")  # fmt: skip
    assert formats.followed(media, kept.split()) == left.split()


@given(st.dictionaries(st.integers(0, 127).map(str), st.integers(0, 127).map(str)), st.sampled_from(fixtures.NAMES))
def test_there_and_back(numbers: dict[str, str], name: str) -> None:
    """A one-to-one renumbering can be undone to the octet."""
    media = parse(fixtures.strict(name)).media[0]
    here = {number: new for number, new in numbers.items() if number in media.media.formats}
    if len(set(here.values())) < len(here) or set(here.values()) & (set(media.media.formats) - set(here)):
        return
    there = formats.renumbered(media, here)
    assert str(formats.renumbered(there, {new: number for number, new in here.items()})) == str(media)


@pytest.mark.parametrize(
    ("names", "rate"),
    [
        (["pcmu/8000", "g722/8000", "telephone-event/8000"], 8000),
        (["opus/48000/2", "telephone-event/8000", "cn/8000"], 48_000),
        (["opus/48000/2", "pcmu/8000"], None),
        (["telephone-event/8000"], None),
        (["", "pcmu/8000"], 8000),
        (["x/0"], None),
        (["x/-1"], None),
        ([f"x/{'9' * 5000}"], None),
        ([], None),
    ],
)
def test_the_clock_of_a_stream(names: list[str], rate: int | None) -> None:
    assert formats.clock(names) == rate
