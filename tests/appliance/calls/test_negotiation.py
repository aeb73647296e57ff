"""Offer/answer between two legs: pairings of profiles, suites, several m-lines, policy."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from appliance.calls.media import Address, Latching
from appliance.errors import CryptoRequired, GatewayError, InvalidRequest, InvalidSdp, NotAcceptable
from appliance.policy.options import Choice, MediaOptions, SdesOptions, Spelling
from appliance.policy.secure_media import Mode, SecureMedia, resolve
from appliance.policy.suites import weak_suites
from appliance.protocols.srtp import suites
from tests.appliance.protocols.sdp import fixtures

from .sdps import (
    ALICE,
    BOB,
    GATE_B,
    Call,
    answering,
    crypto,
    cryptos,
    key,
    media,
    options,
    placement,
    read,
    sdp,
)

PLAIN = ("RTP/AVP", "RTP/AVPF")
SECURE = ("RTP/SAVP", "RTP/SAVPF")
CM80 = "AES_CM_128_HMAC_SHA1_80"
B18 = (
    "AEAD_AES_256_GCM_8", "AEAD_AES_128_GCM_8", "AES_256_CM_HMAC_SHA1_80", "AES_192_CM_HMAC_SHA1_80", CM80,
    "AES_256_CM_HMAC_SHA1_32", "AES_192_CM_HMAC_SHA1_32", "AES_CM_128_HMAC_SHA1_32",
)  # fmt: skip
ALL_WEAK = weak_suites(null_auth=True, null_cipher=True, gcm_8=True)


def alice(proto: str, *lines: str, **more: object) -> bytes:
    keys = (crypto(1, CM80),) if proto in SECURE and not lines else lines
    return sdp(ALICE, media(8000, proto, *keys), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("a", PLAIN + SECURE)
@pytest.mark.parametrize("b", PLAIN + SECURE)
def test_every_pairing(a: str, b: str) -> None:
    """A01, A07, A24, A25, G01-G04: both legs get their own profile, ports and, where secure, two contexts with
    different keys."""
    call = Call()
    offered = call.offer(alice(a), options(transport_protocol=b))
    line = read(offered.sdp).media[0]
    assert (line.media.proto, line.media.port) == (b, 30002)
    assert read(offered.sdp).connection(line).host == GATE_B  # type: ignore[union-attr]
    assert bool(line.attributes("crypto")) == (b in SECURE)
    early = offered.streams[0]
    assert early.b.secure == (b in SECURE)
    assert early.b.receive is None
    assert early.b.send is None
    assert early.b.remote_rtp is None
    done = call.answer(answering(offered.sdp))
    answer = read(done.sdp).media[0]
    assert (answer.media.proto, answer.media.port) == (a, 30000)
    assert len(answer.attributes("crypto")) == (a in SECURE)
    stream = done.streams[0]
    assert (stream.kind, done.lines) == ("audio", (0,))
    assert stream.a.remote_rtp == Address(ALICE, 8000)
    assert stream.a.remote_rtcp == Address(ALICE, 8001)
    assert stream.b.remote_rtp == Address(BOB, 4000)
    used = set()
    for leg, proto in ((stream.a, a), (stream.b, b)):
        assert leg.secure == (proto in SECURE)
        assert leg.latching is (Latching.AUTHENTICATED if leg.secure else Latching.SIGNALLED_HOST)
        assert (leg.receive is not None) == (leg.send is not None) == leg.secure
        used |= {context.keys[0].key for context in (leg.receive, leg.send) if context}
    assert len(used) == 2 * ((a in SECURE) + (b in SECURE))


@pytest.mark.parametrize("one", [row.name for row in suites.SUITES])
@pytest.mark.parametrize("other", [row.name for row in suites.SUITES])
def test_every_pair_of_suites(one: str, other: str) -> None:
    """A25: SDES to SDES with every ordered pair of suites, in the table's key and salt lengths."""
    call = Call()
    sdes = SdesOptions(suites=(other,), allow_weak=ALL_WEAK)
    offered = call.offer(
        alice("RTP/SAVP", crypto(5, one)), options(sdes=sdes, sdes_from=SdesOptions(allow_weak=ALL_WEAK))
    )
    stream = call.answer(answering(offered.sdp)).streams[0]
    for leg, name, remote in ((stream.a, one, 0x41), (stream.b, other, 0x62)):
        suite = suites.find(name)
        assert suite and leg.receive and leg.send
        assert leg.receive.suite == leg.send.suite == name
        assert leg.receive.keys[0].key == bytes([remote]) * suite.key_octets
        assert leg.receive.keys[0].salt == bytes([remote]) * suite.salt_octets
        assert len(leg.send.keys[0].key) == suite.key_octets


