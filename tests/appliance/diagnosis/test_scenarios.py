"""Each cause as it happens: a call through the call service and the real packet path, what its phones send, and the
first finding (peers 2 #16; rows A03, A04, A17, B17, C06, C13)."""

from __future__ import annotations

import base64
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from appliance.calls.media import Address, ContextSpec, IceCredentials, IceMedia, Latching, LegMedia, StreamMedia
from appliance.calls.views import AnswerRequest, IceState, OfferRequest
from appliance.diagnosis.causes import Cause, Confidence
from appliance.policy.options import MediaOptions
from kernels.control.layout import WorkerState
from kernels.srtp.session import Session
from kernels.srtp.transform import Transform
from tests.appliance.diagnosis.rig import (
    ALICE,
    BOB,
    CM32,
    CM80,
    Scene,
    context,
    master,
    phone,
    plain,
    sealed,
    secure,
    voice,
)
from tests.appliance.rig import OFFER
from tests.kernels import checks
from tests.kernels.rig import rtcp, rtp

STRANGER = Address("203.0.113.66", 6666)


@pytest.fixture
async def scene() -> Any:
    made = Scene()
    yield made
    made.close()


async def bridge(scene: Scene, receive: ContextSpec, send: ContextSpec | None = None, **keywords: Any) -> None:
    """Alice plain and talking, Bob secure: `receive` is what he was agreed to use."""
    await scene.session(plain(ALICE), secure(BOB, receive, send or context(receive.suite), **keywords))
    scene.speech("a")


# ---------------------------------------------------------------- keys, tags, MKI, ROC: proven on kept packets


async def test_key_of_the_other_direction(scene: Scene) -> None:
    ours = context()
    await bridge(scene, context(), ours)
    scene.speech("b", session=phone(ours))
    assert_first(scene, Cause.KEY_SWAPPED)


async def test_key_before_the_rekey(scene: Scene) -> None:
    """C13: Bob's re-INVITE brought a new key, and he goes on under the old one."""
    old, ours = context(), context()
    await bridge(scene, old, ours)
    bob = phone(old)
    scene.speech("b", session=bob)
    assert scene.first().cause is Cause.FLOWS
    await scene.session(plain(ALICE), secure(BOB, context(), ours))
    scene.speech("a")
    scene.speech("b", session=bob)
    assert_first(scene, Cause.KEY_BEFORE_REKEY)


async def test_key_of_the_other_leg(scene: Scene) -> None:
    alice = context()
    await scene.session(secure(ALICE, alice, context()), secure(BOB, context(), context()))
    scene.speech("a", session=phone(alice))
    scene.speech("b", session=phone(alice))
    assert_first(scene, Cause.KEY_OF_OTHER_LEG)


async def test_key_of_another_stream(scene: Scene) -> None:
    audio, video = context(), context()
    more = StreamMedia("video", plain(Address("192.0.2.1", 4100)), secure(Address(BOB.host, 5100), video, context()))
    await scene.session(plain(ALICE), secure(BOB, audio, context()), more)
    scene.speech("b", session=phone(audio))
    scene.speech("a")
    scene.send("b", *[sealed(phone(audio), rtp(n, voice(n), ssrc=7)) for n in range(9)], line=1)
    assert Cause.KEY_OF_OTHER_STREAM in [f.cause for f in scene.why() if f.stream == 1]


@pytest.mark.parametrize(("agreed", "sent"), [(CM80, CM32), (CM32, CM80)])
async def test_tag_length(scene: Scene, agreed: str, sent: str) -> None:
    """4 instead of 10 octets and the reverse."""
    spec = context(agreed)
    await bridge(scene, spec)
    scene.speech("b", session=phone(spec, sent))
    found = assert_first(scene, Cause.TAG_LENGTH)
    assert dict(found.evidence)["tag-octets"] == ("4" if sent == CM32 else "10")


@pytest.mark.parametrize(
    ("agreed", "sent"),
    [("AEAD_AES_128_GCM", "AEAD_AES_128_GCM_8"), ("AEAD_AES_256_GCM_8", "AEAD_AES_256_GCM")],
)
async def test_tag_length_of_aead(scene: Scene, agreed: str, sent: str) -> None:
    """16 and 8 octets (mission.md trap 3)."""
    spec = context(agreed)
    await bridge(scene, spec)
    scene.speech("b", session=phone(spec, sent))
    assert_first(scene, Cause.TAG_LENGTH)


