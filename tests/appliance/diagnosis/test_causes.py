"""The pure part: facts in, findings out, one row per cause; and trial on packets of the independent reference."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from appliance.calls.media import Address, ContextSpec, LegMedia, LocalPorts, MasterKey
from appliance.calls.views import CallState, CallView, ContextView, Counters, LegView, StreamView
from appliance.diagnosis import shape, trial
from appliance.diagnosis.causes import ADVICE, Cause, Confidence, Finding, ordered
from appliance.diagnosis.diagnose import diagnose
from appliance.diagnosis.facts import CallFacts, LegFacts, Sample, StreamFacts
from appliance.diagnosis.trial import Match, Origin, Question
from appliance.protocols.srtp import suites
from appliance.protocols.srtp.reference import Context, Key, Parameters

VECTORS = Path(__file__).parents[2] / "vectors"
ALICE, BOB, STRANGER = Address("192.0.2.1", 4000), Address("198.51.100.7", 5000), Address("203.0.113.66", 6666)
CM80 = "AES_CM_128_HMAC_SHA1_80"
CANDIDATES = [row.name for row in suites.SUITES if row.rtp_tag]


def master(suite: str, seed: int = 1, mki: bytes = b"") -> MasterKey:
    row = suites.find(suite)
    assert row is not None
    octets = random.Random(seed).randbytes(row.master_octets)
    return MasterKey(octets[: row.key_octets], octets[row.key_octets :], mki)


def spec(suite: str = CM80, seed: int = 1, mki: bytes = b"", **keywords: Any) -> ContextSpec:
    return ContextSpec(suite, (master(suite, seed, mki),), **keywords)


def reference(suite: str, key: MasterKey, **keywords: Any) -> Context:
    row = suites.find(suite)
    assert row is not None
    return Context(Parameters(row, **keywords), Key(key.key, key.salt, key.mki))


def rtp(sequence: int = 7, kind: int = 0, payload: bytes = bytes(range(80)) * 2) -> bytes:
    return bytes((0x80, kind)) + sequence.to_bytes(2, "big") + bytes(4) + b"\0\0\0\x63" + payload


RTCP = bytes((0x80, 200, 0, 6)) + b"\0\0\0\x63" + bytes(20)


def sealed(context: Context, packet: bytes, *, rtcp: bool = False) -> bytes:
    found = context.protect(packet, rtcp=rtcp)
    assert isinstance(found, bytes)
    return found


# ---------------------------------------------------------------- trial


@pytest.mark.parametrize("suite", CANDIDATES)
@pytest.mark.parametrize("rtcp", [False, True])
def test_agreed_packets_match_as_agreed(suite: str, rtcp: bool) -> None:
    """The reference's packets verify at once: same origin, tag, MKI, ROC."""
    agreed = spec(suite)
    packet = sealed(reference(suite, agreed.keys[0]), RTCP if rtcp else rtp(), rtcp=rtcp)
    found = trial.solve(Question(packet, rtcp, agreed, trial.candidates(agreed, None)))
    tag = trial.agreed_tag(agreed, rtcp=rtcp)
    assert found == Match(Origin.AGREED, tag, 0, None if rtcp else 0, legacy_192=False)


@pytest.mark.parametrize("suite", CANDIDATES)
@pytest.mark.parametrize("rtcp", [False, True])
@pytest.mark.parametrize("mki", [b"\x05", b"\0\0\0\x05"])
def test_mki_is_found(suite: str, rtcp: bool, mki: bytes) -> None:
    """Before an HMAC tag, after an AEAD one (RFC 7714 section 8.2)."""
    agreed = spec(suite)
    packet = sealed(reference(suite, replace(agreed.keys[0], mki=mki)), RTCP if rtcp else rtp(), rtcp=rtcp)
    found = trial.solve(Question(packet, rtcp, agreed, trial.candidates(agreed, None)))
    assert found is not None and found.mki == len(mki)


@pytest.mark.parametrize("suite", CANDIDATES)
@pytest.mark.parametrize(("here", "sent"), [(0, 8), (0, 1), (9, 1), (40, 0), (9, 17), (9, 9)])
def test_rollover_counter_is_found(suite: str, here: int, sent: int) -> None:
    """Up to 8 turns either way, and 0 from anywhere."""
    agreed = spec(suite)
    packet = sealed(reference(suite, agreed.keys[0], initial_roc=sent), rtp())
    found = trial.solve(Question(packet, False, agreed, trial.candidates(agreed, None), here))
    assert found is not None and found.roc == sent


