"""The call service on a fake media plane: rtpengine's semantics of tags and branches, roll-back, nothing left
behind."""

from __future__ import annotations

import asyncio
import re
import time

import pytest

from appliance.calls.media import Address, ContextSpec, LegMedia, MasterKey, StreamMedia
from appliance.calls.views import AnswerRequest, CallState, EventKind, OfferRequest, SessionRequest
from appliance.errors import (
    CallExists,
    Draining,
    GatewayError,
    InvalidRequest,
    InvalidSdp,
    MediaUnavailable,
    NoCapacity,
    UnknownCall,
)
from appliance.policy.options import MediaOptions
from kernels.control.commands import InstallCrypto, InstallFlow
from tests.appliance.fake_plane import FakePlane
from tests.appliance.rig import OFFER, Rig

SECURE = MediaOptions(transport_protocol="RTP/SAVP", sdes_requires_tls=False)
PLAIN = MediaOptions(sdes_requires_tls=False)
CRYPTO = re.compile(rb"a=crypto:(\d+) (\S+) inline:(\S+)")


def answer_to(sdp: bytes, port: int = 50000, line: int = 0) -> bytes:
    """What a phone answers: the suite of one crypto line, a key of its own."""
    lines = CRYPTO.findall(sdp)
    crypto = b""
    profile = b"RTP/AVP"
    if lines:
        tag, suite, key = lines[line]
        flipped = bytes([key[0] ^ 1 if chr(key[0] ^ 1).isalnum() else ord("Q")]) + key[1:]
        crypto, profile = b"a=crypto:%s %s inline:%s\r\n" % (tag, suite, flipped), b"RTP/SAVP"
    return b"v=0\r\no=bob 2 2 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio %d %s 0\r\n%s" % (
        port,
        profile,
        crypto,
    )


async def offer(rig: Rig, call: str = "c1", tag: str = "a", sdp: bytes = OFFER, **more: str) -> bytes:
    return (await rig.calls.offer(OfferRequest(call, tag, sdp, SECURE, **more))).sdp


async def answer(rig: Rig, offered: bytes, call: str = "c1", tag: str = "a", to: str = "b", **more: str) -> bytes:
    return (await rig.calls.answer(AnswerRequest(call, tag, to, answer_to(offered), PLAIN, **more))).sdp


async def up(rig: Rig, call: str = "c1") -> None:
    await answer(rig, await offer(rig, call), call)


@pytest.fixture
async def rig() -> Rig:
    return Rig()


def port_of(sdp: bytes) -> int:
    return int(re.search(rb"m=audio (\d+)", sdp)[1])  # type: ignore[index]


async def test_offer_answer_delete_leaves_nothing(rig: Rig) -> None:
    """A24: RTP on a, SRTP on b; after the delete every port, slot and context is free."""
    offered = await offer(rig)
    assert b"RTP/SAVP" in offered and port_of(offered) % 2 == 0
    back = await answer(rig, offered)
    assert b"RTP/AVP 0" in back and b"crypto" not in back
    worker = next(worker for worker in rig.plane.workers if worker.flows)
    assert len(worker.flows) == 4 and len(worker.cryptos) == 2  # A07: one RX and one TX context, different keys
    assert len({crypto.key for crypto in worker.cryptos.values()}) == 2
    view = rig.calls.get("c1")
    assert view.state is CallState.ANSWERED and (view.from_tag, view.to_tag) == ("a", "b")
    assert view.streams[0].b.secure and view.streams[0].b.receive and view.streams[0].b.receive.roc == 3
    final = await rig.calls.delete("c1", "a", "b")
    assert final.state is CallState.ENDED and final.streams[0].b.drops == {"auth_fail": 4}
    await asyncio.sleep(0.01)
    assert rig.plane.empty() and rig.everything_is_free() and not rig.store.records
    assert rig.plane.faults() == []
    with pytest.raises(UnknownCall):
        await rig.calls.delete("c1")


async def test_flows_are_joined_to_partners_and_contexts(rig: Rig) -> None:
    """Media of a leaves by b under b's send context, RTCP by the RTCP ports."""
    await up(rig)
    worker = next(worker for worker in rig.plane.workers if worker.flows)
    by_port = {
        flow.port % 2: [f for f in worker.flows.values() if f.port % 2 == flow.port % 2]
        for flow in worker.flows.values()
    }
    rtp, rtcp = by_port[0], by_port[1]
    assert all(flow.rtp and not flow.rtcp for flow in rtp) and all(flow.rtcp and not flow.rtp for flow in rtcp)
    plain, secure = sorted(rtp, key=lambda flow: flow.secure)
    assert plain.rtp_partner == secure.slot and secure.rtp_partner == plain.slot
    assert plain.remote == ("127.0.0.1", 40000) and secure.remote == ("127.0.0.1", 50000)
    assert plain.receive is None and plain.send is None
    assert secure.receive is not None and secure.send is not None and secure.latching == "authenticated"
    assert worker.cryptos[secure.send].send and not worker.cryptos[secure.receive].send


