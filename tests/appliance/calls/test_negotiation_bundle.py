"""BUNDLE (RFC 9143), and what browsers really write: offers and answers of Chromium 156 and Firefox 153, recorded while
they talked with this negotiation and took what it wrote (tests/vectors/webrtc), and of aiortc, made here."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.rtcdtlstransport import RTCCertificate
from cryptography.hazmat.primitives import serialization

from appliance.calls.media import LocalCertificate
from appliance.calls.negotiation import Negotiated
from appliance.errors import NotAcceptable
from appliance.policy.options import MediaOptions
from appliance.protocols.ng.flags import read as ng
from appliance.protocols.sdp import formats
from tests.appliance.protocols.sdp import fixtures

from .sdps import ALICE, BOB, Call, Pool, media, options, read, sdp

FOLDER = Path(__file__).parents[2] / "vectors" / "webrtc"
BROWSERS = ("chromium_156", "firefox_153")
REPLACE = {"replace": ["origin", "session-connection"]}
WEBRTC = ng({"flags": ["WebRTC"], **REPLACE})
SIP = ng({"transport protocol": "RTP/AVP", "ICE": "remove", "rtcp-mux": ["demux"], "DTLS": "off", **REPLACE})
MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
OPPOSITE = {"sendonly": "recvonly", "recvonly": "sendonly"}


def recorded(browser: str, what: str) -> bytes:
    return (FOLDER / f"{browser}_{what}.sdp").read_bytes()


def groups(text: bytes) -> list[str]:
    return [value for value in read(text).session.attributes("group") if value.startswith("BUNDLE")]


def ports(text: bytes) -> list[bool]:
    return [section.media.port != 0 for section in read(text).media]


def phone(offer: bytes, host: str = BOB) -> bytes:
    """A plain phone's answer: the first codec of every m-line, in the direction that is asked for."""
    sections = []
    for at, section in enumerate(read(offer).media):
        line = section.media
        if not line.port:
            sections.append([f"m={line}"])
            continue
        named = formats.codecs(section)
        number = next((number for number, codec in named.items() if codec), line.formats[0])
        ways = [OPPOSITE.get(way, way) for way in ("sendrecv", *OPPOSITE, "inactive") if section.has(way)]
        body = [f"a=rtpmap:{number} {named[number]}"] if named[number] else []
        body += [f"a={way}" for way in ways]
        sections.append(media(4000 + 2 * at, line.proto, *body, kind=line.kind, formats=number))
    return sdp(host, *sections)


def to_phone(offer: bytes, call: Call | None = None, **more: Any) -> tuple[Negotiated, Negotiated]:
    """A browser calls a phone: what the phone gets, what the browser gets."""
    call = call or Call(certificates=Pool())
    offered = call.offer(offer, SIP, **more)
    return offered, call.answer(phone(offered.sdp))


# ---------------------------------------------------------------- groups


def bundled(*mids: str, lines: Sequence[str] = ()) -> bytes:
    """An offer of audio and video, each with its transport, in a group of these mids."""
    fingerprint = f"a=fingerprint:sha-256 {':'.join(['AB'] * 32)}"
    common = [fingerprint, "a=setup:actpass", "a=ice-ufrag:abcd", "a=ice-pwd:" + "p" * 22, "a=rtcp-mux", *lines]
    candidate = "a=candidate:1 1 UDP 1 198.51.100.1 8000 typ host"
    return sdp(
        ALICE,
        media(9, "UDP/TLS/RTP/SAVPF", "a=mid:0", candidate, *common),
        media(9, "UDP/TLS/RTP/SAVPF", "a=mid:1", candidate, *common, kind="video", formats="96"),
        session=[f"a=group:BUNDLE {' '.join(mids)}"] if mids else [],
    )


def test_several_m_lines_are_on_one_port() -> None:
    """G17, SDP-15: towards the browser; broken up towards the phone, where nothing of a group is said."""
    offered, done = to_phone(bundled("0", "1"))
    assert groups(offered.sdp) == [] and groups(done.sdp) == ["BUNDLE 0 1"]
    assert ports(offered.sdp) == ports(done.sdp) == [True, True]
    assert len({section.media.port for section in read(offered.sdp).media}) == 2
    assert len({section.media.port for section in read(done.sdp).media}) == 1
    assert [stream.a.mux for stream in done.streams] == [True, True]


@pytest.mark.parametrize("mids", [("0",), ("0", "1", "2"), ("1", "0")])
def test_one_live_m_line_is_in_a_group_of_one(mids: tuple[str, ...]) -> None:
    """G17, SDP-15: the mid that is answered, whatever else the group named: mids without m-line are ignored."""
    only_audio = bundled(*mids).replace(b"m=video 9", b"m=video 0")
    assert groups(to_phone(only_audio)[1].sdp) == ["BUNDLE 0"]


