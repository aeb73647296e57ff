"""What stands in the SDP we write: mux, a=rtcp, c= lines, attributes that belong to one hop."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.calls.media import Address, LocalPorts, StreamPlacement
from appliance.errors import GatewayError
from appliance.policy.options import Ice
from tests.appliance.protocols.sdp import fixtures

from .sdps import ALICE, BOB, Call, answering, media, options, read, sdp

CM80 = "AES_CM_128_HMAC_SHA1_80"


@pytest.mark.parametrize(
    ("words", "offered", "towards_bob", "towards_alice"),
    [
        ((), True, True, True),
        ((), False, False, False),
        (("demux",), True, False, True),
        (("accept",), True, True, True),
        (("reject",), True, False, False),
        (("offer",), False, True, False),
        (("reject", "offer"), True, True, False),
        (("require",), False, True, False),
    ],
)
def test_rtcp_mux(words: tuple[str, ...], offered: bool, towards_bob: bool, towards_alice: bool) -> None:
    """G23, SDP-14, peers 1.2: rtcp-mux per leg; Bob accepts what he is offered, so each leg is muxed exactly where it
    says so."""
    mux = ["a=rtcp-mux"] if offered else []
    call = Call()
    text = call.offer(sdp(ALICE, media(8000, "RTP/AVP", *mux)), options(rtcp_mux=frozenset(words))).sdp
    assert read(text).media[0].has("rtcp-mux") == towards_bob
    done = call.answer(answering(text, extra=["a=rtcp-mux"]))
    assert read(done.sdp).media[0].has("rtcp-mux") == towards_alice
    [stream] = done.streams
    assert (stream.a.mux, stream.b.mux) == (towards_alice, towards_bob)
    assert stream.a.remote_rtcp == (None if towards_alice else Address(ALICE, 8001))
    assert stream.b.remote_rtcp == (None if towards_bob else Address(BOB, 4001))


def test_rtcp_mux_not_taken_up() -> None:
    """SDP-14: not answered: RTCP of its own; `require` takes it for granted."""
    for word, muxed in (("offer", False), ("require", True)):
        call = Call()
        text = call.offer(sdp(ALICE, media(8000, "RTP/AVP")), options(rtcp_mux=frozenset({word}))).sdp
        [stream] = call.answer(answering(text)).streams
        assert stream.b.mux == muxed
        assert stream.b.remote_rtcp == (None if muxed else Address(BOB, 4001))


@pytest.mark.parametrize(
    ("lines", "remote"),
    [
        ([], Address(ALICE, 8001)),
        (["a=rtcp:8005"], Address(ALICE, 8005)),
        (["a=rtcp:8005 IN IP4 198.51.100.9"], Address("198.51.100.9", 8005)),
        (["a=rtcp:9 IN IP4 0.0.0.0"], None),
    ],
)
def test_rtcp_attribute_read(lines: list[str], remote: Address | None) -> None:
    """RFC 3605; G19: 9 and 0.0.0.0 are no address."""
    text = sdp(ALICE, media(8000, "RTP/AVP", *lines))
    assert Call().offer(text).streams[0].a.remote_rtcp == remote


@pytest.mark.parametrize(("ice", "direction"), [(["a=ice-ufrag:x", "a=ice-pwd:y"], "sendrecv"), ([], "sendonly")])
def test_no_address_yet_is_no_hold(ice: list[str], direction: str) -> None:
    """G19: 0.0.0.0 and port 9 with ICE say that candidates come later; without it 0.0.0.0 holds (RFC 2543)."""
    text = sdp(ALICE, media(9, "RTP/AVPF", "c=IN IP4 0.0.0.0", "a=rtcp:9 IN IP4 0.0.0.0", *ice))
    offered = Call().offer(text)
    leg = offered.streams[0].a
    assert leg.remote_rtp is None and leg.remote_rtcp is None
    assert leg.may_receive == (direction == "sendrecv")
    assert read(offered.sdp).media[0].has("sendonly") == (direction == "sendonly")


def test_rtcp_attribute_written() -> None:
    """Written when it is not the next port or the other side wrote one; never the other side's."""
    odd = StreamPlacement(0, LocalPorts("192.0.2.10", 30000, 30001), LocalPorts("192.0.2.20", 30002, 30009))
    for wishes, expected in (
        (options(), ["30009"]),
        (options(rtcp_attribute=False), []),
        (options(flags=frozenset({"full-rtcp-attribute"})), ["30009 IN IP4 192.0.2.20"]),
        (options(rtcp_mux=frozenset({"require"})), []),
    ):
        call = Call()
        call.placed[0] = odd
        text = call.offer(sdp(ALICE, media(8000, "RTP/AVP", "a=rtcp:8005")), wishes).sdp
        assert read(text).media[0].attributes("rtcp") == expected