def test_offer_lists_the_suites_of_b18_in_order() -> None:
    """B18, C09: 16-octet GCM, the row's suites, then F8; tags 1..n; weak ones absent unless allowed; RFC names;
    padded."""
    lines = cryptos(Call().offer(alice("RTP/AVP"), options(transport_protocol="RTP/SAVP")).sdp)
    strong = [name for name in B18 if not name.endswith("_8")]
    f8 = ["F8_128_HMAC_SHA1_80", "F8_128_HMAC_SHA1_32"]
    assert [line.spelling for line in lines] == ["AEAD_AES_256_GCM", "AEAD_AES_128_GCM", *strong, *f8]
    assert [line.tag for line in lines] == list(range(1, len(lines) + 1))
    allowed = options(transport_protocol="RTP/SAVP", sdes=SdesOptions(allow_weak=weak_suites(gcm_8=True)))
    names = [line.spelling for line in cryptos(Call().offer(alice("RTP/AVP"), allowed).sdp)]
    assert [name for name in names if name in B18] == list(B18)
    named = options(transport_protocol="RTP/SAVP", sdes=SdesOptions(suites=B18))
    assert [line.spelling for line in cryptos(Call().offer(alice("RTP/AVP"), named).sdp)] == list(B18)


@pytest.mark.parametrize("name", [row.name for row in suites.SUITES])
def test_callee_answers_each_suite_in_turn(name: str) -> None:
    """Issue: the callee takes any of our lines; its tag decides, both contexts are of that suite."""
    call = Call()
    offered = call.offer(
        alice("RTP/AVP"), options(transport_protocol="RTP/SAVP", sdes=SdesOptions(allow_weak=ALL_WEAK))
    )
    stream = call.answer(answering(offered.sdp, name)).streams[0]
    mine = next(line for line in cryptos(offered.sdp) if line.spelling == name)
    assert stream.b.send and stream.b.receive
    assert stream.b.send.suite == stream.b.receive.suite == name
    assert stream.b.send.keys[0].key + stream.b.send.keys[0].salt == mine.keys[0].material


@pytest.mark.parametrize("bits", [192, 256])
@pytest.mark.parametrize("tag", [80, 32])
def test_answer_in_the_spelling_of_the_offer(bits: int, tag: int) -> None:
    """B09-B12, C02, SDES-7: the alias is understood and echoed, with the line's tag; the RFC's name likewise."""
    for spelling in (f"AES_CM_{bits}_HMAC_SHA1_{tag}", f"AES_{bits}_CM_HMAC_SHA1_{tag}"):
        call = Call()
        offered = call.offer(alice("RTP/SAVP", crypto(123456789, spelling)), options(transport_protocol="RTP/AVP"))
        [line] = cryptos(call.answer(answering(offered.sdp)).sdp)
        assert (line.tag, line.spelling) == (123456789, spelling)


def test_both_spellings_with_one_key() -> None:
    """B11 (Zoiper): one of the two lines is answered, under its own tag and name."""
    names = ("AES_CM_256_HMAC_SHA1_80", "AES_256_CM_HMAC_SHA1_80")
    call = Call()
    offered = call.offer(
        alice("RTP/SAVP", crypto(1, names[0]), crypto(2, names[1])), options(transport_protocol="RTP/AVP")
    )
    [line] = cryptos(call.answer(answering(offered.sdp)).sdp)
    assert names[line.tag - 1] == line.spelling


def test_offer_in_the_alias_spelling_and_answer_in_the_other() -> None:
    """Trap 2: a trunk may want FreeSWITCH's spelling; the answer may use either."""
    call = Call()
    sdes = SdesOptions(suites=("AES_256_CM_HMAC_SHA1_80",), spelling=Spelling.ALIAS)
    offered = call.offer(alice("RTP/AVP"), options(transport_protocol="RTP/SAVP", sdes=sdes))
    assert cryptos(offered.sdp)[0].spelling == "AES_CM_256_HMAC_SHA1_80"
    answer = sdp(BOB, media(4000, "RTP/SAVP", crypto(1, "AES_256_CM_HMAC_SHA1_80", 0x62)))
    assert call.answer(answer).streams[0].b.receive is not None


