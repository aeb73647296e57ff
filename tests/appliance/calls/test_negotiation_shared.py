"""BUNDLE through offers and answers: whose port, ICE session and association the streams of a leg have (RFC 9143)."""

from __future__ import annotations

import re

import pytest

from appliance.calls.media import Bundled, LegMedia
from appliance.calls.negotiation import Negotiated, Negotiation
from appliance.policy.options import MediaOptions
from tests.appliance.calls.test_negotiation_bundle import MID, SIP, WEBRTC, groups, phone, ports

from .sdps import ALICE, BOB, Call, Pool, counting, media, read, sdp

PRINT = f"a=fingerprint:sha-256 {':'.join(['AB'] * 32)}"
KINDS = {"audio": "111", "video": "96"}
CODECS = {"audio": "opus/48000/2", "video": "VP8/90000"}


def line(
    kind: str, mid: str, *, port: int = 9, ufrag: str = "", extension: bool = True, lines: tuple[str, ...] = ()
) -> list[str]:
    """An m-line of a browser's, with a transport of its own where `ufrag` differs."""
    body = [f"a=mid:{mid}", f"a=ice-ufrag:{ufrag or 'ufrag' + mid}", "a=ice-pwd:" + "p" * 22, "a=setup:actpass", PRINT,
            "a=rtcp-mux", f"a=rtpmap:{KINDS[kind]} {CODECS[kind]}", *lines]  # fmt: skip
    body += [f"a=extmap:4 {MID}"] if extension else []
    return media(port, "UDP/TLS/RTP/SAVPF", *body, kind=kind, formats=KINDS[kind])


def browser(*sections: list[str], group: str = "0 1", version: int = 1, host: str = ALICE) -> bytes:
    return sdp(host, *sections, session=[f"a=group:BUNDLE {group}"] if group else [], version=version)


def both(version: int = 1, **words: str) -> bytes:
    return browser(line("audio", "0", **words), line("video", "1", **words), version=version)  # type: ignore[arg-type]


def rejecting(answer: bytes, *at: int) -> bytes:
    """The same answer without these m-lines."""
    sections = re.split(rb"(?m)^(?=m=)", answer)
    for one in at:
        sections[1 + one] = re.sub(rb"^(m=\w+) \d+", rb"\1 0", sections[1 + one])
    return b"".join(sections)


def calls(call: Call, offer: bytes, *refused: int, tag: str = "alice") -> tuple[Negotiated, Negotiated]:
    """A browser offers, a phone answers."""
    offered = call.offer(offer, SIP, tag)
    return offered, call.answer(rejecting(phone(offered.sdp), *refused))


def legs(done: Negotiated, side: str = "a") -> dict[int, LegMedia]:
    return {at: stream.leg(side) for at, stream in zip(done.lines, done.streams, strict=True)}


def carriers(done: Negotiated, side: str = "a") -> dict[int, tuple[int, bool] | None]:
    """By stream: whose port, and whether it is another's."""
    found = {at: leg.bundle for at, leg in legs(done, side).items()}
    return {at: (bundle.carrier, bundle.member) if bundle else None for at, bundle in found.items()}


def numbers(text: bytes) -> list[int]:
    return [section.media.port for section in read(text).media]


def ufrag(leg: LegMedia) -> str:
    assert leg.ice is not None and leg.ice.remote is not None
    return leg.ice.remote.ufrag


@pytest.fixture
def call() -> Call:
    return Call(certificates=Pool())


# ---------------------------------------------------------------- the browser offers


@pytest.mark.row("SDP-15", "SDP-16", "G17")
def test_what_is_shared_is_the_tagged_lines(call: Call) -> None:
    """Also before the answer; the member has no ICE, no association, no contexts of its own. The phone's side has
    neither group nor MID."""
    offered, done = calls(call, both())
    assert carriers(offered) == carriers(done) == {0: (0, False), 1: (0, True)}
    assert carriers(done, "b") == {0: None, 1: None}
    audio, video = legs(done).values()
    assert ufrag(audio) == "ufrag0" and audio.dtls is not None
    assert (video.ice, video.dtls, video.receive, video.secure, video.mux) == (None, None, None, True, True)
    assert audio.bundle == Bundled(0, False, "0", (111,), 4) and video.bundle == Bundled(0, True, "1", (96,), 4)
    assert [leg.extensions for leg in legs(done, "b").values()] == [(), ()], "MID does not pass"


