"""One stream in several m-lines, and keys under plain profiles: what optional security looks like on the wire, in and
out (rows G09-G11, H02, SDP-5 to SDP-11)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from appliance.calls.media import Address
from appliance.calls.negotiation import Negotiated
from appliance.errors import CryptoRequired, NotAcceptable
from appliance.policy.options import MediaOptions, SdesOptions
from appliance.policy.secure_media import Mode, SecureMedia, resolve
from tests.appliance.protocols.sdp import fixtures

from .sdps import ALICE, BOB, Call, answering, crypto, cryptos, media, options, read, sdp

CM80, GCM = "AES_CM_128_HMAC_SHA1_80", "AEAD_AES_256_GCM"
OPTIONAL = options(outbound=SecureMedia(Mode.OPTIONAL))
OSRTP = options(osrtp=frozenset({"offer"}))
JITSI = "04_jitsi_invite_four_mlines_same_port"
LEGACY = frozenset({"accept-legacy"})


def plain(*lines: str, version: int = 1) -> bytes:
    return sdp(ALICE, media(8000, "RTP/AVP", *lines), version=version)


def shape(text: bytes) -> list[tuple[str, bool, int]]:
    """Profile, in use, number of crypto lines of every m-line."""
    return [
        (section.media.proto, section.media.port != 0, len(section.attributes("crypto")))
        for section in read(text).media
    ]


def taking(offer: bytes, *places: int, octet: int = 0x62, keys: bool = True) -> bytes:
    """Bob takes the m-lines at these places and refuses the others."""
    sections = []
    for at, section in enumerate(read(offer).media):
        line, lines = section.media, cryptos(offer, at)
        if at not in places:
            sections.append([f"m={line.kind} 0 {line.proto} {' '.join(line.formats)}"])
            continue
        key = [crypto(lines[0].tag, lines[0].spelling, octet + at)] if lines and keys else []
        sections.append(media(4000 + 2 * at, line.proto, *key, kind=line.kind, formats=line.formats[0]))
    return sdp(BOB, *sections)


def legs(done: Negotiated) -> Sequence[bool]:
    [stream] = done.streams
    for leg in (stream.a, stream.b):
        assert leg.secure == (leg.receive is not None) == (leg.send is not None)
    return stream.a.secure, stream.b.secure


class TestTwinsOut:
    """H02: `optional` offers SAVP first, then AVP, for one stream."""

    def test_the_offer(self) -> None:
        call = Call()
        offered = call.offer(plain("a=mid:0", "a=ptime:20"), OPTIONAL)
        assert shape(offered.sdp) == [("RTP/SAVP", True, 10), ("RTP/AVP", True, 0)]
        assert offered.lines == (0,)
        one, two = read(offered.sdp).media
        assert one.media.port == two.media.port  # one stream of ours, whichever is taken
        assert one.attributes("mid") == ["0"] and not two.has("mid")  # RFC 5888: a mid stands once
        assert two.attributes("ptime") == ["20"]
        early = offered.streams[0].b
        assert early.secure and early.receive is None and early.send is None  # nothing plain before the answer says so

    @pytest.mark.parametrize(("places", "secure"), [((0,), True), ((1,), False), ((0, 1), True)])
    def test_the_answer_decides(self, places: tuple[int, ...], secure: bool) -> None:
        """H02: the secure one if it is taken (also when both are), else plain; Alice sees her one m-line."""
        call = Call()
        offered = call.offer(plain(), OPTIONAL).sdp
        done = call.answer(taking(offered, *places))
        assert legs(done) == (False, secure)
        assert done.streams[0].b.remote_rtp == Address(BOB, 4000 + 2 * places[0])
        assert shape(done.sdp) == [("RTP/AVP", True, 0)]

    def test_repeated_offer_is_the_same(self) -> None:
        """A proxy offers once per branch; a refresh after the answer changes nothing either."""
        call = Call()
        first = call.offer(plain(), OPTIONAL).sdp
        assert call.offer(plain(), OPTIONAL).sdp == first
        call.answer(taking(first, 1))
        settled = call.offer(plain(), OPTIONAL).sdp
        call.answer(taking(settled, 1))
        assert call.offer(plain(), OPTIONAL).sdp == settled

    def test_refused_altogether(self) -> None:
        call = Call()
        done = call.answer(taking(call.offer(plain(), OPTIONAL).sdp))
        assert done.streams == () and shape(done.sdp) == [("RTP/AVP", False, 0)]

    def test_a_callee_that_knows_one_m_line_only(self) -> None:
        """The second m-line may be missing from the answer."""
        call = Call()
        call.offer(plain(), OPTIONAL)
        assert legs(call.answer(sdp(BOB, media(4000, "RTP/SAVP", crypto(1, GCM, 0x62))))) == (False, True)

    def test_no_downgrade_in_the_place_of_the_secure_one(self) -> None:
        """C3: an answer may refuse SAVP, it may not turn it into AVP, nor leave its keys out."""
        call = Call()
        call.offer(plain(), OPTIONAL)
        with pytest.raises(CryptoRequired):
            call.answer(sdp(BOB, media(4000, "RTP/AVP"), media(0, "RTP/AVP")))
        with pytest.raises(CryptoRequired):
            call.answer(sdp(BOB, media(4000, "RTP/SAVP"), media(4000, "RTP/AVP")))
        with pytest.raises(NotAcceptable):
            call.answer(sdp(BOB, media(0, "RTP/SAVP"), media(4000, "RTP/SAVP", crypto(1, GCM))))

    @pytest.mark.parametrize(("place", "secure"), [(0, True), (1, False)])
    def test_it_is_settled_for_the_call(self, place: int, secure: bool) -> None:
        """RFC 3264 section 8: a re-offer has the same m-lines; what was refused stays refused, keys stay."""
        call = Call()
        first = call.answer(taking(call.offer(plain(), OPTIONAL).sdp, place))
        again = call.offer(plain("a=ptime:30", version=2), OPTIONAL)
        assert [used for _, used, _ in shape(again.sdp)] == [place == 0, place == 1]
        assert again.streams == first.streams
        assert call.answer(taking(again.sdp, place)).streams == first.streams

    def test_callee_reoffers_its_two_lines(self) -> None:
        """Bob's re-offer has two m-lines, Alice gets one, and Bob's answer two again."""
        call = Call()
        first = call.answer(taking(call.offer(plain(), OPTIONAL).sdp, 0))
        bobs = sdp(BOB, media(4000, "RTP/SAVP", crypto(1, GCM, 0x62)), media(0, "RTP/AVP"), version=2)
        towards_alice = call.offer(bobs, options(), tag="bob")
        assert shape(towards_alice.sdp) == [("RTP/AVP", True, 0)]
        done = call.answer(sdp(ALICE, media(8000, "RTP/AVP")), options(), tag="alice")
        assert shape(done.sdp) == [("RTP/SAVP", True, 1), ("RTP/AVP", False, 0)]
        assert done.streams == first.streams

    def test_callee_closes_up_its_ranks(self) -> None:
        """Against RFC 3264 section 8, but seen: the re-offer leaves the refused twin out. The stream is the same."""
        call = Call()
        first = call.answer(taking(call.offer(plain(), OPTIONAL).sdp, 1))
        towards_alice = call.offer(sdp(BOB, media(4002, "RTP/AVP"), version=2), options(), tag="bob")
        assert towards_alice.lines == (0,) and len(read(towards_alice.sdp).media) == 1
        done = call.answer(sdp(ALICE, media(8000, "RTP/AVP")), options(), tag="alice")
        assert len(read(done.sdp).media) == 1
        assert done.streams == first.streams

    def test_a_stream_added_later(self) -> None:
        """New streams stand behind what the leg knows: Alice's second m-line is Bob's third and fourth."""
        call = Call()
        call.answer(taking(call.offer(plain(), OPTIONAL).sdp, 0))
        two = sdp(ALICE, media(8000, "RTP/AVP"), media(8002, "RTP/AVP", kind="video", formats="96"), version=2)
        offered = call.offer(two, OPTIONAL)
        assert [(m.media.kind, bool(m.media.port)) for m in read(offered.sdp).media] == [
            ("audio", True), ("audio", False), ("video", True), ("video", True),
        ]  # fmt: skip
        assert offered.lines == (0, 1)
        done = call.answer(taking(offered.sdp, 0, 3))
        assert [stream.b.secure for stream in done.streams] == [True, False]
        assert [bool(m.media.port) for m in read(done.sdp).media] == [True, True]

    def test_added_by_the_callee(self) -> None:
        call = Call()
        call.answer(taking(call.offer(plain(), OPTIONAL).sdp, 0))
        bobs = sdp(
            BOB, media(4000, "RTP/SAVP", crypto(1, GCM, 0x62)), media(0, "RTP/AVP"),
            media(4004, "RTP/AVP", kind="text", formats="98"), version=2,
        )  # fmt: skip
        offered = call.offer(bobs, options(), tag="bob")
        assert [m.media.kind for m in read(offered.sdp).media] == ["audio", "text"]
        answer = sdp(ALICE, media(8000, "RTP/AVP"), media(8004, "RTP/AVP", kind="text", formats="98"))
        done = call.answer(answer, options(), tag="alice")
        assert [(m.media.kind, bool(m.media.port)) for m in read(done.sdp).media] == [
            ("audio", True), ("audio", False), ("text", True),
        ]  # fmt: skip

    def test_a_refused_line_that_comes_back(self) -> None:
        """RFC 3264 section 8.1: a place with port 0 may carry a stream again, with both twins."""
        call = Call()
        call.answer(taking(call.offer(plain(), OPTIONAL).sdp))
        offered = call.offer(plain(version=2), OPTIONAL)
        assert shape(offered.sdp) == [("RTP/SAVP", True, 10), ("RTP/AVP", True, 0)]
        assert legs(call.answer(taking(offered.sdp, 1))) == (False, False)

    def test_over_cleartext(self) -> None:
        """C07, SDP-8: without protected signalling no key is written: plain alone."""
        wishes = MediaOptions(outbound=SecureMedia(Mode.OPTIONAL))
        assert shape(Call().offer(plain(), wishes).sdp) == [("RTP/AVP", True, 0)]

    @pytest.mark.parametrize("proto", ["RTP/AVP", "RTP/AVPF"])
    def test_by_the_word(self, proto: str) -> None:
        """NG's OSRTP=offer-legacy, beside a transport protocol or alone; feedback as it was."""
        feedback = "F" if proto.endswith("F") else ""
        for wishes in (
            options(osrtp=frozenset({"offer-legacy"})),
            options(osrtp=frozenset({"offer-legacy"}), transport_protocol=f"RTP/SAVP{feedback}"),
        ):
            text = Call().offer(sdp(ALICE, media(8000, proto)), wishes).sdp
            assert [proto for proto, _, _ in shape(text)] == [f"RTP/SAVP{feedback}", f"RTP/AVP{feedback}"]

    @pytest.mark.parametrize("words", [{"offer"}, {"offer-legacy"}, {"offer", "offer-legacy"}])
    def test_never_where_security_is_demanded_or_forbidden(self, words: set[str]) -> None:
        """SDP-7, H01, H03: mandatory is one SAVP line, forbidden one AVP line, whatever the words."""
        for mode, expected in ((Mode.MANDATORY, ("RTP/SAVP", True, 10)), (Mode.FORBIDDEN, ("RTP/AVP", True, 0))):
            wishes = options(outbound=SecureMedia(mode), osrtp=frozenset(words))
            assert shape(Call().offer(plain(), wishes).sdp) == [expected]