@pytest.mark.parametrize(
    ("order", "choice", "taken"),
    [
        ((CM80, "AEAD_AES_256_GCM"), Choice.STRONGEST, 2),
        (("AEAD_AES_256_GCM", CM80), Choice.STRONGEST, 1),
        ((CM80, "AEAD_AES_256_GCM"), Choice.OFFERER, 1),
        (("AES_CM_128_HMAC_SHA1_32", "AES_192_CM_HMAC_SHA1_80", "F8_128_HMAC_SHA1_80"), Choice.STRONGEST, 2),
        (("AEAD_AES_256_GCM_8", "AES_CM_128_HMAC_SHA1_32"), Choice.OFFERER, 2),
    ],
)
def test_which_line_is_answered(order: tuple[str, ...], choice: Choice, taken: int) -> None:
    """B19: the strongest common suite in whatever order it is offered, or by switch the offerer's first acceptable
    one."""
    call = Call()
    lines = [crypto(tag, name, 0x40 + tag) for tag, name in enumerate(order, 1)]
    wishes = options(transport_protocol="RTP/AVP", sdes_from=SdesOptions(choice=choice))
    offered = call.offer(alice("RTP/SAVP", *lines), wishes)
    assert [line.tag for line in cryptos(call.answer(answering(offered.sdp)).sdp)] == [taken]


def test_policy_list_is_the_preference_and_the_limit() -> None:
    """H08, B03: F8 alone in the policy: the seven suites of the reference's Jitsi are answered with tag 7."""
    names = ("AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32", "AES_192_CM_HMAC_SHA1_80", "AES_192_CM_HMAC_SHA1_32",
             "AES_256_CM_HMAC_SHA1_80", "AES_256_CM_HMAC_SHA1_32", "F8_128_HMAC_SHA1_80")  # fmt: skip
    offer = alice("RTP/SAVP", *(crypto(tag, name, tag) for tag, name in enumerate(names, 1)))
    call = Call()
    wishes = options(transport_protocol="RTP/AVP", inbound=SecureMedia(Mode.OPTIONAL, ("F8_128_HMAC_SHA1_80",)))
    offered = call.offer(offer, wishes)
    assert [(line.tag, line.spelling) for line in cryptos(call.answer(answering(offered.sdp)).sdp)] == [(7, names[6])]


@pytest.mark.parametrize("name", [row.name for row in suites.SUITES if row.weak])
def test_weak_suites_are_refused_unless_named(name: str) -> None:
    """B10 (security), B13, B14, B17: offered alone they are refused; named by the policy or allowed by the trunk they
    work."""
    offer = alice("RTP/SAVP", crypto(1, name))
    with pytest.raises(CryptoRequired, match="not allowed"):
        Call().offer(offer)
    for wishes in (
        options(inbound=SecureMedia(Mode.OPTIONAL, (name,))),
        options(sdes_from=SdesOptions(allow_weak=frozenset((name,)))),
    ):
        stream = Call().offer(offer, wishes).streams[0]
        assert stream.a.receive and stream.a.receive.suite == name


@pytest.mark.parametrize(
    ("word", "field"),
    [
        ("UNENCRYPTED_SRTP", "encrypt_rtp"),
        ("UNENCRYPTED_SRTCP", "encrypt_rtcp"),
        ("UNAUTHENTICATED_SRTP", "authenticate_rtp"),
    ],
)
def test_weakening_parameters(word: str, field: str) -> None:
    """C04, SDES-11 to 13, B10: refused by default; allowed they are echoed and shape both contexts."""
    offer = alice("RTP/SAVP", crypto(1, CM80, extra=f" {word}"))
    with pytest.raises(CryptoRequired, match="less protection"):
        Call().offer(offer)
    call = Call()
    wishes = options(transport_protocol="RTP/AVP", sdes_from=SdesOptions(**{word.lower(): True}))  # type: ignore[arg-type]
    done = call.answer(answering(call.offer(offer, wishes).sdp))
    assert word.encode() in done.sdp
    contexts = (done.streams[0].a.receive, done.streams[0].a.send)
    for context in contexts:
        assert context
        fields = {name: getattr(context, name) for name in ("encrypt_rtp", "encrypt_rtcp", "authenticate_rtp")}
        assert fields == {name: name != field for name in fields}


