"""ICE in offer and answer: credentials, candidates, roles, restarts (RFC 8445, RFC 8839)."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from appliance.calls.media import IceCredentials, IceMedia, LegMedia, LocalPorts, StreamPlacement
from appliance.calls.negotiation import Negotiation
from appliance.errors import NotAcceptable
from appliance.policy.options import Ice
from tests.appliance.protocols.sdp import fixtures

from .sdps import ALICE, BOB, GATE_A, GATE_B, Call, Pool, answering, counting, media, options, read, sdp

UFRAG, PWD = "w5/T", "zuPM49QcEX3cKRQiKylJU4Y6"
HOST = "a=candidate:1 1 UDP 2130706431 198.51.100.1 8000 typ host"
MUX = frozenset({"offer", "require"})


def agent(ufrag: str = UFRAG, pwd: str = PWD, *more: str) -> list[str]:
    return [f"a=ice-ufrag:{ufrag}", f"a=ice-pwd:{pwd}", *more]


def alice(*lines: str, session: tuple[str, ...] = (), port: int = 8000) -> bytes:
    return sdp(ALICE, media(port, "RTP/AVP", *(lines or agent())), session=session)


def session_of(leg: LegMedia) -> IceMedia:
    assert leg.ice is not None
    return leg.ice


def said(text: bytes, at: int = 0) -> IceCredentials:
    section = read(text).media[at]
    return IceCredentials(section.attribute("ice-ufrag") or "", section.attribute("ice-pwd") or "")


def roundtrip(call: Call) -> Call:
    again = Call(certificates=Pool())
    record = json.loads(json.dumps(call.negotiation.to_record()))
    again.negotiation = Negotiation.from_record(record, counting(), Pool())
    assert again.negotiation.to_record() == call.negotiation.to_record()
    again.placed = call.placed
    return again


# ---------------------------------------------------------------- where ICE is, and where not


@pytest.mark.parametrize("offered", [True, False])
@pytest.mark.parametrize("ice", list(Ice))
def test_legs_are_independent(offered: bool, ice: Ice) -> None:
    """ICE-1, peers 1.2: the offerer is answered with ICE when it offers it; the other side is offered it when asked
    for, by default when this side has it. Foreign candidates pass nowhere."""
    call = Call()
    text = call.offer(alice(*(agent(UFRAG, PWD, HOST) if offered else ["a=ptime:20"])), options(ice=ice))
    towards = offered if ice is Ice.DEFAULT else ice is not Ice.REMOVE
    assert bool(said(text.sdp).ufrag) == read(text.sdp).session.has("ice-lite") == towards
    assert (text.streams[0].b.ice is not None) == towards
    assert b"198.51.100.1" not in text.sdp
    lines = agent("bobs", "p" * 24) if towards else []
    done = call.answer(answering(text.sdp, extra=lines))
    assert bool(said(done.sdp).ufrag) == (done.streams[0].a.ice is not None) == offered
    assert (done.streams[0].b.ice is not None) == towards
    if towards and offered:
        a, b = session_of(done.streams[0].a), session_of(done.streams[0].b)
        assert len({a.local.ufrag, b.local.ufrag, UFRAG, "bobs"}) == 4
        assert (a.remote, b.remote) == (IceCredentials(UFRAG, PWD), IceCredentials("bobs", "p" * 24))
        assert (said(done.sdp), said(text.sdp)) == (a.local, b.local)


def test_what_we_write() -> None:
    """ICE-1, ICE-6, G20: lite at session level, one host candidate for each component, none to follow; ufrag and
    password have the entropy of RFC 8445 section 5.3."""
    call = Call()
    offered = call.offer(alice(), options())
    section = read(offered.sdp).media[0]
    assert section.attributes("candidate") == [
        f"1 1 UDP 2130706431 {GATE_B} 30002 typ host", f"1 2 UDP 2130706430 {GATE_B} 30003 typ host",
    ]  # fmt: skip
    assert section.has("end-of-candidates") and section.attributes("ice-options") == ["ice2"]
    assert re.fullmatch(r"[A-Za-z0-9+/]{8}", said(offered.sdp).ufrag)
    assert re.fullmatch(r"[A-Za-z0-9+/]{24}", said(offered.sdp).pwd)
    assert read(offered.sdp).session.has("ice-lite") and not section.has("ice-lite")
    done = call.answer(answering(offered.sdp))
    assert read(done.sdp).media[0].attributes("candidate")[0] == f"1 1 UDP 2130706431 {GATE_A} 30000 typ host"


def test_one_component_with_rtcp_mux() -> None:
    """G23, RFC 8035: an offer of rtcp-mux keeps RTCP's candidate, unless the peer is taken to do it; an answer of it
    has one."""
    for words, components in ((frozenset({"offer"}), 2), (MUX, 1)):
        offered = Call().offer(alice(), options(rtcp_mux=words))
        assert len(read(offered.sdp).media[0].attributes("candidate")) == components
    call = Call()
    offered = call.offer(alice(*agent(), "a=rtcp-mux"), options())
    answer = read(call.answer(answering(offered.sdp)).sdp).media[0]
    assert answer.has("rtcp-mux") and len(answer.attributes("candidate")) == 1


def test_rtcp_mux_only() -> None:
    """G23, RFC 8858: an m-line without a port for RTCP is refused where rtcp-mux is not taken."""
    offer = alice(*agent(), "a=rtcp-mux", "a=rtcp-mux-only")
    assert Call().offer(offer).streams[0].a.mux
    with pytest.raises(NotAcceptable, match="RFC 8858"):
        Call().offer(offer, options(rtcp_mux=frozenset({"reject"})))


@pytest.mark.parametrize("address", ["2001:db8::b", "192.0.2.77"])
def test_candidates_are_of_the_family(address: str) -> None:
    """ICE-1: the placement's address, or the one that is written instead of it."""
    call = Call()
    call.placed[0] = StreamPlacement(0, LocalPorts("2001:db8::a", 1, 2), LocalPorts("2001:db8::b", 3, 4))
    wishes = options(media_address=address if "." in address else "")
    section = read(call.offer(alice(), wishes).sdp).media[0]
    assert section.attributes("candidate")[0] == f"1 1 UDP 2130706431 {address} 3 typ host"


