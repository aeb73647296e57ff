"""DTLS-SRTP in offer and answer: fingerprints, roles, associations, certificates, and the choice between the ways of
keying (RFC 5763, RFC 8122, RFC 8842)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest

from appliance.calls.media import Address, DtlsMedia, Fingerprint, LegMedia
from appliance.calls.negotiation import Negotiated, Negotiation
from appliance.errors import CryptoRequired, NotAcceptable
from appliance.policy.options import DtlsOptions, Fresh, Ice, MediaOptions, SdesOptions
from appliance.policy.secure_media import Mode, SecureMedia, resolve
from tests.appliance.protocols.sdp import fixtures

from .sdps import ALICE, BOB, Call, Pool, counting, crypto, cryptos, media, options, read, sdp

CM80, GCM, F8 = "AES_CM_128_HMAC_SHA1_80", "AEAD_AES_256_GCM", "F8_128_HMAC_SHA1_80"
UDP_TLS = ("UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF")
ALL = ("RTP/AVP", "RTP/AVPF", "RTP/SAVP", "RTP/SAVPF", *UDP_TLS)


def shown(seed: int = 1, hash: str = "sha-256") -> tuple[str, bytes]:
    """A peer's a=fingerprint line, and its octets."""
    octets = hashlib.new(hash.replace("-", ""), bytes([seed])).digest()
    return f"a=fingerprint:{hash} {octets.hex(':').upper()}", octets


def keyed(setup: str = "actpass", seed: int = 1, tls_id: str = "", hash: str = "sha-256") -> list[str]:
    return [shown(seed, hash)[0], f"a=setup:{setup}", *([f"a=tls-id:{tls_id}"] if tls_id else [])]


def alice(proto: str = UDP_TLS[0], *lines: str, port: int = 8000, host: str = ALICE) -> bytes:
    return sdp(host, media(port, proto, *(lines or keyed())))


def bob(offer: bytes, *lines: str, port: int = 4000, host: str = BOB) -> bytes:
    """Bob's answer to every m-line, with what its profile wants."""
    sections = []
    for at, section in enumerate(read(offer).media):
        line, body = section.media, list(lines)
        if not line.port:
            sections.append([f"m={line}"])
            continue
        if not lines and section.has("fingerprint"):
            body = keyed("active", 0x62)
        elif not lines and section.has("crypto"):
            [chosen, *_] = cryptos(offer, at)
            body = [crypto(chosen.tag, chosen.spelling, 0x62)]
        sections.append(media(port + 2 * at, line.proto, *body, kind=line.kind, formats=line.formats[0]))
    return sdp(host, *sections)


def gate(pool: Pool | None = None) -> Call:
    return Call(certificates=pool or Pool())


def wanted(leg: LegMedia) -> DtlsMedia:
    assert leg.dtls is not None and leg.secure
    assert leg.receive is None and leg.send is None
    return leg.dtls


def roundtrip(call: Call) -> Call:
    """The same call after a restart of control."""
    again = gate()
    record = json.loads(json.dumps(call.negotiation.to_record()))
    again.negotiation = Negotiation.from_record(record, counting(), Pool())
    assert again.negotiation.to_record() == call.negotiation.to_record()
    again.placed = call.placed
    return again


# ---------------------------------------------------------------- profiles


@pytest.mark.parametrize("a", ALL)
@pytest.mark.parametrize("b", ALL)
def test_every_pairing(a: str, b: str) -> None:
    """D05, D06, G05, G06, SDP-1 to SDP-4: the legs of a stream are independent; the answer repeats the offer's token
    with the attributes of its keying alone."""
    call = gate()
    lines = keyed() if a in UDP_TLS else [crypto(1, CM80)] if "SAVP" in a else []
    offered = call.offer(sdp(ALICE, media(8000, a, *lines)), options(transport_protocol=b))
    section = read(offered.sdp).media[0]
    assert section.media.proto == b
    assert section.has("fingerprint") == (b in UDP_TLS) and section.has("crypto") == (b in ("RTP/SAVP", "RTP/SAVPF"))
    assert section.attributes("setup") == (["actpass"] if b in UDP_TLS else [])
    done = call.answer(bob(offered.sdp))
    answer = read(done.sdp).media[0]
    assert answer.media.proto == a and answer.media.port == 30000
    assert answer.has("fingerprint") == (a in UDP_TLS) and answer.has("crypto") == (a in ("RTP/SAVP", "RTP/SAVPF"))
    assert answer.attributes("setup") == (["active"] if a in UDP_TLS else [])
    for leg, proto in ((done.streams[0].a, a), (done.streams[0].b, b)):
        assert leg.secure == ("SAVP" in proto)
        assert (leg.dtls is not None) == (proto in UDP_TLS)
        assert (leg.receive is not None) == (leg.send is not None) == (leg.secure and leg.dtls is None)
        assert leg.feedback == proto.endswith("F")


@pytest.mark.parametrize("proto", UDP_TLS)
def test_no_sdes_under_udp_tls(proto: str) -> None:
    """SDP-3, DTLS-18, DTLS-21: only fingerprint and setup count there; a=crypto alone is 488; nothing of a=crypto or
    a=connection is written."""
    with pytest.raises(NotAcceptable, match="no a=fingerprint") as caught:
        gate().offer(alice(proto, crypto(1, CM80)))
    assert caught.value.sip_status == 488
    call = gate()
    offered = call.offer(alice(proto, crypto(1, CM80), *keyed(), "a=connection:new"))
    done = call.answer(bob(offered.sdp))
    for text in (offered.sdp, done.sdp):
        assert b"a=crypto" not in text and b"a=connection" not in text


