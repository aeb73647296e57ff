"""SDES on one leg, by row: which lines are taken, what is written, what contexts come of them."""

from __future__ import annotations

import os
from typing import Any

import pytest

from appliance.calls import negotiation_keys as keys
from appliance.calls.media import RocPolicy
from appliance.calls.negotiation_keys import KeySource, NoKey
from appliance.policy.options import MOST_MKI_KEYS, Choice, SdesOptions
from appliance.protocols.sdes.crypto import Crypto, emit, parse
from appliance.protocols.srtp import suites
from tests.appliance.calls.sdps import counting, crypto

CM80, CM32, F8, GCM, GCM_8 = (
    "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32", "F8_128_HMAC_SHA1_80", "AEAD_AES_256_GCM",
    "AEAD_AES_256_GCM_8",
)  # fmt: skip
PLAIN = SdesOptions()


def value(tag: int, name: str, octet: int = 0x41, extra: str = "") -> str:
    return crypto(tag, name, octet, extra).removeprefix("a=crypto:")


def draw() -> KeySource:
    return KeySource(counting(), set())


def proposed(sdes: SdesOptions = PLAIN, *names: str) -> tuple[Crypto, ...]:
    wanted = [suite for name in names or (CM80,) if (suite := suites.find(name))]
    return keys.propose(wanted, sdes, draw())


def taken(*lines: str, sdes: SdesOptions = PLAIN) -> Crypto:
    return keys.choose(lines, sdes, None, set())


class TestOffers:
    """What we take of a peer's offer."""

    def test_both_spellings_with_one_key(self) -> None:
        """B11, rtpengine#736: Zoiper offers a suite twice with one key; the first of the two lines is answered."""
        lines = (value(3, "AES_256_CM_HMAC_SHA1_80"), value(4, "AES_CM_256_HMAC_SHA1_80"), value(5, CM80))
        for offer in (lines, (lines[1], lines[0], lines[2])):
            line = taken(*offer)
            assert (line.tag, line.spelling) == (int(offer[0][0]), offer[0].split()[1])
            assert keys.reply(line, PLAIN, draw()).spelling == line.spelling

    def test_names_in_any_case_are_answered_as_written(self) -> None:
        """SDES-7: the answer repeats the spelling, whatever its case."""
        line = taken(value(1, CM80).replace(CM80, CM80.lower()))
        assert emit(keys.reply(line, PLAIN, draw())).startswith(f"1 {CM80.lower()} inline:")

    def test_f8_alone(self) -> None:
        """B03, C09: of Jitsi's seven lines only tag 7 is acceptable."""
        lines = [value(tag, name) for tag, name in enumerate((CM80, CM32, GCM, F8), 4)]
        assert taken(*lines, sdes=SdesOptions(suites=(F8,))).tag == 7

    @pytest.mark.parametrize("name", [suite.name for suite in suites.SUITES if suite.weak])
    def test_a_weak_suite_needs_its_switch(self, name: str) -> None:
        """B10, B17, trap 3: refused with the reason, taken when this trunk allows it; never matched by a prefix."""
        suite = suites.find(name)
        assert suite
        with pytest.raises(NoKey) as refused:
            taken(value(1, name))
        assert f"{name} is not allowed here ({suite.weak})" in str(refused.value)
        assert taken(value(1, name), sdes=SdesOptions(allow_weak=frozenset({name}))).suite is suite
        if name == GCM_8:
            with pytest.raises(NoKey):
                taken(value(1, name), sdes=SdesOptions(suites=(GCM,)))

    @pytest.mark.parametrize(
        ("lifetime", "floor", "accepted"), [("|2^19", 20, False), ("|2^20", 20, True), ("", 20, True), ("|1", 0, True)]
    )
    def test_lifetime_floor(self, lifetime: str, floor: int, accepted: bool) -> None:
        """Asterisk refuses keys that live for fewer than 2^20 packets (peers.md 1.4); here it is a trunk's choice."""
        sdes = SdesOptions(lifetime_floor_log2=floor)
        line = value(1, CM80) + lifetime
        if accepted:
            assert taken(line, sdes=sdes).tag == 1
            assert keys.match([line], proposed(), sdes, set())[1].tag == 1
            return
        for refused in (lambda: taken(line, sdes=sdes), lambda: keys.match([line], proposed(), sdes, set())):
            with pytest.raises(NoKey, match=r"lifetime below 2\^20"):
                refused()

    def test_liberal_lifetime(self) -> None:
        """C05: beyond the suite's maximum the line is refused, or clamped where the trunk is liberal."""
        line = value(1, "AES_256_CM_HMAC_SHA1_80") + "|2^48"
        with pytest.raises(NoKey, match="lifetime above"):
            taken(line)
        assert taken(line, sdes=SdesOptions(liberal_lifetime=True)).keys[0].lifetime == 1 << 31

    def test_fec_over_srtp_cannot_pass(self) -> None:
        """C04, SDES-11: FEC before SRTP is the default and works; FEC over what is encrypted here ends here."""
        assert taken(value(1, CM80, extra=" FEC_ORDER=FEC_SRTP")).parameters.fec_order == "FEC_SRTP"
        with pytest.raises(NoKey, match="SRTP_FEC"):
            taken(value(1, CM80, extra=" FEC_ORDER=SRTP_FEC"))

    @pytest.mark.parametrize("word", ["UNENCRYPTED_SRTP", "UNENCRYPTED_SRTCP", "UNAUTHENTICATED_SRTP"])
    def test_less_protection_is_negotiated(self, word: str) -> None:
        """SDES-11, SDES-13: refused unless this trunk allows it, then echoed; a weaker line does not spoil others."""
        weak = value(1, GCM if "AUTH" not in word else CM80, extra=f" {word}")
        with pytest.raises(NoKey, match="less protection"):
            taken(weak)
        assert taken(weak, value(2, CM32)).tag == 2
        sdes = SdesOptions(**{word.lower(): True})
        assert emit(keys.reply(taken(weak, sdes=sdes), sdes, draw())).endswith(word)

    def test_unknown_parameters(self) -> None:
        """SDES-16."""
        assert taken(value(1, CM80, extra=" -vendor=1")).tag == 1
        with pytest.raises(NoKey):
            taken(value(1, CM80, extra=" vendor=1"))

    def test_offerers_order(self) -> None:
        """B19."""
        lines = (value(1, CM32), value(2, GCM))
        assert taken(*lines).tag == 2
        assert taken(*lines, sdes=SdesOptions(choice=Choice.OFFERER)).tag == 1

    def test_no_line_left(self) -> None:
        """SDES-8: every line has its reason in the refusal, none its key."""
        lines = (value(1, CM80).replace(CM80, "NEW_SUITE_1"), value(2, GCM_8), f"3 {CM80} inline:QUFB")
        with pytest.raises(NoKey) as refused:
            taken(*lines, value(4, CM80) + "|0")
        text = str(refused.value)
        for reason in ("unknown suite", "not allowed here", "octets", "lifetime"):
            assert reason in text
        assert "QUFB" not in text

    def test_our_own_key_sent_back(self) -> None:
        """SDES-9, B5: a two-time pad."""
        ours = {parse(value(1, CM80)).keys[0].material}
        with pytest.raises(NoKey, match="repeats a key of ours"):
            keys.choose([value(1, CM80)], PLAIN, None, ours)