@pytest.mark.parametrize("passes", [True, False])
def test_extended_reports_by_policy(passes: bool) -> None:
    """G12: what a phone says of them goes as they do, or is taken out, of an m-line and of the session part."""
    line = "a=rtcp-xr:voip-metrics"
    text = sdp(ALICE, media(8000, "RTP/AVP", line, "a=ptime:20"), session=[line])
    said = read(Call().offer(text, options(rtcp_xr=passes)).sdp)
    assert said.media[0].has("rtcp-xr") == said.session.has("rtcp-xr") == passes
    assert said.media[0].attribute("ptime") == "20"


@pytest.mark.parametrize("ice", list(Ice))
def test_hop_attributes_do_not_pass(ice: Ice) -> None:
    """G16-G20 towards an SDES or plain leg: no foreign ICE, no DTLS, no BUNDLE, no foreign keys; everything else passes
    in order. ICE of our own where it is asked for."""
    foreign = [
        "a=ice-ufrag:x", "a=ice-pwd:y", "a=candidate:1 1 UDP 1 198.51.100.1 8000 typ host", "a=end-of-candidates",
        "a=fingerprint:sha-256 00", "a=setup:actpass", "a=tls-id:1", "a=key-mgmt:mikey AQ", "a=tcap:1 RTP/AVP",
        "a=cryptex", "a=identity:AQ",
    ]  # fmt: skip
    passing = [
        "a=rtpmap:8 PCMA/8000",
        "a=fmtp:101 0-16",
        "a=ptime:20",
        "a=mid:0",
        "a=unknown:x y",
        "a=rtcp-xr:voip-metrics",
    ]
    mixed = [line for pair in zip(passing, foreign[: len(passing)], strict=True) for line in pair] + foreign[
        len(passing) :
    ]
    session = ["a=group:BUNDLE 0", "a=group:LS 0", "a=ice-lite", "a=fingerprint:sha-1 11", "a=setup:active", "a=tool:x"]
    text = Call().offer(
        sdp(ALICE, media(8000, "RTP/AVP", *mixed, "b=AS:64", "k=clear:x"), session=session),
        options(transport_protocol="RTP/SAVP", ice=ice),
    ).sdp.decode()  # fmt: skip
    for name in ("fingerprint", "setup", "tls-id", "mikey", "tcap", "cryptex", "identity", "BUNDLE", "k="):
        assert name not in text
    ours = ice in (Ice.FORCE, Ice.OPTIONAL)  # "default": what came could not be used for checks
    assert ("candidate:" in text) == ("a=ice-lite" in text) == ours
    assert "ice-ufrag:x\r\n" not in text and ALICE not in text
    assert "a=group:LS 0\r\na=tool:x\r\n" in text
    assert "\r\n".join(["m=audio 30002 RTP/SAVP 8 0", *passing, "b=AS:64", "a="]) in text


@pytest.mark.parametrize(
    ("proto", "kept"), [("RTP/AVP", False), ("RTP/AVPF", True), ("RTP/SAVP", False), ("RTP/SAVPF", True)]
)
def test_feedback_attributes_follow_the_profile(proto: str, kept: bool) -> None:
    """G02, G24."""
    offer = sdp(ALICE, media(8000, "RTP/AVPF", "a=rtcp-fb:8 nack"))
    text = Call().offer(offer, options(transport_protocol=proto)).sdp
    assert (b"rtcp-fb" in text) == kept


def test_zrtp_hash_passes_between_plain_legs_only() -> None:
    offer = sdp(ALICE, media(8000, "RTP/AVP", "a=zrtp-hash:1.10 fe30"))
    assert b"zrtp-hash" in Call().offer(offer).sdp
    assert b"zrtp-hash" not in Call().offer(offer, options(transport_protocol="RTP/SAVP")).sdp


def test_every_connection_line_is_ours() -> None:
    """Media-level c= lines are replaced, also where the session has one; titles stay in place; IPv6 is written as
    such."""
    six = StreamPlacement(0, LocalPorts("2001:db8::a", 30000, 30001), LocalPorts("2001:db8::b", 30002, 30003))
    call = Call()
    call.placed[0] = six
    text = call.offer(sdp(ALICE, media(8000, "RTP/AVP", "i=title", "c=IN IP4 198.51.100.77"))).sdp.decode()
    assert "198.51.100" not in text
    assert "i=title\r\nc=IN IP6 2001:db8::b\r\n" in text
    assert text.count("IN IP6 2001:db8::b\r\n") == 3  # o=, session c=, media c=
    mine = Call().offer(sdp(ALICE, media(8000, "RTP/AVP")), options(media_address="192.0.2.99")).sdp.decode()
    assert mine.count("IN IP4 192.0.2.99\r\n") == 2