@pytest.mark.parametrize(
    ("offer", "wishes"),
    [
        (bundled().replace(b"m=video 9", b"m=video 0"), SIP),
        (bundled("2", "3").replace(b"m=video 9", b"m=video 0"), SIP),
        (bundled("0").replace(b"m=video 9", b"m=video 0").replace(b"a=rtcp-mux\r\n", b""), SIP),
        (bundled("0").replace(b"m=video 9", b"m=video 0"), ng({"transport protocol": "RTP/AVP", "bundle": ["reject"]})),
        (sdp(ALICE, media(8000, "RTP/AVP", "a=mid:0", "a=rtcp-mux"), session=["a=group:BUNDLE 0"]), SIP),
    ],
    ids=["not offered", "mid that is not there", "no rtcp-mux", "rejected", "a phone"],
)
def test_no_group_where_none_may_be(offer: bytes, wishes: MediaOptions) -> None:
    """SDP-15, SDP-16, G17: a group is answered only if offered, with rtcp-mux, on the WebRTC leg."""
    call = Call(certificates=Pool())
    offered = call.offer(offer, wishes)
    assert groups(call.answer(phone(offered.sdp)).sdp) == []


def test_group_asked_for_on_another_leg() -> None:
    """Peers 1.2: rtpengine's `bundle=accept` and `bundle=offer`."""
    offer = sdp(ALICE, media(8000, "RTP/AVP", "a=mid:0", "a=rtcp-mux"), session=["a=group:BUNDLE 0"])
    call = Call()
    offered = call.offer(offer, options(bundle=frozenset({"accept"})))
    assert groups(offered.sdp) == [] and groups(call.answer(phone(offered.sdp)).sdp) == ["BUNDLE 0"]
    offered = Call().offer(offer, options(bundle=frozenset({"offer"})))
    assert groups(offered.sdp) == ["BUNDLE 0"]


@pytest.mark.parametrize("port", [b"9", b"0"])
def test_bundle_only(port: bytes) -> None:
    """G17: an m-line that exists only inside a group has no transport of its own (RFC 9143 section 6): it is refused
    where there is no group."""
    offer = (
        bundled("0", "1")
        .replace(b"m=video 9", b"m=video " + port)
        .replace(b"a=mid:1\r\n", b"a=mid:1\r\na=bundle-only\r\n")
    )
    offered, done = to_phone(offer)
    assert ports(offered.sdp) == ports(done.sdp) == [True, True]
    assert groups(done.sdp) == ["BUNDLE 0 1"] and b"bundle-only" not in offered.sdp + done.sdp
    outside = offer.replace(b"BUNDLE 0 1", b"BUNDLE 0")
    for text, words in ((outside, SIP), (offer, ng({"transport protocol": "RTP/AVP", "bundle": ["reject"]}))):
        call = Call(certificates=Pool())
        assert ports(call.answer(phone(call.offer(text, words).sdp)).sdp) == [True, False]
    alone = bundled("2", lines=["a=bundle-only"])
    with pytest.raises(NotAcceptable, match="BUNDLE"):
        to_phone(alone)


def test_our_offer() -> None:
    """WebRTC: a group with mids that we make, each m-line at a port of its own until the answer (RFC 9143 section 7.2),
    and a header extension that says MID, with one id for all."""
    one = sdp(ALICE, media(8000, "RTP/AVP"))
    two = sdp(ALICE, media(8000, "RTP/AVP"), media(8002, "RTP/AVP", kind="video", formats="96"))
    offered = Call(certificates=Pool()).offer(one, WEBRTC).sdp
    [mid] = read(offered).media[0].attributes("mid")
    assert groups(offered) == [f"BUNDLE {mid}"]
    offered = Call(certificates=Pool()).offer(two, WEBRTC).sdp
    mids = [section.attributes("mid") for section in read(offered).media]
    assert groups(offered) == ["BUNDLE m0 m1"] and mids == [["m0"], ["m1"]]
    sections = read(offered).media
    assert len({section.media.port for section in sections}) == 2
    assert [section.attributes("extmap") for section in sections] == [[f"14 {MID}"]] * 2
    assert not sections[0].has("bundle-only")


def test_mids_of_a_phone_where_asked_for() -> None:
    """Peers 1.2: `generate mid` writes one where there is none; it stays."""
    call = Call()
    wishes = options(flags=frozenset({"generate-mid"}))
    offer = sdp(ALICE, media(8000, "RTP/AVP"), media(8002, "RTP/AVP", "a=mid:x", kind="video", formats="96"))
    first = [section.attributes("mid") for section in read(call.offer(offer, wishes).sdp).media]
    assert first == [["m0"], ["x"]]
    assert [section.attributes("mid") for section in read(call.offer(offer, wishes).sdp).media] == first
    assert not read(Call().offer(offer, options()).sdp).media[0].has("mid")