def test_quirks_stay_on_their_leg() -> None:
    """Trap 5, B10: words about the other side's trunk neither change nor weaken this side's leg, and the other way
    round."""
    quirky = SdesOptions(srtcp_tag_as_srtp=True, unencrypted_srtcp=True, window=256)
    call = Call()
    offer = alice("RTP/SAVP", crypto(1, CM80))
    offered = call.offer(offer, options(transport_protocol="RTP/SAVP", sdes=quirky)).sdp
    lines = answering(offered).decode().split("\r\n")
    done = call.answer("\r\n".join(line + " UNENCRYPTED_SRTCP" * ("a=crypto" in line) for line in lines).encode())
    stream = done.streams[0]
    assert stream.a.receive and stream.a.send and stream.b.receive and stream.b.send
    for context, quirk in (
        (stream.a.receive, False),
        (stream.a.send, False),
        (stream.b.receive, True),
        (stream.b.send, True),
    ):
        assert context.srtcp_tag_as_srtp == quirk
        assert context.encrypt_rtcp == (not quirk)
        assert context.window == 256
    with pytest.raises(CryptoRequired, match="less protection"):
        Call().offer(alice("RTP/SAVP", crypto(1, CM80, extra=" UNENCRYPTED_SRTCP")), options(sdes=quirky))
    other = options(transport_protocol="RTP/SAVP", sdes_from=SdesOptions(srtcp_tag_as_srtp=True))
    call = Call()
    stream = call.answer(answering(call.offer(offer, other).sdp)).streams[0]
    assert stream.a.send and stream.b.send
    assert (stream.a.send.srtcp_tag_as_srtp, stream.b.send.srtcp_tag_as_srtp) == (True, False)


def test_declarative_parameters_and_keys_reach_the_contexts() -> None:
    """C04-C06, SDES-15: KDR, WSH, lifetime and two MKI keys belong to the sender's direction only; WSH is capped."""
    first, second = ("QUFB" * 10, "QkJC" * 10)
    line = f"a=crypto:4 {CM80} inline:{first}|2^31|1:4;inline:{second}|2^20|2:4 KDR=7 WSH=700 FEC_ORDER=FEC_SRTP -x=1"
    call = Call()
    done = call.answer(answering(call.offer(alice("RTP/SAVP", line), options(transport_protocol="RTP/AVP")).sdp))
    leg = done.streams[0].a
    assert leg.receive and leg.send
    assert [one.mki for one in leg.receive.keys] == [b"\0\0\0\1", b"\0\0\0\2"]
    assert [one.rtp_lifetime for one in leg.receive.keys] == [1 << 31, 1 << 20]
    assert (leg.receive.kdr_log2, leg.receive.window) == (7, 704)
    assert (leg.send.kdr_log2, leg.send.window, len(leg.send.keys)) == (None, 128, 1)
    assert b"KDR" not in done.sdp
    with_cap = options(transport_protocol="RTP/AVP", sdes_from=SdesOptions(max_window=256))
    capped = Call().offer(alice("RTP/SAVP", line), with_cap).streams[0].a.receive
    assert capped and capped.window == 256


def test_bad_lines_are_treated_as_absent() -> None:
    """C03, C12, SDES-2: the damaged log line of the reference, a short key and a repeated tag spoil only themselves."""
    lines = (
        "a=crypto:4 AES_CM_192_HMAC_SHA1_80 fNazWgWwNRPjUKNHVqkz44",
        f"a=crypto:1 {CM80} inline:QUFB",
        crypto(2, CM80),
        crypto(2, "AEAD_AES_256_GCM"),
        crypto(3, "AES_CM_128_HMAC_SHA1_32"),
    )
    call = Call()
    offered = call.offer(alice("RTP/SAVP", *lines), options(transport_protocol="RTP/AVP"))
    assert [line.tag for line in cryptos(call.answer(answering(offered.sdp)).sdp)] == [2]


