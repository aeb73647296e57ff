"""G.711 of one law for a side that has only the other (row P06): what is offered, answered and done to packets."""

from __future__ import annotations

import json

import pytest

from appliance.calls.negotiation import Negotiated, Negotiation
from appliance.errors import NotAcceptable, TranscodingUnavailable
from appliance.policy.codec_wishes import CodecWishes
from appliance.policy.options import MediaOptions

from .sdps import ALICE, BOB, Call, counting, media, options, read, sdp
from .test_negotiation_numbers import audio, said

pytestmark = pytest.mark.row("P06")
EVENT = "101 telephone-event/8000"
TO_ALAW, TO_ULAW = (0, 8, "pcma"), (8, 0, "pcmu")


def wishes(*transcode: str, **more: frozenset[str]) -> MediaOptions:
    return options(transport_protocol="RTP/AVP", codecs=CodecWishes(transcode=transcode, **more))


def names(*codecs: str) -> frozenset[str]:
    return frozenset(codecs)


def steps(done: Negotiated) -> tuple[tuple[tuple[int, int, str], ...], ...]:
    """Towards leg a, towards leg b."""
    (stream,) = done.streams
    return stream.a.transcode, stream.b.transcode


def call(offered: bytes, asked: MediaOptions, answer: bytes) -> tuple[Negotiated, Negotiated]:
    call = Call()
    return call.offer(offered, asked), call.answer(answer)


@pytest.mark.parametrize(("own", "other", "there", "back"), [
    ("0", "8", TO_ALAW, TO_ULAW), ("8", "0", TO_ULAW, TO_ALAW),
])  # fmt: skip
@pytest.mark.parametrize("spelt", ["PCM{}", "pcm{}/8000", "PCM{}/8000/1"])
def test_a_law_that_the_caller_lacks(own: str, other: str, there: object, back: object, spelt: str) -> None:
    """It is offered behind the caller's own, and the caller is answered in its own."""
    name = spelt.format("A" if other == "8" else "U")
    offered, done = call(audio(ALICE, own, EVENT), wishes(name), audio(BOB, other, EVENT, lines=("a=ptime:20",)))
    codec = {"0": "PCMU/8000", "8": "PCMA/8000"}
    assert said(offered.sdp) == {own: "", other: codec[other], "101": "telephone-event/8000"}
    assert said(done.sdp) == {own: codec[own], "101": "telephone-event/8000"}
    assert read(done.sdp).media[0].attributes("ptime") == ["20"]
    assert steps(done) == ((back,), (there,))
    assert steps(offered) == ((), ())  # nothing is known before the answer
    assert offered.unavailable == ()


def test_a_common_codec_passes_as_it_is() -> None:
    """Passing comes before transcoding, wherever the answer lets it."""
    _, done = call(audio(ALICE, "0", EVENT), wishes("PCMA"), audio(BOB, "0", EVENT))
    assert said(done.sdp) == {"0": "", "101": "telephone-event/8000"}
    assert steps(done) == ((), ())
    both, done = call(audio(ALICE, "0", "8"), wishes("PCMA", "PCMU"), audio(BOB, "8"))
    assert list(said(both.sdp)) == ["0", "8"]
    assert (list(said(done.sdp)), steps(done)) == (["8"], ((), ()))


def test_an_answer_with_both_laws() -> None:
    """The caller's own passes; what the callee sends in the other law, which it may, is transcoded."""
    for answer in (audio(BOB, "8", "0"), audio(BOB, "0", "8")):
        _, done = call(audio(ALICE, "0"), wishes("PCMA"), answer)
        assert list(said(done.sdp)) == ["0"]
        assert steps(done) == ((TO_ULAW,), ())


def test_without_the_word_nothing_is_transcoded() -> None:
    """As before: the offer passes as it is, and so does an answer that fits nothing."""
    offered, done = call(audio(ALICE, "0"), options(), audio(BOB, "8"))
    assert list(said(offered.sdp)) == ["0"]
    assert (list(said(done.sdp)), steps(done)) == (["8"], ((), ()))


def test_masked_stripped_consumed_accepted() -> None:
    """rtpengine's words: masked ones are transcoded all the same, stripped ones were never there; `consume` and
    `accept` answer the caller with what the callee did not take."""
    offered, done = call(audio(ALICE, "0", EVENT), wishes("PCMA", mask=names("all")), audio(BOB, "8", EVENT))
    assert list(said(offered.sdp)) == ["8", "101"]
    assert (list(said(done.sdp)), steps(done)) == (["0", "101"], ((TO_ULAW,), (TO_ALAW,)))
    with pytest.raises(NotAcceptable, match="no codec is left"):
        Call().offer(audio(ALICE, "0", EVENT), wishes("PCMA", strip=names("PCMU")))
    offered, done = call(audio(ALICE, "0", "8"), wishes("PCMA", mask=names("all")), audio(BOB, "8"))
    assert (list(said(offered.sdp)), list(said(done.sdp)), steps(done)) == (["8"], ["8"], ((), ()))
    offered, done = call(audio(ALICE, "0", "8", EVENT), wishes(consume=names("PCMU")), audio(BOB, "8", EVENT))
    assert list(said(offered.sdp)) == ["8", "101"]
    assert (list(said(done.sdp)), steps(done)) == (["8", "0", "101"], ((), (TO_ALAW,)))
    offered, done = call(audio(ALICE, "0", "8"), wishes(accept=names("all")), audio(BOB, "0"))
    assert list(said(offered.sdp)) == ["0", "8"]
    assert (list(said(done.sdp)), steps(done)) == (["0", "8"], ((), (TO_ULAW,)))