@pytest.mark.row("SDP-15")
def test_the_group_says_which_line_is_tagged(call: Call) -> None:
    _, done = calls(call, browser(line("audio", "0"), line("video", "1"), group="1 0"))
    assert carriers(done) == {0: (1, True), 1: (1, False)}
    assert ufrag(legs(done)[1]) == "ufrag1" and groups(done.sdp) == ["BUNDLE 1 0"]


@pytest.mark.row("SDP-15")
def test_tagged_line_refused_by_us(call: Call) -> None:
    """Another is tagged, with its own transport (RFC 9143 section 7.3.1)."""
    forbidden = line("audio", "0")
    forbidden[0] = "m=audio 9 UDP/TLS/UNKNOWN 111"
    _, done = calls(call, browser(forbidden, line("video", "1")))
    assert ports(done.sdp) == [False, True] and groups(done.sdp) == ["BUNDLE 1"]
    assert carriers(done) == {1: None} and ufrag(legs(done)[1]) == "ufrag1"
    three = browser(forbidden, line("video", "1"), line("audio", "2"), group="0 1 2")
    _, done = calls(Call(certificates=Pool()), three)
    assert carriers(done) == {1: (1, False), 2: (1, True)} and groups(done.sdp) == ["BUNDLE 1 2"]


@pytest.mark.row("SDP-15")
@pytest.mark.parametrize("recorded", [False, True], ids=["", "restarted"])
def test_tagged_line_refused_by_the_phone(call: Call, recorded: bool) -> None:
    """The next one is tagged in the answer, and the offerer uses the transport that it offered for that."""
    offered = call.offer(both(), SIP)
    if recorded:
        call.negotiation = Negotiation.from_record(call.negotiation.to_record(), counting(), Pool())
    done = call.answer(rejecting(phone(offered.sdp), 0))
    assert ports(done.sdp) == [False, True] and groups(done.sdp) == ["BUNDLE 1"]
    assert carriers(done) == {1: None} and ufrag(legs(done)[1]) == "ufrag1"
    forked = call.answer(phone(offered.sdp), tag="carol")
    assert carriers(forked) == {0: (0, False), 1: (0, True)} and ufrag(legs(forked)[0]) == "ufrag0"


@pytest.mark.row("SDP-15")
def test_tagged_line_refused_by_the_phone_with_bundle_only(call: Call) -> None:
    """max-bundle: there is but one transport. It stays where it was begun, and nothing else passes there."""
    offer = browser(line("audio", "0"), line("video", "1", port=0, ufrag="ufrag0", lines=("a=bundle-only",)))
    offered = call.offer(offer, SIP)
    first = legs(offered)[0]
    done = call.answer(rejecting(phone(offered.sdp), 0))
    assert ports(done.sdp) == [False, True] and groups(done.sdp) == ["BUNDLE 1"]
    assert carriers(done) == {0: (0, False), 1: (0, True)}
    assert legs(done)[0].ice == first.ice and not legs(done)[0].may_send


@pytest.mark.row("SDP-15")
def test_payload_types_that_tell_nothing(call: Call) -> None:
    """Two m-lines with one number: MID tells them apart; without it the second stays outside, or is refused."""
    two = ("video", "1"), ("video", "2")
    _, done = calls(call, browser(*(line(*one) for one in two), group="1 2"))
    assert groups(done.sdp) == ["BUNDLE 1 2"] and len(set(numbers(done.sdp))) == 1
    _, done = calls(Call(certificates=Pool()), browser(*(line(*one, extension=False) for one in two), group="1 2"))
    assert groups(done.sdp) == [] and len(set(numbers(done.sdp))) == 2
    only = browser(line(*two[0], extension=False),
                   line(*two[1], extension=False, port=0, lines=("a=bundle-only",)), group="1 2")  # fmt: skip
    _, done = calls(Call(certificates=Pool()), only)
    assert ports(done.sdp) == [True, False]