def test_downgraded_answers() -> None:
    """C3: where DTLS-SRTP was offered nothing else is taken: neither plain RTP nor SDES nor a missing fingerprint."""
    for answer, error in (
        (media(4000, "RTP/AVP"), CryptoRequired),
        (media(4000, "RTP/SAVPF", crypto(1, CM80)), NotAcceptable),
        (media(4000, "UDP/TLS/RTP/SAVPF"), CryptoRequired),
        (media(4000, "UDP/TLS/RTP/SAVPF", crypto(1, CM80)), CryptoRequired),
    ):
        call = gate()
        call.offer(sdp(ALICE, media(8000, "RTP/AVP")), options(transport_protocol="UDP/TLS/RTP/SAVPF"))
        before = call.negotiation.to_record()
        with pytest.raises(error):
            call.answer(sdp(BOB, answer))
        assert call.negotiation.to_record() == before
    call = gate()
    call.offer(sdp(ALICE, media(8000, "RTP/AVP")))
    with pytest.raises(NotAcceptable, match="was not offered"):
        call.answer(sdp(BOB, media(4000, "UDP/TLS/RTP/SAVPF", *keyed("active"))))


# ---------------------------------------------------------------- roles


@pytest.mark.parametrize(
    ("setup", "wish", "word", "active"),
    [
        ("actpass", "", "active", True),
        ("actpass", "active", "active", True),
        ("actpass", "passive", "passive", False),
        ("active", "", "passive", False),
        ("active", "active", "passive", False),
        ("passive", "passive", "active", True),
        ("ACTPASS ", "", "active", True),
        ("", "", "passive", False),  # RFC 4145: an offer without is active
    ],
)
def test_role_in_our_answer(setup: str, wish: str, word: str, active: bool) -> None:
    """D02, DTLS-1."""
    lines = [shown()[0], *([f"a=setup:{setup}"] if setup else [])]
    call = gate()
    offered = call.offer(
        alice(UDP_TLS[1], *lines), options(transport_protocol="RTP/AVP", dtls_from=DtlsOptions(role=wish))
    )
    assert wanted(offered.streams[0].a).active is active
    done = call.answer(bob(offered.sdp))
    assert read(done.sdp).media[0].attributes("setup") == [word]
    assert wanted(done.streams[0].a).active is active


@pytest.mark.parametrize(("setup", "active"), [("actpass", False), ("passive", True)])
def test_role_by_the_word_of_the_answers_request(setup: str, active: bool) -> None:
    """Peers 1.2: rtpengine's DTLS=passive in an answer is about the one who offered, where that left the choice."""
    call = gate()
    offered = call.offer(alice(UDP_TLS[1], *keyed(setup)), options(transport_protocol="RTP/AVP"))
    done = call.answer(bob(offered.sdp), options(dtls=DtlsOptions(role="passive")))
    assert wanted(done.streams[0].a).active is active
    assert read(done.sdp).media[0].attributes("setup") == ["active" if active else "passive"]


@pytest.mark.parametrize(("setup", "active"), [("active", False), ("passive", True), ("", True)])
def test_role_after_our_offer(setup: str, active: bool) -> None:
    """D02: our offers say actpass; until the answer we can be the server (DTLS-2); without a word an answerer is
    passive."""
    call = gate()
    offered = call.offer(sdp(ALICE, media(8000, "RTP/AVP")), options(transport_protocol=UDP_TLS[1]))
    early = wanted(offered.streams[0].b)
    assert early.active is None and early.fingerprints == ()
    lines = [shown(2)[0], *([f"a=setup:{setup}"] if setup else [])]
    late = wanted(call.answer(bob(offered.sdp, *lines)).streams[0].b)
    assert late.active is active
    assert late.fingerprints == (Fingerprint("sha-256", shown(2)[1]),)
    assert (late.association, late.certificate) == (early.association, early.certificate)


@pytest.mark.parametrize("setup", ["actpass", "holdconn", "both"])
def test_answers_without_a_role(setup: str) -> None:
    """D02, D2: an answer that says actpass, or holdconn, is refused."""
    call = gate()
    offered = call.offer(sdp(ALICE, media(8000, "RTP/AVP")), options(transport_protocol=UDP_TLS[1]))
    with pytest.raises(NotAcceptable, match="a=setup") as caught:
        call.answer(bob(offered.sdp, *keyed(setup)))
    assert caught.value.sip_status == 488


def test_holdconn_in_an_offer() -> None:
    """DTLS-1: never."""
    with pytest.raises(NotAcceptable, match="holdconn"):
        gate().offer(alice(UDP_TLS[1], *keyed("holdconn")))


# ---------------------------------------------------------------- fingerprints


@pytest.mark.parametrize("hash", ["sha-224", "sha-256", "sha-384", "sha-512"])
@pytest.mark.parametrize("case", [str.lower, str.upper])
def test_hashes_that_are_taken(hash: str, case: Any) -> None:
    """D04, DTLS-5, DTLS-6: hash names and hex digits in any case, a blank behind the colon as in RFC 5763."""
    line, octets = shown(1, hash)
    text = case(line.removeprefix("a=fingerprint:"))
    for colon in (":", ": "):
        offered = gate().offer(alice(UDP_TLS[0], f"a=fingerprint{colon}{text}", "a=setup:actpass"))
        assert wanted(offered.streams[0].a).fingerprints == (Fingerprint(hash, octets),)


