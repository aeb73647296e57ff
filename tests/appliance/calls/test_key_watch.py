"""The end of a re-key's overlap, keys that run out, ROCs found by trial. Time is the test's."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from appliance.calls import adoption
from appliance.calls.housekeeping import Housekeeping
from appliance.calls.key_watch import LAST_PACKETS, KeyWatch
from appliance.calls.media import Address, ContextSpec, LegMedia, MasterKey, StreamMedia
from appliance.calls.views import AnswerRequest, CallEvent, EventKind, OfferRequest, SessionRequest
from appliance.policy.options import MediaOptions
from appliance.state.store import Loaded
from kernels.control.commands import InstallCrypto, InstallFlow, RemoveCrypto
from tests.appliance.calls.test_service import PLAIN, answer_to
from tests.appliance.rig import OFFER, Rig

GRACE_S = 5.0
WATCHED = {EventKind.KEY_EXPIRING, EventKind.KEY_EXHAUSTED, EventKind.ROC_FOUND}


def octets(number: int) -> bytes:
    return bytes([number]) * 16


def spec(number: int, rtp_lifetime: int = 0, mki: bytes = b"") -> ContextSpec:
    key = MasterKey(octets(number), bytes([number]) * 14, mki, rtp_lifetime)
    return ContextSpec("AES_CM_128_HMAC_SHA1_80", (key,))


def session(receive: ContextSpec, *also: ContextSpec, send: ContextSpec | None = None) -> SessionRequest:
    a = LegMedia("default", Address("127.0.0.1", 40000), Address("127.0.0.1", 40001))
    b = LegMedia(
        "outside", Address("127.0.0.1", 50000), mux=True, receive=receive, receive_also=also, send=send or spec(99)
    )
    return SessionRequest((StreamMedia("audio", a, b),), "c")


class House:
    """A rig with housekeeping that runs when the test says so."""

    def __init__(self, rig: Rig) -> None:
        self.rig, self.now_s = rig, 1000.0
        rig.plane.used = {octets(number): (0, 0) for number in range(100)}
        ledger = rig.calls.ledger
        keys = KeyWatch(ledger, grace_s=lambda: GRACE_S, now_ns=lambda: int(self.now_s * 1e9))
        self.house = Housekeeping(ledger, silence_s=lambda: 0, offer_s=lambda: 0, keys=keys)
        self.watcher = ledger.bus.join()

    async def tick(self, seconds: float = 1.0) -> None:
        self.now_s += seconds
        self.house.tick()
        await asyncio.sleep(0.01)

    def used(self, number: int, rtp: int, rtcp: int = 0) -> None:
        self.rig.plane.used[octets(number)] = (rtp, rtcp)

    def told(self) -> list[CallEvent]:
        events = [event for event in self.watcher._queue if event.kind in WATCHED]
        self.watcher._queue.clear()
        return events

    @property
    def keys(self) -> set[int]:
        """First octets of what the workers hold."""
        return {crypto.key.key[0] for worker in self.rig.plane.workers for crypto in worker.cryptos.values()}

    def leg(self) -> LegMedia:
        call = self.rig.calls.ledger.registry.get("c")
        assert call is not None
        return call.branches[0].media[0].b


@pytest.fixture
async def house() -> House:
    return House(Rig())


async def rekeyed(house: House) -> None:
    await house.rig.calls.create_session(session(spec(1)))
    await house.rig.calls.update_session(session(spec(2), spec(1)))
    assert house.keys == {1, 2, 99}


# --- the end of an overlap (C13, SDES-21) --------------------------------------------------------------------------


async def test_old_keys_go_a_grace_after_the_first_new_packet(house: House) -> None:
    await rekeyed(house)
    for _ in range(20):
        await house.tick()
    assert house.keys == {1, 2, 99}  # the peer has not used the new key yet: nothing is late
    house.used(2, 1)
    await house.tick()
    await house.tick(GRACE_S - 1)
    assert house.keys == {1, 2, 99}
    await house.tick(1.1)
    assert house.keys == {2, 99} and house.leg().receive_also == ()
    assert house.rig.plane.faults() == []
    log = [command for worker in house.rig.plane.workers for command in worker.log]
    assert sum(isinstance(command, RemoveCrypto) for command in log) == 1
    before = len(log)
    await house.tick(100)
    assert sum(len(worker.log) for worker in house.rig.plane.workers) == before  # and that was that
    await house.rig.calls.delete("c")
    assert house.rig.everything_is_free() and house.rig.plane.empty()


async def test_srtcp_alone_counts(house: House) -> None:
    """A held stream sends RTCP only."""
    await rekeyed(house)
    house.used(2, 0, 1)
    await house.tick()
    await house.tick(GRACE_S)
    assert house.keys == {2, 99}


async def test_a_rekey_in_the_grace_begins_it_again(house: House) -> None:
    await rekeyed(house)
    house.used(2, 10)
    await house.tick()
    await house.rig.calls.update_session(session(spec(3), spec(2), spec(1)))
    await house.tick(GRACE_S + 1)
    assert house.keys == {1, 2, 3, 99}
    house.used(3, 1)
    await house.tick()
    await house.tick(GRACE_S)
    assert house.keys == {3, 99}


async def test_a_control_process_that_restarts_in_the_overlap(house: House) -> None:
    """F1: the record carries the further keys; the grace begins anew."""
    await rekeyed(house)
    house.used(2, 1)
    await house.tick()
    house.rig.stop()
    new = Rig(house.rig.plane, house.rig.store)
    report = adoption.adopt(new.calls.ledger, Loaded(dict(house.rig.store.records), []))
    await asyncio.sleep(0.01)
    assert (report.adopted, report.orphans, report.lost) == (1, 0, {})
    used = new.plane.used
    successor = House(new)
    new.plane.used = used
    assert successor.keys == {1, 2, 99}
    await successor.tick()
    await successor.tick(GRACE_S)
    assert successor.keys == {2, 99} and new.plane.faults() == []


async def test_a_worker_that_is_replaced_gets_both_again(house: House) -> None:
    """F2: what is commanded again has the old context before the new one that points to it."""
    await rekeyed(house)
    call = house.rig.calls.ledger.registry.get("c")
    assert call is not None and call.worker is not None
    worker = house.rig.plane.workers[call.worker]
    worker.log.clear()
    adoption.audit(house.rig.calls.ledger, call.worker, reinstall=True)
    installs = [command for command in worker.log if isinstance(command, InstallCrypto) and not command.send]
    assert [(command.key.key[0], command.also) for command in installs] == [(1, None), (2, installs[0].slot)]
    assert worker.faults == []


async def test_a_move_in_the_overlap(house: House) -> None:
    """F8: three contexts travel; the flow receives with the new key, and behind it is the old one."""
    await rekeyed(house)
    call = house.rig.calls.ledger.registry.get("c")
    assert call is not None and call.worker is not None
    to = 1 - call.worker
    await house.rig.calls.move_call("c", to)
    worker = house.rig.plane.workers[to]
    by_key = {crypto.key.key[0]: crypto for crypto in worker.cryptos.values()}
    flow = next(flow for flow in worker.flows.values() if flow.receive is not None)
    assert flow.receive == by_key[2].slot and by_key[2].also == by_key[1].slot
    assert not house.rig.plane.workers[1 - to].cryptos
    house.used(2, 1)
    await house.tick()
    await house.tick(GRACE_S)
    assert house.keys == {2, 99} and house.rig.plane.faults() == []


async def test_a_change_that_fails_leaves_the_old_key_in_front(house: House) -> None:
    """B4: no half of a re-key: where our own key stays, the old context is as it was."""
    await house.rig.calls.create_session(session(spec(1)))
    house.rig.plane.refuse = {InstallFlow: "EIO"}
    with pytest.raises(Exception, match="EIO"):
        await house.rig.calls.update_session(session(spec(2), spec(1)))
    house.rig.plane.refuse = {}
    await asyncio.sleep(0.01)
    assert house.keys == {1, 99} and octets(1) == house.leg().receive.keys[0].key  # type: ignore[union-attr]
    await house.rig.calls.update_session(session(spec(3), spec(1)))
    assert house.keys == {1, 3, 99} and house.rig.plane.faults() == []


# --- negotiated calls ----------------------------------------------------------------------------------------------

SAVP = MediaOptions(transport_protocol="RTP/SAVP", sdes_requires_tls=False)
CRYPTO = b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:%s\r\n"


def secure_offer(quarter: bytes) -> bytes:
    return OFFER.replace(b"RTP/AVP", b"RTP/SAVP") + CRYPTO % (quarter * 10)


def receiving(house: House) -> tuple[int, list[int]]:
    """Leg a's keys, by first octet."""
    call = house.rig.calls.ledger.registry.get("c")
    assert call is not None
    leg = call.branches[0].media[0].a
    assert leg.receive is not None
    return leg.receive.keys[0].key[0], [also.keys[0].key[0] for also in leg.receive_also]