@pytest.mark.parametrize("name", ["G729", "opus/48000/2", "AMR-WB", "PCMA/16000"])
def test_a_codec_that_we_cannot_make_is_refused(name: str) -> None:
    """Never passed on in silence: an error of its own, which is counted by its reason."""
    with pytest.raises(TranscodingUnavailable, match=f"transcode={name}: not from pcmu/8000"):
        Call().offer(audio(ALICE, "0", EVENT), wishes(name))
    offered = Call().offer(audio(ALICE, "0"), wishes(name, "PCMA"))
    assert (list(said(offered.sdp)), offered.unavailable) == (["0", "8"], (f"transcode={name}",))
    offered = Call().offer(audio(ALICE, f"96 {name.upper()}", "0"), wishes(name))
    assert (list(said(offered.sdp)), offered.unavailable) == (["96", "0"], ())


def test_what_g711_cannot_be_made_of() -> None:
    """The offer's own codecs pass, and the reply says what was not done."""
    for codecs in (("111 opus/48000/2",), ("18", EVENT), ("97 PCMU/16000",)):
        offered = Call().offer(audio(ALICE, *codecs), wishes("PCMA"))
        assert len(said(offered.sdp)) == len(codecs)
        assert offered.unavailable == ("transcode=PCMA",)
    offered = Call().offer(audio(ALICE, "0", "8", "111 opus/48000/2"), wishes(accept=names("opus", "PCMU", "AMR")))
    assert offered.unavailable == ("accept=opus",)
    video = sdp(ALICE, media(8000, "RTP/AVP", formats="31", kind="video"))
    offered = Call().offer(video, wishes("PCMA"))
    assert (list(said(offered.sdp)), offered.unavailable) == (["31"], ())
    with pytest.raises(TranscodingUnavailable, match="no keys"):
        Call().offer(audio(ALICE, "0"), options(codecs=CodecWishes(transcode=("PCMA",)), flags=frozenset({"opaque"})))


def test_telephone_event_keeps_its_numbers_beside_it() -> None:
    """An answer in other numbers is translated, and transcoded besides."""
    _, done = call(audio(ALICE, "0", EVENT), wishes("PCMA"), audio(BOB, "8", "96 telephone-event/8000"))
    assert said(done.sdp) == {"0": "PCMU/8000", "101": "telephone-event/8000"}
    (stream,) = done.streams
    assert (stream.a.payload_types, stream.b.payload_types) == (((96, 101),), ((101, 96),))
    assert steps(done) == ((TO_ULAW,), (TO_ALAW,))


def test_redundant_data_would_hold_the_law_that_is_gone() -> None:
    red = audio(ALICE, "0", "121 red/8000", lines=("a=fmtp:121 0/0",))
    answer = audio(BOB, "121 red/8000", "8", lines=("a=fmtp:121 8/8",))
    _, done = call(red, wishes("PCMA"), answer)
    assert list(said(done.sdp)) == ["0"]


def test_reinvites() -> None:
    """It ends with a re-INVITE that finds a common codec, holds until that is answered, and begins again; the callee
    may offer too. A fork's answer decides for itself."""
    call = Call()
    call.offer(audio(ALICE, "0"), wishes("PCMA"))
    done = call.answer(audio(BOB, "8"))
    assert steps(done) == ((TO_ULAW,), (TO_ALAW,))
    assert steps(call.offer(audio(ALICE, "8", version=2), wishes("PCMA"))) == ((TO_ULAW,), (TO_ALAW,))
    assert steps(call.answer(audio(BOB, "8", version=2))) == ((), ())
    offered = call.offer(audio(BOB, "8", version=3), wishes("PCMU"), tag="bob")
    assert list(said(offered.sdp)) == ["8", "0"]
    done = call.answer(audio(ALICE, "0", version=3), tag="alice")
    assert (list(said(done.sdp)), steps(done)) == (["8"], ((TO_ULAW,), (TO_ALAW,)))
    fork = Call()
    fork.offer(audio(ALICE, "0"), wishes("PCMA"))
    assert steps(fork.answer(audio(BOB, "8"), tag="one")) == ((TO_ULAW,), (TO_ALAW,))
    assert steps(fork.answer(audio(BOB, "0"), tag="two")) == ((), ())


def test_it_is_in_the_record() -> None:
    """A control process that is started anew between offer and answer, or later, goes on with it."""
    call = Call()
    call.offer(audio(ALICE, "0", "8"), wishes("PCMA", consume=names("PCMU")))
    record = json.loads(json.dumps(call.negotiation.to_record()))
    call.negotiation = Negotiation.from_record(record, counting())
    done = call.answer(audio(BOB, "8"))
    assert steps(done) == ((), (TO_ALAW,))
    again = Negotiation.from_record(json.loads(json.dumps(call.negotiation.to_record())), counting())
    assert again.to_record() == call.negotiation.to_record()


def test_what_is_made_is_known_on_the_leg_that_it_is_made_for() -> None:
    """A port that streams share tells them apart by it; the offerer never said it."""
    call = Call()
    call.offer(audio(ALICE, "0"), wishes("PCMA"))
    (line,) = call.negotiation.to_record()["pending"]["lines"]
    assert (dict(line["a"]["known"]), dict(line["b"]["known"])) == (
        {"0": "pcmu/8000"},
        {"0": "pcmu/8000", "8": "pcma/8000"},
    )


def test_towards_a_secure_leg() -> None:
    """SDES on one side changes nothing of it."""
    call = Call()
    asked = options(transport_protocol="RTP/SAVP", codecs=CodecWishes(transcode=("PCMA",)))
    offered = call.offer(audio(ALICE, "0"), asked)
    assert list(said(offered.sdp)) == ["0", "8"]
    assert read(offered.sdp).media[0].has("crypto")