class TestOsrtpOut:
    """RFC 8643: keys under RTP/AVP(F); SDP-5, SDP-6, SDP-8, SDP-11."""

    @pytest.mark.parametrize(
        "wishes",
        [OSRTP, options(osrtp=frozenset({"offer"}), outbound=SecureMedia(Mode.OPTIONAL)),
         options(osrtp=frozenset({"offer"}), transport_protocol="RTP/SAVP")],
    )  # fmt: skip
    def test_the_offer(self, wishes: MediaOptions) -> None:
        offered = Call().offer(plain(), wishes)
        assert shape(offered.sdp) == [("RTP/AVP", True, 10)]
        assert offered.streams[0].b.secure and offered.streams[0].b.receive is None

    @pytest.mark.parametrize("keys", [True, False])
    def test_the_answer_decides(self, keys: bool) -> None:
        call = Call()
        offered = call.offer(plain(), OSRTP).sdp
        done = call.answer(taking(offered, 0, keys=keys))
        assert legs(done) == (False, keys)
        assert shape(done.sdp) == [("RTP/AVP", True, 0)]
        call.offer(plain(version=2), OSRTP)
        again = call.offer(plain(version=3), OSRTP)  # asked again, by the same keys: a refresh changes nothing
        assert again.sdp == call.offer(plain(version=4), OSRTP).sdp
        assert {line.keys for line in cryptos(again.sdp)} <= {line.keys for line in cryptos(offered)}
        assert shape(again.sdp)[0][0] == "RTP/AVP" and shape(again.sdp)[0][2] > 0
        assert call.answer(taking(again.sdp, 0, keys=keys)).streams == done.streams

    def test_keys_that_fail_are_no_way_to_plain(self) -> None:
        """SDP-6."""
        call = Call()
        call.offer(plain(), OSRTP)
        with pytest.raises(CryptoRequired):
            call.answer(sdp(BOB, media(4000, "RTP/AVP", crypto(99, CM80, 0x62))))

    def test_over_cleartext(self) -> None:
        """SDP-8."""
        assert shape(Call().offer(plain(), MediaOptions(osrtp=frozenset({"offer"}))).sdp) == [("RTP/AVP", True, 0)]

    def test_an_answerer_whose_trunk_demands_keys(self) -> None:
        """H01: what the answer settles is judged too."""
        call = Call()
        offered = call.offer(plain(), OSRTP).sdp
        with pytest.raises(CryptoRequired):
            call.answer(taking(offered, 0, keys=False), options(inbound=SecureMedia(Mode.MANDATORY)))

    def test_survives_a_restart(self) -> None:
        """The record knows that AVP is secure here."""
        call = Call()
        done = call.answer(taking(call.offer(plain(), OSRTP).sdp, 0))
        call.negotiation = type(call.negotiation).from_record(
            call.negotiation.to_record(), lambda octets: b"\xee" * octets
        )
        again = call.offer(plain(version=2), OSRTP)
        assert call.answer(taking(again.sdp, 0)).streams == done.streams