async def test_srtcp_tag_of_freeswitch(scene: Scene) -> None:
    """Trap 2 of key-management.md section 6, SDES-24: a 4-octet SRTCP tag with _32. Audio flows, RTCP does not."""
    spec = context(CM32)
    await bridge(scene, spec)
    bob = Session(Transform("AES_CM", "HMAC_SHA1", 16, 14, 4, 4), spec.keys[0].key, spec.keys[0].salt, send=True)
    scene.speech("b", session=bob)
    reports = [bob.protect_rtcp(rtcp(ord("b"))) for _ in range(3)]
    scene.send("b", *[report for report in reports if isinstance(report, bytes)], rtcp=True)
    found = assert_first(scene, Cause.SRTCP_TAG_LENGTH)
    assert dict(found.evidence)["tag-octets"] == "4"


@pytest.mark.parametrize("agreed", [CM80, CM32])
async def test_no_tag_at_all(scene: Scene, agreed: str) -> None:
    """B17: AES_CM_128_NULL_AUTH under the agreed key; nothing verifies, the octets say it."""
    spec = context(agreed)
    await bridge(scene, spec)
    scene.speech("b", session=phone(spec, "AES_CM_128_NULL_AUTH"))
    assert_first(scene, Cause.NULL_AUTH, Confidence.LIKELY)


@pytest.mark.parametrize("suite", ["AES_192_CM_HMAC_SHA1_80", "AES_192_CM_HMAC_SHA1_32"])
async def test_aes_192_of_old_libsrtp(scene: Scene, suite: str) -> None:
    """Trap 1 of key-management.md section 6: libsrtp 2.2 to 2.7."""
    spec = context(suite)
    await bridge(scene, spec)
    scene.speech("b", session=phone(spec, legacy_192=True))
    assert_first(scene, Cause.AES_192_LEGACY)


@pytest.mark.parametrize("mki", [b"\x01", b"\0\0\0\x01"])
@pytest.mark.parametrize("suite", [CM80, "AEAD_AES_256_GCM"])
async def test_mki_that_was_not_negotiated(scene: Scene, suite: str, mki: bytes) -> None:
    """C06."""
    spec = context(suite)
    await bridge(scene, spec)
    scene.speech("b", session=phone(spec, mki=mki))
    found = assert_first(scene, Cause.MKI_NOT_NEGOTIATED)
    assert dict(found.evidence)["mki-octets"] == str(len(mki))


@pytest.mark.parametrize("mki", [b"\x01", b"\0\0\0\x01"])
@pytest.mark.parametrize("suite", [CM80, "AEAD_AES_128_GCM"])
async def test_mki_that_is_missing(scene: Scene, suite: str, mki: bytes) -> None:
    """C06, asterisk#825: announced and not sent."""
    spec = context(suite, master(suite, mki))
    await bridge(scene, spec)
    scene.speech("b", session=phone(spec))
    assert_first(scene, Cause.MKI_MISSING)


async def test_mki_of_another_length(scene: Scene) -> None:
    spec = context(CM80, master(CM80, b"\x01"))
    await bridge(scene, spec)
    scene.speech("b", session=phone(spec, mki=b"\0\0\0\x01"))
    assert_first(scene, Cause.MKI_LENGTH)


async def test_mki_of_no_known_key(scene: Scene) -> None:
    spec = context(CM80, master(CM80, b"\x01"))
    await bridge(scene, spec)
    scene.speech("b", session=phone(spec, key=master(), mki=b"\x02"))
    assert_first(scene, Cause.MKI_UNKNOWN, Confidence.LIKELY)


@pytest.mark.parametrize("ahead", [2, 3, 8])
async def test_rollover_counter_ahead(scene: Scene, ahead: int) -> None:
    """The gateway itself tries one turn further (A14)."""
    spec = context()
    await bridge(scene, spec)
    scene.speech("b", session=phone(spec, initial_roc=ahead))
    found = assert_first(scene, Cause.ROC_OFF)
    assert dict(found.evidence)["roc"] == str(ahead)