@pytest.mark.parametrize(
    "lines",
    [
        ["a=ice-ufrag:abcd"],
        ["a=ice-pwd:" + PWD],
        agent("abc"),
        agent("abcd", "too short"),
        agent("ab:cd"),
        agent("x" * 257),
        agent("abcd", "p" * 257),
        agent("", ""),
    ],
)
def test_credentials_that_nobody_could_check_with(lines: list[str]) -> None:
    """G20: ICE without usable credentials is no ICE: media goes by the SDP's addresses."""
    offered = Call().offer(alice(*lines))
    assert offered.streams[0].a.ice is None and offered.streams[0].b.ice is None
    assert offered.streams[0].a.remote_rtp is not None


def test_session_level_credentials() -> None:
    """RFC 8839 section 5.4: they hold for every m-line without its own."""
    lines = (media(8000, "RTP/AVP"), media(8002, "RTP/AVP", *agent("mine"), kind="video"))
    offered = Call().offer(sdp(ALICE, *lines, session=[*agent(), "a=ice-options:trickle"]))
    assert [session_of(stream.a).remote for stream in offered.streams] == [
        IceCredentials(UFRAG, PWD), IceCredentials("mine", PWD)
    ]  # fmt: skip
    assert len({session_of(stream.a).local.ufrag for stream in offered.streams}) == 2