class TestOsrtpIn:
    """RFC 8643 section 3.1, on the side that offers."""

    ACCEPT = options(osrtp=frozenset({"accept-rfc"}), transport_protocol="RTP/AVP")

    def offer(self, wishes: MediaOptions, *lines: str, proto: str = "RTP/AVP") -> Negotiated:
        call = Call()
        offered = call.offer(sdp(ALICE, media(8000, proto, *(lines or (crypto(1, CM80),)))), wishes)
        return call.answer(answering(offered.sdp))

    @pytest.mark.parametrize("proto", ["RTP/AVP", "RTP/AVPF"])
    def test_taken(self, proto: str) -> None:
        """The profile is repeated (SDP-2), one key answered, media is SRTP."""
        done = self.offer(self.ACCEPT, proto=proto)
        assert shape(done.sdp) == [(proto, True, 1)]
        assert legs(done) == (True, False)

    @pytest.mark.parametrize(
        "wishes",
        [options(), options(transport_protocol="RTP/AVP"), options(transport_protocol="RTP/SAVP"), OPTIONAL],
        ids=["nothing", "AVP", "SAVP", "optional"],
    )
    def test_the_other_side_reoffers(self, wishes: MediaOptions) -> None:
        """C3: Bob's hold does not turn Alice's secured leg plain: she is asked by RFC 8643 again, keys go on."""
        call = Call()
        first = call.answer(answering(call.offer(plain(crypto(1, CM80)), self.ACCEPT).sdp))
        assert legs(first) == (True, False)
        towards_alice = call.offer(sdp(BOB, media(4000, "RTP/AVP", "a=sendonly"), version=2), wishes, tag="bob")
        [(proto, used, lines)] = shape(towards_alice.sdp)
        assert (proto, used) == ("RTP/AVP", True) and lines > 0
        tag = cryptos(towards_alice.sdp)[0].tag
        alices = sdp(ALICE, media(8000, "RTP/AVP", crypto(tag, CM80), "a=recvonly"))
        [stream] = call.answer(alices, self.ACCEPT, tag="alice").streams
        assert stream.a.secure and (stream.a.receive, stream.a.send) == (
            first.streams[0].a.receive,
            first.streams[0].a.send,
        )

    def test_without_the_word(self) -> None:
        done = self.offer(options(transport_protocol="RTP/AVP"))
        assert shape(done.sdp) == [("RTP/AVP", True, 0)]
        assert legs(done) == (False, False)

    def test_ignored_where_it_cannot_be(self) -> None:
        """SDP-8 cleartext, H03 forbidden, no line of use: plain, as the offer allows."""
        for wishes in (
            MediaOptions(osrtp=frozenset({"accept-rfc"})),
            options(osrtp=frozenset({"accept-rfc"}), inbound=SecureMedia(Mode.FORBIDDEN)),
        ):
            assert legs(self.offer(wishes)) == (False, False)
        assert legs(self.offer(self.ACCEPT, crypto(1, "AEAD_AES_256_GCM_8"))) == (False, False)

    def test_refused_where_security_is_demanded(self) -> None:
        """SDP-7."""
        with pytest.raises(CryptoRequired):
            self.offer(options(osrtp=frozenset({"accept-rfc"}), inbound=SecureMedia(Mode.MANDATORY)))

    def test_fingerprint_under_avp(self) -> None:
        """D13: without certificates such an offer is answered plain, without a fingerprint."""
        done = self.offer(self.ACCEPT, "a=fingerprint:sha-256 AA", "a=setup:actpass")
        assert b"fingerprint" not in done.sdp and legs(done) == (False, False)


