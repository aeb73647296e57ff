"""Payload types and header extension ids that differ between the legs (rows G13, G14, G25-G28, I08)."""

from __future__ import annotations

import json

import pytest

from appliance.calls.media import StreamMedia
from appliance.calls.negotiation import Negotiation
from appliance.errors import NotAcceptable
from appliance.policy.codec_wishes import CodecWishes
from appliance.policy.options import Vbr
from tests.appliance.protocols.sdp import fixtures

from .sdps import ALICE, BOB, Call, answering, counting, media, options, read, sdp

LEVEL, OFFSET = "urn:ietf:params:rtp-hdrext:ssrc-audio-level", "urn:ietf:params:rtp-hdrext:toffset"
PLAIN = options(transport_protocol="RTP/AVP", vbr=Vbr.ALLOW)


def audio(host: str, *codecs: str, lines: tuple[str, ...] = (), version: int = 1, proto: str = "RTP/AVP") -> bytes:
    """`codecs`: "111 opus/48000/2", or a static number alone."""
    numbers = " ".join(codec.split()[0] for codec in codecs)
    maps = [f"a=rtpmap:{codec}" for codec in codecs if " " in codec]
    port = 8000 if host == ALICE else 4000
    return sdp(host, media(port, proto, *maps, *lines, formats=numbers), version=version)


def said(text: bytes, at: int = 0) -> dict[str, str]:
    """Format -> rtpmap, in the order of the m-line."""
    section = read(text).media[at]
    maps = dict(value.split(" ", 1) for value in section.attributes("rtpmap"))
    return {number: maps.get(number, "") for number in section.media.formats}


def towards(stream: StreamMedia) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
    return stream.a.payload_types, stream.b.payload_types


ZOIPER = ("106 opus/48000/2", "111 speex/16000", "8", "98 telephone-event/48000", "101 telephone-event/8000")


def test_same_numbers_pass_untouched() -> None:
    """G25: the usual call: every codec of the reference's offers, by name and clock, numbers as they are."""
    for name in ("05_zoiper_avp_offer", "06_freeswitch_savp_offer_nine_cryptos", "01_jitsi_avp_two_mlines"):
        call = Call()
        text = fixtures.addressed(name)
        offered = call.offer(text, PLAIN)
        assert said(offered.sdp) == said(text)
        done = call.answer(offered.sdp.replace(b"192.0.2.20", b"203.0.113.1"))
        assert said(done.sdp) == said(text)
        assert all(towards(stream) == ((), ()) for stream in done.streams)


def test_g722_alone_keeps_its_clock() -> None:
    """G31: rtpmap says 8000 for G.722 (RFC 3551 section 4.5.2) and is not corrected."""
    call = Call()
    offered = call.offer(audio(ALICE, "9 G722/8000"), PLAIN)
    assert said(call.answer(answering(offered.sdp, extra=["a=rtpmap:9 G722/8000"])).sdp) == {"9": "G722/8000"}


def test_answer_by_the_answerers_numbers() -> None:
    """RFC 3264 section 6.1: the offerer is told its own numbers; both ways are translated, and what the answerer was
    told stays understood."""
    call = Call()
    call.offer(audio(ALICE, "111 opus/48000/2", "101 telephone-event/48000", "8"), PLAIN)
    done = call.answer(audio(BOB, "96 opus/48000/2", "97 telephone-event/48000", "8", lines=("a=fmtp:96 cbr=1",)))
    assert said(done.sdp) == {"111": "opus/48000/2", "101": "telephone-event/48000", "8": ""}
    assert read(done.sdp).media[0].attributes("fmtp") == ["111 cbr=1"]
    assert towards(done.streams[0]) == (((96, 111), (97, 101)), ((111, 96), (101, 97)))


def test_two_numbers_of_one_codec() -> None:
    """Bob answered opus as 120 and offers it as 96: Alice's 120 is told him as 96, the number of this offer."""
    call = Call()
    call.offer(audio(ALICE, "96 opus/48000/2"), PLAIN)
    call.answer(audio(BOB, "120 opus/48000/2"))
    call.offer(audio(BOB, "96 opus/48000/2", version=2), PLAIN, tag="bob")
    done = call.answer(audio(ALICE, "120 opus/48000/2"), options(), tag="alice")
    assert said(done.sdp) == {"96": "opus/48000/2"}
    assert towards(done.streams[0]) == (((96, 120),), ((120, 96),))


