"""The life of a call: re-offers from both sides, hold, rekey, forks, the o= line, and a control process that
restarts."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

import pytest

from appliance.calls.media import Address, LocalPorts, StreamMedia, StreamPlacement
from appliance.calls.negotiation import Negotiation
from appliance.errors import CryptoRequired
from appliance.policy.options import SdesOptions

from .sdps import ALICE, BOB, Call, answering, counting, crypto, cryptos, media, options, origin, read, sdp

CM80, GCM = "AES_CM_128_HMAC_SHA1_80", "AEAD_AES_256_GCM"
SAVP = options(transport_protocol="RTP/SAVP")


def alice(*lines: str, port: int = 8000, octet: int = 0x41, host: str = ALICE) -> bytes:
    return sdp(host, media(port, "RTP/SAVP", crypto(1, CM80, octet), *lines))


def established(text: bytes | None = None) -> tuple[Call, bytes, StreamMedia]:
    """A secure call on both legs: the call, our offer to Bob, the agreed media."""
    call = Call()
    offered = call.offer(text or alice(), SAVP).sdp
    return call, offered, call.answer(answering(offered)).streams[0]


def keys(stream: StreamMedia) -> list[object]:
    return [stream.a.receive, stream.a.send, stream.b.receive, stream.b.send]


@pytest.mark.parametrize(
    ("direction", "alice_sends", "alice_hears"),
    [("sendonly", True, False), ("recvonly", False, True), ("inactive", False, False), ("sendrecv", True, True)],
)
def test_hold_keeps_the_contexts(direction: str, alice_sends: bool, alice_hears: bool) -> None:
    """G29, SDES-20: hold and unhold by direction: same contexts, media stopped where it was asked to stop."""
    call, _, before = established()
    mirrored = {"sendonly": "recvonly", "recvonly": "sendonly"}.get(direction, direction)
    offered = call.offer(alice(f"a={direction}"), SAVP)
    assert offered.streams == (before,)  # nothing changes before the answer
    assert read(offered.sdp).media[0].has(direction)
    done = call.answer(answering(offered.sdp, extra=[f"a={mirrored}"]))
    [held] = done.streams
    assert keys(held) == keys(before)
    assert (held.a.may_send, held.a.may_receive) == (alice_sends, alice_hears)
    assert (held.b.may_send, held.b.may_receive) == (alice_hears, alice_sends)
    assert read(done.sdp).media[0].has(mirrored)
    offered = call.offer(alice(), SAVP)
    assert call.answer(answering(offered.sdp)).streams == (before,)


@pytest.mark.parametrize("replaced", [False, True])
def test_hold_by_zero_address(replaced: bool) -> None:
    """RFC 2543 hold: nothing is sent to 0.0.0.0; passed on as such, or as a direction with our address
    (`zero-address`)."""
    call, _, before = established()
    wishes = options(
        transport_protocol="RTP/SAVP",
        replace=frozenset({"origin", "session-connection", *(["zero-address"] if replaced else [])}),
    )
    offered = call.offer(alice("a=sendrecv", host="0.0.0.0"), wishes)  # noqa: S104
    line = read(offered.sdp).media[0]
    connection = read(offered.sdp).connection(line)
    assert connection and connection.host == ("192.0.2.20" if replaced else "0.0.0.0")  # noqa: S104
    assert line.has("sendonly")
    assert not line.has("sendrecv")
    [held] = call.answer(answering(offered.sdp, extra=["a=recvonly"])).streams
    assert held.a.remote_rtp is held.a.remote_rtcp is None
    assert not held.a.may_receive
    assert keys(held) == keys(before)


def test_reoffer_from_the_other_side() -> None:
    """C13: Bob re-offers with his key: placement and legs stay as they were, all four contexts go on, ours too."""
    call, _, before = established()
    bobs = answering(call.offer(alice(), SAVP).sdp)
    plan = call.negotiation.read_offer(bobs, SAVP, "bob")
    assert plan.offerer == "b"
    assert [need.line for need in plan.streams] == [0]
    offered = call.offer(bobs, SAVP, tag="bob")
    line = read(offered.sdp).media[0]
    assert line.media.port == 30000  # Alice's side of the placement
    assert cryptos(offered.sdp)[0].suite is not None
    assert cryptos(offered.sdp)[0].spelling == CM80  # the agreed suite stays in front
    done = call.answer(sdp(ALICE, media(8000, "RTP/SAVP", crypto(1, CM80, 0x41))), SAVP, tag="alice")
    assert read(done.sdp).media[0].media.port == 30002
    assert done.streams == (before,)


def test_peer_moves_with_its_key() -> None:
    """B4: a new address with the same key keeps the contexts."""
    call, _, before = established()
    offered = call.offer(alice(port=8100), SAVP)
    [after] = call.answer(answering(offered.sdp)).streams
    assert after.a.remote_rtp == Address(ALICE, 8100)
    assert keys(after) == keys(before)


def test_rekey_by_the_offerer() -> None:
    """C13: a new key from Alice: her leg gets new keys in both directions, Bob's goes on."""
    call, _, before = established()
    offered = call.offer(alice(octet=0x42), SAVP)
    [after] = call.answer(answering(offered.sdp)).streams
    assert after.a.receive != before.a.receive
    assert after.a.send != before.a.send
    assert after.b == before.b