# ---------------------------------------------------------------- the reference's browser


def test_reference_offer() -> None:
    """D06, D14, G06, G15 to G24: the reference's Chrome: audio answered with its profile, ICE, fingerprint, rtcp-mux
    and a group of one, though its group names a mid 1 that is nowhere; the data channel keeps its place with port 0."""
    offered, done = to_phone(fixtures.strict("03_webrtc_offer_bundle"))
    assert ports(offered.sdp) == [True, False]
    audio, data = read(done.sdp).media
    assert (audio.media.proto, data.media.proto, data.media.port) == ("UDP/TLS/RTP/SAVPF", "DTLS/SCTP", 0)
    assert groups(done.sdp) == ["BUNDLE 0"] and audio.attributes("mid") == ["0"]
    assert audio.has("rtcp-mux") and audio.has("fingerprint") and audio.has("ice-ufrag")
    assert audio.attributes("setup") == ["active"]
    for name in (b"msid", b"a=ssrc", b"rtcp-fb", b"ice-", b"fingerprint", b"BUNDLE"):
        assert name not in offered.sdp.partition(b"m=application")[0]


def test_data_channel_alone() -> None:
    """D14: there is nothing to relay it: 488."""
    with pytest.raises(NotAcceptable, match="DTLS/SCTP"):
        to_phone(sdp(ALICE, media(9, "UDP/DTLS/SCTP", kind="application", formats="webrtc-datachannel")))


@pytest.mark.parametrize("kept", [True, False])
def test_names_of_browsers_between_browsers(kept: bool) -> None:
    """G18: msid, ssrc and msid-semantic pass from WebRTC leg to WebRTC leg, and not towards SIP; feedback with the
    profile (G24)."""
    offer = fixtures.strict("03_webrtc_offer_bundle")
    offered = Call(certificates=Pool()).offer(offer, WEBRTC if kept else SIP).sdp
    for name in ("msid", "ssrc", "rtcp-fb"):
        had = read(offer).media[0].attributes(name)
        assert had and read(offered).media[0].attributes(name) == (had if kept else [])
    assert read(offered).session.has("msid-semantic") == kept
    assert b"w5/T" not in offered and b"5A:70:05" not in offered


# ---------------------------------------------------------------- recorded browsers


@pytest.mark.parametrize("browser", BROWSERS)
def test_browser_calls_phone(browser: str) -> None:
    """D02, D04, D06, G15 to G24, ICE-1: audio; then a re-offer that changes nothing; then an ICE restart."""
    call = Call(certificates=Pool())
    offer = recorded(browser, "offer_audio")
    offered, done = to_phone(offer, call)
    for name in ("fingerprint", "ice-ufrag", "candidate", "msid", "ssrc", "rtcp-mux", "rtcp-fb", "setup"):
        assert not read(offered.sdp).media[0].has(name)
    assert ".local" not in offered.sdp.decode()
    [section], [leg] = read(done.sdp).media, [stream.a for stream in done.streams]
    assert leg.dtls and leg.ice and leg.ice.remote and leg.mux and leg.remote_rtp is None
    assert leg.dtls.active is True and leg.ice.lite and len(leg.ice.candidates) >= 2
    assert section.media.proto == "UDP/TLS/RTP/SAVPF" and section.attributes("mid") == ["0"]
    assert groups(done.sdp) == ["BUNDLE 0"]
    again = to_phone(recorded(browser, "reoffer_audio"), call)[1].streams[0].a
    assert (again.dtls, again.ice.local if again.ice else None) == (leg.dtls, leg.ice.local)
    restarted = to_phone(recorded(browser, "restart_audio"), call)[1].streams[0].a
    assert restarted.ice and restarted.ice.remote != leg.ice.remote and restarted.ice.local != leg.ice.local
    assert restarted.ice.earlier == (leg.ice.local,)
    assert restarted.dtls == leg.dtls, "an ICE restart keeps the association"


@pytest.mark.parametrize("browser", BROWSERS)
def test_browser_offers_all_it_has(browser: str) -> None:
    """D14, G15, G17: audio and video live on one transport, the data channel is refused, in their places."""
    offered, done = to_phone(recorded(browser, "offer_audio_video_data"))
    assert ports(offered.sdp) == ports(done.sdp) == [True, True, False]
    assert groups(done.sdp) == ["BUNDLE 0 1"]
    audio, video, _ = read(done.sdp).media
    assert (audio.attributes("mid"), video.attributes("mid")) == (["0"], ["1"])
    for name in ("ice-ufrag", "ice-pwd", "fingerprint", "setup", "candidate", "extmap"):
        assert audio.attributes(name) == video.attributes(name) != []
    assert [stream.a.dtls is not None for stream in done.streams] == [True, False]
    assert [stream.a.bundle and stream.a.bundle.member for stream in done.streams] == [False, True]
    assert MID.encode() not in offered.sdp


