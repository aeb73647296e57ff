"""DTLS-SRTP in offer and answer: fingerprints, roles, associations, certificates, and the choice between the ways of
keying (RFC 5763, RFC 8122, RFC 8842)."""

from __future__ import annotations

import hashlib
import json

import pytest

from appliance.calls.media import DtlsMedia, Fingerprint, LegMedia
from appliance.calls.negotiation import Negotiation
from appliance.errors import CryptoRequired, NotAcceptable
from appliance.policy.options import DtlsOptions

from .sdps import ALICE, BOB, Call, Pool, counting, crypto, cryptos, media, options, read, sdp

CM80, GCM = "AES_CM_128_HMAC_SHA1_80", "AEAD_AES_256_GCM"
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