class TestAnswers:
    """What we take of a peer's answer (SDES-10)."""

    @pytest.mark.parametrize(
        ("lines", "why"),
        [
            ([], "no a=crypto line"),
            ([value(2, CM80)], "was not offered"),
            ([value(1, CM32)], "was not offered"),
            ([value(1, CM80, extra=" UNENCRYPTED_SRTCP")], "other session parameters"),
            ([f"1 {CM80} inline:AAAA"], "octets"),
        ],
    )
    def test_refused(self, lines: list[str], why: str) -> None:
        """SDES-10."""
        with pytest.raises(NoKey, match=why):
            keys.match(lines, proposed(), PLAIN, set())

    @pytest.mark.parametrize("bits", [128, 256])
    def test_ciscos_answer_to_gcm_8(self, bits: int) -> None:
        """Trap 3, freeswitch#691: refused, but on the trunk that is told so; media is the suite that was offered."""
        offered, answered = f"AEAD_AES_{bits}_GCM_8", f"AEAD_AES_{bits}_GCM"
        lines, mine = [value(1, answered)], proposed(PLAIN, offered)
        with pytest.raises(NoKey, match="was not offered"):
            keys.match(lines, mine, PLAIN, set())
        cisco = SdesOptions(gcm8_answered_as_gcm=True)
        _, theirs = keys.match(lines, mine, cisco, set())
        assert keys.context(theirs, cisco).suite == offered
        assert keys.match([value(1, offered)], mine, cisco, set())[1].suite == suites.find(offered)
        for name in (CM80, f"AEAD_AES_{384 - bits}_GCM"):  # nothing else is stretched
            with pytest.raises(NoKey, match="was not offered"):
                keys.match([value(1, name)], mine, cisco, set())
        with pytest.raises(NoKey, match="was not offered"):  # nor the other way round
            keys.match([value(1, offered)], proposed(PLAIN, answered), cisco, set())