@pytest.mark.parametrize("browser", BROWSERS)
def test_browser_insists_on_one_transport(browser: str) -> None:
    """G17: bundlePolicy max-bundle: candidates for the first m-line alone; the rest is refused where no group is."""
    offer = recorded(browser, "offer_max_bundle")
    _, done = to_phone(offer)
    assert ports(done.sdp)[:2] == [True, True] and groups(done.sdp) == ["BUNDLE 0 1"]
    call = Call(certificates=Pool())
    offered = call.offer(offer, ng({"transport protocol": "RTP/AVP", "bundle": ["reject"]}))
    done = call.answer(phone(offered.sdp))
    assert ports(done.sdp)[:2] == [True, False] and groups(done.sdp) == []


@pytest.mark.parametrize("browser", BROWSERS)
def test_phone_calls_browser(browser: str) -> None:
    """D02, G17, G23: our offer, the answer that the browser gave to it (in another run: our credentials differ)."""
    call = Call(certificates=Pool())
    offered = call.offer(sdp(ALICE, media(8000, "RTP/AVP")), WEBRTC)
    done = call.answer(recorded(browser, "answer_audio"))
    leg = done.streams[0].b
    assert leg.dtls and leg.dtls.active is False and leg.dtls.fingerprints
    assert leg.ice and leg.ice.remote and leg.mux and leg.secure
    assert offered.streams[0].b.ice and leg.ice.local == offered.streams[0].b.ice.local
    [section] = read(done.sdp).media
    assert section.media.proto == "RTP/AVP"
    assert not any(section.has(name) for name in ("fingerprint", "ice-ufrag", "candidate", "setup", "rtcp-mux"))


# ---------------------------------------------------------------- aiortc


def real(name: str) -> LocalCertificate:
    """A certificate as the pool's are."""
    made = RTCCertificate.generateCertificate()
    key = made._key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return LocalCertificate(made._cert.public_bytes(serialization.Encoding.DER), key)


@pytest.mark.parametrize("kinds", [("audio",), ("audio", "video")])
def test_aiortc_calls_phone(kinds: tuple[str, ...]) -> None:
    """D02, D06, ICE-1: aiortc takes our answer, and finds in it what it needs: fingerprint, role, candidates."""

    async def run() -> None:
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        for kind in kinds:
            peer.addTransceiver(kind)
        await peer.setLocalDescription(await peer.createOffer())
        _, done = to_phone(peer.localDescription.sdp.encode(), Call(certificates=real))
        await peer.setRemoteDescription(RTCSessionDescription(done.sdp.decode(), "answer"))
        stream = done.streams[0]
        for transceiver in peer.getTransceivers():
            assert stream.a.dtls and stream.a.ice
            taken = peer._RTCPeerConnection__remoteIce[transceiver]  # type: ignore[attr-defined]
            assert taken.usernameFragment == stream.a.ice.local.ufrag and taken.iceLite
            keyed = peer._RTCPeerConnection__remoteDtls[transceiver]  # type: ignore[attr-defined]
            assert keyed.role == "client" and stream.a.dtls.active is True
            [print_] = keyed.fingerprints
            assert print_.value == hashlib.sha256(stream.a.dtls.certificate.certificate).digest().hex(":").upper()
        await peer.close()

    asyncio.run(run())


def test_phone_calls_aiortc() -> None:
    """D02, ICE-2: aiortc answers our offer: its role is active, ours passive."""

    async def run() -> None:
        call = Call(certificates=real)
        offered = call.offer(sdp(ALICE, media(8000, "RTP/AVP", "a=rtpmap:8 PCMA/8000", "a=rtpmap:0 PCMU/8000")), WEBRTC)
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        await peer.setRemoteDescription(RTCSessionDescription(offered.sdp.decode(), "offer"))
        await peer.setLocalDescription(await peer.createAnswer())
        leg = call.answer(peer.localDescription.sdp.encode()).streams[0].b
        assert leg.dtls and leg.dtls.active is False and leg.ice and leg.ice.lite
        [transport] = {transceiver.receiver.transport for transceiver in peer.getTransceivers()}
        assert leg.ice.remote and leg.ice.remote.ufrag == transport.transport._connection.local_username
        assert {found.value.hex(":").upper() for found in leg.dtls.fingerprints} <= {
            found.value for found in transport.getLocalParameters().fingerprints
        }
        await peer.close()

    asyncio.run(run())