class TestAlternativesIn:
    """G09-G11, SDP-10: Jitsi's four m-lines on one port."""

    @pytest.mark.parametrize(("inbound", "winner"), [("mandatory", 1), ("optional", 1), ("forbidden", 3)])
    @pytest.mark.parametrize("outbound", ["mandatory", "optional", "forbidden"])
    def test_original_lines_are_answered(self, inbound: str, winner: int, outbound: str) -> None:
        """Four m-lines back in their order whatever Bob saw, three with port 0, keys on one; no DTLS for SHA-1."""
        call = Call()
        wishes = options(inbound=resolve(inbound).inbound, outbound=resolve(outbound).outbound)
        offer = fixtures.addressed(JITSI)
        offered = call.offer(offer, wishes)
        assert len(shape(offered.sdp)) == 1 + (outbound == "optional")
        done = call.answer(taking(offered.sdp, 0))
        protos = [section.media.proto for section in read(offer).media]
        assert shape(done.sdp) == [
            (proto, at == winner, int(at == winner and inbound != "forbidden")) for at, proto in enumerate(protos)
        ]
        assert legs(done) == (inbound != "forbidden", outbound != "forbidden")

    @pytest.mark.parametrize("rest_refused", [True, False])
    def test_reoffer(self, rest_refused: bool) -> None:
        """Jitsi's re-INVITE, with all four alternatives or only the agreed one: the same stream, the same keys."""
        call = Call()
        text = fixtures.addressed(JITSI)
        first = call.answer(taking(call.offer(text, options(transport_protocol="RTP/SAVP")).sdp, 0))
        if rest_refused:
            ports = iter([b"0", b"5016", b"0", b"0"])
            text = b"".join(next(ports) + rest if at else rest for at, rest in enumerate(text.split(b"5016")))
        again = call.offer(text, options(transport_protocol="RTP/SAVP"))
        assert again.lines == (0,) and len(read(again.sdp).media) == 1
        done = call.answer(taking(again.sdp, 0))
        assert done.streams == first.streams
        assert [used for _, used, _ in shape(done.sdp)] == [False, True, False, False]

    def test_all_refused(self) -> None:
        """G05: the two DTLS-only forms of the reference's second SDP, without certificates: nothing is left: 488."""
        with pytest.raises(NotAcceptable) as caught:
            Call().offer(fixtures.addressed("02_jitsi_dtls_and_savpf_dotted"))
        assert caught.value.sip_status == 488

    def test_other_address_is_another_stream(self) -> None:
        """G09: same port, same kind, but not the same address: two streams."""
        text = sdp(ALICE, media(8000, "RTP/AVP"), media(8000, "RTP/AVP", "c=IN IP4 198.51.100.9"))
        assert Call().offer(text).lines == (0, 1)

    def test_bundled_lines_on_one_port_are_streams(self) -> None:
        """SDP-15: one port is what BUNDLE means."""
        lines = (media(8000, "RTP/AVP", "a=mid:0"), media(8000, "RTP/AVP", "a=mid:1"))
        assert Call().offer(sdp(ALICE, *lines, session=["a=group:BUNDLE 0 1"])).lines == (0, 1)