def test_sha_1_by_policy_alone() -> None:
    """D03, D1: the reference's Jitsi: refused, taken where the trunk says so; ours is SHA-256, or as the peer's."""
    jitsi = fixtures.addressed("02_jitsi_dtls_and_savpf_dotted")
    octets = bytes.fromhex("B90F89EEBD1FB1C486B6D75C25885 3F402F4F591".replace(" ", ""))
    with pytest.raises(CryptoRequired, match="sha-1 only") as caught:
        gate().offer(jitsi)
    assert caught.value.sip_status == 488
    for fingerprint, ours in (("", "sha-256"), ("peer", "sha-1"), ("sha-512", "sha-512")):
        call = gate()
        wishes = options(
            transport_protocol="RTP/AVP", dtls_from=DtlsOptions(sha1=True, legacy=True, fingerprint=fingerprint)
        )
        offered = call.offer(jitsi, wishes)
        leg = wanted(offered.streams[0].a)
        assert leg.fingerprints == (Fingerprint("sha-1", octets),) and leg.legacy
        answer = read(call.answer(bob(offered.sdp)).sdp).media
        assert [bool(section.media.port) for section in answer] == [True, False]
        assert answer[0].media.proto == "UDP/TLS/RTP/SAVP"
        assert answer[0].attributes("fingerprint")[0].startswith(ours + " ")


def test_sha_1_in_an_answer() -> None:
    """D03, D1: allowed by the offer's request, which named the trunk, or by the answer's own."""
    for asked, answered, taken in (
        (DtlsOptions(), None, False),
        (DtlsOptions(sha1=True), None, True),
        (DtlsOptions(), DtlsOptions(sha1=True), True),
    ):  # fmt: skip
        call = gate()
        plain = sdp(ALICE, media(8000, "RTP/AVP"))
        offered = call.offer(plain, options(transport_protocol=UDP_TLS[0], dtls=asked))
        answer = bob(offered.sdp, *keyed("active", hash="sha-1"))
        if taken:
            assert wanted(call.answer(answer, options(dtls_from=answered)).streams[0].b).fingerprints[0].hash == "sha-1"
        else:
            with pytest.raises(CryptoRequired, match="sha-1 only"):
                call.answer(answer, options(dtls_from=answered))


@pytest.mark.parametrize(
    "line",
    [
        "md5 " + ":".join(["AA"] * 16),
        "MD2 " + ":".join(["AA"] * 16),
        "sha-256 AA:BB",
        "sha-3 AA",
        "sha-256",
        "",
        "AA:BB",
    ],
)
def test_fingerprints_that_never_do(line: str) -> None:
    """D03, D1, DTLS-5: MD5 and MD2, wrong lengths, noise: 488 whatever the policy, alone and as an answer."""
    lines = [f"a=fingerprint:{line}", "a=setup:actpass"]
    with pytest.raises(CryptoRequired, match="a=fingerprint"):
        gate().offer(alice(UDP_TLS[0], *lines), options(dtls_from=DtlsOptions(sha1=True, legacy=True)))
    call = gate()
    offered = call.offer(sdp(ALICE, media(8000, "RTP/AVP")), options(transport_protocol=UDP_TLS[0]))
    with pytest.raises(CryptoRequired, match="a=fingerprint"):
        call.answer(bob(offered.sdp, lines[0], "a=setup:active"), options(dtls_from=DtlsOptions(sha1=True)))


def test_several_fingerprints() -> None:
    """D04, DTLS-6, D1: every one of the strongest hash counts, weaker ones do not."""
    lines = [shown(seed, hash)[0] for seed, hash in ((1, "sha-1"), (2, "sha-256"), (3, "sha-256"), (4, "sha-224"))]
    offer = alice(UDP_TLS[0], *lines, f"a=fingerprint:md5 {':'.join(['AA'] * 16)}", "a=setup:actpass")
    found = wanted(gate().offer(offer, options(dtls_from=DtlsOptions(sha1=True))).streams[0].a).fingerprints
    assert found == (Fingerprint("sha-256", shown(2)[1]), Fingerprint("sha-256", shown(3)[1]))


def test_session_level_inheritance() -> None:
    """G16: fingerprint and setup of the session part hold for m-lines that have none of their own."""
    lines = (media(8000, UDP_TLS[0]), media(8002, UDP_TLS[0], *keyed("passive", 2), kind="video"))
    call = gate()
    offered = call.offer(sdp(ALICE, *lines, session=keyed("actpass", 1)), options(transport_protocol="RTP/AVP"))
    first, second = (wanted(stream.a) for stream in offered.streams)
    assert first.fingerprints == (Fingerprint("sha-256", shown(1)[1]),)
    assert second.fingerprints == (Fingerprint("sha-256", shown(2)[1]),)
    done = call.answer(bob(offered.sdp))
    assert [section.attributes("setup") for section in read(done.sdp).media] == [["active"], ["active"]]
    assert not read(done.sdp).session.has("fingerprint") and b"fingerprint" not in offered.sdp


def test_our_fingerprint_is_of_our_certificate() -> None:
    call = gate()
    offered = call.offer(sdp(ALICE, media(8000, "RTP/AVP")), options(transport_protocol=UDP_TLS[0]))
    [line] = read(offered.sdp).media[0].attributes("fingerprint")
    certificate = wanted(offered.streams[0].b).certificate
    assert line == f"sha-256 {hashlib.sha256(certificate.certificate).digest().hex(':').upper()}"


# ---------------------------------------------------------------- both ways of keying in one m-line


BOTH = (crypto(1, CM80), *keyed())


@pytest.mark.parametrize("proto", ["RTP/SAVP", "RTP/SAVPF"])
@pytest.mark.parametrize(("preferred", "by_dtls"), [(False, True), (True, False)])
def test_both_in_one_m_line(proto: str, preferred: bool, by_dtls: bool) -> None:
    """D07, SDP-4: the trunk's order decides; the answer has the attributes of one way only."""
    call = gate()
    wishes = options(transport_protocol="RTP/AVP", sdes_from=SdesOptions(preferred=preferred))
    offered = call.offer(alice(proto, *BOTH), wishes)
    done = call.answer(bob(offered.sdp))
    [section], leg = read(done.sdp).media, done.streams[0].a
    assert section.media.proto == proto
    assert section.has("fingerprint") == section.has("setup") == (leg.dtls is not None) == by_dtls
    assert section.has("crypto") == (leg.receive is not None) == (not by_dtls)
    assert roundtrip(call).negotiation.payload_types(0)


