"""BUNDLE in the data plane (RFC 9143 section 9.2, SDP-15): streams that share a port on one leg, and have ports of
their own on the other."""

from __future__ import annotations

import random
import struct
from typing import Any

import pytest

from kernels.control.commands import InstallCrypto, InstallFlow, InstallRoutes, RemoveFlow, Route
from kernels.control.mailbox import DROPS
from tests.kernels.checks import IcePlane, agent, check
from tests.kernels.guarded import SEED, damaged
from tests.kernels.rig import ALICE, BOB, CM128, MALLORY, LocalPlane, balanced, master_key, rtcp, rtp, session

AUDIO, VIDEO = 111, 96
BOB_VIDEO = (BOB[0], 6000)
MID = 4  # id of the header extension
LONGEST = 2000  # octets that a frame takes (kernels/wire/packet.pxd)
VOICE, FACE, SCREEN = 0x1111, 0x2222, 0x3333  # SSRCs of Alice
BOBS_VOICE, BOBS_FACE = 0x5555, 0x6666
ROUTES = (Route(0, (0, AUDIO), "0"), Route(2, (VIDEO, 97), "video"))


def bundle(web: dict[str, Any] | None = None, **changes: Any) -> list[Any]:
    """Alice: flow 0 has socket 0, flow 2 is a member; Bob: audio by flow 1, video by flow 3."""
    web = {"remote": ALICE, "latching": "off"} if web is None else web
    return [
        InstallFlow(0, "memory", 0, True, True, rtp_partner=1, rtcp_partner=1, **web),
        InstallFlow(1, "memory", 1, True, True, BOB, 0, 0, latching="off"),
        InstallFlow(2, "memory", 0, True, True, None, 3, 3, member=True, **changes),
        InstallFlow(3, "memory", 3, True, True, BOB_VIDEO, 2, 2, latching="off"),
        InstallRoutes(0, ROUTES, MID),
    ]