class TestTwinsIn:
    """SAVP and AVP of one stream with ports of their own (FreeSWITCH's optional offer), with `accept-legacy`."""

    def offer(self, **more: object) -> bytes:
        return sdp(ALICE, media(8000, "RTP/SAVP", crypto(1, CM80)), media(8002, "RTP/AVP"))

    @pytest.mark.parametrize(("mode", "winner"), [(Mode.OPTIONAL, 0), (Mode.MANDATORY, 0), (Mode.FORBIDDEN, 1)])
    def test_one_is_taken(self, mode: Mode, winner: int) -> None:
        call = Call()
        wishes = options(osrtp=LEGACY, inbound=SecureMedia(mode), transport_protocol="RTP/AVP")
        offered = call.offer(self.offer(), wishes)
        assert offered.lines == (0,) and len(read(offered.sdp).media) == 1
        done = call.answer(answering(offered.sdp))
        assert [used for _, used, _ in shape(done.sdp)] == [winner == 0, winner == 1]
        assert done.streams[0].a.remote_rtp == Address(ALICE, 8000 + 2 * winner)
        assert done.streams[0].a.secure == (winner == 0)

    def test_plain_first(self) -> None:
        """The secure one is taken wherever it stands."""
        text = sdp(ALICE, media(8002, "RTP/AVP"), media(8000, "RTP/SAVP", crypto(1, CM80)))
        stream = Call().offer(text, options(osrtp=LEGACY)).streams[0]
        assert stream.a.secure and stream.a.remote_rtp == Address(ALICE, 8000)

    def test_not_without_the_word(self) -> None:
        assert Call().offer(self.offer()).lines == (0, 1)

    @pytest.mark.parametrize(
        "second",
        [media(8002, "RTP/AVP", kind="video"), media(8002, "RTP/AVP", formats="8"),
         media(8002, "RTP/SAVP", crypto(1, CM80, 0x42))],
        ids=["kind", "formats", "both secure"],
    )  # fmt: skip
    def test_not_alike(self, second: list[str]) -> None:
        text = sdp(ALICE, media(8000, "RTP/SAVP", crypto(1, CM80)), second)
        assert Call().offer(text, options(osrtp=LEGACY)).lines == (0, 1)

    def test_running_streams_do_not_merge(self) -> None:
        """Two streams that were agreed side by side stay two, also when a re-offer makes them look like twins."""
        call = Call()
        plain_pair = sdp(ALICE, media(8000, "RTP/AVP"), media(8002, "RTP/AVP"))
        call.answer(answering(call.offer(plain_pair, options()).sdp))
        assert call.offer(self.offer(), options(osrtp=LEGACY, transport_protocol="RTP/AVP")).lines == (0, 1)