def test_received_from() -> None:
    """NG's SIP-source-address: media goes where the signalling came from."""
    wishes = options(received_from="203.0.113.200", use_received_from=True)
    stream = Call().offer(sdp("10.0.0.5", media(8000, "RTP/AVP")), wishes).streams[0]
    assert stream.a.remote_rtp == Address("203.0.113.200", 8000)


def test_interfaces() -> None:
    """Names for both legs, relative to who speaks; kept when a re-offer names none."""
    call = Call()
    text = sdp(ALICE, media(8000, "RTP/AVP"))
    [need] = call.negotiation.read_offer(text, options(interface_a="in", interface_b="out")).streams
    assert (need.interface_a, need.interface_b) == ("in", "out")
    done = call.answer(answering(call.offer(text, options(interface_a="in", interface_b="out")).sdp))
    assert (done.streams[0].a.interface, done.streams[0].b.interface) == ("in", "out")
    [need] = call.negotiation.read_offer(text, options(), "bob").streams
    assert (need.interface_a, need.interface_b) == ("in", "out")
    [need] = call.negotiation.read_offer(text, options(interface_a="x", interface_b="y"), "bob").streams
    assert (need.interface_a, need.interface_b) == ("y", "x")


def test_line_ends_and_formats_are_the_senders() -> None:
    """Payload types pass untouched; a text with bare LF comes out with bare LF."""
    offer = fixtures.addressed("05_zoiper_avp_offer").replace(b"\r\n", b"\n")
    text = Call().offer(offer, options(transport_protocol="RTP/SAVP")).sdp
    assert b"\r" not in text
    assert b"RTP/SAVP 106 9 3 111 0 8 97 110 112 98 101 100 99 102\n" in text
    kept = [line for line in offer.split(b"\n") if line.startswith((b"a=rtpmap", b"a=fmtp"))]
    assert [line for line in text.split(b"\n") if line.startswith((b"a=rtpmap", b"a=fmtp"))] == kept


def test_what_we_write_we_can_read() -> None:
    """Every sample that is acceptable comes out as SDP that parses and is written back octet for octet."""
    for name in fixtures.NAMES:
        call = Call()
        try:
            text = call.offer(fixtures.addressed(name), options(transport_protocol="RTP/SAVP")).sdp
        except GatewayError:
            assert name.startswith(("02", "03"))  # DTLS only
            continue
        assert read(text).serialise() == text
        answer = call.answer(answering(text)).sdp
        assert read(answer).serialise() == answer