def test_swapped_numbers() -> None:
    """Two numbers the other way round: sent by either convention they would be ambiguous, so ours holds: the peer
    sends what it was told (RFC 3264), and gets what it said."""
    call = Call()
    call.offer(audio(ALICE, "96 opus/48000/2", "97 speex/16000"), PLAIN)
    done = call.answer(audio(BOB, "97 opus/48000/2", "96 speex/16000"))
    assert said(done.sdp) == {"96": "opus/48000/2", "97": "speex/16000"}
    assert towards(done.streams[0]) == ((), ((96, 97), (97, 96)))


def test_answer_that_gives_a_number_another_meaning() -> None:
    """G25: 111 is speex in the offer and opus in the answer: opus is 106 for Alice, in both directions."""
    call = Call()
    call.offer(audio(ALICE, *ZOIPER), PLAIN)
    done = call.answer(audio(BOB, "111 opus/48000/2", "98 telephone-event/48000"))
    assert said(done.sdp) == {"106": "opus/48000/2", "98": "telephone-event/48000"}
    assert towards(done.streams[0]) == (((111, 106),), ((106, 111),))


def test_reoffer_with_a_clash() -> None:
    """G25, RFC 3264 section 8.3.2: a new party behind Bob calls opus 111, which is speex for Alice: she is asked with
    her own number, and answers with it."""
    call = Call()
    first = call.answer(answering(call.offer(audio(ALICE, *ZOIPER), PLAIN).sdp, extra=["a=rtpmap:106 opus/48000/2"]))
    bobs = audio(
        BOB, "111 opus/48000/2", "110 telephone-event/48000", version=2,
        lines=("a=fmtp:111 useinbandfec=1", "a=rtcp-fb:111 transport-cc", "a=fmtp:110 0-16"),
    ).replace(b"RTP/AVP", b"RTP/AVPF")  # fmt: skip
    offered = call.offer(bobs, options(transport_protocol="RTP/AVPF"), tag="bob")
    assert said(offered.sdp) == {"106": "opus/48000/2", "110": "telephone-event/48000"}
    section = read(offered.sdp).media[0]
    assert section.attributes("fmtp") == ["106 useinbandfec=1", "110 0-16"]
    assert section.attributes("rtcp-fb") == ["106 transport-cc"]
    assert towards(offered.streams[0]) == towards(first.streams[0]) == ((), ())  # until it is answered
    answer = audio(ALICE, "106 opus/48000/2", "110 telephone-event/48000", proto="RTP/AVPF")
    done = call.answer(answer, options(), tag="alice")
    assert said(done.sdp) == {"111": "opus/48000/2", "110": "telephone-event/48000"}
    assert towards(done.streams[0]) == (((111, 106),), ((106, 111),))
    back = call.offer(audio(ALICE, *ZOIPER, version=3), PLAIN)
    assert said(back.sdp)["106"] == "opus/48000/2"  # free on Bob's leg: as Alice says
    speex = next(number for number, codec in said(back.sdp).items() if codec == "speex/16000")
    assert speex not in {"106", "111"}  # 111 is opus for Bob


def test_clash_without_a_number_of_its_own() -> None:
    """A codec that the leg never heard of gets a free dynamic number outside of RTCP's 64 to 95 (SDP-14)."""
    call = Call()
    call.answer(answering(call.offer(audio(ALICE, *ZOIPER), PLAIN).sdp))
    offered = call.offer(audio(BOB, "111 iLBC/8000", "8", version=2), PLAIN, tag="bob")
    [(number, codec), _] = said(offered.sdp).items()
    assert codec == "iLBC/8000"
    assert number not in {"106", "111", "8", "98", "101"}
    assert 96 <= int(number) <= 127
    done = call.answer(audio(ALICE, f"{number} iLBC/8000"), options(), tag="alice")
    assert said(done.sdp) == {"111": "iLBC/8000"}
    assert towards(done.streams[0]) == (((111, int(number)),), ((int(number), 111),))


