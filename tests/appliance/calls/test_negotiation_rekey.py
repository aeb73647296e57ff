"""Keys that change in a call: the overlap of old and new (C13, SDES-19, SDES-21), quirks per leg, forks (C14, C6)."""

from __future__ import annotations

import json

import pytest

from appliance.calls import negotiation_keys
from appliance.calls.media import ContextSpec, RocPolicy, StreamMedia
from appliance.calls.negotiation import Negotiation
from appliance.errors import CryptoRequired
from appliance.policy.options import SdesOptions
from appliance.policy.secure_media import Mode, SecureMedia

from .sdps import ALICE, BOB, Call, answering, counting, crypto, cryptos, media, options, read, sdp

CM80, GCM = "AES_CM_128_HMAC_SHA1_80", "AEAD_AES_256_GCM"
SAVP = options(transport_protocol="RTP/SAVP")


def alice(octet: int = 0x41, name: str = CM80, version: int = 1, *lines: str) -> bytes:
    return sdp(ALICE, media(8000, "RTP/SAVP", crypto(1, name, octet), *lines), version=version)


def established() -> tuple[Call, StreamMedia]:
    call = Call()
    return call, call.answer(answering(call.offer(alice(), SAVP).sdp)).streams[0]


def octet(context: ContextSpec | None) -> int:
    assert context is not None
    return context.keys[0].key[0]


class TestOverlap:
    def test_offerer_rekeys(self) -> None:
        """C13, SDES-19: the new key is tried from the offer on, the old one until the next step."""
        call, before = established()
        offered = call.offer(alice(0x42, version=2), SAVP)
        [meanwhile] = offered.streams
        assert octet(meanwhile.a.receive) == 0x41 and [octet(one) for one in meanwhile.a.receive_also] == [0x42]
        assert meanwhile.a.send == before.a.send and meanwhile.b == before.b
        [after] = call.answer(answering(offered.sdp)).streams
        assert octet(after.a.receive) == 0x42 and [octet(one) for one in after.a.receive_also] == [0x41]
        assert after.a.send != before.a.send
        assert after.b == before.b
        [settled] = call.answer(answering(call.offer(alice(0x42, version=3), SAVP).sdp)).streams
        assert settled.a.receive_also == () and octet(settled.a.receive) == 0x42

    def test_answerer_rekeys(self) -> None:
        """C13 the other way; a repeated answer (183, then 200) keeps the overlap."""
        call, before = established()
        offered = call.offer(alice(version=2), SAVP).sdp
        for _ in range(2):
            [after] = call.answer(answering(offered, octet=0x63)).streams
            assert octet(after.b.receive) == 0x63 and [octet(one) for one in after.b.receive_also] == [0x62]
            assert after.a == before.a
        [settled] = call.answer(answering(call.offer(alice(version=3), SAVP).sdp, octet=0x63)).streams
        assert settled.b.receive_also == ()

    def test_callee_reoffers_with_a_new_key(self) -> None:
        call, before = established()
        bobs = sdp(BOB, media(4000, "RTP/SAVP", crypto(1, CM80, 0x64)), version=2)
        offered = call.offer(bobs, SAVP, tag="bob")
        assert [octet(one) for one in offered.streams[0].b.receive_also] == [0x64]
        line = cryptos(offered.sdp)[0]
        [after] = call.answer(sdp(ALICE, media(8000, "RTP/SAVP", crypto(line.tag, line.spelling, 0x41))), SAVP).streams
        assert octet(after.b.receive) == 0x64 and [octet(one) for one in after.b.receive_also] == [0x62]
        assert after.a == before.a

    def test_another_suite(self) -> None:
        """The old context keeps its own suite."""
        call, _ = established()
        offered = call.offer(alice(0x42, GCM, version=2), SAVP)
        [after] = call.answer(answering(offered.sdp)).streams
        assert after.a.receive and after.a.receive.suite == GCM
        assert [one.suite for one in after.a.receive_also] == [CM80]

    def test_refused_reoffer(self) -> None:
        """A re-key that is refused leaves the agreed keys alone."""
        call, before = established()
        offered = call.offer(alice(0x42, version=2), SAVP)
        with pytest.raises(CryptoRequired):
            call.answer(sdp(BOB, media(4000, "RTP/SAVP")))
        again = call.offer(alice(version=3), SAVP)
        assert again.streams == (before,)
        assert offered.streams != again.streams

    def test_nothing_is_kept_of_a_leg_that_turns_plain(self) -> None:
        call, _ = established()
        offered = call.offer(sdp(ALICE, media(8000, "RTP/AVP"), version=2), SAVP)
        assert offered.streams[0].a.receive_also == ()
        [after] = call.answer(answering(offered.sdp)).streams
        assert not after.a.secure and after.a.receive_also == ()

    def test_survives_a_restart(self) -> None:
        call, _ = established()
        bobs = answering(call.offer(alice(0x42, version=2), SAVP).sdp)
        expected = call.answer(bobs)
        again = Negotiation.from_record(json.loads(json.dumps(call.negotiation.to_record())), counting())
        assert again.to_record() == call.negotiation.to_record()
        assert again.answer(bobs, options()).streams == expected.streams


