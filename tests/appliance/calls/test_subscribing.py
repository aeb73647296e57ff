"""Subscriptions (peers 1.1 "subscribe request / answer, unsubscribe"; SIPREC base) on a fake media plane: what is
offered, what the answer commands, what a failure leaves, and that records, moves and re-offers carry them."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from appliance.calls import adoption, subscribing
from appliance.calls.views import AnswerRequest, OfferRequest, Party, SubscribeReply, SubscribeRequest
from appliance.errors import (
    CryptoRequired,
    GatewayError,
    InvalidRequest,
    InvalidSdp,
    NoCapacity,
    NotAcceptable,
    UnknownCall,
)
from appliance.policy.options import MediaOptions, SdesOptions
from appliance.state.store import Loaded
from kernels.control.commands import MOST_TAPS, InstallFlow
from tests.appliance.calls.test_service import CRYPTO, answer, answer_to, offer, up
from tests.appliance.fake_plane import FakePlane
from tests.appliance.rig import OFFER, Rig

PLAIN = MediaOptions(transport_protocol="RTP/AVP")
SECURE = MediaOptions(transport_protocol="RTP/SAVP", sdes_requires_tls=False)


def recorder(reply: SubscribeReply, first_port: int = 60000, direction: str = "recvonly") -> bytes:
    """What a recorder answers: every m-line taken, the first suite, a key of its own."""
    head, *sections = re.split(rb"(?=m=)", reply.sdp)
    assert head.startswith(b"v=0\r\n")
    out = b"v=0\r\no=rec 1 1 IN IP4 127.0.0.9\r\ns=-\r\nc=IN IP4 127.0.0.9\r\nt=0 0\r\n"
    for at, section in enumerate(sections):
        kind, _, proto, formats = section.split(b"\r\n")[0].split(b" ", 3)
        out += b"%s %d %s %s\r\na=%s\r\n" % (kind, first_port + 2 * at, proto, formats, direction.encode())
        found = CRYPTO.search(section)
        if found:
            tag, suite, key = found.groups()
            flipped = (b"A" if key[:1] != b"A" else b"B") + key[1:]
            out += b"a=crypto:%s %s inline:%s\r\n" % (tag, suite, flipped)
    return out


async def subscribe(
    rig: Rig, tags: tuple[str, ...] = (), to: str = "rec", options: MediaOptions = PLAIN
) -> SubscribeReply:
    return await rig.calls.control.subscribe(SubscribeRequest("c1", options, tags, to))


async def subscribed(
    rig: Rig, tags: tuple[str, ...] = (), to: str = "rec", options: MediaOptions = PLAIN
) -> SubscribeReply:
    reply = await subscribe(rig, tags, to, options)
    await rig.calls.control.subscribe_answer("c1", reply.to_tag, recorder(reply), options)
    return reply


def commanded(rig: Rig, worker: int | None = None) -> tuple[list[InstallFlow], list[InstallFlow]]:
    """Flows of the call and flows of subscribers that the workers hold."""
    flows = [
        flow for index, one in enumerate(rig.plane.workers) if worker in (None, index) for flow in one.flows.values()
    ]
    return [flow for flow in flows if not flow.tap], [flow for flow in flows if flow.tap]


def chains(rig: Rig) -> dict[tuple[int, str], list[int]]:
    """(port of a party's flow, "rtp" or "rtcp") -> ports at the subscribers that get copies, each link checked."""
    call, taps = commanded(rig)
    by_slot = {flow.slot: flow for flow in (*call, *taps)}
    found = {}
    for source in call:
        for kind in ("rtp", "rtcp"):
            before, slot, ports = source, getattr(source, f"{kind}_tap"), []
            while slot is not None:
                tap = by_slot[slot]
                assert getattr(tap, f"{kind}_partner") == before.slot
                assert tap.remote is not None
                ports.append(tap.remote[1])
                before, slot = tap, getattr(tap, f"{kind}_tap")
            if ports:
                found[source.remote[1] if source.remote else 0, kind] = ports
    return found


async def test_the_offer_has_an_m_line_for_each_stream_of_each_party() -> None:
    """sendonly, labelled (RFC 4574), our ports, the formats that each party was told to use; nothing flows yet."""
    rig = Rig()
    await up(rig)
    reply = await subscribe(rig)
    assert (reply.from_tags, reply.lines, reply.to_tag) == (("a", "b"), (0, 0), "rec")
    text = reply.sdp.decode()
    ports = [int(port) for port in re.findall(r"^m=audio (\d+) RTP/AVP", text, re.M)]
    assert len(set(ports)) == 2
    assert re.findall(r"^m=audio \d+ RTP/AVP (.*)\r$", text, re.M) == ["0", "0 8 101"]
    assert "a=rtpmap:101 telephone-event/8000\r\n" in text
    assert re.findall(r"a=label:(\d)", text) == ["1", "2"]
    assert text.count("a=sendonly\r\n") == 2
    assert "crypto" not in text
    assert chains(rig) == {}
    assert {flow.port for flow in commanded(rig)[1]} >= set(ports)
    rig.stop()


async def test_after_the_answer_copies_go_where_it_says() -> None:
    rig = Rig()
    await up(rig)
    await subscribed(rig)
    # party a is at 40000/1, party b at 50000/1; the recorder took 60000/1 and 60002/3
    assert chains(rig) == {
        (40000, "rtp"): [60000], (40001, "rtcp"): [60001], (50000, "rtp"): [60002], (50001, "rtcp"): [60003],
    }  # fmt: skip
    assert rig.plane.faults() == []
    view = rig.calls.get("c1")
    assert [(stream.copies_of, stream.subscriber) for stream in view.streams] == [(None, "")]
    assert [(stream.copies_of, stream.subscriber) for stream in view.copies] == [(0, "rec"), (0, "rec")]
    rig.stop()


async def test_copies_are_marked_as_the_request_says() -> None:
    """peers 1.2 TOS: of the subscriber's leg, not of the call's."""
    rig = Rig()
    await up(rig)
    await subscribed(rig, options=replace(PLAIN, tos=0xB8))
    call, taps = commanded(rig)
    assert {flow.tos for flow in taps} == {0xB8}
    assert {flow.tos for flow in call} == {0}
    rig.stop()


async def test_a_secure_subscriber_has_keys_of_its_own() -> None:
    """Each m-line its own key, none of the call's; and only a sending context."""
    rig = Rig()
    await up(rig)
    before = {key.install.key.key for branch in placements(rig) for key in branch.installed.cryptos.values()}
    reply = await subscribed(rig, options=SECURE)
    offered = {key for _, _, key in CRYPTO.findall(reply.sdp)}
    assert len(offered) == len(CRYPTO.findall(reply.sdp))
    taps = commanded(rig)[1]
    assert all(flow.secure and flow.send is not None and flow.receive is None for flow in taps)
    (placement,) = placements(rig)
    keys = [context.install.key.key for context in placement.installed.cryptos.values()]
    assert len(set(keys)) == len(keys) == len(before) + 2
    rig.stop()


def placements(rig: Rig) -> list:  # type: ignore[type-arg]
    call = rig.calls.ledger.registry.get("c1")
    assert call is not None
    return [branch.placement for branch in call.branches]


async def test_several_subscribers_are_a_chain_and_one_can_leave_it() -> None:
    rig = Rig()
    await up(rig)
    for at, name in enumerate(("one", "two", "three")):
        reply = await subscribe(rig, ("a",), name)
        await rig.calls.control.subscribe_answer("c1", name, recorder(reply, 60000 + 10 * at), PLAIN)
    assert chains(rig)[40000, "rtp"] == [60000, 60010, 60020]
    await rig.calls.control.unsubscribe("c1", "two")
    assert chains(rig) == {(40000, "rtp"): [60000, 60020], (40001, "rtcp"): [60001, 60021]}
    for name in ("one", "three"):
        await rig.calls.control.unsubscribe("c1", name)
    assert commanded(rig)[1] == []
    assert chains(rig) == {}
    await rig.calls.delete("c1")
    assert rig.plane.empty()
    assert rig.everything_is_free()
    assert rig.plane.faults() == []
    rig.stop()


async def test_the_end_of_the_call_ends_its_subscriptions() -> None:
    rig = Rig()
    await up(rig)
    await subscribed(rig, options=SECURE)
    await subscribe(rig, to="unanswered")
    await rig.calls.delete("c1")
    assert rig.plane.empty()
    assert rig.everything_is_free()
    rig.stop()


async def test_a_re_offer_keeps_copies_flowing() -> None:
    """The call's streams are commanded anew; the chain, the subscriber's ports and its context stay."""
    rig = Rig()
    await up(rig)
    await subscribed(rig, options=SECURE)
    before, taps = chains(rig), commanded(rig)[1]
    await answer(rig, await offer(rig))
    await rig.calls.control.block_media("c1", Party())
    assert chains(rig) == before
    assert commanded(rig)[1] == taps
    assert not any(flow.blocked for flow in taps)
    rig.stop()


VIDEO = b"m=video %d RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n"


async def test_a_stream_that_ends_takes_its_copies_along() -> None:
    """A re-INVITE without video: no more copies of it, their ports are free; audio's go on; no mix-up later."""
    rig = Rig()
    options = MediaOptions(sdes_requires_tls=False)

    async def exchange(video: int) -> None:
        offered = await rig.calls.offer(OfferRequest("c1", "a", OFFER + VIDEO % video, options))
        await rig.calls.answer(
            AnswerRequest("c1", "a", "b", answer_to(offered.sdp) + VIDEO % (video and 50010), options)
        )

    await exchange(40010)
    await subscribed(rig, ("a",))
    assert {key for key in chains(rig) if key[1] == "rtp"} == {(40000, "rtp"), (40010, "rtp")}
    await exchange(0)
    assert {key for key in chains(rig) if key[1] == "rtp"} == {(40000, "rtp")}
    await subscribed(rig, ("a",), to="second")
    assert chains(rig)[40000, "rtp"] == [60000, 60000]
    await rig.calls.delete("c1")
    assert rig.everything_is_free()
    assert rig.plane.faults() == []
    rig.stop()


async def test_too_many_subscribers_are_refused() -> None:
    rig = Rig(FakePlane(ports=range(30000, 31000), flows=800, cryptos=800))
    await up(rig)
    for at in range(MOST_TAPS):
        await subscribed(rig, to=f"r{at}")
    before = chains(rig)
    with pytest.raises(NoCapacity):
        await subscribe(rig, to="one-too-many")
    assert chains(rig) == before
    assert {len(chain) for chain in before.values()} == {MOST_TAPS}
    rig.stop()


@pytest.mark.parametrize(
    ("sdp", "options", "error"),
    [
        (lambda good: b"nonsense", PLAIN, InvalidSdp),
        (lambda good: good.replace(b"RTP/AVP", b"RTP/SAVP"), PLAIN, NotAcceptable),
        (lambda good: good.replace(b"RTP/SAVP", b"RTP/AVP"), SECURE, CryptoRequired),
        (lambda good: re.sub(rb"a=crypto.*\r\n", b"", good), SECURE, CryptoRequired),
        (lambda good: good.replace(b"m=audio", b"m=video"), PLAIN, NotAcceptable),
    ],
)
async def test_a_bad_answer_changes_nothing(sdp, options: MediaOptions, error: type[GatewayError]) -> None:  # type: ignore[no-untyped-def]
    """C3: no downgrade either. The subscription stays offered, and a good answer still works."""
    rig = Rig()
    await up(rig)
    reply = await subscribe(rig, options=options)
    with pytest.raises(error):
        await rig.calls.control.subscribe_answer("c1", "rec", sdp(recorder(reply)), options)
    assert chains(rig) == {}
    await rig.calls.control.subscribe_answer("c1", "rec", recorder(reply), options)
    assert len(chains(rig)) == 4
    rig.stop()


async def test_an_answer_may_refuse_a_line_or_hold_it() -> None:
    rig = Rig()
    await up(rig)
    reply = await subscribe(rig)
    refused = recorder(reply).replace(b"m=audio 60000", b"m=audio 0")
    await rig.calls.control.subscribe_answer("c1", "rec", refused, PLAIN)
    assert set(chains(rig)) == {(50000, "rtp"), (50001, "rtcp")}
    await rig.calls.control.subscribe_answer("c1", "rec", recorder(reply, direction="inactive"), PLAIN)
    assert all(not flow.may_receive for flow in commanded(rig)[1] if flow.rtp)
    rig.stop()


@pytest.mark.parametrize("call", ["unanswered", "nobody", "stranger"])
async def test_who_cannot_be_subscribed_to(call: str) -> None:
    rig = Rig()
    await offer(rig)
    if call != "unanswered":
        await answer(rig, await offer(rig))
    request = SubscribeRequest("c2" if call == "nobody" else "c1", PLAIN, ("x",) if call == "stranger" else ())
    with pytest.raises(NotAcceptable if call == "unanswered" else UnknownCall):
        await rig.calls.control.subscribe(request)
    with pytest.raises(UnknownCall):
        await rig.calls.control.unsubscribe("c1", "rec")
    rig.stop()


async def test_a_subscriber_is_no_leg_of_the_call_itself() -> None:
    """A13: copies that went to a port of the call would be copied again, for ever."""
    rig = Rig()
    await up(rig)
    reply = await subscribe(rig, ("a",))
    ours = rig.calls.get("c1").streams[0].a.local
    loop = recorder(reply, ours.rtp).replace(b"127.0.0.9", ours.address.encode())
    with pytest.raises(InvalidRequest):
        await rig.calls.control.subscribe_answer("c1", "rec", loop, PLAIN)
    assert chains(rig) == {}
    await rig.calls.control.subscribe_answer("c1", "rec", recorder(reply), PLAIN)
    assert len(chains(rig)) == 2
    rig.stop()


async def test_keys_are_not_offered_over_clear_signalling() -> None:
    """C07, C4: as in any offer of ours."""
    rig = Rig()
    await up(rig)
    with pytest.raises(CryptoRequired):
        await subscribe(rig, options=MediaOptions(transport_protocol="RTP/SAVP"))
    assert commanded(rig)[1] == []
    rig.stop()


async def test_a_worker_that_refuses_leaves_the_call_as_it_was() -> None:
    """The call's flows, its books and its ports are what they were before the subscription."""
    rig = Rig()
    await up(rig)
    before = commanded(rig)[0]
    free = [{name: ports.free for name, ports in worker.ports.items()} for worker in rig.inventory.workers]
    rig.plane.refuse = {InstallFlow: "EADDRINUSE"}
    with pytest.raises(GatewayError):
        await subscribe(rig)
    rig.plane.refuse = {}
    rig.now += 10
    assert commanded(rig)[0] == before
    assert [{n: p.free for n, p in worker.ports.items()} for worker in rig.inventory.workers] == free
    reply = await subscribed(rig)
    assert reply.to_tag == "rec"
    assert len(chains(rig)) == 4
    rig.stop()


async def test_a_restart_of_the_control_process_takes_subscriptions_over() -> None:
    """F1: chain, ports, slots and keys from the record; one that was not answered can still be."""
    first = Rig()
    await up(first)
    await subscribed(first, ("a",), options=SECURE)
    waiting = await subscribe(first, ("b",), to="later", options=SECURE)
    before = chains(first)
    first.stop()
    second = Rig(first.plane, first.store)
    report = adoption.adopt(second.calls.ledger, Loaded(dict(first.store.records), ()))
    assert (report.adopted, report.orphans, report.lost) == (1, 0, {})
    assert chains(second) == before
    await second.calls.control.subscribe_answer("c1", "later", recorder(waiting, 60100), SECURE)
    assert chains(second)[50000, "rtp"] == [60100]
    await second.calls.delete("c1")
    assert second.everything_is_free()
    assert second.plane.empty()
    second.stop()


async def test_a_move_takes_subscribers_along() -> None:
    """Their contexts move with them (the same key must not start anew), the chain is commanded again."""
    rig = Rig()
    await up(rig)
    await subscribed(rig, options=SECURE)
    before = chains(rig)
    call = rig.calls.ledger.registry.get("c1")
    assert call is not None
    assert call.worker is not None
    to = 1 - call.worker
    installs = len([c for w in rig.plane.workers for c in w.log if type(c).__name__ == "InstallCrypto"])
    await rig.calls.move_call("c1", to)
    assert chains(rig) == before
    assert len(commanded(rig, to)[1]) == 4
    assert commanded(rig, 1 - to) == ([], [])
    assert len([c for w in rig.plane.workers for c in w.log if type(c).__name__ == "InstallCrypto"]) == installs
    await rig.calls.control.unsubscribe("c1", "rec")
    await rig.calls.delete("c1")
    assert rig.everything_is_free()
    assert rig.plane.faults() == []
    rig.stop()


async def test_subscribing_again_offers_new_keys() -> None:
    """A known tag: the old copies end, the new ones start with the next answer, under keys never used before."""
    rig = Rig()
    await up(rig)
    once = await subscribed(rig, options=SECURE)
    again = await subscribe(rig, ("a",), options=SECURE)
    assert chains(rig) == {}
    assert not {key for _, _, key in CRYPTO.findall(once.sdp)} & {key for _, _, key in CRYPTO.findall(again.sdp)}
    await rig.calls.control.subscribe_answer("c1", "rec", recorder(again), SECURE)
    assert set(chains(rig)) == {(40000, "rtp"), (40001, "rtcp")}
    rig.stop()


async def test_no_key_shows() -> None:
    """H3: neither in reprs nor in views."""
    rig = Rig()
    await up(rig)
    reply = await subscribed(rig, options=SECURE)
    call = rig.calls.ledger.registry.get("c1")
    shown = repr((reply, call, call and call.branches[0].subscriptions, rig.calls.get("c1")))
    for _, _, key in CRYPTO.findall(reply.sdp):
        assert key.decode().split("|")[0] not in shown
    rig.stop()


@pytest.mark.parametrize("wishes", [
    MediaOptions(transport_protocol="UDP/TLS/RTP/SAVPF"),
    MediaOptions(transport_protocol="RTP/SAVP", sdes=SdesOptions(enabled=False), sdes_requires_tls=False),
])  # fmt: skip
async def test_no_dtls_towards_a_recorder(wishes: MediaOptions) -> None:
    """DTLS-SRTP is not for copies: refused rather than written without what it needs."""
    rig = Rig()
    await up(rig)
    with pytest.raises(NotAcceptable):
        await subscribe(rig, options=wishes)
    rig.stop()


@pytest.mark.parametrize(
    ("lines", "rate"),
    [
        ("m=audio 5000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000", 8000),
        ("m=audio 5000 RTP/AVP 96\r\na=rtpmap:96 Opus/48000/2\r\na=fmtp:96 useinbandfec=1", 48_000),
        ("m=audio 5000 RTP/AVP 96 0\r\na=rtpmap:96 opus/48000/2", None),
        ("m=audio 5000 RTP/AVP 96\r\na=rtpmap:96", None),
    ],
)
def test_the_clock_of_what_a_party_was_told(lines: str, rate: int | None) -> None:
    ((_, text),) = subscribing.codecs(f"v=0\r\n{lines}\r\n".encode())
    assert subscribing.clock(text) == rate