async def test_repeated_offer_keeps_ports(rig: Rig) -> None:
    first, again = await offer(rig), await offer(rig)
    assert port_of(first) == port_of(again)
    assert len(rig.calls.list(10)) == 1


async def test_reinvite_by_either_party(rig: Rig) -> None:
    """Offer by b (from-tag is b's): the same branch, the ports stay, sides do not swap."""
    await up(rig)
    ports = [flow.port for worker in rig.plane.workers for flow in worker.flows.values()]
    hold = OFFER.replace(b"40000", b"40002").replace(b"sendrecv", b"sendonly")
    again = await offer(rig, sdp=hold, to_tag="b")
    await answer(rig, again)
    b_offer = answer_to(again, 50010)
    reply = await rig.calls.offer(OfferRequest("c1", "b", b_offer, PLAIN, to_tag="a"))
    assert port_of(reply.sdp) in ports
    await rig.calls.answer(AnswerRequest("c1", "b", "a", OFFER.replace(b"40000", b"40004"), SECURE))
    view = rig.calls.get("c1")
    assert len(view.streams) == 1
    assert view.streams[0].a.remote_rtp == Address("127.0.0.1", 40004)
    assert view.streams[0].b.remote_rtp == Address("127.0.0.1", 50010)
    assert sorted(ports) == sorted(flow.port for worker in rig.plane.workers for flow in worker.flows.values())
    await rig.calls.delete("c1", "b", "a")  # BYE by b
    assert rig.everything_is_free() and rig.plane.faults() == []


async def test_branches_of_a_forked_call(rig: Rig) -> None:
    """C6, C14: each branch has ports and keys of its own; deleting one leaves the other."""
    one, two = await offer(rig, via_branch="z1"), await offer(rig, via_branch="z2")
    assert port_of(one) != port_of(two)
    assert set(CRYPTO.findall(one)).isdisjoint(CRYPTO.findall(two))
    await answer(rig, two, to="b2", via_branch="z2")
    view = await rig.calls.delete("c1", "a", via_branch="z1")
    assert view.state is not CallState.ENDED
    left = rig.calls.get("c1")
    assert [stream.via_branch for stream in left.streams] == ["z2"] and left.state is CallState.ANSWERED
    assert len({flow.port for worker in rig.plane.workers for flow in worker.flows.values()}) == 4
    assert sum(bool(worker.flows) for worker in rig.plane.workers) == 1  # one worker per call
    with pytest.raises(UnknownCall):
        await rig.calls.delete("c1", "a", via_branch="z1")
    await rig.calls.delete("c1", "a", "b2")
    assert rig.everything_is_free()


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        (("", "", ""), True), (("a", "", ""), True), (("b", "a", ""), True), (("a", "b", ""), True),
        (("x", "", ""), False), (("a", "x", ""), False), (("a", "", "other"), False),
    ],
)  # fmt: skip
async def test_delete_matches_tags_as_rtpengine_does(rig: Rig, tags: tuple[str, str, str], found: bool) -> None:
    await up(rig)
    if found:
        assert (await rig.calls.delete("c1", *tags)).state is CallState.ENDED
        assert rig.everything_is_free()
    else:
        with pytest.raises(UnknownCall):
            await rig.calls.delete("c1", *tags)
        assert rig.calls.get("c1").state is CallState.ANSWERED


async def test_answers_without_offer(rig: Rig) -> None:
    with pytest.raises(UnknownCall):
        await rig.calls.answer(AnswerRequest("nobody", "a", "b", OFFER, PLAIN))
    await offer(rig)
    with pytest.raises(UnknownCall):
        await rig.calls.answer(AnswerRequest("c1", "stranger", "b", OFFER, PLAIN))


async def test_refused_first_offer_leaves_no_call(rig: Rig) -> None:
    with pytest.raises(InvalidSdp):
        await rig.calls.offer(OfferRequest("c1", "a", b"rubbish", SECURE))
    assert rig.calls.list(10) == [] and rig.everything_is_free() and not rig.store.records
    assert rig.calls.statistics().calls_failed == 1
    await up(rig)