# ---------------------------------------------------------------- re-offers


@pytest.mark.row("SDP-15", "G17")
def test_nothing_new_changes_nothing(call: Call) -> None:
    _, first = calls(call, both())
    _, again = calls(call, both(version=2))
    assert legs(again) == legs(first) and numbers(again.sdp) == numbers(first.sdp)


@pytest.mark.row("SDP-15")
@pytest.mark.parametrize("recorded", [False, True], ids=["", "restarted"])
def test_first_line_ends_and_comes_back(call: Call, recorded: bool) -> None:
    """Its port, ICE session and association are the group's: they go on, with nothing of the ended stream. A control
    process that begins anew knows that too."""
    _, first = calls(call, both())
    ended = browser(line("audio", "0", port=0), line("video", "1", ufrag="ufrag0"), group="1", version=2)
    offered, done = calls(call, ended)
    assert carriers(offered) == carriers(first), "until it is answered"
    assert ports(done.sdp) == [False, True] and groups(done.sdp) == ["BUNDLE 1"]
    assert carriers(done) == {0: (0, False), 1: (0, True)} and numbers(done.sdp)[1] == numbers(first.sdp)[1]
    was, now = legs(first)[0], legs(done)[0]
    assert (now.ice, now.bundle) == (was.ice, Bundled(0))
    assert now.dtls and was.dtls and now.dtls.association != was.dtls.association, "Chromium begins anew"
    assert not now.may_send and not now.may_receive and legs(done, "b")[0].remote_rtp is None
    if recorded:
        call.negotiation = Negotiation.from_record(call.negotiation.to_record(), counting(), Pool())
    restart = browser(line("audio", "0", port=0), line("video", "1", ufrag="anew"), group="1", version=3)
    _, restarted = calls(call, restart)
    assert ufrag(legs(restarted)[0]) == "anew" and legs(restarted)[0].dtls == now.dtls
    _, back = calls(call, both(version=4, ufrag="anew"))
    assert carriers(back) == carriers(first) and numbers(back.sdp) == numbers(first.sdp)
    assert legs(back)[0].ice == legs(restarted)[0].ice and legs(back)[0].may_send
    for text in (restart, browser(line("audio", "0", port=0), line("video", "1", port=0), line("audio", "2"),
                                  group="2", version=5)):  # fmt: skip
        _, last = calls(call, text)
    assert set(carriers(last)) == {2} and carriers(last)[2] is None, "nobody is left at the port"


@pytest.mark.row("SDP-15")
def test_member_is_added_and_ends(call: Call) -> None:
    """A third m-line joins at the port; the group shrinks to one that has its own."""
    _, first = calls(call, both())
    more = line("video", "2", port=0, ufrag="ufrag0", lines=("a=bundle-only",))
    three = browser(line("audio", "0"), line("video", "1", ufrag="ufrag0"), more, group="0 1 2", version=2)
    offered, done = calls(call, three)
    assert carriers(offered) == carriers(done) == {0: (0, False), 1: (0, True), 2: (0, True)}
    assert groups(done.sdp) == ["BUNDLE 0 1 2"] and len(set(numbers(done.sdp))) == 1
    one = browser(line("audio", "0"), line("video", "1", port=0), line("video", "2", port=0), group="0", version=3)
    _, done = calls(call, one)
    assert carriers(done) == {0: None} and groups(done.sdp) == ["BUNDLE 0"]
    assert legs(done)[0].ice == legs(first)[0].ice and legs(done)[0].dtls == legs(first)[0].dtls