@pytest.mark.parametrize(
    ("lines", "wishes", "by_dtls"),
    [
        ((crypto(1, "AES_CM_128_NULL_AUTH"), *keyed()), {"sdes_from": SdesOptions(preferred=True)}, True),
        ((crypto(1, CM80), *keyed(hash="sha-1")), {}, False),
        ((crypto(1, CM80), *keyed("holdconn")), {}, False),
        (BOTH, {"dtls_from": DtlsOptions(enabled=False)}, False),
        (BOTH, {"inbound": SecureMedia(Mode.MANDATORY, ("AES_256_CM_HMAC_SHA1_80",))}, None),
        ((crypto(1, F8), *keyed()), {"inbound": SecureMedia(Mode.OPTIONAL, (F8,))}, False),
        (keyed(), {}, True),
        (["a=fingerprint:sha-256 AA", "a=setup:actpass"], {}, None),
    ],
)  # fmt: skip
def test_the_way_that_can_be_had(lines: list[str], wishes: dict[str, Any], by_dtls: bool | None) -> None:
    """D07, SDP-3: where the preferred way cannot be, the other one is taken; 488 where none can."""
    offer = alice("RTP/SAVPF", *lines)
    if by_dtls is None:
        with pytest.raises(CryptoRequired):
            gate().offer(offer, options(transport_protocol="RTP/AVP", **wishes))
        return
    leg = gate().offer(offer, options(transport_protocol="RTP/AVP", **wishes)).streams[0].a
    assert leg.secure and (leg.dtls is not None) == by_dtls == (leg.receive is None)


def test_sdes_over_cleartext_leaves_dtls() -> None:
    """C07, D07: keys that anybody could read are no way of keying; a fingerprint is."""
    leg = gate().offer(alice("RTP/SAVP", *BOTH), MediaOptions(sdes_from=SdesOptions(preferred=True),
                                                             transport_protocol="RTP/AVP")).streams[0].a  # fmt: skip
    assert leg.dtls is not None and leg.receive is None


def test_suites_of_the_policy() -> None:
    """H08, D08: a list is what DTLS-SRTP may end with, in its order; what has no DTLS profile is left out of it."""
    listed = resolve("mandatory:AES_256_CM_HMAC_SHA1_80:AEAD_AES_256_GCM:AES_CM_128_HMAC_SHA1_80").inbound
    offered = gate().offer(alice(), options(inbound=listed, transport_protocol=UDP_TLS[0]))
    assert wanted(offered.streams[0].a).suites == (GCM, CM80)
    assert wanted(offered.streams[0].b).suites == ()
    named = options(outbound=SecureMedia(Mode.MANDATORY, (CM80,)), transport_protocol=UDP_TLS[0])
    assert wanted(gate().offer(alice(), named).streams[0].b).suites == (CM80,)
    hopeless = options(outbound=SecureMedia(Mode.MANDATORY, (F8,)), transport_protocol=UDP_TLS[0])
    with pytest.raises(CryptoRequired, match="DTLS-SRTP"):
        gate().offer(alice(), hopeless)


# ---------------------------------------------------------------- opportunistic (RFC 8643)


RFC = frozenset({"accept-rfc"})


def test_fingerprint_under_avp() -> None:
    """D13, SDP-5: the answer keeps RTP/AVP and has a fingerprint; media is SRTP. Not without the word, not where the
    policy forbids; refused where it demands."""
    call = gate()
    offered = call.offer(alice("RTP/AVP"), options(osrtp=RFC, transport_protocol="RTP/AVP"))
    assert wanted(offered.streams[0].a)
    done = call.answer(bob(offered.sdp))
    [section] = read(done.sdp).media
    assert section.media.proto == "RTP/AVP" and section.has("fingerprint") and section.has("setup")
    assert wanted(done.streams[0].a).active is True and not done.streams[0].b.secure
    for wishes in (options(), options(osrtp=RFC, inbound=SecureMedia(Mode.FORBIDDEN))):
        call = gate()
        offered = call.offer(alice("RTP/AVP"), wishes)
        assert not offered.streams[0].a.secure
        assert b"fingerprint" not in call.answer(bob(offered.sdp)).sdp
    with pytest.raises(CryptoRequired):
        gate().offer(alice("RTP/AVP"), options(osrtp=RFC, inbound=SecureMedia(Mode.MANDATORY)))


def test_unusable_fingerprint_under_avp() -> None:
    """SDP-5: ignored, as an opportunistic offer allows."""
    leg = gate().offer(alice("RTP/AVP", *keyed(hash="sha-1")), options(osrtp=RFC)).streams[0].a
    assert not leg.secure and leg.dtls is None


def test_reoffer_towards_an_opportunistic_leg() -> None:
    """D13: it stays keyed by DTLS under RTP/AVP, in the same association."""
    call = gate()
    offered = call.offer(alice("RTP/AVP"), options(osrtp=RFC, transport_protocol="RTP/AVP"))
    first = call.answer(bob(offered.sdp))
    back = call.offer(sdp(BOB, media(4000, "RTP/AVP")), options(), tag="bob")
    [section] = read(back.sdp).media
    assert section.media.proto == "RTP/AVP" and section.attributes("setup") == ["actpass"]
    done = call.answer(sdp(ALICE, media(8000, "RTP/AVP", *keyed("passive"))), tag="alice")
    assert done.streams[0].a.dtls == first.streams[0].a.dtls
    # Alice may also go on plain: that was always allowed
    call.offer(sdp(BOB, media(4000, "RTP/AVP")), options(), tag="bob")
    assert not call.answer(sdp(ALICE, media(8000, "RTP/AVP")), tag="alice").streams[0].a.secure