def test_other_profiles_are_refused_in_their_place() -> None:
    """SDP-1, G05-G07, D14: DTLS without a fingerprint, TCP and DCCP forms, data channels: port 0, the rest lives."""
    protos = ["UDP/TLS/RTP/SAVPF", "TCP/RTP/AVP", "DCCP/RTP/SAVP", "TCP/TLS/RTP/SAVP", "UDP/DTLS/SCTP", "RTP/FOO"]
    sections = [media(9000 + at, proto, kind="video", formats="96") for at, proto in enumerate(protos)]
    offer = sdp(ALICE, *sections, media(8000, "RTP/AVP"))
    call = Call()
    offered = call.offer(offer)
    done = call.answer(answering(offered.sdp))
    assert shape(done.sdp) == [*((proto, False, 0) for proto in protos), ("RTP/AVP", True, 0)]
    assert [str(line.media) for line in read(done.sdp).media[:-1]] == [f"video 0 {proto} 96" for proto in protos]


def test_one_method_of_keying_in_the_answer() -> None:
    """SDP-3, SDP-4: an offer that mixes methods is answered with a=crypto alone."""
    lines = (
        crypto(1, CM80),
        "a=fingerprint:sha-1 AA",
        "a=setup:actpass",
        "a=zrtp-hash:1.10 fe30",
        "a=key-mgmt:mikey AQ",
    )
    call = Call()
    offered = call.offer(sdp(ALICE, media(8000, "RTP/SAVPF", *lines)), options(transport_protocol="RTP/SAVP"))
    for text in (offered.sdp, call.answer(answering(offered.sdp)).sdp):
        section = read(text).media[0]
        assert section.has("crypto")
        assert not any(section.has(name) for name in ("fingerprint", "setup", "zrtp-hash", "key-mgmt"))