async def test_rollover_counter_reset(scene: Scene) -> None:
    """The peer restarts at 0 under its old key, where the receiver is at 5."""
    spec = context(initial_roc=5)
    await bridge(scene, spec)
    scene.speech("b", session=phone(spec, initial_roc=5))
    assert scene.first().cause is Cause.FLOWS
    scene.speech("a")
    scene.speech("b", 200, session=phone(spec))
    found = assert_first(scene, Cause.ROC_RESET)
    assert dict(found.evidence)["roc-here"] == "5"


@pytest.mark.parametrize("with_rtcp", [False, True])
async def test_plain_rtp_on_the_secure_leg(scene: Scene, with_rtcp: bool) -> None:
    await bridge(scene, context())
    scene.speech("b")
    if with_rtcp:
        scene.send("b", rtcp(), rtcp=True)
    assert_first(scene, Cause.PLAIN_RTP_ON_SECURE_LEG, Confidence.LIKELY)


@pytest.mark.parametrize("suite", [CM80, CM32, "AEAD_AES_256_GCM", "F8_128_HMAC_SHA1_80", "AES_192_CM_HMAC_SHA1_80"])
async def test_foreign_key(scene: Scene, suite: str) -> None:
    """A05: a key that the call does not know."""
    spec = context(suite)
    await bridge(scene, spec)
    scene.speech("b", session=phone(spec, key=master(suite)))
    assert_first(scene, Cause.WRONG_KEY, Confidence.LIKELY)


async def test_encryption_flag(scene: Scene) -> None:
    """A20, SDES-12: UNENCRYPTED_SRTCP of one side only."""
    spec = context()
    await bridge(scene, spec)
    bob = phone(spec, plain_rtcp=True)
    scene.speech("b", session=bob)
    scene.send("b", *[r for r in (bob.protect_rtcp(rtcp()) for _ in range(3)) if isinstance(r, bytes)], rtcp=True)
    assert_first(scene, Cause.ENCRYPTION_FLAG)


# ---------------------------------------------------------------- our own state


async def test_waiting_for_the_answer(scene: Scene) -> None:
    await scene.calls.offer(OfferRequest("call", "a", OFFER, MediaOptions()))
    scene.speech("a", source=Address("127.0.0.1", 40000))
    assert_first(scene, Cause.WAITING_FOR_ANSWER)


async def test_keys_missing(scene: Scene) -> None:
    await scene.session(plain(ALICE), secure(BOB, None, None))
    scene.speech("a")
    scene.speech("b")
    assert_first(scene, Cause.KEYS_MISSING)


async def test_key_expired(scene: Scene) -> None:
    """A17."""
    short = replace(master(), rtp_lifetime=10)
    spec = context(CM80, short)
    await bridge(scene, spec)
    scene.speech("b", 40, session=phone(spec))
    assert_first(scene, Cause.KEY_EXPIRED)


async def test_held(scene: Scene) -> None:
    """G29, F25: a=sendonly of one side."""
    await scene.session(plain(ALICE, may_receive=False), plain(BOB, may_send=False))
    scene.speech("a")
    scene.speech("b")
    assert_first(scene, Cause.HELD)


async def test_blocked(scene: Scene) -> None:
    await scene.session(plain(ALICE), plain(BOB, blocked=True))
    scene.speech("a")
    assert_first(scene, Cause.BLOCKED)


async def test_no_address(scene: Scene) -> None:
    """The other side's address is not known: no_partner swallows what the port receives."""
    await scene.session(plain(ALICE), plain(None))
    scene.speech("a")
    found = assert_first(scene, Cause.NO_ADDRESS)
    assert dict(found.evidence)["drops-no_partner"] == "20" and found.leg == "b"


async def test_worker_down(scene: Scene) -> None:
    await scene.session(plain(ALICE), plain(BOB))
    scene.speech("a")
    scene.speech("b")
    assert scene.first().cause is Cause.FLOWS
    scene.plane.local.arena.set_state(0, WorkerState.STATE_FAIL)
    assert_first(scene, Cause.WORKER_DOWN)


# ---------------------------------------------------------------- counters