def test_references_between_formats_follow() -> None:
    """RFC 2198, RFC 4588: RED and RTX name other numbers inside a=fmtp."""
    call = Call()
    video = ("96 VP8/90000", "97 H264/90000", "63 red/48000/2", "111 opus/48000/2")
    call.answer(answering(call.offer(audio(ALICE, *video), PLAIN).sdp))
    bobs = audio(
        BOB, "97 VP8/90000", "98 rtx/90000", "111 G7221/16000", "112 red/16000", version=2,
        lines=("a=fmtp:98 apt=97;rtx-time=3000", "a=fmtp:112 111/111", "a=fmtp:111 bitrate=32000",
               "a=imageattr:97 send * recv *", "a=rid:hi send pt=97,98;max-width=640"),
    ).replace(b"RTP/AVP", b"RTP/AVPF")  # fmt: skip
    offered = call.offer(bobs, options(transport_protocol="RTP/AVPF"), tag="bob")
    numbers = {codec: number for number, codec in said(offered.sdp).items()}
    assert numbers["VP8/90000"] == "96"
    assert numbers["G7221/16000"] not in {"96", "97", "98", "111", "112"}
    assert sorted(read(offered.sdp).media[0].attributes("fmtp")) == sorted([
        "98 apt=96;rtx-time=3000",
        f"112 {numbers['G7221/16000']}/{numbers['G7221/16000']}",
        f"{numbers['G7221/16000']} bitrate=32000",
    ])  # fmt: skip
    assert read(offered.sdp).media[0].attributes("imageattr") == ["96 send * recv *"]


@pytest.mark.parametrize("spelling", ["G729a/8000", "g729/8000", "G729/8000/1"])
def test_static_numbers_mean_the_same_however_spelt(spelling: str) -> None:
    call = Call()
    call.offer(audio(ALICE, "18 G729/8000", "101 telephone-event/8000"), PLAIN)
    done = call.answer(audio(BOB, f"18 {spelling}", "101 telephone-event/8000"))
    assert said(done.sdp) == {"18": spelling, "101": "telephone-event/8000"}
    assert towards(done.streams[0]) == ((), ())
    assert list(said(call.offer(audio(BOB, f"18 {spelling}", version=2), PLAIN, tag="bob").sdp)) == ["18"]


def test_fmtp_is_kept_verbatim() -> None:
    """G27, G28: opus, iLBC, telephone-event parameters as the reference prints them, blanks and all."""
    for name in ("05_zoiper_avp_offer", "06_freeswitch_savp_offer_nine_cryptos"):
        text = fixtures.addressed(name)
        kept = read(text).media[0].attributes("fmtp")
        assert kept and read(Call().offer(text, PLAIN).sdp).media[0].attributes("fmtp") == kept


def test_telephone_event_follows_its_clock() -> None:
    """G26: of four telephone-event clocks the answer's is told, in Alice's number for that clock, and translated."""
    call = Call()
    offered = call.offer(fixtures.addressed("05_zoiper_avp_offer"), options(transport_protocol="RTP/SAVP"))
    lines = read(offered.sdp).media[0].attributes("crypto")
    bob = audio(BOB, "106 opus/48000/2", "101 telephone-event/48000", proto="RTP/SAVP",
                lines=(f"a=crypto:{lines[0].split()[0]} {lines[0].split()[1]} inline:{'QUFB' * 14}QUE=",))  # fmt: skip
    done = call.answer(bob)
    assert said(done.sdp) == {"106": "opus/48000/2", "98": "telephone-event/48000"}
    assert towards(done.streams[0]) == (((101, 98),), ((98, 101),))
    assert done.streams[0].b.send is not None  # events pass as RTP does: encrypted