def test_padding_and_lifetime_as_wished() -> None:
    """Trap 7: padded by default, unpadded by switch; `lifetime` adds 2^31."""
    name = "AES_192_CM_HMAC_SHA1_80"
    for pad in (True, False):
        wishes = options(transport_protocol="RTP/SAVP", sdes=SdesOptions(suites=(name,), pad=pad, lifetime_log2=31))
        text = Call().offer(alice("RTP/AVP"), wishes).sdp
        assert (b"=|2^31\r\n" in text) == pad
        assert b"|2^31\r\n" in text


def test_session_level_crypto_is_ignored() -> None:
    """SDES-1."""
    with pytest.raises(CryptoRequired, match="no a=crypto line"):
        Call().offer(sdp(ALICE, media(8000, "RTP/SAVP"), session=[crypto(1, CM80)]))


def test_keys_are_distinct() -> None:
    """C10, SDES-6, B5: three m-lines, many calls: no key twice."""
    offer = sdp(
        ALICE, *(media(8000 + 2 * n, "RTP/AVP", kind=kind) for n, kind in enumerate(("audio", "video", "text")))
    )
    seen: set[bytes] = set()
    for _ in range(50):
        text = Call(os.urandom).offer(offer, options(transport_protocol="RTP/SAVP")).sdp
        drawn = [line.keys[0].material for at in range(3) for line in cryptos(text, at)]
        assert len(drawn) == 30
        assert not seen & set(drawn)
        seen |= set(drawn)
    assert len(seen) == 1500


def test_stuck_random_source_is_noticed() -> None:
    with pytest.raises(RuntimeError, match="repeats"):
        Call(lambda octets: b"x" * octets).offer(alice("RTP/AVP"), options(transport_protocol="RTP/SAVP"))


class TestAnswers:
    """What an answer may not do (SDES-9, SDES-10, C3, C5)."""

    def refused(self, *lines: str, proto: str = "RTP/SAVP", kind: str = "audio") -> GatewayError:
        call = Call()
        call.offer(alice("RTP/AVP"), options(transport_protocol="RTP/SAVP", sdes=SdesOptions(suites=(CM80,))))
        before = call.negotiation.to_record()
        with pytest.raises(NotAcceptable) as caught:
            call.answer(sdp(BOB, media(4000, proto, *lines, kind=kind)))
        assert call.negotiation.to_record() == before
        return caught.value

    def test_without_crypto(self) -> None:
        """H01: crypto_required."""
        assert isinstance(self.refused(), CryptoRequired)

    def test_downgrade(self) -> None:
        """C3: SAVP answered with AVP."""
        error = self.refused(proto="RTP/AVP")
        assert isinstance(error, CryptoRequired)
        assert error.reason == "crypto-required"

    @pytest.mark.parametrize(
        "line",
        [
            crypto(2, CM80),
            crypto(1, "AES_CM_128_HMAC_SHA1_32"),
            crypto(1, "BOGUS_SUITE") if suites.find("BOGUS_SUITE") else f"a=crypto:1 BOGUS_SUITE inline:{'QUFB' * 10}",
            f"a=crypto:1 {CM80} inline:QUFB",
            crypto(1, CM80, extra=" UNENCRYPTED_SRTP"),
            crypto(1, CM80, extra=" vendor=1"),
        ],
        ids=["foreign tag", "foreign suite", "unknown suite", "short key", "more parameters", "unknown parameter"],
    )
    def test_foreign_or_broken_line(self, line: str) -> None:
        self.refused(line)

    def test_echo_of_our_key(self) -> None:
        """B5: an answer with our own key would be a two-time pad."""
        call = Call()
        offered = call.offer(alice("RTP/AVP"), options(transport_protocol="RTP/SAVP"))
        line = read(offered.sdp).media[0].attributes("crypto")[0]
        with pytest.raises(CryptoRequired, match="repeats a key"):
            call.answer(sdp(BOB, media(4000, "RTP/SAVP", f"a=crypto:{line}")))

    def test_other_kind(self) -> None:
        assert "video" in str(self.refused(crypto(1, CM80), kind="video"))

    def test_srtp_for_rtp(self) -> None:
        call = Call()
        call.offer(alice("RTP/AVP"))
        with pytest.raises(NotAcceptable):
            call.answer(sdp(BOB, media(4000, "RTP/SAVP", crypto(1, CM80))))

    def test_without_offer(self) -> None:
        with pytest.raises(InvalidRequest):
            Call().answer(sdp(BOB, media(4000, "RTP/AVP")))

    def test_refusal_of_everything(self) -> None:
        """A callee may refuse all m-lines: the answer says so, no stream is left."""
        call = Call()
        call.offer(alice("RTP/AVP"))
        done = call.answer(sdp(BOB, media(0, "RTP/AVP")))
        assert (done.streams, done.lines) == ((), ())
        assert read(done.sdp).media[0].media.port == 0

    def test_feedback_difference_is_no_downgrade(self) -> None:
        """rtpengine ignores AVP where AVPF was offered; so do we, the offerer still sees its own profile."""
        call = Call()
        call.offer(alice("RTP/AVPF"))
        assert read(call.answer(sdp(BOB, media(4000, "RTP/AVP"))).sdp).media[0].media.proto == "RTP/AVPF"