async def test_media_flows(scene: Scene) -> None:
    spec, ours = context(), context()
    await bridge(scene, spec, ours)
    scene.speech("b", session=phone(spec))
    (found,) = scene.why()
    assert (found.cause, found.fault) == (Cause.FLOWS, False)
    assert dict(found.evidence)["a-received"] == "20" == dict(found.evidence)["b-sent"]


async def test_forgeries_beside_a_healthy_call(scene: Scene) -> None:
    """A6: an attacker's packets are no reason."""
    spec = context()
    await bridge(scene, spec)
    scene.speech("b", 200, session=phone(spec))
    scene.send("b", *[rtp(n, os.urandom(170), ssrc=n) for n in range(5)], source=STRANGER)
    assert scene.first().cause is Cause.FLOWS
    assert set(scene.causes()) == {Cause.FLOWS, Cause.STRAY_PACKETS}


async def test_strangers_beside_a_healthy_plain_call(scene: Scene) -> None:
    """A1."""
    await scene.session(plain(ALICE), plain(BOB))
    scene.speech("a", 200)
    scene.speech("b", 200)
    scene.speech("a", 2, source=STRANGER)
    assert scene.causes() == [Cause.FLOWS, Cause.STRAY_PACKETS]


async def test_nothing_arrives(scene: Scene) -> None:
    await scene.session(plain(ALICE), plain(BOB))
    assert_first(scene, Cause.NOTHING_ARRIVES, Confidence.LIKELY)


@pytest.mark.parametrize("side", ["a", "b"])
async def test_one_way(scene: Scene, side: str) -> None:
    await scene.session(plain(ALICE), plain(BOB))
    scene.speech(side)
    found = assert_first(scene, Cause.ONE_WAY, Confidence.LIKELY)
    assert found.leg == ("b" if side == "a" else "a")


@pytest.fixture
async def public_scene() -> Any:
    made = Scene("45.60.70.80")
    yield made
    made.close()


async def test_private_address_in_the_sdp(public_scene: Scene) -> None:
    await public_scene.session(plain(Address("8.8.8.8", 4000)), plain(Address("192.168.1.20", 5000)))
    public_scene.speech("a", source=Address("8.8.8.8", 4000))
    found = assert_first(public_scene, Cause.PRIVATE_ADDRESS, Confidence.LIKELY)
    assert "192.168.1.20" in found.sentence and found.leg == "b"


async def test_another_source(scene: Scene) -> None:
    await scene.session(plain(ALICE, latching=Latching.OFF), plain(BOB))
    scene.speech("b")
    scene.speech("a", source=STRANGER)
    found = assert_first(scene, Cause.OTHER_SOURCE, Confidence.LIKELY)
    assert str(STRANGER) in found.sentence and str(ALICE) in found.sentence


async def test_duplicates(scene: Scene) -> None:
    """A04: a mirror port."""
    spec = context()
    await bridge(scene, spec)
    bob = phone(spec)
    packets = [sealed(bob, rtp(n, voice(n))) for n in range(40)]
    scene.send("b", *[packet for packet in packets for _ in range(2)])
    assert_first(scene, Cause.DUPLICATES, Confidence.LIKELY)


async def test_loop(scene: Scene) -> None:
    """A13 (attack): what we sent comes back from our own port."""
    await scene.session(plain(ALICE), plain(BOB))
    view = scene.calls.get("call").streams[0]
    scene.speech("b")
    scene.speech("b", source=Address(view.a.local.address, view.a.local.rtp))
    assert_first(scene, Cause.LOOP)


async def test_rtp_at_the_rtcp_port(scene: Scene) -> None:
    await scene.session(plain(ALICE), plain(BOB))
    scene.speech("a")
    scene.speech("b", rtcp=True, source=Address(BOB.host, BOB.port + 1))
    assert_first(scene, Cause.WRONG_PORT)


async def test_only_rtcp(scene: Scene) -> None:
    await scene.session(plain(ALICE), plain(BOB))
    scene.speech("a")
    scene.send("b", rtcp(), rtcp(), rtcp=True, source=Address(BOB.host, BOB.port + 1))
    assert_first(scene, Cause.ONLY_RTCP, Confidence.LIKELY)