@pytest.mark.parametrize("taken", [True, False])
def test_opportunistic_fingerprint_in_our_offer(taken: bool) -> None:
    """D13, SDP-5, SDP-8: OSRTP where a=crypto may not be seen: a fingerprint under RTP/AVP, taken up or not; plain
    where DTLS is off."""
    call = gate()
    wishes = options(transport_protocol="RTP/AVP", osrtp=frozenset({"offer"}))
    seen = replace(wishes, signalling_secure_out=False)
    offered = call.offer(sdp(ALICE, media(8000, "RTP/AVP")), seen)
    [section] = read(offered.sdp).media
    assert section.media.proto == "RTP/AVP" and section.has("fingerprint") and not section.has("crypto")
    assert wanted(offered.streams[0].b), "nothing plain before it is known that the peer is plain"
    done = call.answer(bob(offered.sdp, *(keyed("active", 2) if taken else ["a=ptime:20"])))
    leg = done.streams[0].b
    assert leg.secure == (leg.dtls is not None) == taken
    if taken:
        again = call.offer(sdp(ALICE, media(8000, "RTP/AVP")), seen)
        assert read(again.sdp).media[0].attributes("fingerprint") == section.attributes("fingerprint")
    off = gate().offer(sdp(ALICE, media(8000, "RTP/AVP")), replace(seen, dtls=DtlsOptions(enabled=False)))
    assert not off.streams[0].b.secure and b"fingerprint" not in off.sdp
    assert read(gate().offer(sdp(ALICE, media(8000, "RTP/AVP")), wishes).sdp).media[0].has("crypto")


# ---------------------------------------------------------------- alternatives on one port


@pytest.mark.parametrize(
    ("inbound", "sha1", "preferred", "winner"),
    [
        ("mandatory", True, False, 0), ("optional", True, False, 0), ("forbidden", True, False, 3),
        ("optional", True, True, 1), ("mandatory", False, False, 1),
    ],
)  # fmt: skip
def test_alternatives_with_dtls(inbound: str, sha1: bool, preferred: bool, winner: int) -> None:
    """G09, G10, G11: the reference's four m-lines on port 5016 are one stream; DTLS, its first, is taken where SHA-1
    will do; SDES first where the trunk says so; the other three have port 0."""
    call = gate()
    offer = fixtures.addressed("04_jitsi_invite_four_mlines_same_port")
    offered = call.offer(offer, options(
        inbound=resolve(inbound).inbound, dtls_from=DtlsOptions(sha1=sha1), transport_protocol="RTP/AVP",
        sdes_from=SdesOptions(preferred=preferred),
    ))  # fmt: skip
    assert offered.lines == (0,) and len(read(offered.sdp).media) == 1
    done = call.answer(bob(offered.sdp))
    sections = read(done.sdp).media
    assert [bool(section.media.port) for section in sections] == [at == winner for at in range(4)]
    assert sections[winner].has("fingerprint") == (winner == 0)
    assert sections[winner].has("crypto") == (winner == 1)
    assert sections[winner].has("setup") == (winner == 0)


# ---------------------------------------------------------------- certificates


@pytest.mark.parametrize(
    ("fresh", "proto", "ice", "names"),
    [
        ("webrtc", UDP_TLS[0], Ice.REMOVE, ["carrier"]),
        ("webrtc", UDP_TLS[1], Ice.REMOVE, [None]),
        ("webrtc", UDP_TLS[0], Ice.FORCE, [None]),
        ("always", UDP_TLS[0], Ice.REMOVE, [None]),
        ("never", UDP_TLS[1], Ice.FORCE, ["carrier"]),
    ],
)
def test_who_is_shown_a_certificate_that_stays(fresh: Fresh, proto: str, ice: Ice, names: list[str | None]) -> None:
    """DTLS-19: WebRTC legs get one of their own, others know us again; either is a trunk's to say."""
    pool = Pool()
    wishes = options(transport_protocol=proto, ice=ice, dtls=DtlsOptions(certificate="carrier", fresh=fresh))
    gate(pool).offer(sdp(ALICE, media(8000, "RTP/AVP")), wishes)
    assert pool.asked == names


def test_one_certificate_for_a_leg() -> None:
    """DTLS-19: fresh for each call and leg, one for all streams of it, also those of later offers and after a restart
    of control."""
    pool = Pool()
    call = gate(pool)
    two = (media(8000, UDP_TLS[0], *keyed()), media(8002, UDP_TLS[0], *keyed(), kind="video"))
    fresh = DtlsOptions(fresh="always")
    wishes = options(transport_protocol=UDP_TLS[0], dtls=fresh, dtls_from=fresh)
    offered = call.offer(sdp(ALICE, *two), wishes)
    legs = [[wanted(leg).certificate for leg in (stream.a, stream.b)] for stream in offered.streams]
    assert legs[0] == legs[1] and legs[0][0] != legs[0][1]
    assert pool.asked == [None, None]
    call.answer(bob(offered.sdp))
    call = roundtrip(call)
    third = media(8004, UDP_TLS[0], *keyed(), kind="text")
    again = call.offer(sdp(ALICE, *two, third), wishes)
    assert [[wanted(leg).certificate for leg in (stream.a, stream.b)] for stream in again.streams] == [legs[0]] * 3
    assert wanted(gate(pool).offer(sdp(ALICE, *two), wishes).streams[0].a).certificate not in legs[0]