@pytest.mark.row("SDP-15")
def test_picture_is_added_to_a_call(call: Call) -> None:
    """A group of one becomes one of two, on its port: also until it is answered, and when it is refused."""
    _, first = calls(call, browser(line("audio", "0"), group="0"))
    assert carriers(first) == {0: None}
    offered = call.offer(both(2), SIP)
    assert carriers(offered) == {0: (0, False), 1: (0, True)} and legs(offered)[0].ice == legs(first)[0].ice
    refused = call.answer(rejecting(phone(offered.sdp), 1))
    assert carriers(refused) == {0: None} and legs(refused) == legs(first)
    done = call.answer(phone(offered.sdp))
    assert carriers(done) == {0: (0, False), 1: (0, True)} and legs(done)[0].ice == legs(first)[0].ice
    assert numbers(done.sdp) == [numbers(first.sdp)[0]] * 2


@pytest.mark.row("SDP-15")
def test_group_falls_apart_and_forms(call: Call) -> None:
    """A line that leaves the group begins a session and an association at its own port (RFC 9143 section 7.5.3)."""
    _, first = calls(call, both())
    _, apart = calls(call, browser(line("audio", "0"), line("video", "1"), group="", version=2))
    assert carriers(apart) == {0: None, 1: None} and len(set(numbers(apart.sdp))) == 2 and groups(apart.sdp) == []
    was, (audio, video) = legs(first)[0], legs(apart).values()
    assert (audio.ice, audio.dtls) == (was.ice, was.dtls)
    assert video.ice and was.ice and video.ice.local != was.ice.local and ufrag(video) == "ufrag1"
    assert video.dtls and was.dtls and video.dtls.association != was.dtls.association
    _, again = calls(call, both(version=3))
    assert carriers(again) == carriers(first) and legs(again)[0].ice == was.ice


@pytest.mark.row("SDP-15")
def test_hold_is_each_streams_own(call: Call) -> None:
    calls(call, both())
    held = browser(line("audio", "0"), line("video", "1", ufrag="ufrag0", lines=("a=inactive",)), version=2)
    _, done = calls(call, held)
    assert [(leg.may_send, leg.may_receive) for leg in legs(done).values()] == [(True, True), (False, False)]
    assert carriers(done) == {0: (0, False), 1: (0, True)}


# ---------------------------------------------------------------- we offer


def wanted(*kinds: str, numbers: tuple[str, ...] = ()) -> bytes:
    """A phone's offer."""
    named = numbers or tuple(KINDS[kind] for kind in kinds)
    return sdp(BOB, *(media(8000 + 10 * at, "RTP/AVP", f"a=rtpmap:{number} {CODECS[kind]}", kind=kind, formats=number)
                      for at, (kind, number) in enumerate(zip(kinds, named, strict=True))))  # fmt: skip


def answers(offer: bytes, group: str | None = None, refused: tuple[int, ...] = (), *, extension: bool = True) -> bytes:
    """A browser's answer with one transport, or (no group) one for each."""
    sections = []
    for at, section in enumerate(read(offer).media):
        [mid] = section.attributes("mid")
        body = line(section.media.kind, mid, ufrag="answ" if group else "", extension=extension)
        body[0] = f"m={section.media.kind} {0 if at in refused else 9} UDP/TLS/RTP/SAVPF {section.media.formats[0]}"
        body = [one.replace("actpass", "active") for one in body if "rtpmap" not in one]
        ids = section.attributes("extmap")
        sections.append([one.replace("extmap:4", f"extmap:{ids[0].split()[0]}") if ids else one for one in body])
    return browser(*sections, group=group or "", host=ALICE)


def asks(call: Call, offer: bytes, wishes: MediaOptions = WEBRTC, tag: str = "bob") -> Negotiated:
    return call.offer(offer, wishes, tag)