@pytest.mark.row("ICE-2", "G20", "G21")
def test_spellings_of_the_field() -> None:
    """`ice-lite` of an m-line, spaces around values, options behind commas or in capitals."""
    spaced = (f"a=ice-ufrag: {UFRAG} ", f"a=ice-pwd: {PWD} ", "a=ice-lite")
    for options_line in ("a=ice-options:ice2,trickle", "a=ice-options:Trickle", "a=ice-options: rtp+ecn trickle"):
        session = session_of(Call().offer(alice(*spaced, options_line)).streams[0].a)
        assert session.remote == IceCredentials(UFRAG, PWD)
        assert (session.lite, session.controlling, session.complete) == (False, True, False)
    assert session_of(Call().offer(alice(*agent(), "a=ice-options:trickles")).streams[0].a).complete


@pytest.mark.row("G20")
def test_answer_with_a_mismatch() -> None:
    """RFC 8839 section 5.3: an ALG changed our offer's address, the peer does without ICE, media goes by the SDP's."""
    call = Call()
    offered = call.offer(sdp(ALICE, media(8000, "RTP/AVP")), options(ice=Ice.FORCE))
    leg = call.answer(answering(offered.sdp, extra=[*agent(), "a=ice-mismatch"])).streams[0].b
    assert leg.ice is None and leg.remote_rtp is not None and leg.remote_rtp.port == 4000


def test_answer_without_ice() -> None:
    """RFC 8839: a peer that answers without does without, and is not asked again (rtpengine's rule)."""
    call = Call()
    wishes = options(ice=Ice.FORCE)
    text = sdp(ALICE, media(8000, "RTP/AVP"))
    done = call.answer(answering(call.offer(text, wishes).sdp))
    assert done.streams[0].b.ice is None and done.streams[0].b.remote_rtp is not None
    assert not said(call.offer(text, wishes).sdp).ufrag


def test_ice_of_the_offerer_refused() -> None:
    """Peers 1.2: `reject ICE` in the offer, `ICE=remove` in the answer."""
    for offer, answer in ((options(ice_rejected=True), options()), (options(), options(ice=Ice.REMOVE))):
        call = Call()
        done = call.answer(answering(call.offer(alice(), offer).sdp), answer)
        assert b"ice" not in done.sdp and b"candidate" not in done.sdp
        assert done.streams[0].a.ice is None


# ---------------------------------------------------------------- roles


@pytest.mark.parametrize(
    ("word", "peer_lite", "lite", "controlling"),
    [
        ("", False, True, False),
        ("", True, False, True),
        ("off", False, False, False),
        ("off", True, False, True),
        ("backward", False, True, False),
        ("both", False, True, False),
        ("forward", False, True, False),
    ],
)
def test_roles_towards_an_offerer(word: str, peer_lite: bool, lite: bool, controlling: bool) -> None:
    """ICE-2, RFC 8445 section 6.1.1: the offerer controls, unless it is lite; towards a lite one we are full."""
    call = Call()
    offered = call.offer(alice(session=("a=ice-lite",) if peer_lite else ()), options(ice_lite=word))
    session = session_of(offered.streams[0].a)
    assert (session.lite, session.controlling) == (lite, controlling)
    done = call.answer(answering(offered.sdp))
    assert read(done.sdp).session.has("ice-lite") == lite
    assert done.streams[0].a.ice == session


@pytest.mark.parametrize(
    ("word", "lite", "controlling"),
    [
        ("", True, False),
        ("off", False, True),
        ("forward", True, False),
        ("both", True, False),
        ("backward", True, False),
    ],
)
def test_roles_towards_an_answerer(word: str, lite: bool, controlling: bool) -> None:
    """ICE-2: we offered: we control if we are full."""
    call = Call()
    offered = call.offer(sdp(ALICE, media(8000, "RTP/AVP")), options(ice=Ice.FORCE, ice_lite=word))
    assert read(offered.sdp).session.has("ice-lite") == lite
    early = session_of(offered.streams[0].b)
    assert (early.lite, early.controlling, early.remote, early.complete) == (lite, controlling, None, False)
    late = session_of(call.answer(answering(offered.sdp, extra=agent())).streams[0].b)
    assert (late.lite, late.controlling, late.remote) == (lite, controlling, IceCredentials(UFRAG, PWD))
    assert late.local == early.local