def test_certificate_of_a_trunk() -> None:
    """DTLS-19: one that stays, by name, on the leg that names it."""
    pool = Pool()
    wishes = options(
        transport_protocol=UDP_TLS[0], dtls=DtlsOptions(certificate="carrier"), dtls_from=DtlsOptions(certificate="pbx")
    )
    stream = gate(pool).offer(alice(), wishes).streams[0]
    assert sorted(pool.asked) == ["carrier", "pbx"]
    assert (wanted(stream.a).certificate.certificate, wanted(stream.b).certificate.certificate) == (b"pbx", b"carrier")


def test_private_keys_are_not_shown() -> None:
    call = gate()
    offered = call.offer(alice(), options(transport_protocol=UDP_TLS[0]))
    call.answer(bob(offered.sdp))
    for shown_text in (repr(call.negotiation._state), repr(offered)):
        assert "the key of" not in shown_text


def test_without_certificates() -> None:
    """A gateway without any refuses what it cannot do, in both directions, and takes SDES where it is offered too."""
    with pytest.raises(NotAcceptable, match="DTLS-SRTP is not available"):
        Call().offer(alice())
    with pytest.raises(NotAcceptable, match="DTLS-SRTP is not available"):
        Call().offer(sdp(ALICE, media(8000, "RTP/AVP")), options(transport_protocol=UDP_TLS[0]))
    assert Call().offer(alice("RTP/SAVP", *BOTH)).streams[0].a.receive is not None
    for wishes in (options(dtls_from=DtlsOptions(enabled=False)),
                   options(transport_protocol=UDP_TLS[0], dtls=DtlsOptions(enabled=False))):  # fmt: skip
        with pytest.raises(NotAcceptable, match="DTLS-SRTP is not available"):
            gate().offer(alice(), wishes)


def test_dtls_off_towards_the_other_side() -> None:
    """Peers 1.2: rtpengine's DTLS=off is about the side that is offered to: it gets SDES, the offerer keeps DTLS."""
    call = gate()
    offered = call.offer(alice(UDP_TLS[1]), options(dtls=DtlsOptions(enabled=False)))
    [section] = read(offered.sdp).media
    assert section.media.proto == "RTP/SAVPF" and section.has("crypto") and not section.has("fingerprint")
    assert wanted(offered.streams[0].a)


def test_sdes_off_leaves_the_fingerprint() -> None:
    """SDP-3, peers 1.2: rtpengine's "RTP/SAVPF SDES-off" towards a browser of old: DTLS under the SDES profile."""
    call = gate()
    wishes = options(transport_protocol="RTP/SAVPF", sdes=SdesOptions(enabled=False))
    offered = call.offer(sdp(ALICE, media(8000, "RTP/AVP")), wishes)
    [section] = read(offered.sdp).media
    assert section.media.proto == "RTP/SAVPF" and section.has("fingerprint") and not section.has("crypto")
    done = call.answer(bob(offered.sdp))
    assert wanted(done.streams[0].b).fingerprints
    again = call.offer(sdp(ALICE, media(8000, "RTP/AVP")), wishes)
    assert read(again.sdp).media[0].attributes("fingerprint") == section.attributes("fingerprint")


OLD_BROWSER = options(transport_protocol="RTP/SAVPF", ice=Ice.FORCE)


@pytest.mark.parametrize(
    ("answer", "preferred", "by_dtls"),
    [
        ("dtls", False, True),
        ("sdes", False, False),
        ("both", False, True),
        ("both", True, False),
        ("none", False, None),
    ],
)
def test_both_are_offered_to_a_browser_of_old(answer: str, preferred: bool, by_dtls: bool | None) -> None:
    """D07, peers 1.2: "RTP/SAVPF ICE=force", as Kamailio's examples ask rtpengine for a browser: both in one m-line;
    the answer takes up one; what it took holds in re-offers."""
    call = gate()
    offered = call.offer(sdp(ALICE, media(8000, "RTP/AVP")), OLD_BROWSER)
    [section] = read(offered.sdp).media
    assert section.has("crypto") and section.has("fingerprint") and section.attributes("setup") == ["actpass"]
    assert wanted(offered.streams[0].b)
    line = cryptos(offered.sdp)[0]
    words = {"dtls": keyed("active", 2), "sdes": [crypto(line.tag, line.spelling, 0x62)], "none": ["a=ptime:20"]}
    words["both"] = words["dtls"] + words["sdes"]
    wishes = options(sdes_from=SdesOptions(preferred=preferred))
    if by_dtls is None:
        with pytest.raises(CryptoRequired):
            call.answer(bob(offered.sdp, *words[answer]), wishes)
        return
    leg = call.answer(bob(offered.sdp, *words[answer]), wishes).streams[0].b
    assert leg.secure and (leg.dtls is not None) == by_dtls == (leg.receive is None) == (leg.send is None)
    [again] = read(call.offer(sdp(ALICE, media(8000, "RTP/AVP")), OLD_BROWSER).sdp).media
    assert (again.has("fingerprint"), again.has("crypto")) == (by_dtls, not by_dtls)


def test_both_are_offered_again_until_an_answer() -> None:
    """SDES-20, DTLS-13: a repeated offer is the same text."""
    call = gate()
    first_one = call.offer(sdp(ALICE, media(8000, "RTP/AVP")), OLD_BROWSER).sdp
    assert call.offer(sdp(ALICE, media(8000, "RTP/AVP")), OLD_BROWSER).sdp == first_one