@pytest.mark.parametrize("suite", CANDIDATES)
def test_beyond_eight_turns_nothing_is_claimed(suite: str) -> None:
    agreed = spec(suite)
    packet = sealed(reference(suite, agreed.keys[0], initial_roc=9), rtp())
    assert trial.solve(Question(packet, False, agreed, trial.candidates(agreed, None))) is None


@pytest.mark.parametrize("suite", CANDIDATES)
def test_whose_key(suite: str) -> None:
    agreed, ours, old, other, stream = (spec(suite, seed) for seed in range(1, 6))
    known = trial.candidates(agreed, ours, [old], [other], [stream])
    for context, origin in zip((agreed, ours, old, other, stream), Origin, strict=True):
        packet = sealed(reference(suite, context.keys[0]), rtp())
        found = trial.solve(Question(packet, False, agreed, known))
        assert found is not None and found.origin is origin
    packet = sealed(reference(suite, spec(suite, 99).keys[0]), rtp())
    assert trial.solve(Question(packet, False, agreed, known)) is None


def test_keys_of_another_length_are_not_tried() -> None:
    """A GCM key cannot be a counter-mode key."""
    known = trial.candidates(spec(CM80), spec("AEAD_AES_128_GCM"), [spec("AES_256_CM_HMAC_SHA1_80")])
    assert [candidate.origin for candidate in known] == [Origin.AGREED]


@pytest.mark.parametrize("suite", ["AES_192_CM_HMAC_SHA1_80", "AES_192_CM_HMAC_SHA1_32"])
def test_old_libsrtp_s_own_packets(suite: str) -> None:
    """Trap 1 of key-management.md section 6: packets that libsrtp 2.5.0 made."""
    vectors = json.loads((VECTORS / "srtp_suites.json").read_text())
    key_salt = next(bytes.fromhex(row["key_salt_hex"]) for row in vectors["suites"] if row["suite"] == suite)
    agreed = ContextSpec(suite, (MasterKey(key_salt[:24], key_salt[24:]),))
    for row in vectors["libsrtp_aes192_legacy"]["suites"][suite]:
        packet = bytes.fromhex(row["protected"])
        found = trial.solve(Question(packet, False, agreed, trial.candidates(agreed, None), row["roc"]))
        assert found is not None and found.legacy_192
        assert trial.solve(Question(packet, False, replace(agreed, legacy_192=True), trial.candidates(
            replace(agreed, legacy_192=True), None))) == found  # fmt: skip


@pytest.mark.parametrize("name", ["AES_CM_128_HMAC_SHA1_32"])
def test_freeswitch_s_srtcp_tag(name: str) -> None:
    """Trap 2: vectors of FreeSWITCH's policy for RTCP."""
    vectors = json.loads((VECTORS / "srtp_suites.json").read_text())
    key_salt = next(bytes.fromhex(row["key_salt_hex"]) for row in vectors["suites"] if row["suite"] == name)
    agreed = ContextSpec(name, (MasterKey(key_salt[:16], key_salt[16:]),))
    for packet in vectors["freeswitch_same_policy_for_rtcp"][name]["srtcp_freeswitch_style"]:
        found = trial.solve(Question(bytes.fromhex(packet), True, agreed, trial.candidates(agreed, None)))
        assert found == Match(Origin.AGREED, 4, 0, None, legacy_192=False)


def test_noise_is_never_explained() -> None:
    """2,000 random datagrams as RTP and as RTCP: no exception, and no tag of 32 bits or more verifies by chance."""
    source = random.Random(3711)
    agreed = spec(CM80)
    known = trial.candidates(agreed, None)
    for _ in range(2000):
        packet = source.randbytes(source.randrange(0, 80))
        for rtcp in (False, True):
            assert trial.solve(Question(packet, rtcp, agreed, known)) is None


def test_secrets_are_not_printed() -> None:
    """SR-23."""
    agreed = spec(CM80)
    question = Question(rtp(), False, agreed, trial.candidates(agreed, None))
    assert repr(agreed.keys[0].key) not in repr(question) and "payload" not in repr(question)


# ---------------------------------------------------------------- shape


def test_plain_rtp_by_the_size_of_static_types() -> None:
    assert shape.plain_rtp(rtp())
    assert shape.plain_rtp(rtp(kind=18, payload=bytes(20)))
    assert not shape.plain_rtp(rtp(payload=bytes(170)))
    assert not shape.plain_rtp(rtp(kind=111))  # dynamic: a size says nothing
    assert not shape.plain_rtp(b"") and not shape.plain_rtp(rtp(payload=b""))