def test_two_lite_agents() -> None:
    """RFC 8445 section 6.1.1: nobody checks: media goes to the addresses of the SDP, as without ICE."""
    call = Call()
    offered = call.offer(sdp(ALICE, media(8000, "RTP/AVP")), options(ice=Ice.FORCE))
    lite = answering(offered.sdp, extra=agent()).replace(b"t=0 0\r\n", b"t=0 0\r\na=ice-lite\r\n")
    leg = call.answer(lite).streams[0].b
    assert leg.ice is None and leg.remote_rtp is not None and leg.remote_rtp.port == 4000
    call = Call()
    offered = call.offer(alice(session=("a=ice-lite",)), options(ice_lite="backward"))
    assert offered.streams[0].a.ice is None
    assert said(call.answer(answering(offered.sdp)).sdp).ufrag, "the answer to ICE has ICE nevertheless"


# ---------------------------------------------------------------- restarts and repetitions


def test_repeated_offers_are_no_restart() -> None:
    """ICE-5: the same credentials go on, ours too, also after a restart of control."""
    call = Call()
    first = call.answer(answering(call.offer(alice()).sdp, extra=agent("bobs")))
    call = roundtrip(call)
    offered = call.offer(alice())
    done = call.answer(answering(offered.sdp, extra=agent("bobs")))
    assert done.streams == first.streams and said(done.sdp) == said(first.sdp)
    assert session_of(offered.streams[0].b) == session_of(first.streams[0].b)


@pytest.mark.parametrize("changed", [agent("new1"), agent(UFRAG, "n" * 24), agent("new1", "n" * 24)])
def test_restart(changed: list[str]) -> None:
    """ICE-5, RFC 8445 section 9: another ufrag or password restarts: ours become others, the old ones stay answered;
    until the answer nothing changes; the other leg is not touched."""
    call = Call()
    first = call.answer(answering(call.offer(alice()).sdp, extra=agent("bobs")))
    before = session_of(first.streams[0].a)
    offered = call.offer(alice(*changed))
    assert session_of(offered.streams[0].a) == before
    done = call.answer(answering(offered.sdp, extra=agent("bobs")))
    after = session_of(done.streams[0].a)
    assert after.local not in (before.local, before.remote) and said(done.sdp) == after.local
    assert after.local.ufrag != before.local.ufrag and after.local.pwd != before.local.pwd
    assert after.earlier == (before.local,) and after.remote != before.remote
    assert done.streams[0].b == first.streams[0].b
    call = roundtrip(call)
    kept = session_of(call.answer(answering(call.offer(alice(*changed)).sdp, extra=agent("bobs"))).streams[0].a)
    assert kept == after
    again = session_of(call.answer(answering(call.offer(alice(*agent("new2"))).sdp, extra=agent("bobs"))).streams[0].a)
    assert again.earlier == (after.local,), "one generation is kept"


def test_moved_ports_of_ours_restart() -> None:
    """ICE-5: candidates at another address belong to another session."""
    call = Call()
    before = session_of(call.answer(answering(call.offer(alice()).sdp, extra=agent("bobs"))).streams[0].a)
    call.placed[0] = replace(call.placed[0], a=LocalPorts(GATE_A, 31000, 31001))
    after = session_of(call.answer(answering(call.offer(alice()).sdp, extra=agent("bobs"))).streams[0].a)
    assert after.local != before.local and after.earlier == (before.local,) and after.remote == before.remote


def test_roles_stay_through_reoffers_of_the_other_side() -> None:
    """ICE-2: who controls is settled by the first offer, whoever offers next."""
    call = Call()
    wishes = options(ice=Ice.FORCE, ice_lite="off")
    first = call.answer(answering(call.offer(sdp(ALICE, media(8000, "RTP/AVP")), wishes).sdp, extra=agent()))
    assert session_of(first.streams[0].b).controlling
    back = call.offer(sdp(BOB, media(4000, "RTP/AVP", *agent())), options(ice_lite="off"), tag="bob")
    done = call.answer(answering(back.sdp, host=ALICE), tag="alice")
    assert done.streams[0].b.ice == first.streams[0].b.ice


