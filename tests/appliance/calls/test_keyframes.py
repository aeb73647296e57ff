"""A phone's wish for a whole picture, put to who sends it pictures (A22, G02; RFC 5168), with real packets."""

from __future__ import annotations

import pytest

from appliance.calls.keyframes import NOBODY, Keyframes
from appliance.calls.views import AnswerRequest, OfferRequest
from appliance.errors import NotAcceptable, UnknownCall
from appliance.placement.injector import Injector
from appliance.policy.options import MediaOptions
from appliance.protocols.rtcp import pictures
from tests.appliance.packet_plane import PacketPlane
from tests.appliance.rig import Rig
from tests.kernels.rig import rtp

ALICE, BOB, FACE, VIEWER = ("127.0.0.1", 40002), ("127.0.0.1", 50002), 0xFACE, 0x71E3
VIDEO = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {} {} 0\r\nm=video {} {} 96\r\n"
)


class Call:
    """Alice, who has no feedback, and Bob: audio and video each, by their ports."""

    def __init__(self, bobs: str = "RTP/AVPF") -> None:
        self.plane, self.bobs = PacketPlane(), bobs
        self.rig = Rig(self.plane)  # type: ignore[arg-type]
        self.calls = self.rig.calls
        self.calls.keyframes = Keyframes(self.calls.ledger, self.plane, Injector(self.plane).inject)  # type: ignore[arg-type]

    async def up(self, direction: str = "") -> None:
        wishes = MediaOptions(transport_protocol=self.bobs)
        alices = VIDEO.format(40000, "RTP/AVP", 40002, "RTP/AVP").encode()
        await self.calls.offer(OfferRequest("c", "a", alices, wishes))
        bobs = (VIDEO.format(50000, self.bobs, 50002, self.bobs) + direction).encode()
        await self.calls.answer(AnswerRequest("c", "a", "b", bobs, MediaOptions()))

    def hears(self, side: str, *packets: bytes) -> list[tuple[bytes, tuple[str, int]]]:
        """What leaves when the party of a leg sends these to its video port."""
        stream = self.calls.get("c").streams[1]
        leg, source = (stream.a, ALICE) if side == "a" else (stream.b, BOB)
        sent = self.plane.arrive(self.calls.get("c").worker, leg.local.rtp, source, *packets)
        return [(data, to) for _, data, to in sent]


@pytest.mark.row("A22", "G02")
@pytest.mark.parametrize("seen", [False, True], ids=["who has sent nothing", "who sends too"])
async def test_who_sends_pictures_is_asked_for_one(seen: bool) -> None:
    call = Call()
    await call.up()
    call.hears("b", rtp(1, ssrc=FACE, kind=96))
    if seen:
        call.hears("a", rtp(1, ssrc=VIEWER, kind=96))
    assert await call.calls.ask_for_pictures("c", "a") == 1
    wish = pictures.picture_loss(VIEWER if seen else NOBODY, FACE)
    assert call.hears("a") == [(wish, ("127.0.0.1", BOB[1] + 1))]


@pytest.mark.row("A22", "G02")
async def test_nobody_can_be_asked() -> None:
    """Before anything was sent; a leg without feedback; one that sends none; a stranger's tag, or another call."""
    call = Call()
    await call.up()
    with pytest.raises(NotAcceptable):
        await call.calls.ask_for_pictures("c", "a")
    call.hears("a", rtp(1, ssrc=VIEWER, kind=96))
    with pytest.raises(NotAcceptable):
        await call.calls.ask_for_pictures("c", "b")
    for call_id, tag in (("c", "x"), ("c", ""), ("d", "a")):
        with pytest.raises(UnknownCall):
            await call.calls.ask_for_pictures(call_id, tag)
    for other, direction in ((Call("RTP/AVP"), ""), (Call(), "a=recvonly\r\n")):
        await other.up(direction)
        other.hears("b", rtp(1, ssrc=FACE, kind=96))
        with pytest.raises(NotAcceptable):
            await other.calls.ask_for_pictures("c", "a")
        assert other.hears("a") == []