class TestSeveralKeys:
    """C06: MKI."""

    TWO = f"1 {CM80} inline:{'QUFB' * 10}|2^31|1:1;inline:{'QkJC' * 10}|2^31|2:1"

    def test_all_keys_of_a_line_are_taken_in_order(self) -> None:
        spec = keys.context(taken(self.TWO), PLAIN)
        assert [key.mki for key in spec.keys] == [b"\1", b"\2"]
        assert [key.key[:1] for key in spec.keys] == [b"A", b"B"]

    @pytest.mark.parametrize("count", range(MOST_MKI_KEYS + 1))
    def test_what_we_write(self, count: int) -> None:
        """`sdes_mki`, as FreeSWITCH's rtp_secure_media_mki; in offers and answers alike."""
        sdes = SdesOptions(mki_keys=count, lifetime_log2=31)
        for line in (proposed(sdes)[0], keys.reply(taken(value(1, CM80)), sdes, draw())):
            text = emit(line)
            assert text.count("inline:") == max(count, 1)
            assert [key.mki for key in line.keys] == ([bytes([n]) for n in range(1, count + 1)] or [b""])
            assert len({key.material for key in line.keys}) == len(line.keys)
            assert parse(text) == line
            if count:
                assert text.endswith(f"|2^31|{count}:1")

    def test_switching(self) -> None:
        spec = keys.context(proposed(SdesOptions(mki_keys=3))[0], PLAIN)
        assert spec.sending_mki == b""  # the first
        assert keys.switched(spec, b"\3").sending_mki == b"\3"
        for mki in (b"\4", b"", b"\0\1"):
            with pytest.raises(NoKey, match="its MKIs: 1, 2, 3"):
                keys.switched(spec, mki)
        with pytest.raises(NoKey, match="none"):
            keys.switched(keys.context(proposed()[0], PLAIN), b"\1")

    def test_a_context_made_anew_keeps_the_key_in_use(self) -> None:
        line = proposed(SdesOptions(mki_keys=2))[0]
        assert keys.context(line, PLAIN, b"\2").sending_mki == b"\2"
        assert keys.context(line, PLAIN, b"\7").sending_mki == b""


@pytest.mark.parametrize(
    ("field", "wished", "suite", "expected"),
    [
        ("legacy_192", True, "AES_192_CM_HMAC_SHA1_80", True),  # key-management.md section 6, 1
        ("legacy_192", True, "AES_192_CM_HMAC_SHA1_32", True),
        ("legacy_192", True, "AES_256_CM_HMAC_SHA1_80", False),  # the defect is AES-192's alone
        ("legacy_192", True, CM80, False),
        ("legacy_192", False, "AES_192_CM_HMAC_SHA1_80", False),
        ("roc", RocPolicy.RESET, CM80, RocPolicy.RESET),  # C13, rtpengine#1443
        ("roc", RocPolicy.KEEP, CM80, RocPolicy.KEEP),
        ("srtcp_tag_as_srtp", True, "AES_CM_128_NULL_AUTH", True),  # traps 5, 6: 0/0
    ],
)
def test_quirks_of_contexts(field: str, wished: Any, suite: str, expected: Any) -> None:
    spec = keys.context(parse(value(1, suite)), SdesOptions(**{field: wished}))
    assert getattr(spec, field) == expected


@pytest.mark.parametrize("suite", [row for row in suites.SUITES if row.rtp_tag == 4], ids=lambda suite: suite.name)
def test_srtcp_keeps_80_bits(suite: suites.Suite) -> None:
    """SDES-24, trap 5: the _32 suites are short in SRTP only, unless the trunk has FreeSWITCH's quirk."""
    line = parse(value(1, suite.name))
    assert suite.rtcp_tag == 10 and not keys.context(line, PLAIN).srtcp_tag_as_srtp
    assert keys.context(line, SdesOptions(srtcp_tag_as_srtp=True)).srtcp_tag_as_srtp


def test_a_hundred_thousand_keys() -> None:
    """C10, SDES-6: no key twice. A key has 28 octets at least: among 10^6 random ones two are alike with a probability
    of 10^12 / 2^225, so what a test can find is a source that is not random, and what the call itself never repeats
    is refused by KeySource whatever the source does."""
    source = KeySource(os.urandom, set())
    suite = suites.find("AEAD_AES_128_GCM")
    assert suite
    drawn = {source.keys(suite, PLAIN)[0].material for _ in range(100_000)}
    assert len(drawn) == len(source.used) == 100_000


def test_a_source_that_stutters_is_drawn_from_again() -> None:
    """SDES-6: the same octets twice are never two keys."""
    octets = iter([b"a" * 30, b"a" * 30, b"b" * 30])
    source = KeySource(lambda _: next(octets), set())
    first, second = source.keys(parse(value(1, CM80)).suite, SdesOptions(mki_keys=2))  # type: ignore[arg-type]
    assert (first.material[:1], second.material[:1]) == (b"a", b"b")