async def exchange(house: House, quarter: bytes, to_tag: str = "") -> bytes:
    offered = (await house.rig.calls.offer(OfferRequest("c", "a", secure_offer(quarter), SAVP, to_tag))).sdp
    await house.rig.calls.answer(AnswerRequest("c", "a", "b", answer_to(offered), PLAIN))
    return offered


async def test_offered_keys_stay_until_the_answer(house: House) -> None:
    """SDES-19, C13: an offer that waits is no overlap that ends, however long the old key is in use."""
    await exchange(house, b"QUFB")
    old = receiving(house)[0]
    house.rig.plane.used = {}  # everything is in use
    offered = (await house.rig.calls.offer(OfferRequest("c", "a", secure_offer(b"SElK"), SAVP, "b"))).sdp
    new = receiving(house)[1]
    assert receiving(house) == (old, new) and len(new) == 1
    await house.tick()
    await house.tick(100)
    assert receiving(house) == (old, new)
    await house.rig.calls.answer(AnswerRequest("c", "a", "b", answer_to(offered), PLAIN))
    assert receiving(house) == (new[0], [old])
    await house.tick()
    await house.tick(GRACE_S)
    assert receiving(house) == (new[0], [])


async def test_a_repeated_answer_does_not_bring_old_keys_back(house: House) -> None:
    """A04: a wiped key has no replay window any more; taken up again it would open recordings."""
    await exchange(house, b"QUFB")
    offered = await exchange(house, b"SElK", "b")
    house.rig.plane.used = {}
    await house.tick()
    await house.tick(GRACE_S)
    settled = receiving(house)
    assert settled[1] == []
    await house.rig.calls.answer(AnswerRequest("c", "a", "b", answer_to(offered), PLAIN))
    assert receiving(house) == settled
    await house.rig.calls.offer(OfferRequest("c", "a", secure_offer(b"SElK"), SAVP, "b"))
    assert receiving(house) == settled