def test_numbers_survive_a_restart() -> None:
    call = Call()
    call.answer(answering(call.offer(audio(ALICE, *ZOIPER), PLAIN).sdp))
    bobs = audio(BOB, "111 opus/48000/2", version=2, lines=(f"a=extmap:3 {LEVEL}",))
    call.offer(bobs, PLAIN, tag="bob")
    record = json.loads(json.dumps(call.negotiation.to_record()))
    answer = audio(ALICE, "106 opus/48000/2")
    straight = call.answer(answer, options(), tag="alice")
    again = Call()
    again.negotiation = Negotiation.from_record(record, counting())
    assert again.answer(answer, options(), tag="alice").streams == straight.streams
    assert towards(straight.streams[0]) == (((111, 106),), ((106, 111),))


class TestMux:
    def test_numbers_like_rtcp_are_not_muxed(self) -> None:
        """SDP-14, RFC 5761 section 4: with a payload type of 64 to 95 the ports stay apart."""
        for number, muxed in (("72", False), ("96", True)):
            call = Call()
            offered = call.offer(audio(ALICE, f"{number} opus/48000/2", lines=("a=rtcp-mux",)), PLAIN)
            assert read(offered.sdp).media[0].has("rtcp-mux") == muxed
            assert read(call.answer(answering(offered.sdp, extra=["a=rtcp-mux"])).sdp).media[0].has("rtcp-mux") == muxed


class TestExtensions:
    """RFC 8285: ids per leg; only what both sides negotiated passes."""

    def call(self, offer: tuple[str, ...], answer: tuple[str, ...]) -> tuple[StreamMedia, list[str], list[str]]:
        call = Call()
        offered = call.offer(audio(ALICE, "8", lines=tuple(f"a=extmap:{one}" for one in offer)), PLAIN)
        done = call.answer(answering(offered.sdp, extra=[f"a=extmap:{one}" for one in answer]))
        return (
            done.streams[0],
            read(offered.sdp).media[0].attributes("extmap"),
            read(done.sdp).media[0].attributes("extmap"),
        )

    def test_all_taken(self) -> None:
        """G13, G14: same ids, all negotiated: packets are left alone."""
        lines = (f"1 {LEVEL}", f"2/sendonly {OFFSET} x=y")
        stream, offered, answered = self.call(lines, lines)
        assert offered == answered == list(lines)
        assert stream.a.extensions is None and stream.b.extensions is None

    def test_nobody_said_anything(self) -> None:
        stream, *_ = self.call((), ())
        assert stream.a.extensions is None and stream.b.extensions is None

    def test_some_taken(self) -> None:
        """What the answer leaves out is blanked, also what it makes up."""
        stream, _, answered = self.call((f"1 {LEVEL}", f"2 {OFFSET}"), (f"1 {LEVEL}", "5 urn:made:up"))
        assert answered == [f"1 {LEVEL}"]
        assert stream.a.extensions == stream.b.extensions == ((1, 1),)

    def test_none_taken(self) -> None:
        stream, _, answered = self.call((f"1 {LEVEL}",), ())
        assert answered == []
        assert stream.a.extensions == stream.b.extensions == ()

    def test_answered_by_other_ids(self) -> None:
        """Each leg by its own."""
        stream, _, answered = self.call((f"1 {LEVEL}",), (f"7 {LEVEL}",))
        assert answered == [f"1 {LEVEL}"]
        assert (stream.a.extensions, stream.b.extensions) == (((7, 1),), ((1, 7),))

    def test_placeholders(self) -> None:
        """RFC 8285 section 6: ids from 4096 on are the answerer's to choose."""
        stream, offered, answered = self.call((f"4096 {LEVEL}", f"4097 {OFFSET}"), (f"3 {LEVEL}",))
        assert offered == [f"4096 {LEVEL}", f"4097 {OFFSET}"]
        assert answered == [f"3 {LEVEL}"]
        assert stream.a.extensions == ((3, 3),)

    def test_encrypted_extensions_are_not_offered_on(self) -> None:
        """RFC 6904: keyed per hop, and we do not do it."""
        stream, offered, _ = self.call((f"4 urn:ietf:params:rtp-hdrext:encrypt {LEVEL}", f"1 {LEVEL}"), (f"1 {LEVEL}",))
        assert offered == [f"1 {LEVEL}"]
        assert stream.a.extensions is None

    def test_reoffer_by_other_ids(self) -> None:
        """Alice keeps her id for a URI, and an id that means another URI to her is replaced."""
        call = Call()
        lines = [f"a=extmap:1 {LEVEL}"]
        call.answer(answering(call.offer(audio(ALICE, "8", lines=tuple(lines)), PLAIN).sdp, extra=lines))
        bobs = audio(BOB, "8", version=2, lines=(f"a=extmap:3 {LEVEL}", f"a=extmap:1 {OFFSET}"))
        offered = call.offer(bobs, PLAIN, tag="bob")
        asked = read(offered.sdp).media[0].attributes("extmap")
        assert asked[0] == f"1 {LEVEL}"
        number, uri = asked[1].split()
        assert uri == OFFSET and number not in {"1", "3"}
        answer = audio(ALICE, "8", lines=(f"a=extmap:1 {LEVEL}", f"a=extmap:{number} {OFFSET}"))
        done = call.answer(answer, options(), tag="alice")
        assert read(done.sdp).media[0].attributes("extmap") == [f"3 {LEVEL}", f"1 {OFFSET}"]