async def test_refused_reinvite_changes_nothing(rig: Rig) -> None:
    """C3: an answer without crypto to a secure offer is refused and the call goes on as it was."""
    await up(rig)
    installed = [dict(worker.flows) for worker in rig.plane.workers]
    again = await offer(rig, sdp=OFFER, to_tag="b")
    with pytest.raises(GatewayError):
        await rig.calls.answer(AnswerRequest("c1", "a", "b", OFFER, PLAIN))
    assert [dict(worker.flows) for worker in rig.plane.workers] == installed
    assert rig.calls.get("c1").state is CallState.ANSWERED
    await answer(rig, again)
    await rig.calls.delete("c1")
    assert rig.everything_is_free() and rig.plane.empty()


@pytest.mark.parametrize("command", [InstallFlow, InstallCrypto])
async def test_worker_that_refuses(rig: Rig, command: type) -> None:
    """A failure in the middle is rolled back: nothing stays in the worker, nothing stays taken."""
    rig.plane.refuse = {command: "ENOSPC"}
    with pytest.raises(NoCapacity):
        await up(rig)
    rig.plane.refuse = {}
    if rig.calls.list(1):  # the offer needs no context: it stands, the answer failed
        await rig.calls.delete("c1")
    await asyncio.sleep(0.01)
    assert rig.everything_is_free() and rig.plane.empty()


async def test_silent_worker_is_media_unavailable(rig: Rig) -> None:
    rig.plane.silent = True
    with pytest.raises(MediaUnavailable):
        await offer(rig)
    assert rig.everything_is_free() and rig.calls.list(1) == []
    rig.plane.speak()
    await up(rig)


async def test_full_rings_only_delay() -> None:
    """RingFull is back-pressure, not an error; order is kept. How long a busy machine needs for it is no matter."""
    rig = Rig(timeout_s=60)
    rig.plane.ring = 3
    await asyncio.gather(*(up(rig, f"c{i}") for i in range(20)))
    await asyncio.gather(*(rig.calls.delete(f"c{i}") for i in range(20)))
    while rig.dispatcher.waiting:
        rig.dispatcher.pump()
    assert rig.plane.empty() and rig.everything_is_free() and rig.plane.faults() == []


async def test_an_answer_that_is_read_late(rig: Rig) -> None:
    """The worker answered in time, and this process was stopped meanwhile (a busy machine, a collection)."""
    rig.plane.silent = True
    offering = asyncio.create_task(offer(rig))
    await asyncio.sleep(0.01)
    rig.plane.speak()
    time.sleep(0.3)  # longer than the worker has  # noqa: ASYNC251
    await offering
    assert len(rig.calls.list(10)) == 1


async def test_port_exhaustion_is_503_and_heals() -> None:
    """F15, A14: no crash, everything returned afterwards, ports rest before they are used again."""
    rig = Rig(FakePlane(workers=1, ports=range(30000, 30012)))
    for i in range(3):  # two interfaces' legs on "default": two pairs a call
        await offer(rig, f"c{i}")
    with pytest.raises(NoCapacity) as refused:
        await offer(rig, "c9")
    assert refused.value.sip_status == 503 and rig.calls.statistics().errors == {"no-capacity": 1}
    await rig.calls.delete("c0")
    with pytest.raises(NoCapacity):
        await offer(rig, "c9")
    rig.now += 10
    await offer(rig, "c9")


async def test_calls_go_to_the_least_loaded_worker(rig: Rig) -> None:
    for i in range(6):
        await offer(rig, f"c{i}")
    assert [worker.calls for worker in rig.calls.statistics().workers] == [3, 3]


async def test_drain(rig: Rig) -> None:
    """F6: new calls are refused at once, existing ones can still be answered and ended."""
    offered = await offer(rig)
    await rig.calls.drain()
    with pytest.raises(Draining):
        await offer(rig, "c2")
    await answer(rig, offered)
    await rig.calls.delete("c1")
    await rig.calls.resume()
    await offer(rig, "c2")


async def test_operations_on_one_call_do_not_mix(rig: Rig) -> None:
    """A delete that arrives while the offer is carried out waits for it, then ends it."""
    rig.plane.silent = True
    offering = asyncio.create_task(offer(rig))
    await asyncio.sleep(0.01)
    deleting = asyncio.create_task(rig.calls.delete("c1"))
    await asyncio.sleep(0.01)
    assert not deleting.done()
    rig.plane.speak()
    await asyncio.gather(offering, deleting)
    await asyncio.sleep(0.01)
    assert rig.everything_is_free() and rig.plane.empty()


async def test_cancelled_operation_is_rolled_back(rig: Rig) -> None:
    rig.plane.silent = True
    offering = asyncio.create_task(offer(rig))
    await asyncio.sleep(0.01)
    offering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await offering
    rig.plane.speak()
    await asyncio.sleep(0.01)
    assert rig.everything_is_free() and rig.plane.empty()