# --- keys that run out (C05, A17, B7) -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lifetime", "rtp", "rtcp", "kind"),
    [
        (1 << 20, int(0.89 * (1 << 20)), 0, None),
        (1 << 20, int(0.91 * (1 << 20)), 0, EventKind.KEY_EXPIRING),
        (1 << 20, 1 << 20, 0, EventKind.KEY_EXHAUSTED),
        (0, 1, int(0.91 * (1 << 31)), EventKind.KEY_EXPIRING),
        (0, 1, (1 << 31) - 1, EventKind.KEY_EXPIRING),
        (0, 1, 1 << 31, EventKind.KEY_EXHAUSTED),
        (0, 1 << 47, 0, None),
        (10_000, 10_000 - LAST_PACKETS, 0, EventKind.KEY_EXPIRING),
    ],
)
async def test_lifetimes(house: House, lifetime: int, rtp: int, rtcp: int, kind: EventKind | None) -> None:
    """A17: told before, and when nothing is secured under the key any more; once each; never the key."""
    await house.rig.calls.create_session(session(spec(1), send=spec(2, lifetime)))
    await house.tick()
    assert house.told() == []
    house.used(2, rtp, rtcp)
    for _ in range(3):
        await house.tick()
    told = house.told()
    assert [event.kind for event in told] == ([kind] if kind else [])
    for event in told:
        assert event.call_id == "c" and event.call is not None
        assert "b_send" in event.reason and f"{rtcp or rtp} of " in event.reason
        assert "0202" not in repr(event)