def test_no_key_is_emitted_twice_over_twins_and_streams() -> None:
    """SDES-6, C10: the Jitsi of the reference repeats seven keys on two m-lines; we take that and repeat none."""
    text = fixtures.addressed(JITSI) + b"m=video 5020 RTP/AVP 96\r\n"
    offered = Call().offer(text, options(outbound=SecureMedia(Mode.OPTIONAL), sdes=SdesOptions())).sdp
    drawn = [line.keys[0].material for at in range(len(read(offered).media)) for line in cryptos(offered, at)]
    assert len(drawn) == len(set(drawn)) == 20


@pytest.mark.parametrize(("mode", "kept"), [(Mode.MANDATORY, (0,)), (Mode.OPTIONAL, (0, 1)), (Mode.FORBIDDEN, (1,))])
def test_secure_and_plain_streams_in_one_call(mode: Mode, kept: tuple[int, ...]) -> None:
    """SDP-12: only where the policy of the side that offers them says so; SDP-13: each stream is one or the other."""
    text = sdp(ALICE, media(8000, "RTP/SAVP", crypto(1, CM80)), media(8002, "RTP/AVP", kind="video", formats="96"))
    call = Call()
    offered = call.offer(text, options(inbound=SecureMedia(mode), transport_protocol="RTP/AVP"))
    assert offered.lines == kept
    done = call.answer(answering(offered.sdp))
    assert [used for _, used, _ in shape(done.sdp)] == [at in kept for at in range(2)]
    for number, stream in zip(done.lines, done.streams, strict=True):
        assert stream.a.secure == (number == 0) == (stream.a.receive is not None) == (stream.a.send is not None)


@pytest.mark.parametrize("direction", ["sendonly", "recvonly", "inactive"])
def test_keys_whatever_the_direction(direction: str) -> None:
    """SDES-9: a key is given and answered also where one side sends nothing."""
    call = Call()
    text = sdp(ALICE, media(8000, "RTP/SAVP", crypto(1, CM80), f"a={direction}"))
    offered = call.offer(text, options(transport_protocol="RTP/SAVP"))
    assert shape(offered.sdp) == [("RTP/SAVP", True, 10)]
    done = call.answer(answering(offered.sdp))
    assert shape(done.sdp) == [("RTP/SAVP", True, 1)]
    assert cryptos(done.sdp)[0].keys != cryptos(text)[0].keys


@pytest.mark.parametrize("word", ["optional", "mandatory"])
def test_policy_without_a_list(word: str) -> None:
    """H11: all suites from strongest to weakest are offered, and the strongest common one is taken."""
    trunk = resolve(word)
    strongest_last = [crypto(tag, name) for tag, name in enumerate((CM80, "AES_256_CM_HMAC_SHA1_80", GCM), 1)]
    call = Call()
    wishes = options(inbound=trunk.inbound, outbound=trunk.outbound)
    offered = call.offer(sdp(ALICE, media(8000, "RTP/SAVP", *strongest_last)), wishes).sdp
    assert len(cryptos(offered)) == 10
    assert cryptos(offered)[0].spelling == GCM
    assert cryptos(call.answer(taking(offered, 0)).sdp)[0].spelling == GCM