@pytest.mark.row("ICE-2", "ICE-5")
@pytest.mark.parametrize("lite_then", [False, True])
def test_roles_stay_through_restarts(lite_then: bool) -> None:
    """RFC 8445 section 6.1.1: the answerer's restart does not make it control, unless one became lite or full."""
    call, wishes = Call(), options(ice=Ice.FORCE, ice_lite="off")
    first = call.answer(answering(call.offer(sdp(ALICE, media(8000, "RTP/AVP")), wishes).sdp, extra=agent()))
    assert session_of(first.streams[0].b).controlling
    lines = media(4000, "RTP/AVP", *agent("new1", "n" * 24))
    call.offer(sdp(BOB, lines, session=("a=ice-lite",) if lite_then else ()), options(ice_lite="off"), tag="bob")
    after = session_of(call.answer(answering(first.sdp, host=ALICE), tag="alice").streams[0].b)
    assert (after.remote, after.controlling) == (IceCredentials("new1", "n" * 24), True)


# ---------------------------------------------------------------- trickle, addresses that are none


def test_no_address_yet() -> None:
    """G19: the reference's browser: port 9 and 0.0.0.0 are no hold and no place to send to."""
    offered = Call(certificates=Pool()).offer(fixtures.strict("03_webrtc_offer_bundle"))
    [stream] = offered.streams
    assert stream.a.remote_rtp is None and stream.a.remote_rtcp is None
    assert stream.a.may_receive and stream.a.may_send
    assert not any(read(offered.sdp).media[0].has(word) for word in ("sendonly", "inactive"))
    assert b"0.0.0.0" not in offered.sdp.partition(b"m=application")[0]


@pytest.mark.parametrize(
    ("lines", "complete"),
    [
        ([], True),
        (["a=ice-options:trickle"], False),
        (["a=ice-options:trickle renomination", "a=end-of-candidates"], True),
    ],
)
def test_candidates_of_the_peer(lines: list[str], complete: bool) -> None:
    """G21, ICE-6: what the peer has named, and whether more may come; trickle is told to one that tells it."""
    call = Call()
    offered = call.offer(alice(*agent(UFRAG, PWD, HOST), *lines))
    session = session_of(offered.streams[0].a)
    assert session.candidates == (HOST.removeprefix("a=candidate:"),) and session.complete == complete
    done = call.answer(answering(offered.sdp))
    [said_options] = read(done.sdp).media[0].attributes("ice-options")
    assert ("trickle" in said_options.split()) == bool(lines)
    assert read(done.sdp).media[0].has("end-of-candidates")


def test_trickle_towards_the_other_side() -> None:
    """Peers 1.2: rtpengine's `trickle ICE`."""
    for trickle in (False, True):
        offered = Call().offer(alice(), options(trickle=trickle))
        assert ("trickle" in read(offered.sdp).media[0].attributes("ice-options")[0]) == trickle


def test_many_candidates_are_bounded() -> None:
    """D11: not more than an agent may check."""
    lines = [f"a=candidate:{n} 1 UDP 1 192.0.2.1 {1024 + n} typ host" for n in range(1000)]
    assert len(session_of(Call().offer(alice(*agent(), *lines)).streams[0].a).candidates) == 100


def test_passwords_are_not_shown() -> None:
    call = Call()
    offered = call.offer(alice())
    done = call.answer(answering(offered.sdp, extra=agent("bobs", "q" * 24)))
    text = repr((call.negotiation._state, offered, done, read(alice())))
    for pwd in (PWD, "q" * 24, said(offered.sdp).pwd, said(done.sdp).pwd):
        assert pwd not in text