async def test_expiring_then_exhausted_then_another_key(house: House) -> None:
    """A17: the re-key ends it; the new key is watched as the old one was."""
    await house.rig.calls.create_session(session(spec(1), send=spec(2, 100_000)))
    for packets in (95_000, 100_000):
        house.used(2, packets)
        await house.tick()
    await house.rig.calls.update_session(session(spec(1), send=spec(3, 100_000)))
    await house.tick()
    house.used(3, 95_000)
    await house.tick()
    assert [event.kind for event in house.told()] == [
        EventKind.KEY_EXPIRING, EventKind.KEY_EXHAUSTED, EventKind.KEY_EXPIRING,
    ]  # fmt: skip


async def test_each_of_several_keys(house: House) -> None:
    """C05, C06: lifetimes are per key; the event names the MKI."""
    two = replace(spec(2, mki=b"\1"), keys=(*spec(2, 1000_000, b"\1").keys, *spec(3, 1000_000, b"\2").keys))
    await house.rig.calls.create_session(session(spec(1), send=two))
    house.used(3, 950_000)
    await house.tick()
    assert [event.reason for event in house.told()] == [
        "stream 0, b_send, MKI 02: 950000 of 1000000 SRTP packets",
    ]


async def test_a_roc_found_by_trial_is_told(house: House) -> None:
    """peers #9."""
    await house.rig.calls.create_session(session(spec(1)))
    await house.tick()
    house.rig.plane.resyncs = 1
    await house.tick()
    await house.tick()
    told = house.told()
    assert {event.kind for event in told} == {EventKind.ROC_FOUND}
    assert len(told) == 2  # of the fake plane's two contexts


async def test_ended_calls_are_forgotten(house: House) -> None:
    """No state grows with calls that were."""
    await rekeyed(house)
    house.used(2, 1)
    house.used(99, 1 << 48)
    house.rig.plane.resyncs = 1
    await house.tick()
    await house.rig.calls.delete("c")
    await house.tick()
    watch = house.house._keys
    assert watch is not None
    assert not watch._since and not watch._told and not watch._resyncs


# --- what is shown (A06) -------------------------------------------------------------------------------------------


async def test_views_show_use_and_never_keys(house: House) -> None:
    await house.rig.calls.create_session(session(spec(1), send=spec(2, 1000)))
    await house.rig.calls.update_session(session(spec(4), spec(1), send=spec(2, 1000)))
    house.used(2, 400, 7)
    leg = house.rig.calls.get("c").streams[0].b
    assert leg.send is not None and leg.receive is not None
    (key,) = leg.send.each_key
    assert (key.in_use, key.rtp_packets, key.rtcp_packets, key.rtp_left) == (True, 400, 7, 600)
    assert key.rtcp_left == (1 << 31) - 7
    assert (leg.send.roc, leg.send.newest_index, leg.send.highest_sequence) == (3, (3 << 16) + 5, 5)
    assert [also.suite for also in leg.receive_also] == ["AES_CM_128_HMAC_SHA1_80"]
    assert "0202" not in repr(leg) and repr(bytes(4))[2:-1] not in repr(leg)