LINES = st.sampled_from(
    ["a=sendonly", "a=inactive", "c=IN IP4 0.0.0.0", "c=IN IP6 ::1", "c=IN IP4 x", "a=rtcp:5", "a=rtcp:x", "a=rtcp-mux",
     "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR", "a=crypto:1 x",
     "a=group:BUNDLE 0",
     "m=audio 4000 RTP/SAVP 0", "m=audio 4000 RTP/AVP 0", "m=video 0 RTP/AVP 96", "m=audio 65535 RTP/SAVPF 8",
     "m=x 9 y z",
     "m=audio 5 UDP/TLS/RTP/SAVPF 0", "i=t", "k=x", "b=AS:1"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    st.lists(LINES, max_size=14),
    st.lists(LINES, max_size=14),
    st.sampled_from(["", "RTP/AVP", "RTP/SAVP", "RTP/SAVPF"]),
)
def test_fuzz(offer: list[str], reply: list[str], proto: str) -> None:
    """Any offer and any answer end in SDPs with the right number of m-lines, or in a GatewayError; a refusal changes
    nothing."""
    call = Call()
    head = ["v=0", f"o=- 1 1 IN IP4 {ALICE}", f"c=IN IP4 {ALICE}"]
    count = sum(line.startswith("m=") for line in offer)
    try:
        offered = call.offer("\r\n".join([*head, *offer]).encode(), options(transport_protocol=proto))
    except GatewayError:
        assert call.negotiation.to_record() == Call().negotiation.to_record()
        return
    assert len(read(offered.sdp).media) <= count  # alternatives of one stream go on as one m-line
    before = call.negotiation.to_record()
    for text in ("\r\n".join([*head, *reply]).encode(), answering(offered.sdp)):
        try:
            done = call.answer(text)
        except GatewayError:
            assert call.negotiation.to_record() == before
            continue
        before = call.negotiation.to_record()
        assert len(read(done.sdp).media) == count
        for stream in done.streams:
            for leg in (stream.a, stream.b):
                assert leg.secure == (leg.receive is not None) == (leg.send is not None)


def test_cost() -> None:
    """Offer and answer of one audio stream stay well under a millisecond of CPU (0.2 ms on the machine this was
    written on)."""
    text = fixtures.addressed("05_zoiper_avp_offer")
    wishes = options(transport_protocol="RTP/SAVP")
    reply = answering(Call().offer(text, wishes).sdp, CM80)
    spent = []
    for _ in range(50):
        call = Call()
        start = time.process_time()
        call.offer(text, wishes)
        call.answer(reply, wishes)
        spent.append(time.process_time() - start)
    assert min(spent) < 0.001


def test_bundle_is_broken_up() -> None:
    """G17, SDP-15, G22: towards SIP no group, ports of their own, mids kept; a mid in the group that has no m-line is
    ignored; the answer has no group either, so the offerer does not bundle."""
    lines = [media(8000, "RTP/AVP", "a=mid:0"), media(8000, "RTP/AVP", "a=mid:2", kind="video", formats="96")]
    call = Call()
    offered = call.offer(sdp(ALICE, *lines, session=["a=group:BUNDLE 0 1 2", "a=group:LS 0 2"]))
    assert offered.lines == (0, 1)
    sections = read(offered.sdp).media
    assert [section.attributes("mid") for section in sections] == [["0"], ["2"]]
    assert len({section.media.port for section in sections}) == 2
    bobs = answering(offered.sdp).replace(b"t=0 0\r\n", b"t=0 0\r\na=group:BUNDLE 0\r\n")
    done = call.answer(bobs)
    for text in (offered.sdp, done.sdp):
        assert b"BUNDLE" not in text
    assert [section.attributes("mid") for section in read(done.sdp).media] == [["0"], ["2"]]
    assert read(offered.sdp).session.attributes("group") == ["LS 0 2"]


def test_each_leg_has_its_own_mids() -> None:
    """G22, RFC 5888: an answer names the m-line as the offer did; a re-offer by the other side changes no name here;
    groups of foreign names do not pass; a mid stands once."""
    call = Call()
    offered = call.offer(sdp(ALICE, media(8000, "RTP/AVP", "a=mid:a", "a=ptime:20")))
    assert b"a=mid:a\r\na=ptime:20\r\n" in offered.sdp
    assert b"a=mid:a\r\n" in call.answer(answering(offered.sdp, extra=["a=mid:other"])).sdp
    bobs = sdp(
        BOB, media(4000, "RTP/AVP", "a=mid:b"), media(4002, "RTP/AVP", "a=mid:a", kind="video", formats="96"),
        session=["a=group:LS b a"],
    )  # fmt: skip
    towards_alice = call.offer(bobs, tag="bob").sdp
    assert [section.attributes("mid") for section in read(towards_alice).media] == [["a"], []]
    assert b"group" not in towards_alice
    done = call.answer(answering(towards_alice, host=ALICE, extra=["a=mid:a"]), tag="alice")
    assert [section.attributes("mid") for section in read(done.sdp).media] == [["b"], ["a"]]
    again = call.offer(sdp(ALICE, media(8000, "RTP/AVP"), media(8002, "RTP/AVP", kind="video", formats="96"))).sdp
    assert [section.attributes("mid") for section in read(again).media] == [["b"], ["a"]]


@pytest.mark.parametrize("proto", ["RTP/AVP", "RTP/AVPF", "RTP/SAVP", "RTP/SAVPF"])
def test_names_of_browsers_do_not_go_to_sip(proto: str) -> None:
    """G18: msid, ssrc and msid-semantic mean something between browsers only."""
    browser = fixtures.strict("03_webrtc_offer_bundle").decode().split("\r\n")
    names = ("a=msid", "a=ssrc")
    lines = [line for line in browser if line.startswith(names) and not line.startswith("a=msid-semantic")]
    session = [line for line in browser if line.startswith("a=msid-semantic")]
    assert len(lines) == 5 and len(session) == 1
    offer = sdp(ALICE, media(8000, "RTP/AVPF", *lines, "a=ssrc-group:FID 1 2", "a=ptime:20"), session=session)
    text = Call().offer(offer, options(transport_protocol=proto)).sdp
    assert b"msid" not in text and b"ssrc" not in text
    assert read(text).media[0].attributes("ptime") == ["20"]