@pytest.mark.row("SDP-15", "G17")
def test_our_offer_is_taken(call: Call) -> None:
    offered = asks(call, wanted("audio", "video"))
    assert carriers(offered, "b") == {0: None, 1: None}
    own = [leg.ice.local for leg in legs(offered, "b").values() if leg.ice]
    done = call.answer(answers(offered.sdp, "m0 m1"), tag="carol")
    assert carriers(done, "b") == {0: (0, False), 1: (0, True)} and carriers(done) == {0: None, 1: None}
    first = legs(done, "b")[0]
    assert first.ice and first.ice.local == own[0] and ufrag(first) == "answ" and legs(done, "b")[1].ice is None
    assert [leg.bundle.extension for leg in legs(done, "b").values() if leg.bundle] == [14, 14]
    again = asks(call, wanted("audio", "video", "video"))
    assert numbers(again.sdp)[0] == numbers(again.sdp)[1] != numbers(again.sdp)[2]
    assert groups(again.sdp) == ["BUNDLE m0 m1 m2"] and carriers(again, "b")[1] == (0, True)
    done = call.answer(answers(again.sdp, "m0 m1 m2"), tag="carol")
    assert carriers(done, "b") == {0: (0, False), 1: (0, True), 2: (0, True)}
    assert legs(done, "b")[0].dtls == first.dtls


@pytest.mark.row("SDP-15")
@pytest.mark.parametrize(
    ("group", "refused", "found"),
    [
        (None, (), {0: None, 1: None}),
        ("m0", (), {0: None, 1: None}),
        ("m1", (0,), {1: None}),
        ("m0", (1,), {0: None}),
        ("m1 m0", (), {0: (1, True), 1: (1, False)}),
        ("m1 nobody m0", (), {0: (1, True), 1: (1, False)}),
    ],
)
def test_our_offer_is_taken_in_part(
    call: Call, group: str | None, refused: tuple[int, ...], found: dict[int, tuple[int, bool] | None]
) -> None:
    """Without the group each has its port, session and association as offered; the answer says who is tagged."""
    offered = asks(call, wanted("audio", "video"))
    done = call.answer(answers(offered.sdp, group, refused), tag="carol")
    assert carriers(done, "b") == found
    for at, leg in legs(done, "b").items():
        if found[at] is None:
            assert leg.ice and leg.dtls and leg.ice.local == legs(offered, "b")[at].ice.local  # type: ignore[union-attr]


@pytest.mark.row("SDP-15")
def test_peer_ends_the_first_line_of_our_group(call: Call) -> None:
    """In an answer to a re-offer: the port stays, with a new association. One that forgets its group keeps
    what is at one port there."""
    offered = asks(call, wanted("audio", "video"))
    first = call.answer(answers(offered.sdp, "m0 m1"), tag="carol")
    again = asks(call, wanted("audio", "video"))
    done = call.answer(answers(again.sdp, "m1", (0,)), tag="carol")
    assert carriers(done, "b") == {0: (0, False), 1: (0, True)} and ports(done.sdp) == [False, True]
    now, was = legs(done, "b")[0].dtls, legs(first, "b")[0].dtls
    assert now and was and now.association != was.association and now.certificate == was.certificate
    assert call.answer(answers(again.sdp, "m1", (0,)), tag="carol").streams == done.streams, "the same again"
    third = asks(call, wanted("audio", "video"))
    done = call.answer(answers(third.sdp), tag="carol")
    assert carriers(done, "b")[1] == (0, True)


@pytest.mark.row("SDP-15", "G25")
def test_payload_types_of_our_group_differ(call: Call) -> None:
    """A phone may say 96 in both m-lines; on one port each number means one thing (RFC 9143 section 9.1)."""
    offered = asks(call, wanted("audio", "video", "video", numbers=("96", "96", "96")))
    said = [section.media.formats for section in read(offered.sdp).media]
    assert said[0] == ("96",) and len(set(said)) == 3
    done = call.answer(answers(offered.sdp, "m0 m1 m2", extension=False), tag="carol")
    towards = [leg.payload_types for leg in legs(done, "b").values()]
    assert towards == [(), ((96, int(said[1][0])),), ((96, int(said[2][0])),)]
    assert [leg.bundle.extension for leg in legs(done, "b").values() if leg.bundle] == [0, 0, 0]


@pytest.mark.row("G17")
def test_mid_names_the_transport(call: Call) -> None:
    """What trickles for an m-line of the group is the carrier's."""
    calls(call, both())
    assert [call.negotiation.line_of_mid("a", mid) for mid in ("0", "1", "2")] == [0, 0, None]