def with_mid(mid: str, kind: int, ssrc: int, number: int = 1, *, two_byte: bool = False, before: bytes = b"") -> bytes:
    """A packet with the header extension, behind another element and padding."""
    element = struct.pack("BB", MID, len(mid)) if two_byte else bytes([MID << 4 | len(mid) - 1])
    block = before + b"\0" + element + mid.encode()
    block += bytes(-len(block) % 4)
    plain = rtp(number, ssrc=ssrc, kind=kind)
    head = struct.pack(">HH", 0x1000 if two_byte else 0xBEDE, len(block) // 4)
    return bytes([plain[0] | 0x10]) + plain[1:12] + head + block + plain[12:]


def named(mid: str, plain: bytes) -> bytes:
    """What leaves for a far end that cannot know the SSRC yet: the element in front of others that are there."""
    element = bytes([MID << 4 | len(mid) - 1]) + mid.encode()
    element += bytes(-len(element) % 4)
    words, rest = 0, plain[12:]
    if plain[0] & 0x10:
        words, rest = int.from_bytes(rest[2:4]), rest[4:]
    head = struct.pack(">HH", 0xBEDE, words + len(element) // 4)
    return bytes([plain[0] | 0x10]) + plain[1:12] + head + element + rest


def feedback(kind: int, form: int, sender: int, media: int, rest: bytes = b"") -> bytes:
    """RTPFB or PSFB (RFC 4585 section 6.1)."""
    return struct.pack(">BBHII", 0x80 | form, kind, 2 + len(rest) // 4, sender, media) + rest


def receiver_report(sender: int, *about: int) -> bytes:
    blocks = b"".join(ssrc.to_bytes(4) + bytes(20) for ssrc in about)
    return struct.pack(">BBHI", 0x80 | len(about), 201, 1 + len(blocks) // 4, sender) + blocks


def sender_report(sender: int) -> bytes:
    return struct.pack(">BBHI", 0x80, 200, 6, sender) + bytes(20)


@pytest.fixture
def plane() -> LocalPlane:
    made = LocalPlane()
    assert made.do(*bundle()) == [0] * 5
    return made


def goes_to(plane: LocalPlane, *data: bytes, source: tuple[str, int] = ALICE) -> list[tuple[str, int]]:
    """Whom Alice's packets get to."""
    return [to for _, _, to in plane.send(0, *data, source=source)]


def talk(plane: LocalPlane) -> None:
    """One packet of every SSRC each way."""
    plane.send(0, rtp(1, ssrc=VOICE, kind=AUDIO), rtp(1, ssrc=FACE, kind=VIDEO))
    plane.send(1, rtp(1, ssrc=BOBS_VOICE, kind=AUDIO), source=BOB)
    plane.send(3, rtp(1, ssrc=BOBS_FACE, kind=VIDEO), source=BOB_VIDEO)


@pytest.mark.row("SDP-15")
def test_by_payload_type(plane: LocalPlane) -> None:
    """Both go where their stream's partner sends to, and are counted by their stream."""
    assert goes_to(plane, rtp(1, ssrc=VOICE, kind=AUDIO), rtp(1, ssrc=FACE, kind=VIDEO)) == [BOB, BOB_VIDEO]
    assert (plane.flow(0).packets_in, plane.flow(0).ssrc_in) == (1, VOICE)
    assert (plane.flow(2).packets_in, plane.flow(2).ssrc_in, plane.flow(2).member) == (1, FACE, True)
    assert goes_to(plane, rtp(1, ssrc=SCREEN, kind=33)) == []
    assert plane.flow(0).drops == {"route": 1}
    assert balanced(plane.counters(), DROPS)


@pytest.mark.row("SDP-15")
def test_back_by_one_port(plane: LocalPlane) -> None:
    sent = plane.send(1, rtp(1, kind=AUDIO), source=BOB) + plane.send(3, rtp(1, kind=VIDEO), source=BOB_VIDEO)
    assert sent == [(0, named("0", rtp(1, kind=AUDIO)), ALICE), (0, named("video", rtp(1, kind=VIDEO)), ALICE)]
    assert (plane.flow(0).packets_out, plane.flow(2).packets_out) == (1, 1)


@pytest.mark.row("SDP-15")
@pytest.mark.parametrize("two_byte", [False, True])
def test_by_mid_then_by_ssrc(plane: LocalPlane, two_byte: bool) -> None:
    """MID beats the payload type and teaches the SSRC; later packets need neither. Another MID moves the SSRC. An
    unknown MID is nobody's, whatever the rest says."""
    first = with_mid(
        "video", AUDIO, FACE, two_byte=two_byte, before=b"\x21\x05\x00\x00" if not two_byte else b"\x02\x00"
    )
    assert goes_to(plane, first) == [BOB_VIDEO]
    assert goes_to(plane, rtp(2, ssrc=FACE, kind=33), rtp(3, ssrc=FACE, kind=AUDIO)) == [BOB_VIDEO] * 2
    assert goes_to(plane, with_mid("0", 33, FACE, 4), rtp(5, ssrc=FACE, kind=33)) == [BOB] * 2
    assert goes_to(plane, with_mid("1", AUDIO, SCREEN)) == []
    assert plane.flow(0).drops == {"route": 1}


@pytest.mark.row("SDP-15")
def test_a_payload_type_of_several_streams_tells_nothing() -> None:
    plane = LocalPlane()
    plane.do(
        *bundle()[:-1], InstallRoutes(0, (Route(0, (VIDEO,), "a"), Route(2, (VIDEO,), "b"), Route(0, (VIDEO,))), MID)
    )
    assert goes_to(plane, rtp(1, ssrc=FACE, kind=VIDEO)) == []
    assert goes_to(plane, with_mid("b", VIDEO, FACE), rtp(2, ssrc=FACE, kind=VIDEO)) == [BOB_VIDEO] * 2


@pytest.mark.row("SDP-15")
def test_what_each_stream_negotiated_is_its_own() -> None:
    """Numbers, direction, blocking: the members', though port and address are the carrier's."""
    plane = LocalPlane()
    plane.do(*bundle(payload_types=((100, VIDEO),), may_send=False))
    ((_, data, _),) = plane.send(3, rtp(1, kind=100), source=BOB_VIDEO)
    assert data == named("video", rtp(1, kind=VIDEO))
    ((_, data, _),) = plane.send(1, rtp(1, kind=100), source=BOB)
    assert data == named("0", rtp(1, kind=100))
    assert goes_to(plane, rtp(1, ssrc=FACE, kind=VIDEO), rtp(1, ssrc=VOICE, kind=AUDIO)) == [BOB]
    assert plane.flow(2).drops == {"direction": 1}


# -- MID in what leaves (RFC 9143 section 15) -----------------------------------------------------------------------


def leaves(plane: LocalPlane, data: bytes) -> bytes:
    """Bob's picture as Alice gets it."""
    ((_, sent, _),) = plane.send(3, data, source=BOB_VIDEO)
    return sent


@pytest.mark.row("G15", "SDP-15")
def test_mid_is_said_until_the_far_end_speaks_of_the_ssrc(plane: LocalPlane) -> None:
    """Its first report, or request, says that it has found the stream. Another SSRC is new to it; RTCP never grows."""
    for number in (1, 2):
        assert leaves(plane, rtp(number, ssrc=BOBS_FACE)) == named("video", rtp(number, ssrc=BOBS_FACE))
    assert goes_to(plane, receiver_report(1, BOBS_FACE)) == [BOB_VIDEO]
    assert leaves(plane, rtp(3, ssrc=BOBS_FACE)) == rtp(3, ssrc=BOBS_FACE)
    assert leaves(plane, rtp(1, ssrc=SCREEN)) == named("video", rtp(1, ssrc=SCREEN))
    assert goes_to(plane, feedback(206, 1, 1, SCREEN)) == [BOB_VIDEO]
    assert leaves(plane, rtp(2, ssrc=SCREEN)) == rtp(2, ssrc=SCREEN)
    plane.send(1, rtp(1, ssrc=SCREEN, kind=AUDIO), source=BOB)  # the SSRC is the other stream's now
    assert leaves(plane, rtp(3, ssrc=SCREEN)) == named("video", rtp(3, ssrc=SCREEN))
    assert leaves(plane, rtp(4, ssrc=BOBS_FACE)) == rtp(4, ssrc=BOBS_FACE)
    assert plane.do(InstallRoutes(0, ROUTES, MID)) == [0]  # its SDP has changed: it may have begun anew
    assert leaves(plane, rtp(5, ssrc=BOBS_FACE)) == named("video", rtp(5, ssrc=BOBS_FACE))


@pytest.mark.row("G15")
def test_mid_beside_other_elements(plane: LocalPlane) -> None:
    """In front of those of a block of either form; other profiles' blocks are left alone, as are full frames."""
    assert plane.do(InstallRoutes(0, ROUTES, 5)) == [0]
    short = with_mid("video", VIDEO, BOBS_FACE)  # an element that is no MID here: id 4
    sent = leaves(plane, short)
    assert sent[:12] == short[:12] and sent[12:16] == struct.pack(">HH", 0xBEDE, 4)
    assert sent[16:24] == b"\x54video\0\0" and sent[24:] == short[16:]
    long = with_mid("video", VIDEO, BOBS_FACE, 2, two_byte=True)
    sent = leaves(plane, long)
    assert sent[12:16] == struct.pack(">HH", 0x1000, 2 + (len(long) - len(rtp(2)) - 4) // 4)
    assert sent[16:24] == b"\x05\x05video\0" and sent[24:] == long[16:]
    foreign = bytearray(with_mid("video", VIDEO, BOBS_FACE, 3))
    foreign[12:14] = b"\x12\x34"
    assert leaves(plane, bytes(foreign)) == foreign
    full = rtp(4, ssrc=BOBS_FACE) + bytes(LONGEST - len(rtp(4)))
    assert leaves(plane, full) == full
    with_csrc = bytes([0x82]) + rtp(5, ssrc=BOBS_FACE)[1:12] + bytes(8) + rtp(5)[12:]
    sent = leaves(plane, with_csrc)
    assert sent[0] == 0x92 and sent[1:20] == with_csrc[1:20] and sent[32:] == with_csrc[20:]


@pytest.mark.row("G15")
def test_mid_is_said_only_where_it_was_agreed_on(plane: LocalPlane) -> None:
    """An id that only the two-byte form can say makes that form, and no MID in a block of the other."""
    assert plane.do(InstallRoutes(0, ROUTES)) == [0]
    assert leaves(plane, rtp(1, ssrc=BOBS_FACE)) == rtp(1, ssrc=BOBS_FACE)
    assert plane.do(InstallRoutes(0, ROUTES, 20)) == [0]
    sent = leaves(plane, rtp(2, ssrc=BOBS_FACE))
    assert sent[12:24] == struct.pack(">HH", 0x1000, 2) + b"\x14\x05video\0"
    short = with_mid("video", VIDEO, BOBS_FACE, 3)
    assert leaves(plane, short) == short
    assert plane.do(InstallRoutes(0, (Route(0, (AUDIO,), "0"), Route(2, (VIDEO,))), MID)) == [0]
    assert leaves(plane, rtp(4, ssrc=BOBS_FACE)) == rtp(4, ssrc=BOBS_FACE)


# -- RTCP -----------------------------------------------------------------------------------------------------------


@pytest.mark.row("SDP-15")
@pytest.mark.parametrize(
    ("data", "who"),
    [
        (sender_report(VOICE), [BOB]),
        (sender_report(FACE), [BOB_VIDEO]),
        (receiver_report(1, BOBS_VOICE), [BOB]),
        (receiver_report(1, BOBS_FACE), [BOB_VIDEO]),
        (receiver_report(1, BOBS_FACE, BOBS_VOICE), [BOB, BOB_VIDEO]),
        (sender_report(VOICE) + feedback(206, 1, VOICE, BOBS_FACE), [BOB, BOB_VIDEO]),
        (feedback(206, 1, 1, BOBS_FACE), [BOB_VIDEO]),  # PLI
        (feedback(205, 1, 1, BOBS_VOICE, bytes(4)), [BOB]),  # NACK
        (feedback(206, 4, 1, 0, BOBS_FACE.to_bytes(4) + bytes(4)), [BOB_VIDEO]),  # FIR
        (feedback(205, 3, 1, 0, BOBS_FACE.to_bytes(4) + bytes(4)), [BOB_VIDEO]),  # TMMBR
        (feedback(206, 15, 1, 0, b"REMB\x01\x00\x00\x00" + BOBS_FACE.to_bytes(4)), [BOB_VIDEO]),
        (bytes([0x81, 203, 0, 1]) + FACE.to_bytes(4), [BOB_VIDEO]),  # BYE
        (rtcp(0x9999), [BOB]),  # speaks of nobody: the carrier's own
    ],
)
def test_rtcp_goes_to_whom_it_speaks_of(plane: LocalPlane, data: bytes, who: list[tuple[str, int]]) -> None:
    talk(plane)
    sent = plane.send(0, data)
    assert sorted(to for _, _, to in sent) == sorted(who)
    assert {octets for _, octets, _ in sent} == {data}
    counters = plane.counters()
    assert counters.get("copied", 0) == len(who) - 1
    assert balanced(counters, DROPS)


def test_rtcp_of_the_other_leg_leaves_by_the_port(plane: LocalPlane) -> None:
    assert plane.send(3, rtcp(BOBS_FACE), source=BOB_VIDEO) == [(0, rtcp(BOBS_FACE), ALICE)]


# -- with keys, ICE and the rest of a WebRTC leg --------------------------------------------------------------------


@pytest.mark.row("SDP-15", "ICE-4", "DTLS-15")
def test_one_association_and_one_pair_for_all_streams() -> None:
    """Keys, source rule, nomination and consent are the carrier's; a forged packet teaches nobody's SSRC."""
    web = {"receive": 0, "send": 1, "secure": True, "latching": "authenticated", "ice": True, "dtls": True}
    plane = IcePlane(
        [
            InstallCrypto(0, CM128, master_key(0), False),
            InstallCrypto(1, CM128, master_key(1), True),
            *bundle(web),
            agent(),
        ]
    )
    alice, gateway = session(master_key(0), True), session(master_key(1), False)
    assert plane.send(3, rtp(1, ssrc=BOBS_FACE), source=BOB_VIDEO) == []
    plane.nominate()
    forged = bytearray(with_mid("0", VIDEO, FACE)) + bytes(10)
    assert goes_to(plane, bytes(forged)) == []
    video = alice.protect_rtp(rtp(1, ssrc=FACE, kind=VIDEO))
    assert isinstance(video, bytes)
    assert goes_to(plane, video, source=MALLORY) == []
    assert goes_to(plane, video) == [BOB_VIDEO]
    ((by, sealed, to),) = plane.send(3, rtp(2, ssrc=BOBS_FACE), source=BOB_VIDEO)
    assert (by, to, gateway.unprotect_rtp(sealed)) == (0, ALICE, named("video", rtp(2, ssrc=BOBS_FACE)))
    pli = alice.protect_rtcp(feedback(206, 1, 1, BOBS_FACE))
    assert isinstance(pli, bytes)
    assert plane.send(0, pli) == [(3, feedback(206, 1, 1, BOBS_FACE), BOB_VIDEO)]
    plane.older(31)  # it has never asked for consent: media of its streams counts
    assert len(plane.send(3, rtp(3, ssrc=BOBS_FACE), source=BOB_VIDEO)) == 1
    assert plane.ask(check()) is not None
    plane.older(31)
    assert plane.send(3, rtp(4, ssrc=BOBS_FACE), source=BOB_VIDEO) == []
    assert plane.flow(3).drops["consent"] == 1
    assert plane.ask(check()) is not None
    assert len(plane.send(3, rtp(5, ssrc=BOBS_FACE), source=BOB_VIDEO)) == 1
    assert balanced(plane.counters(), DROPS)


# -- commands, restart ----------------------------------------------------------------------------------------------


def test_members_need_a_port() -> None:
    plane = LocalPlane()
    member = InstallFlow(2, "memory", 0, True, True, member=True)
    assert plane.do(member, InstallRoutes(0, ROUTES), *bundle(), InstallRoutes(2, ROUTES)) == [
        "ENOENT", "ENOENT", 0, 0, 0, 0, 0, "ENOENT",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "routes",
    [
        InstallRoutes(0, ROUTES * 9),
        InstallRoutes(0, (Route(0, (128,)),)),
        InstallRoutes(0, (Route(0, (72,)),)),
        InstallRoutes(0, (Route(0, mid="x" * 17),)),
        InstallRoutes(0, ROUTES, 256),
    ],
)
def test_what_no_packet_can_carry(plane: LocalPlane, routes: InstallRoutes) -> None:
    with pytest.raises(ValueError, match=r"streams|payload type|mid|extension"):
        plane.mailbox.submit(routes)


def test_a_stream_that_is_gone_gets_nothing(plane: LocalPlane) -> None:
    """Its slot may be another call's: a route counts while the flow shares the port. The port outlives a member, and a
    member without its port sends nothing."""
    talk(plane)
    assert plane.do(RemoveFlow(2), InstallFlow(2, "memory", 5, True, True, MALLORY, 3, 3, latching="off")) == [0, 0]
    assert goes_to(plane, rtp(2, ssrc=FACE, kind=VIDEO)) == []
    assert goes_to(plane, rtp(2, ssrc=VOICE, kind=AUDIO)) == [BOB]
    assert plane.do(RemoveFlow(2), bundle()[2]) == [0, 0]
    assert goes_to(plane, rtp(3, ssrc=FACE, kind=VIDEO)) == [BOB_VIDEO]
    assert plane.do(RemoveFlow(0)) == [0]
    assert plane.send(3, rtp(3), source=BOB_VIDEO) == []
    assert plane.do(InstallFlow(9, "memory", 0, True, True, MALLORY, latching="off")) == [0]
    at = plane.mailbox.regions()["routes"]
    assert plane.arena.mapping[at : at + 1024] == bytes(1024)


def test_the_same_again_keeps_what_was_learnt(plane: LocalPlane) -> None:
    """And so does a new worker. Without routes the port has one stream again."""
    assert goes_to(plane, with_mid("video", AUDIO, FACE)) == [BOB_VIDEO]
    assert plane.do(*bundle()) == [0] * 5
    plane.start()
    assert goes_to(plane, rtp(2, ssrc=FACE, kind=33)) == [BOB_VIDEO]
    assert plane.do(InstallRoutes(0, ())) == [0]
    assert goes_to(plane, rtp(3, ssrc=FACE, kind=33)) == [BOB]


def test_what_was_learnt_follows_its_flow(plane: LocalPlane) -> None:
    """A stream before it ends, others come: its place in the table is another, or somebody else's."""
    assert goes_to(plane, with_mid("video", AUDIO, FACE)) == [BOB_VIDEO]
    assert plane.do(InstallRoutes(0, (ROUTES[1],), MID)) == [0]
    assert goes_to(plane, rtp(2, ssrc=FACE, kind=33)) == [BOB_VIDEO]
    assert plane.do(InstallRoutes(0, ROUTES, MID)) == [0]
    assert goes_to(plane, rtp(3, ssrc=FACE, kind=33)) == [BOB_VIDEO]
    assert plane.do(InstallRoutes(0, (ROUTES[0],), MID), InstallRoutes(0, ROUTES, MID)) == [0, 0]
    assert goes_to(plane, rtp(4, ssrc=FACE, kind=33)) == []


def test_tables_are_a_pool_that_is_given_back() -> None:
    """One for each call the arena is made for."""
    plane = LocalPlane(calls=3)
    flows = [InstallFlow(slot, "memory", slot, True, True, ALICE) for slot in range(4)]
    installs = [InstallRoutes(slot, (Route(slot, (0,)),)) for slot in range(4)]
    assert plane.do(*flows, *installs) == [0] * 7 + ["ENOSPC"]
    assert plane.do(RemoveFlow(1), installs[3], installs[0]) == [0, 0, 0]


def test_many_ssrcs(plane: LocalPlane) -> None:
    """Thirty are remembered; the oldest gives way, and is known by its payload type again."""
    assert goes_to(plane, with_mid("video", AUDIO, FACE)) == [BOB_VIDEO]
    for ssrc in range(1, 30):
        goes_to(plane, rtp(1, ssrc=ssrc, kind=VIDEO))
    assert goes_to(plane, rtp(2, ssrc=FACE, kind=AUDIO)) == [BOB_VIDEO]
    goes_to(plane, rtp(1, ssrc=99, kind=VIDEO))
    assert goes_to(plane, rtp(3, ssrc=FACE, kind=AUDIO)) == [BOB]


@pytest.mark.malformed
@pytest.mark.row("A10", "A11")
def test_lies() -> None:
    """Extensions and compounds that promise more than there is, at the end of memory."""
    plane, chance = LocalPlane(slack=0), random.Random(SEED)
    plane.do(*bundle())
    talk(plane)
    real = [with_mid("video", VIDEO, FACE), with_mid("video", VIDEO, FACE, two_byte=True)]
    real += [receiver_report(1, BOBS_FACE, BOBS_VOICE), feedback(206, 4, 1, 0, bytes(8)), sender_report(VOICE)]
    for number, data in enumerate(real):
        for lie in damaged(data, 2_000, SEED - number):
            plane.send(3, lie, source=BOB_VIDEO)
        lying = [data[:length] for length in range(1, len(data) + 1)]
        lying += list(damaged(data, 4_000, SEED + number))
        lying += [data[:12] + chance.randbytes(len(data) - 12) for _ in range(2_000)]
        for start in range(0, len(lying), 64):
            plane.send(0, *lying[start : start + 64])
            plane.mailbox.take([])
    assert balanced(plane.counters(), DROPS)
    assert goes_to(plane, with_mid("video", VIDEO, 7, 60_000)) == [BOB_VIDEO]