def test_rekey_by_the_answerer() -> None:
    call, _, before = established()
    offered = call.offer(alice(), SAVP)
    [after] = call.answer(answering(offered.sdp, octet=0x63)).streams
    assert after.b.receive != before.b.receive
    assert after.b.send == before.b.send
    assert after.a == before.a


def test_lines_numbered_anew_keep_the_key() -> None:
    """SDES-20: the same key under another tag and in the other spelling is the same context; the answer follows the
    new line."""
    name, alias = "AES_256_CM_HMAC_SHA1_80", "AES_CM_256_HMAC_SHA1_80"
    call, _, before = established(sdp(ALICE, media(8000, "RTP/SAVP", crypto(1, name))))
    again = sdp(ALICE, media(8000, "RTP/SAVP", crypto(1, GCM, 0x44), crypto(9, alias)))
    done = call.answer(answering(call.offer(again, SAVP).sdp))
    assert [(line.tag, line.spelling) for line in cryptos(done.sdp)] == [(9, alias)]
    assert done.streams == (before,)


def test_own_ports_moved() -> None:
    """SDES-20: when our address changes we send new keys."""
    call, offered, before = established()
    call.placed[0] = StreamPlacement(0, LocalPorts("192.0.2.10", 31000, 31001), LocalPorts("192.0.2.20", 31002, 31003))
    again = call.offer(alice(), SAVP).sdp
    assert not {line.keys for line in cryptos(again)} & {line.keys for line in cryptos(offered)}
    [after] = call.answer(answering(again)).streams
    assert after.a.send != before.a.send
    assert after.b.send != before.b.send
    assert after.a.receive == before.a.receive


def test_used_keys_never_come_back() -> None:
    """B5 (RFC 3711 section 9.1): a suite that was used, left and taken again gets another key of ours."""
    call = Call()
    seen = []
    for name in (CM80, GCM, CM80, GCM, CM80):
        offered = call.offer(alice(), SAVP)
        stream = call.answer(answering(offered.sdp, name)).streams[0]
        assert stream.b.send and stream.b.send.suite == name
        seen.append(stream.b.send.keys)
    assert len(set(seen)) == len(seen)


def test_refused_reoffer_changes_nothing() -> None:
    """A re-offer that is not answered, or answered badly, leaves the streams; the next one goes on from what is
    agreed."""
    call, _, before = established()
    offered = call.offer(sdp(ALICE, media(0, "RTP/SAVP"), media(8010, "RTP/SAVP", crypto(1, CM80, 0x50))), SAVP)
    assert offered.lines == (0, 1)  # line 0 lives until the answer
    with pytest.raises(CryptoRequired):
        call.answer(sdp(BOB, media(0, "RTP/SAVP"), media(4000, "RTP/SAVP")))
    offered = call.offer(alice(), SAVP)
    assert call.answer(answering(offered.sdp)).streams == (before,)


def test_stream_added_and_ended() -> None:
    call, _, before = established()
    text = sdp(
        ALICE, media(8000, "RTP/SAVP", crypto(1, CM80)), media(8002, "RTP/SAVP", crypto(1, CM80, 0x51), kind="video")
    )
    offered = call.offer(text, SAVP)
    assert offered.lines == (0, 1)
    assert offered.streams[0] == before
    done = call.answer(answering(offered.sdp))
    assert done.lines == (0, 1)
    ended = sdp(ALICE, media(0, "RTP/SAVP"), media(8002, "RTP/SAVP", crypto(1, CM80, 0x51), kind="video"))
    last = call.answer(answering(call.offer(ended, SAVP).sdp, octet=0x62))
    assert last.lines == (1,)
    assert last.streams[0].a == done.streams[1].a