def test_plain_rtcp_fills_the_datagram() -> None:
    assert shape.plain_rtcp(RTCP) and shape.plain_rtcp(RTCP + RTCP)
    assert not shape.plain_rtcp(RTCP + bytes(14)) and not shape.plain_rtcp(b"") and not shape.plain_rtcp(RTCP[:-1])


def test_random_octets_and_a_voice() -> None:
    source = random.Random(1)
    assert all(shape.looks_random(source.randbytes(160)) for _ in range(100))
    assert not shape.looks_random(bytes(range(80)) * 2) and not shape.looks_random(source.randbytes(20))


def test_longer_than_the_codec() -> None:
    assert shape.longer_than_codec(50 * 182, 50, (0, 101)) == 10
    assert shape.longer_than_codec(50 * 172, 50, (0,)) is None
    assert shape.longer_than_codec(50 * 182, 50, ()) is None
    assert shape.longer_than_codec(50 * 182 + 1, 50, (0,)) is None
    assert shape.longer_than_codec(0, 0, (0,)) is None


# ---------------------------------------------------------------- rules


def leg(side: str, received: int = 1000, sent: int = 1000, age: float | None = 0.02, media: LegMedia | None = None,
        samples: tuple[Sample, ...] = (), local: str = "192.0.2.10", **view: Any) -> LegFacts:  # fmt: skip
    remote = ALICE if side == "a" else BOB
    media = media or LegMedia("default", remote)
    shown = LegView(
        "default", LocalPorts(local, 30000, 30001), remote_rtp=view.pop("remote", remote), secure=media.secure,
        receive=ContextView(CM80, roc=view.pop("roc", 0)) if media.receive else None, latching=media.latching.value,
        rtp=Counters(received, received * 172, sent, sent * 172), rtcp=view.pop("rtcp", Counters()),
        drops=view.pop("drops", {}), last_packet_age_s=age,
    )  # fmt: skip
    assert not view
    return LegFacts(side, shown, media, samples, (), age if received else None)


def call(a: LegFacts, b: LegFacts, state: CallState = CallState.ANSWERED, formats: tuple[int, ...] = (),
         **facts: Any) -> CallFacts:  # fmt: skip
    stream = StreamView(0, "audio", a.view, b.view)
    return CallFacts(CallView("c", state, 0, 0, 1, 0), [StreamFacts(stream, a, b, formats)], **facts)


def sample(drop: str, data: bytes = b"", kind: str = "rtp", rtcp_port: bool = False, source: Address = BOB) -> Sample:
    return Sample(rtcp_port, drop, kind, 0.5, source, len(data), data)


def secured(**keywords: Any) -> LegMedia:
    values = {"receive": spec(CM80, 1), "send": spec(CM80, 2)} | keywords
    return LegMedia("default", BOB, secure=True, **values)


def failing(packet: bytes, drop: str = "auth_fail", kind: str = "rtp", **keywords: Any) -> CallFacts:
    roc = keywords.pop("roc", 0)
    b = leg("b", received=0, age=None, media=secured(**keywords), samples=(sample(drop, packet, kind),), roc=roc,
            drops={drop: 500})  # fmt: skip
    return call(leg("a"), b)


KEY = master(CM80, 1)
PLAIN_VOICE = rtp()
NOISE = random.Random(2).randbytes(160)