class TestPolicy:
    """Rows H01-H07, C07, G01, G03 (one policy word, one outcome)."""

    @pytest.mark.parametrize("word", ["mandatory", "true", "yes", "on", "1"])
    def test_mandatory(self, word: str) -> None:
        """H01, H05."""
        trunk = resolve(word)
        with pytest.raises(CryptoRequired) as caught:
            Call().offer(alice("RTP/AVP"), options(inbound=trunk.inbound))
        assert caught.value.sip_status == 488
        text = Call().offer(alice("RTP/AVP"), options(outbound=trunk.outbound)).sdp
        assert [line.media.proto for line in read(text).media] == ["RTP/SAVP"]
        with pytest.raises(CryptoRequired):
            Call().offer(alice("RTP/AVP"), options(outbound=trunk.outbound, transport_protocol="RTP/AVP"))

    @pytest.mark.parametrize("word", ["forbidden", "false", "no", "off", "0"])
    def test_forbidden(self, word: str) -> None:
        """H03, H04."""
        trunk = resolve(word)
        with pytest.raises(NotAcceptable, match="forbids"):
            Call().offer(alice("RTP/SAVP"), options(inbound=trunk.inbound))
        text = Call().offer(alice("RTP/SAVPF"), options(outbound=trunk.outbound)).sdp
        assert read(text).media[0].media.proto == "RTP/AVPF"
        assert b"crypto" not in text
        with pytest.raises(NotAcceptable):
            Call().offer(alice("RTP/AVP"), options(outbound=trunk.outbound, transport_protocol="RTP/SAVP"))

    def test_optional(self) -> None:
        """H02 (the part of this release): secure is offered; inbound either is taken."""
        trunk = resolve("optional")
        assert (
            read(Call().offer(alice("RTP/AVP"), options(outbound=trunk.outbound)).sdp).media[0].media.proto
            == "RTP/SAVP"
        )
        for proto in PLAIN + SECURE:
            assert Call().offer(alice(proto), options(inbound=trunk.inbound)).lines == (0,)

    def test_unset(self) -> None:
        """H06: SAVP is taken when offered, nothing secure is offered."""
        trunk = resolve()
        text = Call().offer(alice("RTP/SAVP"), options(inbound=trunk.inbound, outbound=trunk.outbound)).sdp
        assert read(text).media[0].media.proto == "RTP/AVP"

    def test_suites_of_the_outbound_policy(self) -> None:
        """H08: the offered suites are exactly the list, in its order."""
        trunk = resolve("mandatory:AES_CM_256_HMAC_SHA1_32,AEAD_AES_128_GCM_8")
        text = Call().offer(alice("RTP/AVP"), options(outbound=trunk.outbound)).sdp
        assert [line.spelling for line in cryptos(text)] == ["AES_256_CM_HMAC_SHA1_32", "AEAD_AES_128_GCM_8"]

    def test_keys_over_cleartext_in(self) -> None:
        """C07, C4: an SDES offer over UDP or TCP is refused by default."""
        with pytest.raises(CryptoRequired, match="sdes_over_cleartext"):
            Call().offer(alice("RTP/SAVP"), MediaOptions(transport_protocol="RTP/AVP"))
        assert (
            Call().offer(alice("RTP/SAVP"), MediaOptions(transport_protocol="RTP/AVP", sdes_requires_tls=False)).lines
        )

    def test_keys_over_cleartext_out(self) -> None:
        """C07: towards a cleartext leg optional falls back to RTP, mandatory and an explicit SAVP are refused."""
        clear = replace(options(), signalling_secure_out=False)
        text = Call().offer(alice("RTP/AVP"), replace(clear, outbound=SecureMedia(Mode.OPTIONAL))).sdp
        assert read(text).media[0].media.proto == "RTP/AVP"
        assert b"crypto" not in text
        for wishes in (
            replace(clear, outbound=SecureMedia(Mode.MANDATORY)),
            replace(clear, transport_protocol="RTP/SAVP"),
        ):
            with pytest.raises(CryptoRequired, match="sdes_over_cleartext"):
                Call().offer(alice("RTP/AVP"), wishes)

    def test_sdes_switched_off(self) -> None:
        with pytest.raises(CryptoRequired, match="switched off"):
            Call().offer(alice("RTP/AVP"), options(transport_protocol="RTP/SAVP", sdes=SdesOptions(enabled=False)))

    def test_unknown_transport_protocol(self) -> None:
        with pytest.raises(InvalidRequest) as caught:
            Call().offer(alice("RTP/AVP"), options(transport_protocol="RTP/FOO"))
        assert caught.value.field == "transport-protocol"

    def test_list_of_unknown_suites_offers_nothing(self) -> None:
        """Fails closed: `only-NO_SUCH_SUITE` is no permission for everything."""
        with pytest.raises(NotAcceptable, match="no crypto suite"):
            Call().offer(alice("RTP/AVP"), options(transport_protocol="RTP/SAVP", sdes=SdesOptions(suites=("FOO",))))