def test_savp_to_avp_in_the_middle() -> None:
    """A re-offer may change a leg's profile; contexts go with it."""
    call, _, before = established()
    offered = call.offer(sdp(ALICE, media(8000, "RTP/AVP")), SAVP)
    [after] = call.answer(answering(offered.sdp)).streams
    assert not after.a.secure
    assert after.a.receive is after.a.send is None
    assert after.b == before.b


def test_profile_of_the_other_leg_stays_without_wishes() -> None:
    call, _, _ = established(sdp(ALICE, media(8000, "RTP/AVP")))
    assert read(call.offer(sdp(ALICE, media(8000, "RTP/AVP")), options()).sdp).media[0].media.proto == "RTP/SAVP"


class TestForks:
    """C14, C6: several answers to one offer."""

    def test_each_branch_has_its_own_contexts(self) -> None:
        call = Call()
        offered = call.offer(alice(), SAVP).sdp
        [first] = call.answer(answering(offered, CM80), tag="one").streams
        [second] = call.answer(answering(offered, GCM, host="203.0.113.2", octet=0x70), tag="two").streams
        assert second.a == first.a
        assert second.b.remote_rtp == Address("203.0.113.2", 4000)
        assert first.b.receive and second.b.receive
        assert (first.b.receive.suite, second.b.receive.suite) == (CM80, GCM)
        [again] = call.answer(answering(offered, CM80), tag="one").streams
        assert (again.a, again.b.receive, again.b.remote_rtp) == (first.a, first.b.receive, first.b.remote_rtp)
        assert again.b.send and first.b.send and again.b.send.keys == first.b.send.keys

    def test_repeated_answer_is_the_same(self) -> None:
        """183 and 200 with one body: same SDP out, same version, same media."""
        call = Call()
        offered = call.offer(alice(), SAVP).sdp
        assert call.answer(answering(offered)) == call.answer(answering(offered))

    def test_repeated_offer_keeps_the_keys(self) -> None:
        """A proxy offers once per branch: an answer to any of them fits."""
        call = Call()
        first = call.offer(alice(), SAVP).sdp
        assert call.offer(alice(), SAVP).sdp == first


class TestOrigin:
    """G30, RFC 3264 section 8."""

    def test_version_moves_with_the_body(self) -> None:
        call, first, _ = established()
        identifier, version = origin(first)
        assert version == 1
        same = call.offer(sdp(ALICE, media(8000, "RTP/SAVP", crypto(1, CM80)), version=9), SAVP).sdp
        assert same == first
        changed = call.offer(alice("a=ptime:30"), SAVP).sdp
        assert origin(changed) == (identifier, 2)
        assert origin(call.offer(alice("a=ptime:30"), SAVP).sdp) == (identifier, 2)
        assert origin(call.offer(alice(), SAVP).sdp) == (identifier, 3)

    def test_each_leg_has_its_own(self) -> None:
        call = Call(os.urandom)
        offered = call.offer(alice(), SAVP).sdp
        assert origin(call.answer(answering(offered)).sdp)[0] != origin(offered)[0]
        assert b"o=- " in offered
        assert ALICE.encode() not in offered

    def test_reoffer_of_the_other_side_counts_on(self) -> None:
        """The o= line of a leg goes on whether we offer or answer on it."""
        call = Call()
        offered = call.offer(alice(), SAVP).sdp
        identifier, version = origin(call.answer(answering(offered)).sdp)
        towards_alice = call.offer(answering(offered, extra=["a=ptime:30"]), SAVP, tag="bob").sdp
        assert origin(towards_alice) == (identifier, version + 1)

    def test_left_alone_when_not_asked_for(self) -> None:
        wishes = options(transport_protocol="RTP/SAVP", replace=frozenset())
        text = Call().offer(alice(), wishes).sdp
        assert f"o=peer 77 1 IN IP4 {ALICE}\r\ns=call\r\nc=IN IP4 {ALICE}\r\n".encode() in text
        connection = read(text).connection(read(text).media[0])
        assert connection and connection.host == "192.0.2.20"  # media still comes to us

    def test_names_hidden(self) -> None:
        wishes = options(replace=frozenset({"username", "session-name", "session-connection"}))
        text = Call().offer(sdp(ALICE, media(8000, "RTP/AVP")), wishes).sdp
        assert b"o=- 77 1 IN IP4" in text
        assert b"s=-\r\n" in text

    def test_forced_increment(self) -> None:
        wishes = options(transport_protocol="RTP/SAVP", replace=frozenset({"origin", "force-increment-sdp-ver"}))
        call = Call()
        versions = [origin(call.offer(alice(), wishes).sdp)[1] for _ in range(3)]
        assert versions == [1, 2, 3]