async def test_ssrc_limit(scene: Scene) -> None:
    """B6: authentic packets of more SSRCs than the context may have; senders of ours are never forgotten."""
    spec = context(ssrc_limit=2)
    await bridge(scene, context(), spec)
    await scene.session(plain(ALICE), secure(BOB, context(), spec))
    scene.send("a", *[rtp(n, voice(n), ssrc=n) for n in range(30)])
    found = scene.why()
    assert Cause.SSRC_LIMIT in [finding.cause for finding in found]


async def test_malformed(scene: Scene) -> None:
    await scene.session(plain(ALICE), plain(BOB))
    scene.speech("b")
    scene.send("a", *[b"\x8f" + rtp(n, b"")[1:] for n in range(9)])
    assert_first(scene, Cause.MALFORMED, Confidence.LIKELY)


async def test_sender_repeats_sequence_numbers(scene: Scene) -> None:
    """B5: the plain sender restarts under its SSRC; protecting the same index twice is refused."""
    spec = context()
    await bridge(scene, spec)
    scene.speech("b", session=phone(spec))
    scene.send("a", *[rtp(1000 + n, voice(n + 1), ssrc=ord("a")) for n in range(20)])
    assert_first(scene, Cause.SEQUENCE_REPEATED, Confidence.LIKELY)


async def test_stopped(scene: Scene) -> None:
    await scene.session(plain(ALICE), plain(BOB))
    scene.speech("a")
    scene.speech("b")
    assert scene.first().cause is Cause.FLOWS
    scene.plane.local.worker.turn()
    found = [finding.cause for finding in scene.why(later_s=1.9)]
    assert found == [Cause.FLOWS]
    assert Cause.STOPPED in scene.causes(later_s=5)


async def test_srtp_on_the_plain_leg(scene: Scene) -> None:
    """Bob sends SRTP where RTP was agreed: his G.711 packets are all ten octets too long."""
    await scene.calls.offer(OfferRequest("call", "a", OFFER, MediaOptions()))
    answer = OFFER.replace(b"40000", b"50000").replace(b" 8 101", b"")
    await scene.calls.answer(AnswerRequest("call", "a", "b", answer, MediaOptions()))
    scene.speech("a", source=Address("127.0.0.1", 40000))
    scene.speech("b", session=phone(context()), source=Address("127.0.0.1", 50000))
    found = assert_first(scene, Cause.SRTP_ON_PLAIN_LEG, Confidence.POSSIBLE)
    assert dict(found.evidence)["octets-over"] == "10" and found.leg == "b"


# ---------------------------------------------------------------- ICE

LOCAL, REMOTE = IceCredentials(checks.OURS, checks.OUR_PASSWORD), IceCredentials(checks.THEIRS, checks.THEIR_PASSWORD)


async def browser(scene: Scene, **keywords: Any) -> None:
    """Bob has ICE, and his SDP no address: port 9, 0.0.0.0."""
    ice = IceMedia(LOCAL, REMOTE, **keywords)
    await scene.session(plain(ALICE), LegMedia("default", None, None, True, ice=ice))
    scene.speech("a")


@pytest.mark.row("G20", "ICE-3")
@pytest.mark.parametrize(("words", "what"), [({"password": "p" * 22}, "password"), ({"user": "x:y"}, "user fragment")])
async def test_ice_credentials(scene: Scene, words: dict[str, Any], what: str) -> None:
    await browser(scene)
    scene.send("b", *[checks.check(**words)] * 3)
    found = assert_first(scene, Cause.ICE_CREDENTIALS)
    assert found.sentence == f"3 checks of leg b have a wrong ICE {what}"
    ice = scene.calls.get("call").streams[0].b.ice
    assert ice is not None and (ice.state, ice.checks_refused) == (IceState.REFUSED, 3)
    assert checks.OUR_PASSWORD not in repr(scene.why()) + repr(ice)


