"""Block, echo and subscriptions with real packets: from the SDP of a subscriber to the octets that it can open."""

from __future__ import annotations

import base64

import pytest

from appliance.calls.views import AnswerRequest, OfferRequest, Party
from appliance.errors import CryptoRequired
from appliance.policy.options import MediaOptions, SdesOptions
from kernels.srtp.session import Session
from tests.appliance.calls.test_service import CRYPTO, answer_to
from tests.appliance.calls.test_subscribing import PLAIN, recorder, subscribe, subscribed
from tests.appliance.packet_plane import PacketPlane
from tests.appliance.rig import OFFER, Rig
from tests.kernels.rig import CM128, rtcp, rtp

ALICE, BOB = ("127.0.0.1", 40000), ("127.0.0.1", 50000)
RECORDER_A, RECORDER_B = ("127.0.0.9", 60000), ("127.0.0.9", 60002)


class Call:
    """One call between plain phones; `a` and `b`: our ports towards them."""

    def __init__(self) -> None:
        self.plane = PacketPlane()
        self.rig = Rig(self.plane)  # type: ignore[arg-type]

    async def up(self) -> None:
        plain = MediaOptions(sdes_requires_tls=False)
        offered = await self.rig.calls.offer(OfferRequest("c1", "a", OFFER, plain))
        await self.rig.calls.answer(AnswerRequest("c1", "a", "b", answer_to(offered.sdp), plain))

    @property
    def ports(self) -> tuple[int, int]:
        stream = self.rig.calls.get("c1").streams[0]
        return stream.a.local.rtp, stream.b.local.rtp

    @property
    def worker(self) -> int:
        return self.rig.calls.get("c1").worker

    def say(self, side: str, *packets: bytes) -> dict[tuple[str, int], list[bytes]]:
        """One party speaks; what everybody gets, by address."""
        port, source = (self.ports[0], ALICE) if side == "a" else (self.ports[1], BOB)
        heard: dict[tuple[str, int], list[bytes]] = {}
        for _, data, to in self.plane.arrive(self.worker, port, source, *packets):
            heard.setdefault(to, []).append(data)
        return heard


def opener(sdp: bytes, line: int) -> Session:
    """What the subscriber opens our packets with: the first key of an m-line of our offer."""
    section = sdp.split(b"m=")[line + 1]
    found = CRYPTO.search(section)
    assert found is not None
    material = base64.b64decode(found[3].split(b"|")[0])
    return Session(CM128, material[:16], material[16:30], send=False)


SUITE = MediaOptions(
    transport_protocol="RTP/SAVP",
    sdes_requires_tls=False,
    sdes=SdesOptions(suites=("AES_CM_128_HMAC_SHA1_80",)),
)


async def test_a_recorder_gets_both_parties_and_the_call_is_as_before() -> None:
    """peers 1.1 subscribe: each party under keys of its own, before and after a move to another worker."""
    call = Call()
    await call.up()
    reply = await subscribed(call.rig, options=SUITE)
    sessions = {"a": (RECORDER_A, opener(reply.sdp, 0)), "b": (RECORDER_B, opener(reply.sdp, 1))}
    start = 65_500
    for turn in range(2):
        for side, partner in (("a", BOB), ("b", ALICE)):
            packets = [rtp(start + 50 * turn + i, bytes([i]) * 20) for i in range(50)]
            heard = call.say(side, *packets)
            address, session = sessions[side]
            assert heard[partner] == packets
            assert [session.unprotect_rtp(data) for data in heard[address]] == packets
            assert set(heard) == {partner, address}
        call.plane.team.turn()
        await call.rig.calls.move_call("c1", 1 - call.worker)
    assert [stream.subscriber for stream in call.rig.calls.get("c1").copies] == ["rec", "rec"]
    copied = sum(call.plane.counters(worker)["copied"] for worker in range(2))
    assert copied == 200
    await call.rig.calls.control.unsubscribe("c1", "rec")
    assert set(call.say("a", rtp(200))) == {BOB}
    await call.rig.calls.delete("c1")
    assert call.rig.everything_is_free()
    call.rig.stop()


async def test_rtcp_is_copied_to_its_own_port() -> None:
    call = Call()
    await call.up()
    await subscribed(call.rig, ("a",), options=PLAIN)
    port = call.ports[0] + 1
    sent = call.plane.arrive(call.worker, port, ("127.0.0.1", 40001), rtcp())
    assert {to: data for _, data, to in sent} == {("127.0.0.1", 50001): rtcp(), ("127.0.0.9", 60001): rtcp()}
    call.rig.stop()


async def test_what_the_recorder_sends_reaches_nobody() -> None:
    """A11: neither media nor RTCP, whatever it sends; counted on its leg."""
    call = Call()
    await call.up()
    await subscribed(call.rig, ("a",), options=PLAIN)
    copy = call.rig.calls.get("c1").copies[0]
    assert call.plane.arrive(call.worker, copy.a.local.rtp, RECORDER_A, rtp(1), rtp(2)) == []
    assert call.rig.calls.get("c1").copies[0].a.drops == {"subscriber": 2}
    assert call.plane.arrive(call.worker, copy.a.local.rtcp, ("127.0.0.9", 60001), rtcp()) == []
    assert call.rig.calls.get("c1").copies[0].a.drops == {"subscriber": 3}
    call.rig.stop()


async def test_block_and_echo_do_what_they_say() -> None:
    """peers 1.1: the blocked party is heard by nobody, the other one still is; an echoing one hears itself."""
    call = Call()
    await call.up()
    await subscribed(call.rig, options=PLAIN)
    await call.rig.calls.control.block_media("c1", Party(tag="a"))
    assert call.say("a", rtp(1)) == {}
    assert set(call.say("b", rtp(1))) == {ALICE, RECORDER_B}
    await call.rig.calls.control.unblock_media("c1", Party(tag="a"))
    await call.rig.calls.control.echo_media("c1", Party(tag="a"))
    assert set(call.say("a", rtp(2))) == {ALICE, RECORDER_A}
    await call.rig.calls.control.echo_media("c1", Party(), echo=False)
    assert set(call.say("a", rtp(3))) == {BOB, RECORDER_A}
    leg = call.rig.calls.get("c1").streams[0].a
    assert (leg.blocked, leg.echo, leg.drops) == (False, False, {"blocked": 1})
    call.rig.stop()


async def test_a_recorder_that_refuses_srtp_gets_nothing() -> None:
    """C3: its plain answer to our secure offer changes nothing."""
    call = Call()
    await call.up()
    reply = await subscribe(call.rig, options=SUITE)
    with pytest.raises(CryptoRequired):
        await call.rig.calls.control.subscribe_answer(
            "c1", "rec", recorder(reply).replace(b"RTP/SAVP", b"RTP/AVP"), SUITE
        )
    assert set(call.say("a", rtp(1))) == {BOB}
    call.rig.stop()