class TestDowngrade:
    """C3: a re-INVITE without crypto."""

    @pytest.mark.parametrize("lines", [media(8000, "RTP/AVP"), media(8000, "RTP/SAVP")], ids=["AVP", "keys gone"])
    def test_mandatory_leg(self, lines: list[str]) -> None:
        call, before = established()
        record = call.negotiation.to_record()
        wishes = options(transport_protocol="RTP/SAVP", inbound=SecureMedia(Mode.MANDATORY))
        with pytest.raises(CryptoRequired) as caught:
            call.offer(sdp(ALICE, lines, version=2), wishes)
        assert caught.value.sip_status == 488
        assert call.negotiation.to_record() == record
        assert call.offer(alice(), wishes).streams == (before,)


class TestQuirks:
    def test_each_leg_its_own(self) -> None:
        """Rows C13 and key-management.md section 6: how AES-192 keys are derived and what becomes of the ROC reach the
        leg's two contexts, and survive a restart."""
        quirky = SdesOptions(legacy_192=True, roc=RocPolicy.KEEP)
        call = Call()
        offered = call.offer(alice(), options(transport_protocol="RTP/SAVP", sdes=quirky, sdes_from=SdesOptions()))
        record = json.loads(json.dumps(call.negotiation.to_record()))
        state = Negotiation.from_record(record, counting())._state.pending.lines[0]
        assert (state.a.quirks.legacy_192, state.a.quirks.roc) == (False, RocPolicy.AUTO)
        assert (state.b.quirks.legacy_192, state.b.quirks.roc) == (True, RocPolicy.KEEP)
        contexts = [negotiation_keys.context(line, state.b.quirks) for line in state.b.proposed]
        assert all(one.roc is RocPolicy.KEEP for one in contexts) and any(one.legacy_192 for one in contexts)
        assert offered.streams[0].a.secure

    @pytest.mark.parametrize(
        ("a", "b"),
        [("RTP/AVP", "RTP/AVPF"), ("RTP/SAVPF", "RTP/AVP"), ("RTP/SAVP", "RTP/SAVPF"), ("RTP/AVPF", "RTP/AVP")],
    )
    def test_feedback_by_profile(self, a: str, b: str) -> None:
        """A22, G02, G24: a leg without F takes no part in RTCP feedback; nor does either SDP speak of what would get
        nowhere, whatever the peer's says."""
        keys = [crypto(1, CM80)] if a.startswith("RTP/S") else []
        call = Call()
        offer = sdp(ALICE, media(8000, a, *keys, "a=rtcp-fb:8 nack", "a=rtcp-rsize"))
        offered = call.offer(offer, options(transport_protocol=b))
        done = call.answer(answering(offered.sdp, extra=["a=rtcp-fb:8 nack", "a=rtcp-rsize"]))
        assert (done.streams[0].a.feedback, done.streams[0].b.feedback) == (a.endswith("F"), b.endswith("F"))
        for text, proto in ((offered.sdp, b), (done.sdp, a)):
            section = read(text).media[0]
            assert section.media.proto == proto  # SDP-2
            assert not section.has("rtcp-fb") and not section.has("rtcp-rsize")


class TestForks:
    """C14, C6: answers with different to-tags to one offer, without via-branch."""

    def test_contexts_never_mix(self) -> None:
        """Each answer's contexts replace the other's: the loser's packets find no key, its old key is not tried."""
        call = Call()
        offered = call.offer(alice(), SAVP).sdp
        [one] = call.answer(answering(offered, CM80), tag="one").streams
        [two] = call.answer(answering(offered, CM80, host="203.0.113.2", octet=0x70), tag="two").streams
        assert octet(one.b.receive) == 0x62 and octet(two.b.receive) == 0x70
        assert two.b.receive_also == ()
        [won] = call.answer(answering(offered, CM80), tag="one").streams
        assert won == one
        assert call.negotiation.read_offer(alice(), SAVP, "two").offerer == "b"

    def test_a_key_that_comes_back_goes_on(self) -> None:
        """B5: branches that chose different suites; the first one wins. Our key towards it was left and is taken up
        again: its indices go on, from ROC 0 they could come a second time."""
        call = Call()
        offered = call.offer(alice(), SAVP).sdp
        [one] = call.answer(answering(offered, CM80), tag="one").streams
        [two] = call.answer(answering(offered, GCM, octet=0x70), tag="two").streams
        [won] = call.answer(answering(offered, CM80), tag="one").streams
        rocs = [stream.b.send.roc for stream in (one, two, won) if stream.b.send]
        assert rocs == [RocPolicy.AUTO, RocPolicy.AUTO, RocPolicy.KEEP]
        assert one.b.send and won.b.send and won.b.send.keys == one.b.send.keys

    def test_rekey_after_a_fork(self) -> None:
        """What overlaps after a re-key is the winner's key, not the loser's."""
        call = Call()
        offered = call.offer(alice(), SAVP).sdp
        call.answer(answering(offered, CM80, octet=0x70), tag="two")
        call.answer(answering(offered, CM80, octet=0x62), tag="one")
        again = call.offer(alice(version=2), SAVP).sdp
        for _ in range(2):
            [after] = call.answer(answering(again, CM80, octet=0x63), tag="one").streams
            assert octet(after.b.receive) == 0x63 and [octet(context) for context in after.b.receive_also] == [0x62]