class TestLines:
    """Number and order of m-lines (RFC 3264 sections 5, 6; rows G07, G08, D14)."""

    def test_two_streams_of_one_kind(self) -> None:
        """G08: the reference's first SDP: two independent streams."""
        call = Call()
        offered = call.offer(fixtures.addressed("01_jitsi_avp_two_mlines"))
        assert offered.lines == (0, 1)
        assert [line.media.port for line in read(offered.sdp).media] == [30002, 30012]
        done = call.answer(answering(offered.sdp))
        assert [line.media.port for line in read(done.sdp).media] == [30000, 30010]
        assert [stream.a.remote_rtp and stream.a.remote_rtp.port for stream in done.streams] == [24380, 24400]

    def test_unknown_and_refused_lines_keep_their_place(self) -> None:
        """G07, D14: port 0 for what we do not know, proto and formats as offered; streams are numbered by m-line."""
        offer = sdp(
            ALICE,
            media(5000, "DTLS/SCTP", kind="application", formats="5000"),
            media(8000, "RTP/AVP"),
            media(0, "RTP/AVP", kind="video", formats="96"),
            media(6000, "udptl", kind="image", formats="t38"),
            media(8004, "RTP/SAVP", kind="video", formats="97"),
        )
        call = Call()
        offered = call.offer(offer, options(transport_protocol="RTP/SAVP"))
        assert offered.lines == (1,)
        shape = [("application", 0), ("audio", 30012), ("video", 0), ("image", 0), ("video", 0)]
        assert [(line.media.kind, line.media.port) for line in read(offered.sdp).media] == shape
        done = call.answer(answering(offered.sdp))
        assert [str(line.media) for line in read(done.sdp).media] == [
            "application 0 DTLS/SCTP 5000", "audio 30010 RTP/AVP 8", "video 0 RTP/AVP 96", "image 0 udptl t38",
            "video 0 RTP/SAVP 97",
        ]  # fmt: skip

    def test_callee_refuses_one_of_two(self) -> None:
        call = Call()
        offered = call.offer(sdp(ALICE, media(8000, "RTP/AVP"), media(8002, "RTP/AVP", kind="video", formats="96")))
        done = call.answer(sdp(BOB, media(0, "RTP/AVP"), media(4002, "RTP/AVP", kind="video", formats="96")))
        assert offered.lines == (0, 1)
        assert done.lines == (1,)
        assert [line.media.port for line in read(done.sdp).media] == [0, 30010]

    @pytest.mark.parametrize("lines", [1, 3])
    def test_answer_with_another_number_of_lines(self, lines: int) -> None:
        """The offerer always gets as many m-lines as it offered."""
        call = Call()
        call.offer(sdp(ALICE, media(8000, "RTP/AVP"), media(8002, "RTP/AVP")))
        done = call.answer(sdp(BOB, *(media(4000 + 2 * n, "RTP/AVP") for n in range(lines))))
        assert len(read(done.sdp).media) == 2
        assert done.lines == tuple(range(min(lines, 2)))

    def test_nothing_acceptable(self) -> None:
        with pytest.raises(NotAcceptable, match="m-line 1: protocol DTLS/SCTP"):
            Call().offer(sdp(ALICE, media(5000, "DTLS/SCTP", kind="application", formats="5000")))
        with pytest.raises(NotAcceptable, match="no m-line"):
            Call().offer(sdp(ALICE))

    def test_savp_without_keys(self) -> None:
        """G03: 488."""
        with pytest.raises(CryptoRequired):
            Call().offer(alice("RTP/SAVP", "a=ptime:20"))

    @pytest.mark.parametrize("proto", ["UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF"])
    def test_dtls_profiles_are_not_keyed_by_sdp(self, proto: str) -> None:
        """SDP-3: a=crypto counts for nothing under UDP/TLS; refused without certificates, in both directions."""
        with pytest.raises(NotAcceptable, match="DTLS"):
            Call().offer(alice(proto, crypto(1, CM80)), options(transport_protocol="RTP/AVP"))
        with pytest.raises(NotAcceptable, match="DTLS"):
            Call().offer(alice("RTP/AVP"), options(transport_protocol=proto))

    @pytest.mark.parametrize("inbound,winner", [("mandatory", 1), ("optional", 1), ("forbidden", 3)])
    def test_alternatives_on_one_port(self, inbound: str, winner: int) -> None:
        """G09, G11: the reference's four alternatives are one stream; exactly one line lives, three have port 0."""
        call = Call()
        offer = fixtures.addressed("04_jitsi_invite_four_mlines_same_port")
        offered = call.offer(offer, options(inbound=resolve(inbound).inbound, transport_protocol="RTP/AVP"))
        assert offered.lines == (0,)
        assert len(read(offered.sdp).media) == 1
        done = call.answer(answering(offered.sdp))
        ports = [line.media.port for line in read(done.sdp).media]
        assert [bool(port) for port in ports] == [at == winner for at in range(4)]
        assert len(cryptos(done.sdp, winner)) == (inbound != "forbidden")
        assert b"fingerprint" not in done.sdp

    def test_old_plan_is_refused(self) -> None:
        """Our own misuse is a ValueError, never a quiet mix of two offers."""
        call = Call()
        plan = call.negotiation.read_offer(alice("RTP/AVP"), options())
        call.negotiation.read_offer(alice("RTP/AVP"), options())
        with pytest.raises(ValueError, match="last read_offer"):
            call.negotiation.write_offer(plan, [placement()])

    @pytest.mark.parametrize("text", ["c=IN IP4 host.example.org", "c=IN IP4", "c=IN IP6 1.2.3.4"])
    def test_without_an_address(self, text: str) -> None:
        with pytest.raises(InvalidSdp, match=r"line 6: .*IP address"):
            Call().offer(alice("RTP/AVP").replace(f"c=IN IP4 {ALICE}".encode(), text.encode()))
        with pytest.raises(InvalidSdp, match="no c= line"):
            Call().offer(alice("RTP/AVP").replace(f"c=IN IP4 {ALICE}\r\n".encode(), b""))


def test_reference_fixture_of_freeswitch() -> None:
    """The reference's own FreeSWITCH offer: nine suites in the alias spelling; ours strongest is tag 3, echoed as
    spelt."""
    call = Call()
    offered = call.offer(
        fixtures.addressed("06_freeswitch_savp_offer_nine_cryptos"), options(transport_protocol="RTP/AVP")
    )
    [line] = cryptos(call.answer(answering(offered.sdp)).sdp)
    assert (line.tag, line.spelling) == (3, "AES_CM_256_HMAC_SHA1_80")
    assert line.keys[0] != key("AES_CM_256_HMAC_SHA1_80")