def test_keys_that_could_be_seen_leave_the_fingerprint() -> None:
    """C07: no a=crypto over cleartext; towards a phone that is refused, a browser of old has the other way."""
    wishes = replace(OLD_BROWSER, signalling_secure_out=False)
    [section] = read(gate().offer(sdp(ALICE, media(8000, "RTP/AVP")), wishes).sdp).media
    assert section.has("fingerprint") and not section.has("crypto")
    with pytest.raises(CryptoRequired, match="sdes_over_cleartext"):
        gate().offer(sdp(ALICE, media(8000, "RTP/AVP")), replace(wishes, ice=Ice.DEFAULT))


# ---------------------------------------------------------------- associations


T1, T2 = "a" * 24, "b" * 24
WISHES = options(transport_protocol="RTP/AVP")


def first(lines: list[str], **more: Any) -> tuple[Call, DtlsMedia, bytes]:
    """A call that Alice's offer with these lines began, what became of her leg, and the answer she got."""
    call = gate()
    offered = call.offer(alice(UDP_TLS[1], *lines, **more), WISHES)
    done = call.answer(bob(offered.sdp))
    return call, wanted(done.streams[0].a), done.sdp


def again(call: Call, lines: list[str], **more: Any) -> tuple[Negotiated, DtlsMedia, bytes]:
    """Alice's re-offer: until its answer, her leg after it, the answer she got."""
    offered = call.offer(alice(UDP_TLS[1], *lines, **more), WISHES)
    done = call.answer(bob(offered.sdp))
    return offered, wanted(done.streams[0].a), done.sdp


def own(text: bytes) -> tuple[str | None, str | None]:
    section = read(text).media[0]
    return section.attribute("tls-id"), section.attribute("setup")


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("lines", [keyed("actpass", 1, T1), keyed("actpass", 1), keyed("active", 1, T1)])
def test_repeated_offers_keep_the_association(lines: list[str], restart: bool) -> None:
    """DTLS-13: the same tls-id and fingerprints: the same association, role and tls-id of ours."""
    call, before, answer = first(lines)
    call = roundtrip(call) if restart else call
    offered, after, repeated = again(call, lines)
    assert wanted(offered.streams[0].a) == before == after
    assert own(repeated) == own(answer)


def test_tls_id_is_echoed_only_if_offered() -> None:
    """DTLS-13: ours has 120 bits at least (20 characters), differs from the peer's, and is not written to a peer that
    has none; our offers have one unless told not to."""
    _, _, answer = first(keyed("actpass", 1, T1))
    mine = own(answer)[0]
    assert mine and len(mine) >= 20 and mine != T1
    for tls_id in ("", "short", "x" * 19, "no blanks in it......."):
        lines = [*keyed(), f"a=tls-id:{tls_id}"] if tls_id else keyed()
        assert own(first(lines)[2])[0] is None
    for tls_id in (True, False):
        wishes = options(transport_protocol=UDP_TLS[0], dtls=DtlsOptions(tls_id=tls_id))
        offered = gate().offer(sdp(ALICE, media(8000, "RTP/AVP")), wishes)
        assert bool(own(offered.sdp)[0]) == tls_id


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (keyed("actpass", 1, T2), "tls-id"),
        (keyed("actpass", 2, T1), "fingerprint"),
        (keyed("active", 1, T1), "role"),
    ],
)
def test_new_association_on_a_new_transport(lines: list[str], reason: str) -> None:
    """D12, DTLS-13, DTLS-14, D2: another tls-id, fingerprint or role wants a new association, with a new tls-id of
    ours; on the old transport that is refused (port 0, here 488), and the call is as it was."""
    call, before, answer = first(keyed("actpass", 1, T1))
    record = call.negotiation.to_record()
    with pytest.raises(CryptoRequired, match=f"another {reason} wants a new DTLS association"):
        call.offer(alice(UDP_TLS[1], *lines), WISHES)
    assert call.negotiation.to_record() == record
    offered, after, repeated = again(call, lines, port=8010)
    assert wanted(offered.streams[0].a) == before, "until the answer the old association goes on"
    assert after.association != before.association
    assert after.certificate == before.certificate
    assert own(repeated)[0] not in (None, own(answer)[0])
    assert after.active == (reason != "role")


def test_refused_line_keeps_its_place() -> None:
    """DTLS-14: of several m-lines only the one that asks for it is refused."""
    call = gate()
    video = media(8002, UDP_TLS[1], *keyed(), kind="video")
    call.answer(bob(call.offer(sdp(ALICE, media(8000, UDP_TLS[1], *keyed()), video), WISHES).sdp))
    offered = call.offer(sdp(ALICE, media(8000, UDP_TLS[1], *keyed("actpass", 2)), video), WISHES)
    done = call.answer(bob(offered.sdp))
    assert done.lines == (1,)
    assert [bool(section.media.port) for section in read(done.sdp).media] == [False, True]


def test_moved_transport_wants_a_new_association() -> None:
    """DTLS-14, RFC 8842 section 5.1: without ICE the association is bound to its addresses."""
    call, before, _ = first(keyed("actpass", 1))
    after = again(call, keyed("actpass", 1), port=8010)[1]
    assert after.association != before.association


def test_hold_keeps_the_association() -> None:
    """G29: hold by direction or by 0.0.0.0 and back: the same association; Alice's address is not forgotten by it."""
    call, before, _ = first(keyed("actpass", 1, T1))
    for lines, host in ((["a=sendonly"], ALICE), (["a=inactive"], ALICE), ([], ALICE)):
        assert again(call, [*keyed("actpass", 1, T1), *lines], host=host)[1] == before
    held = alice(UDP_TLS[1], *keyed("actpass", 1, T1)).replace(f"c=IN IP4 {ALICE}".encode(), b"c=IN IP4 0.0.0.0")
    offered = call.offer(held, WISHES)
    assert wanted(call.answer(bob(offered.sdp)).streams[0].a) == before
    assert again(call, keyed("actpass", 1, T1))[1] == before