def session(port: int = 40000, key: int = 1, **more: object) -> SessionRequest:
    theirs, ours = (
        ContextSpec("AES_CM_128_HMAC_SHA1_80", (MasterKey(bytes([octet]) * 16, bytes([octet]) * 14),))
        for octet in (key, key + 128)
    )
    a = LegMedia("default", Address("127.0.0.1", port), Address("127.0.0.1", port + 1))
    b = LegMedia("outside", Address("127.0.0.1", 50000), mux=True, secure=True, receive=theirs, send=ours)
    return SessionRequest((StreamMedia("audio", a, b),), **more)  # type: ignore[arg-type]


async def test_low_level_session(rig: Rig) -> None:
    view = await rig.calls.create_session(session())
    assert view.call_id and view.low_level and view.streams[0].b.local.rtp == view.streams[0].b.local.rtcp
    assert sum(len(worker.flows) for worker in rig.plane.workers) == 3  # mux: one flow on b
    with pytest.raises(CallExists):
        await rig.calls.create_session(session(call_id=view.call_id))
    moved = await rig.calls.update_session(session(40100, call_id=view.call_id))
    assert moved.streams[0].a.local == view.streams[0].a.local
    assert moved.streams[0].a.remote_rtp == Address("127.0.0.1", 40100)
    await rig.calls.update_session(session(40100, 2, call_id=view.call_id))
    keys = {crypto.key.key[0] for worker in rig.plane.workers for crypto in worker.cryptos.values()}
    assert keys == {2, 130}
    await rig.calls.delete_session(view.call_id)
    assert rig.everything_is_free() and rig.plane.empty() and rig.plane.faults() == []


async def test_rekey_that_fails_ends_the_call(rig: Rig) -> None:
    """B5: the old key's ROC is gone with the new key; starting it anew could use an index twice, so the call ends."""
    view = await rig.calls.create_session(session(key=1))
    rig.plane.refuse = {InstallFlow: "EIO"}
    with pytest.raises(MediaUnavailable):
        await rig.calls.update_session(session(41000, key=2, call_id=view.call_id))
    rig.plane.refuse = {}
    await asyncio.sleep(0.01)
    assert rig.calls.list(1) == [] and rig.everything_is_free() and rig.plane.empty()


@pytest.mark.parametrize(
    "bad",
    [
        SessionRequest(()),
        SessionRequest((StreamMedia("audio", LegMedia("nowhere"), LegMedia("default")),)),
        SessionRequest(
            (StreamMedia("audio", LegMedia(""), LegMedia("", receive=ContextSpec("AES_CM_128_HMAC_SHA1_80", ()))),)
        ),
        SessionRequest((StreamMedia("audio", LegMedia(""), LegMedia("", send=ContextSpec("ROT13",
        (MasterKey(b"", b""),)))),)),
        SessionRequest(
            (
                StreamMedia(
                    "audio", LegMedia(""),
                    LegMedia("", send=ContextSpec("AES_CM_128_HMAC_SHA1_80", (MasterKey(b"x" * 15, b"y" * 14),))),
                ),
            )
        ),
    ],
    ids=["no streams", "no such interface", "no key", "no such suite", "short key"],
)  # fmt: skip
async def test_bad_sessions(rig: Rig, bad: SessionRequest) -> None:
    with pytest.raises((InvalidRequest, NoCapacity)):
        await rig.calls.create_session(bad)
    assert rig.everything_is_free() and rig.calls.list(1) == []


async def test_watch_is_snapshot_then_changes(rig: Rig) -> None:
    await offer(rig, "old")
    seen = []

    async def read() -> None:
        async for event in rig.calls.watch():
            seen.append((event.kind, event.call_id))
            if event.kind is EventKind.ENDED:
                return

    reading = asyncio.create_task(read())
    await asyncio.sleep(0.01)
    await up(rig, "new")
    await rig.calls.delete("new")
    await asyncio.wait_for(reading, 1)
    assert seen == [
        (EventKind.SNAPSHOT, "old"), (EventKind.SYNCED, ""), (EventKind.CREATED, "new"), (EventKind.ANSWERED, "new"),
        (EventKind.ENDED, "new"),
    ]  # fmt: skip


async def test_slow_watcher_is_ended_not_fed(rig: Rig) -> None:
    rig.calls.ledger.bus = type(rig.calls.ledger.bus)(bound=4)
    watching = rig.calls.watch()
    assert (await anext(watching)).kind is EventKind.SYNCED
    starting = asyncio.create_task(anext(watching))
    await asyncio.sleep(0)
    for i in range(10):
        await offer(rig, f"c{i}")
    await starting
    with pytest.raises(NoCapacity):
        while True:
            await anext(watching)