class TestRecords:
    """A control process that restarts goes on from the record (issue: adopts every call)."""

    def restarted(self, call: Call, random: Callable[[int], bytes] | None = None) -> Call:
        text = json.dumps(call.negotiation.to_record())
        again = Call()
        again.negotiation = Negotiation.from_record(json.loads(text), random or counting())
        again.placed = call.placed
        assert again.negotiation.to_record() == call.negotiation.to_record()
        return again

    def test_between_offer_and_answer(self) -> None:
        call = Call()
        offered = call.offer(alice(), SAVP).sdp
        expected = Call()
        expected.offer(alice(), SAVP)
        bob = answering(offered)
        done, straight = self.restarted(call).answer(bob), expected.answer(bob)
        assert done.streams == straight.streams

    def test_in_the_call(self) -> None:
        call, _, before = established(alice(f"a=x\r\n{crypto(2, GCM, 0x43)}"))
        again = self.restarted(call, lambda octets: b"\xee" * octets)
        offered = again.offer(alice(f"a=x\r\n{crypto(2, GCM, 0x43)}"), SAVP)
        assert again.answer(answering(offered.sdp)).streams == (before,)
        assert again.negotiation.read_offer(answering(offered.sdp), SAVP, "bob").offerer == "b"

    def test_everything_survives(self) -> None:
        """MKI keys, parameters, quirks, unanswered mux: the record says the same after a round trip."""
        line = f"a=crypto:4 {CM80} inline:{'QUFB' * 10}|2^31|1:4;inline:{'QkJC' * 10}|2^20|2:4 KDR=7 WSH=700 -x=1"
        call = Call()
        sdes = SdesOptions(srtcp_tag_as_srtp=True, window=256)
        call.offer(
            sdp(ALICE, media(8000, "RTP/SAVP", line, "a=rtcp-mux")), options(transport_protocol="RTP/SAVP", sdes=sdes)
        )
        self.restarted(call)

    def test_used_keys_stay_used(self) -> None:
        """B5 over a restart: a key that was used and left is not offered again."""
        call, offered, before = established()
        assert before.b.send
        used = before.b.send.keys
        call.answer(answering(call.offer(alice(), SAVP).sdp, CM80))
        again = self.restarted(call).offer(alice(), SAVP).sdp
        assert used[0].key + used[0].salt in {line.keys[0].material for line in cryptos(offered)}
        assert used[0].key + used[0].salt not in {line.keys[0].material for line in cryptos(again)}

    @pytest.mark.parametrize("record", [{}, {"form": 0}, {"form": 1}, {"form": 1, "lines": [{}], "pending": []}])
    def test_foreign_records(self, record: dict[str, object]) -> None:
        with pytest.raises(ValueError, match="record"):
            Negotiation.from_record(record, counting())


def test_tag_of_an_unknown_side() -> None:
    """An offer under a tag nobody knows, after an answer, comes from the called side (transfer); under Alice's tag
    from Alice."""
    call, _, _ = established()
    assert call.negotiation.read_offer(alice(), SAVP, "charlie").offerer == "b"
    assert call.negotiation.read_offer(alice(), SAVP, "alice").offerer == "a"
    assert Call().negotiation.read_offer(alice(), SAVP, "charlie").offerer == "a"


def test_a_stream_that_one_side_forgot() -> None:
    """Against RFC 3264 section 8: Alice's re-offer leaves her last m-line out. Bob sees it refused in its place; his
    own re-offer then adds nothing for Alice, and hers may come back to it."""
    two = sdp(ALICE, media(8000, "RTP/AVP"), media(8002, "RTP/AVP", kind="video", formats="96"))
    call = Call()
    call.answer(answering(call.offer(two, options()).sdp))
    forgetful = call.offer(sdp(ALICE, media(8000, "RTP/AVP"), version=2), options()).sdp
    assert [bool(section.media.port) for section in read(forgetful).media] == [True, False]
    assert len(read(call.answer(answering(forgetful)).sdp).media) == 1
    bobs = sdp(BOB, media(4000, "RTP/AVP"), media(0, "RTP/AVP", kind="video", formats="96"), version=2)
    towards_alice = call.offer(bobs, options(), tag="bob").sdp
    assert read(towards_alice).media[0].media.port
    call.answer(answering(towards_alice, host=ALICE), tag="alice")
    done = call.answer(answering(towards_alice, host=ALICE), tag="alice")
    assert len(read(done.sdp).media) == 2
    again = call.offer(two, options())
    assert [str(section.media).split()[0] for section in read(again.sdp).media][:2] == ["audio", "video"]