ROWS: list[tuple[Cause, CallFacts]] = [
    (Cause.WORKER_DOWN, call(leg("a"), leg("b"), worker_state="fail")),
    (Cause.WORKER_DOWN, call(leg("a"), leg("b"), heartbeat_age_s=9.0)),
    (Cause.WAITING_FOR_ANSWER, call(leg("a"), leg("b", received=0), state=CallState.OFFERED)),
    (Cause.KEYS_MISSING, call(leg("a"), leg("b", received=0, media=secured(receive=None), drops={"not_keyed": 5}))),
    (Cause.KEY_EXPIRED, call(leg("a"), leg("b", media=secured(), drops={"key_expired": 5}))),
    (Cause.KEY_SWAPPED, failing(sealed(reference(CM80, master(CM80, 2)), rtp()))),
    (Cause.TAG_LENGTH, failing(sealed(reference("AES_CM_128_HMAC_SHA1_32", KEY), rtp()))),
    (Cause.SRTCP_TAG_LENGTH, failing(
        sealed(reference("AES_CM_128_HMAC_SHA1_32", KEY, srtcp_tag_as_srtp=True), RTCP, rtcp=True), kind="rtcp")),
    (Cause.NULL_AUTH, failing(sealed(reference("AES_CM_128_NULL_AUTH", KEY), rtp()))),
    (Cause.MKI_NOT_NEGOTIATED, failing(sealed(reference(CM80, replace(KEY, mki=b"\x01")), rtp()))),
    (Cause.MKI_MISSING, failing(sealed(reference(CM80, KEY), rtp()), receive=spec(CM80, 1, b"\x01"))),
    (Cause.MKI_LENGTH, failing(sealed(reference(CM80, replace(KEY, mki=b"\0\1")), rtp()),
                               receive=spec(CM80, 1, b"\1"))),
    (Cause.MKI_UNKNOWN, failing(sealed(reference(CM80, master(CM80, 9, b"\x02")), rtp(payload=NOISE)), "unknown_mki",
                                receive=spec(CM80, 1, b"\x01"))),
    (Cause.ROC_RESET, failing(sealed(reference(CM80, KEY), rtp()), roc=5)),
    (Cause.ROC_OFF, failing(sealed(reference(CM80, KEY, initial_roc=3), rtp()))),
    (Cause.PLAIN_RTP_ON_SECURE_LEG, failing(PLAIN_VOICE)),
    (Cause.WRONG_KEY, failing(sealed(reference(CM80, master(CM80, 9)), rtp()))),
    (Cause.ENCRYPTION_FLAG, call(leg("a"), leg("b", media=secured(), drops={"encryption_flag": 5}))),
    (Cause.SSRC_LIMIT, call(leg("a"), leg("b", media=secured(), drops={"ssrc_limit": 900}))),
    (Cause.LOOP, call(leg("a"), leg("b", drops={"source": 9}, samples=(
        sample("source", source=Address("192.0.2.10", 30000)),)))),
    (Cause.DUPLICATES, call(leg("a"), leg("b", media=secured(), drops={"replay": 1000}))),
    (Cause.WRONG_PORT, call(leg("a"), leg("b", received=0, drops={"unknown_kind": 9}, samples=(
        sample("unknown_kind", rtcp_port=True),)))),
    (Cause.WRONG_PORT, call(leg("a"), leg("b", drops={"unknown_kind": 9}, samples=(
        sample("unknown_kind", kind="rtcp"),)))),
    (Cause.OTHER_SOURCE, call(leg("a"), leg("b", received=0, drops={"source": 9}, samples=(
        sample("source", source=STRANGER),)))),
    (Cause.MALFORMED, call(leg("a"), leg("b", received=0, drops={"malformed": 9}))),
    (Cause.MALFORMED, call(leg("a"), leg("b", received=0, media=secured(), drops={"too_short": 9}))),
    (Cause.MALFORMED, call(leg("a"), leg("b", received=0, drops={"unknown_kind": 9}, samples=(
        sample("unknown_kind", kind="unknown"),)))),
    (Cause.WRONG_KEY, call(leg("a"), leg("b", received=0, media=secured(), drops={"auth_fail": 9}))),
    (Cause.SEQUENCE_REPEATED, call(leg("a"), leg("b", media=secured(), drops={"tx_replay": 500}))),
    (Cause.CANNOT_SEND, call(leg("a"), leg("b", sent=0, drops={"send": 500}))),
    (Cause.HELD, call(leg("a"), leg("b", media=LegMedia("default", BOB, may_send=False)))),
    (Cause.BLOCKED, call(leg("a"), leg("b", media=LegMedia("default", BOB, blocked=True)))),
    (Cause.NO_ADDRESS, call(leg("a", drops={"no_partner": 9}), leg("b", received=0, remote=None))),
    (Cause.PRIVATE_ADDRESS, call(leg("a"), leg("b", received=0, local="45.6.7.8", remote=Address("10.0.0.9", 5000)))),
    (Cause.PRIVATE_ADDRESS, call(leg("a"), leg("b", received=0, local="10.0.0.1", remote=Address("8.8.8.8", 5000)))),
    (Cause.ONLY_RTCP, call(leg("a"), leg("b", received=0, rtcp=Counters(9, 900)))),
    (Cause.ONE_WAY, call(leg("a"), leg("b", received=0))),
    (Cause.NOTHING_ARRIVES, call(leg("a", received=0), leg("b", received=0))),
    (Cause.STOPPED, call(leg("a"), leg("b", age=30.0))),
    (Cause.FLOWS, call(leg("a"), leg("b"))),
]  # fmt: skip