class TestCodecWishes:
    """NG's codec words (I08): what goes on of an offer."""

    OFFER = audio(
        ALICE, "106 opus/48000/2", "9", "0", "8", "101 telephone-event/8000",
        lines=("a=fmtp:106 cbr=1", "a=fmtp:101 0-16", "a=ptime:20"),
    )  # fmt: skip

    @pytest.mark.parametrize(
        ("wishes", "left"),
        [
            (CodecWishes(strip=frozenset({"opus"})), "9 0 8 101"),
            (CodecWishes(mask=frozenset({"OPUS/48000/2", "pcmu"})), "9 8 101"),
            (CodecWishes(strip=frozenset({"all"}), exempt=frozenset({"PCMA"})), "8 101"),
            (CodecWishes(strip=frozenset({"all"}), offer=("PCMA", "opus")), "8 106 101"),
            (CodecWishes(order=("PCMA", "G722")), "8 9 106 0 101"),
            (CodecWishes(strip=frozenset({"telephone-event"})), "106 9 0 8"),
            (CodecWishes(strip=frozenset({"G729"})), "106 9 0 8 101"),
        ],
    )
    def test_what_is_left(self, wishes: CodecWishes, left: str) -> None:
        call = Call()
        offered = call.offer(self.OFFER, options(codecs=wishes, transport_protocol="RTP/SAVP"))
        section = read(offered.sdp).media[0]
        assert " ".join(section.media.formats) == left
        named = {value.split()[0] for name in ("rtpmap", "fmtp") for value in section.attributes(name)}
        assert named == {"106", "101"} & set(section.media.formats)
        assert section.attributes("ptime") == ["20"]
        done = call.answer(answering(offered.sdp))
        assert read(done.sdp).media[0].media.formats == (left.split()[0],)

    def test_nothing_left(self) -> None:
        """The m-line is refused; if it was the only one, the offer."""
        wishes = options(codecs=CodecWishes(strip=frozenset({"all"})))
        with pytest.raises(NotAcceptable, match="no codec is left"):
            Call().offer(self.OFFER, wishes)
        two = self.OFFER + b"m=text 8010 RTP/AVP 98\r\na=rtpmap:98 t140/1000\r\n"
        call = Call()
        offered = call.offer(two, options(codecs=CodecWishes(strip=frozenset({"t140"}))))
        assert offered.lines == (0,)
        assert str(read(call.answer(answering(offered.sdp)).sdp).media[1].media) == "text 0 RTP/AVP 98"

    def test_retransmission_goes_with_its_codec(self) -> None:
        offer = sdp(ALICE, media(8000, "RTP/AVPF", "a=rtpmap:96 VP8/90000", "a=rtpmap:97 rtx/90000", "a=fmtp:97 apt=96",
                                 "a=rtpmap:98 H264/90000", "a=rtpmap:99 rtx/90000", "a=fmtp:99 apt=98",
                                 kind="video", formats="96 97 98 99"))  # fmt: skip
        text = Call().offer(offer, options(codecs=CodecWishes(strip=frozenset({"VP8"})))).sdp
        assert read(text).media[0].media.formats == ("98", "99")