def test_role_is_kept_when_it_is_offered_again() -> None:
    """D2, RFC 8842 section 5.3: actpass in a re-offer is no wish for another role, whatever the request says."""
    call, before, answer = first(keyed("actpass", 1))
    wishes = replace(WISHES, dtls_from=DtlsOptions(role="passive"))
    offered = call.offer(alice(UDP_TLS[1], *keyed("actpass", 1)), wishes)
    done = call.answer(bob(offered.sdp), options(dtls=DtlsOptions(role="passive")))
    assert wanted(done.streams[0].a) == before and own(done.sdp) == own(answer)


def towards_bob(**more: Any) -> tuple[Call, bytes]:
    call = gate()
    offered = call.offer(sdp(ALICE, media(8000, "RTP/AVP")), options(transport_protocol=UDP_TLS[1], **more))
    return call, offered.sdp


def test_our_reoffer_keeps_the_association() -> None:
    """DTLS-13: the same fingerprint and tls-id, actpass; an answer in the old role goes on with the old keys."""
    call, text = towards_bob()
    before = wanted(call.answer(bob(text, *keyed("active", 2, T1))).streams[0].b)
    call = roundtrip(call)
    offered = call.offer(sdp(ALICE, media(8000, "RTP/AVP")), options(transport_protocol=UDP_TLS[1]))
    assert own(offered.sdp) == own(text)
    assert wanted(offered.streams[0].b) == before
    assert wanted(call.answer(bob(offered.sdp, *keyed("active", 2, T1))).streams[0].b) == before


@pytest.mark.parametrize(
    "lines", [keyed("active", 3, T1), keyed("active", 2, T2), keyed("passive", 2, T1)], ids=["print", "tls-id", "role"]
)
def test_answer_that_wants_a_new_association(lines: list[str]) -> None:
    """D12, D2: an answerer may ask for it; we follow, our tls-id being out already."""
    call, text = towards_bob()
    before = wanted(call.answer(bob(text, *keyed("active", 2, T1))).streams[0].b)
    offered = call.offer(sdp(ALICE, media(8000, "RTP/AVP")), options(transport_protocol=UDP_TLS[1]))
    after = wanted(call.answer(bob(offered.sdp, *lines, port=4010)).streams[0].b)
    assert after.association != before.association


def test_forks() -> None:
    """DTLS-4, C6: the same answer again is the same association, another fork's is another one."""
    call, text = towards_bob()
    one = wanted(call.answer(bob(text, *keyed("active", 2)), tag="bob-1").streams[0].b)
    assert wanted(call.answer(bob(text, *keyed("active", 2)), tag="bob-1").streams[0].b) == one
    two = wanted(call.answer(bob(text, *keyed("active", 3), host="203.0.113.2"), tag="bob-2").streams[0].b)
    assert two.association != one.association and two.fingerprints != one.fingerprints
    assert two.certificate == one.certificate


def test_reoffer_by_the_other_side() -> None:
    """DTLS-13: Bob, who answered our offer, offers again: his association goes on, Alice's too."""
    call, text = towards_bob()
    before = call.answer(bob(text, *keyed("active", 2, T1))).streams[0]
    mine = sdp(BOB, media(4000, UDP_TLS[1], *keyed("actpass", 2, T1)))
    offered = call.offer(mine, options(), tag="bob")
    assert read(offered.sdp).media[0].media.proto == "RTP/AVP"
    done = call.answer(sdp(ALICE, media(8000, "RTP/AVP")), tag="alice")
    assert done.streams[0].b.dtls == before.b.dtls
    assert own(done.sdp)[1] == "passive"
    assert done.streams[0].b.remote_rtp == Address(BOB, 4000)


@pytest.mark.parametrize("mid", ["", "a=mid:audio"])
@pytest.mark.parametrize("setup", ["active", "passive"])
def test_phones_without_mids(setup: str, mid: str) -> None:
    """DTLS-13: a phone that knows no BUNDLE answers our offer of a group without a=mid, or names its m-line as it
    likes; with either side's re-offers its association goes on: no ClientHello out of the blue."""
    call, text = towards_bob()
    assert read(text).media[0].has("mid")
    before = call.answer(bob(text, *keyed(setup, 2))).streams[0].b.dtls
    lines = [*keyed("actpass", 2), *([mid] if mid else [])]
    for _ in range(2):
        offered = call.offer(
            sdp(BOB, media(4000, UDP_TLS[1], *lines)), options(transport_protocol="RTP/AVP"), tag="bob"
        )
        assert offered.streams[0].b.dtls == before
        assert call.answer(sdp(ALICE, media(8000, "RTP/AVP")), tag="alice").streams[0].b.dtls == before
    offered = call.offer(sdp(ALICE, media(8000, "RTP/AVP")), options(transport_protocol=UDP_TLS[1]))
    assert call.answer(bob(offered.sdp, *keyed(setup, 2))).streams[0].b.dtls == before


def test_from_sdes_to_dtls_and_back() -> None:
    """D07, B5: the way of keying may change with a re-offer; a key that was left is not offered again."""
    call = gate()
    answers = []
    for lines in ([crypto(1, CM80)], keyed(), [crypto(1, CM80, 0x44)]):
        offered = call.offer(alice("RTP/SAVPF", *lines), WISHES)
        done = call.answer(bob(offered.sdp))
        leg = done.streams[0].a
        assert leg.secure and (leg.dtls is None) == (leg.send is not None)
        answers.append(done)
    assert cryptos(answers[0].sdp)[0].keys != cryptos(answers[2].sdp)[0].keys