@pytest.mark.parametrize(("cause", "facts"), ROWS, ids=[row[0] for row in ROWS])
def test_cause(cause: Cause, facts: CallFacts) -> None:
    found = diagnose(facts)
    assert found[0].cause is cause, [f"{f.cause}: {f.sentence}" for f in found]


def test_cannot_send_names_the_address() -> None:
    found = diagnose(call(leg("a"), leg("b", sent=0, drops={"send": 500})))[0]
    assert str(BOB) in found.sentence and dict(found.evidence) == {"drops-send": "500"}


def test_old_key_and_keys_of_others() -> None:
    """KEY_BEFORE_REKEY by what the call service remembers and by what is still accepted; KEY_OF_OTHER_LEG."""
    packet = sealed(reference(CM80, master(CM80, 5)), rtp())
    assert diagnose(failing(packet, receive_also=(spec(CM80, 5),)))[0].cause is Cause.KEY_BEFORE_REKEY
    facts = failing(packet)
    b = replace(facts.streams[0].b, earlier=(spec(CM80, 5),))
    assert diagnose(call(leg("a"), b))[0].cause is Cause.KEY_BEFORE_REKEY
    a = leg("a", media=secured(receive=spec(CM80, 5), send=spec(CM80, 6)))
    assert diagnose(call(a, facts.streams[0].b))[0].cause is Cause.KEY_OF_OTHER_LEG


def test_plain_leg_with_srtp() -> None:
    facts = call(leg("a"), leg("b"), formats=(0,))
    b = replace(facts.streams[0].b, view=replace(facts.streams[0].b.view, rtp=Counters(100, 100 * 182, 9, 900)))
    assert diagnose(call(leg("a"), b, formats=(0,)))[0].cause is Cause.SRTP_ON_PLAIN_LEG
    assert diagnose(call(leg("a"), b, formats=(111,)))[0].cause is Cause.FLOWS


def test_truncated_samples_prove_nothing() -> None:
    """A datagram longer than what is kept cannot be verified, so nothing is claimed of it."""
    packet = sealed(reference("AES_CM_128_HMAC_SHA1_32", KEY), rtp())
    facts = failing(packet)
    b = replace(facts.streams[0].b, samples=(replace(facts.streams[0].b.samples[0], length=len(packet) + 40),))
    found = diagnose(call(leg("a"), b))[0]
    assert (found.cause, found.confidence) == (Cause.WRONG_KEY, Confidence.POSSIBLE)


def test_packet_that_came_before_its_key_is_no_reason() -> None:
    """It verifies as agreed: the call flows now."""
    early = sample("auth_fail", sealed(reference(CM80, KEY), rtp()))
    b = leg("b", media=secured(), samples=(early,), drops={"auth_fail": 1})
    assert [f.cause for f in diagnose(call(leg("a"), b))] == [Cause.FLOWS]


def test_order_and_words() -> None:
    """Every cause has advice; findings come worst first, the surer one before."""
    assert set(ADVICE) == set(Cause)
    found = ordered([
        Finding(Cause.FLOWS, Confidence.CERTAIN, ""), Finding(Cause.ONE_WAY, Confidence.POSSIBLE, "", 1),
        Finding(Cause.ONE_WAY, Confidence.LIKELY, "", 2), Finding(Cause.WORKER_DOWN, Confidence.LIKELY, ""),
    ])  # fmt: skip
    assert [(f.cause, f.stream) for f in found] == [
        (Cause.WORKER_DOWN, -1), (Cause.ONE_WAY, 2), (Cause.ONE_WAY, 1), (Cause.FLOWS, -1),
    ]  # fmt: skip


def test_many_samples_are_not_all_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The search is bounded: of 64 samples that nothing explains four are tried."""
    tried: list[Question] = []
    monkeypatch.setattr(trial, "solve", lambda question: tried.append(question))
    facts = failing(rtp(payload=NOISE[:157]))
    (one,) = facts.streams[0].b.samples
    b = replace(facts.streams[0].b, samples=tuple(replace(one, age_s=float(n)) for n in range(64)))
    assert diagnose(call(leg("a"), b))[0].cause is Cause.WRONG_KEY
    assert len(tried) == 4