@pytest.mark.row("ICE-4", "G19")
async def test_ice_without_checks(scene: Scene) -> None:
    """Blocked, or a candidate of ours that leads nowhere. Not: nowhere to send to, although nothing has."""
    await browser(scene)
    found = assert_first(scene, Cause.ICE_NO_CHECKS, Confidence.LIKELY)
    port = scene.calls.get("call").streams[0].b.local.rtp
    assert found.sentence.endswith(f"reaches our port 192.0.2.10:{port}")
    assert Cause.NO_ADDRESS not in scene.causes()
    scene.speech("b", 9)  # it has copied the attributes of somebody else
    found = assert_first(scene, Cause.ICE_NO_CHECKS, Confidence.LIKELY)
    assert "although 9 others did" in found.sentence
    assert dict(found.evidence)["sample-source"] == str(BOB)


@pytest.mark.row("ICE-4", "G21")
@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (("1 1 tcp 1 192.0.2.1 9 typ host tcptype active", "2 1 udp 1 a1b2.local 9 typ host"), "of its 2 candidates"),
        ((), "its SDP names no candidate"),
        (("1 1 udp 1 192.0.2.1 5000 typ host",), ""),
    ],
)
async def test_ice_of_our_own_full_agent(scene: Scene, lines: tuple[str, ...], why: str) -> None:
    """Which of the peer's candidates it can check at all is told."""
    await browser(scene, lite=False, candidates=lines)
    assert scene.first().sentence.endswith(why) if not why else why in scene.first().sentence
    scene.send("b", checks.check())
    assert "answers none of ours" in assert_first(scene, Cause.ICE_NO_PAIR, Confidence.LIKELY).sentence


@pytest.mark.row("ICE-4")
async def test_ice_without_a_nomination(scene: Scene) -> None:
    """And media that comes before is no media from a wrong place."""
    await browser(scene)
    scene.send("b", checks.check(), *[rtp(n, voice(n)) for n in range(9)])
    assert_first(scene, Cause.ICE_NO_PAIR, Confidence.LIKELY)
    assert Cause.OTHER_SOURCE not in scene.causes()
    scene.send("b", checks.check(nominate=True))
    scene.speech("b")
    assert scene.causes() == [Cause.FLOWS]


@pytest.mark.row("ICE-7", "D12")
async def test_ice_without_consent(scene: Scene) -> None:
    await browser(scene)
    scene.send("b", checks.check(nominate=True))
    ices = scene.plane.local.mailbox.regions()["ices"]
    for slot in scene.plane.local.mailbox.flows():
        checks.make_older(scene.plane.local, ices + 512 * slot, 31)
    found = assert_first(scene, Cause.ICE_CONSENT_LOST)
    assert found.sentence.endswith("gives no consent any more, the last 31 s ago")


# ---------------------------------------------------------------- secrets


async def test_no_key_and_no_payload_comes_out(scene: Scene) -> None:
    """H3, SR-23, C11: whatever is found, no octet of a key, a salt or a packet is in it, as text, hex or base64."""
    spec, ours = context(), context()
    await bridge(scene, spec, ours)
    payload = b"what Bob said to Alice" * 8
    packets = [sealed(phone(ours), rtp(n, payload)) for n in range(9)] + [rtp(n, payload) for n in range(9)]
    scene.send("b", *packets)
    text = repr(scene.why()) + repr(scene.rig.calls.get("call"))
    assert "key-swapped" in text
    secrets = [part for key in (*spec.keys, *ours.keys) for part in (key.key, key.salt)]
    for secret in (*secrets, payload[:22], packets[0][12:]):
        for shown in (repr(secret)[2:-1], secret.hex(), base64.b64encode(secret).decode()[:20]):
            assert shown[:16] not in text


def assert_first(
    scene: Scene, cause: Cause, confidence: Confidence = Confidence.CERTAIN, later_s: float = 0.0
) -> Any:
    found = scene.why(later_s)
    assert found, "no finding"
    assert found[0].cause is cause, [f"{f.cause}: {f.sentence}" for f in found]
    assert found[0].confidence is confidence
    assert found[0].advice and found[0].sentence
    return found[0]


def test_every_cause_has_a_scenario() -> None:
    """The table of causes and this file agree; CANNOT_SEND needs a kernel and is in test_causes."""
    text = Path(__file__).read_text()
    assert [cause.name for cause in Cause if f"Cause.{cause.name}" not in text] == ["CANNOT_SEND"]
