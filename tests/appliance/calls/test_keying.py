"""Associations and calls: who is opened, what is routed where, what keys and failures do. No packets, no OpenSSL: the
associations are the test's, so is the time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from appliance.calls import adoption, persistence
from appliance.calls.key_watch import KeyWatch
from appliance.calls.keyed import Seat, mute
from appliance.calls.keying import LINGER_S, MOST_TRIES, SECOND_CHANCE_S, Keying
from appliance.calls.keying_install import Installer
from appliance.calls.media import (
    Address,
    ContextSpec,
    DtlsMedia,
    Fingerprint,
    IceCredentials,
    IceMedia,
    LegMedia,
    LocalCertificate,
    MasterKey,
    StreamMedia,
)
from appliance.calls.views import CallEvent, EventKind, SessionRequest
from appliance.config.dtls import Dtls
from appliance.placement.injector import Injector
from appliance.protocols.dtls.outputs import Failed, KeysReady, Reason
from appliance.protocols.stun import message as stun
from appliance.state.store import CallStore, Loaded
from appliance.state.vault import Vault
from tests.appliance.fake_plane import FakePlane
from tests.appliance.rig import MemoryStore, Rig

PEER, STRANGER = ("127.0.0.1", 50000), ("127.0.0.66", 6666)
RIGHT = Fingerprint("sha-256", b"r" * 32)
OURS = LocalCertificate(b"certificate", b"the private key of it")
HELLO = bytes([22]) + bytes(12) + bytes([1]) + bytes(11) + b"\xfe\xfd"  # up to the random


def hello(random: int) -> bytes:
    return HELLO + bytes([random]) * 32 + b"rest"


def keys(number: int) -> KeysReady:
    def context(key: int) -> ContextSpec:
        return ContextSpec("AEAD_AES_128_GCM", (MasterKey(bytes([key]) * 16, bytes([key]) * 12),))

    return KeysReady("AEAD_AES_128_GCM", context(number), context(number + 1), RIGHT)


@dataclass
class FakeAssociations:
    """Notes what is asked; says what the test makes it say."""

    opened: dict[int, tuple[DtlsMedia, bool, Address | None]] = field(default_factory=dict)
    expected: dict[int, tuple[Fingerprint, ...]] = field(default_factory=dict)
    heard: list[tuple[int, Address, bytes]] = field(default_factory=list)
    went: list[tuple[int, Address]] = field(default_factory=list)

    def open(self, key: int, wish: DtlsMedia, cookie: bool, remote: Address | None = None) -> None:
        assert key not in self.opened
        self.opened[key] = (wish, cookie, remote)

    def expect(self, key: int, fingerprints: Iterable[Fingerprint], remote: Address | None = None) -> None:
        assert key in self.opened and remote == Address(*PEER)
        self.expected[key] = tuple(fingerprints)

    def datagram(self, key: int, source: Address, data: bytes) -> None:
        assert key in self.opened
        self.heard.append((key, source, data))

    def go(self, key: int, source: Address) -> None:
        assert key in self.opened
        self.went.append((key, source))

    def close(self, key: int) -> None:
        del self.opened[key]

    @property
    def only(self) -> int:
        """The one that is open."""
        assert len(self.opened) == 1, self.opened
        return next(iter(self.opened))


@dataclass
class FakeCounts:
    results: list[tuple[str, float | None]] = field(default_factory=list)
    nothing: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)

    def lost(self, why: str) -> None:
        self.gone.append(why)

    def ended(self, result: str, seconds: float | None = None) -> None:
        self.results.append((str(result), seconds))

    def ignored(self, what: str) -> None:
        self.nothing.append(str(what))


class House:
    """A call service with keying on a fake plane; `now` is the test's."""

    def __init__(self, plane: FakePlane | None = None, store: MemoryStore | None = None, **words: Any) -> None:
        self.rig = Rig(plane, store)
        self.now = 1000.0
        self.counts, self.associations = FakeCounts(), FakeAssociations()
        ledger = self.rig.calls.ledger
        installer = Installer(ledger, self.counts, now=lambda: self.now, **words)
        self.pairs: dict[tuple[int, int], Address] = {}
        self.keying = Keying(
            installer, Injector(self.rig.plane).inject, self.counts, now=lambda: self.now,
            pair_of=lambda worker, slot: self.pairs.get((worker, slot)),
        )  # fmt: skip
        self.keying.associations = self.associations
        ledger.keying = self.keying
        self.rig.dispatcher.on_punt = self.keying.punt
        self.watcher = ledger.bus.join()

    async def up(self, *legs: LegMedia, call_id: str = "c") -> None:
        plain = LegMedia("default", Address("127.0.0.1", 40000), Address("127.0.0.1", 40001))
        a, b = (plain, *legs) if len(legs) == 1 else legs
        request = SessionRequest((StreamMedia("audio", a, b),), call_id)
        if self.rig.calls.ledger.registry.get(call_id) is None:
            await self.rig.calls.create_session(request)
        else:
            await self.rig.calls.update_session(request)
        self.told()

    async def turn(self, seconds: float = 0.0) -> None:
        """Time passes, housekeeping looks, everything that is ready happens."""
        self.now += seconds
        self.keying.tick()
        await asyncio.sleep(0.02)

    def told(self) -> list[CallEvent]:
        events = list(self.watcher._queue)
        self.watcher._queue.clear()
        return events

    @property
    def branch(self) -> Any:
        call = self.rig.calls.ledger.registry.get("c")
        assert call is not None
        return call.branches[0]

    def leg(self, side: str = "b") -> LegMedia:
        media: StreamMedia = self.branch.media[0]
        return media.leg(side)

    def slot(self, name: str = "b_rtp") -> tuple[int, int]:
        placed = self.branch.placement.streams[0]
        return placed.placement.worker, placed.flows[name]

    async def arrives(self, kind: str, source: tuple[str, int], data: bytes, flow: str = "b_rtp") -> None:
        worker, slot = self.slot(flow)
        self.rig.plane.punt(worker, slot, kind, source, data)
        await asyncio.sleep(0.01)

    async def says(self, source: tuple[str, int], what: KeysReady | Failed, key: int | None = None) -> None:
        self.keying.event(self.associations.only if key is None else key, Address(*source), what)
        await asyncio.sleep(0.02)

    def injected(self) -> list[tuple[int, bytes, tuple[str, int]]]:
        return [one for worker in self.rig.plane.workers for one in worker.injected]

    def flow(self, name: str = "b_rtp") -> Any:
        worker, slot = self.slot(name)
        return self.rig.plane.workers[worker].flows[slot]


def wish(active: bool | None = False, association: str = "one", right: bool = True) -> DtlsMedia:
    return DtlsMedia(association, OURS, active, (RIGHT,) if right else ())


def leg(dtls: DtlsMedia, *, remote: bool = True, mux: bool = True, ice: IceMedia | None = None) -> LegMedia:
    rtp, rtcp = (Address(*PEER), Address(PEER[0], PEER[1] + 1)) if remote else (None, None)
    return LegMedia("outside", rtp, None if mux else rtcp, mux, secure=True, dtls=dtls, ice=ice)


def ice(name: str = "first") -> IceMedia:
    return IceMedia(IceCredentials(name, "pwd of " + name), IceCredentials("theirs", "pwd of theirs"))


@pytest.fixture
async def house() -> House:
    return House()


# --- opening, roles, routing ---------------------------------------------------------------------------------------


async def test_a_client_hello_before_the_answer_finds_its_association(house: House) -> None:
    """A4, DTLS-2: opened with the offer, without role or fingerprints; the answer brings those, and nothing is opened
    anew. Nothing passes meanwhile."""
    await house.up(leg(wish(None, right=False), remote=False))
    key = house.associations.only
    assert house.associations.opened[key][1:] == (True, None)  # no ICE: its source is unproven
    await house.arrives("dtls", PEER, hello(1))
    assert house.associations.heard == [(key, Address(*PEER), hello(1))]
    house.keying.datagram(key, Address(*PEER), b"server hello")
    assert house.injected() == [(house.slot()[1], b"server hello", PEER)]
    await house.up(leg(wish(False)))
    assert house.associations.only == key and house.associations.expected == {key: (RIGHT,)}
    assert house.flow().secure and house.flow().dtls and house.flow().receive is None and house.flow().send is None


async def test_keys_pass_both_ways_at_once(house: House) -> None:
    """DTLS-10, A9: one change of the worker brings both contexts, and the record has them."""
    await house.up(leg(wish()))
    await house.arrives("dtls", PEER, hello(1))
    before = [len(worker.log) for worker in house.rig.plane.workers]
    house.now += 0.5
    await house.says(PEER, keys(7))
    commands = [type(c).__name__ for w, at in zip(house.rig.plane.workers, before, strict=True) for c in w.log[at:]]
    assert commands == ["InstallCrypto", "InstallCrypto", "InstallFlow"]
    assert house.flow().receive is not None and house.flow().send is not None
    assert house.leg().receive == keys(7).receive and house.leg().send == keys(7).send
    assert house.counts.results[0][0] == "keyed" and house.branch.handshakes == {Seat(0, "b", "rtp"): "keyed"}
    events = house.told()
    assert [event.kind for event in events] == [EventKind.KEYED]
    assert "stream 0, leg b, rtp" in events[0].reason
    assert house.rig.plane.faults() == []


async def test_the_active_role_begins_when_it_knows_where_to(house: House) -> None:
    await house.up(leg(wish(None, right=False), remote=False))
    first = house.associations.only
    await house.arrives("dtls", STRANGER, hello(9))  # we were nobody's client then
    await house.up(leg(wish(True)))
    key = house.associations.only
    assert key != first  # the role is another one
    assert house.associations.went == [(key, Address(*PEER))]
    await house.up(leg(wish(True)))
    assert house.associations.went == [(key, Address(*PEER))]  # once
    await house.up(replace(leg(wish(True)), remote_rtp=Address("127.0.0.9", 9)))
    assert house.associations.went[1:] == [(key, Address("127.0.0.9", 9))]  # its SDP has it there now


@pytest.mark.parametrize("active", [True, False])
@pytest.mark.parametrize("validated", [True, False])
async def test_nothing_begins_while_it_rings(house: House, active: bool, validated: bool) -> None:
    """Who offered has no answer yet: no ClientHello, no pinhole, no time that runs; with the answer all of it."""
    await house.up(leg(wish(), remote=False))
    house.branch.answered = False
    wanted = leg(wish(active, "two"), ice=ice() if validated else None)
    await house.up(wanted)
    if validated:
        await house.arrives("ice", PEER, b"valid")
    await house.turn(100)
    assert house.told() == [] and house.associations.went == [] and house.injected() == []
    house.branch.answered = True
    await house.up(wanted)
    assert len(house.associations.went) == active
    assert len(house.injected()) == (not active and not validated)
    await house.turn(100)
    assert [event.kind for event in house.told()] == [EventKind.HANDSHAKE_FAILED]


async def test_the_passive_side_opens_a_pinhole(house: House) -> None:
    """DTLS-16: one binding request without credentials; those of others are answered, not without end."""
    await house.up(leg(wish(False)))
    await house.up(leg(wish(False)))
    ((_, data, to),) = house.injected()
    asked = stun.parse(data)
    assert isinstance(asked, stun.Message) and asked.kind is stun.Kind.REQUEST and asked.username is None
    assert to == PEER
    request = stun.encode(stun.Message(stun.Kind.REQUEST, b"t" * 12))
    for _ in range(30):
        await house.arrives("stun", STRANGER, request)
    answers = [stun.parse(data) for _, data, _ in house.injected()[1:]]
    assert 1 <= len(answers) < 15
    assert {one.xor_mapped_address for one in answers if isinstance(one, stun.Message)} == {STRANGER}
    signed = stun.encode(stun.Message(stun.Kind.REQUEST, b"t" * 12, username="a:b"), b"secret")
    sent = len(house.injected())
    house.now += 60
    await house.arrives("stun", PEER, signed)  # a check of ICE, which this leg does not do
    await house.arrives("stun", PEER, b"\0\1rubbish")
    assert len(house.injected()) == sent


async def test_rtcp_has_an_association_of_its_own(house: House) -> None:
    """DTLS-9: without mux each component is keyed by its own handshake, and by nothing else."""
    await house.up(leg(wish(), mux=False))
    rtp, rtcp = house.associations.opened
    await house.arrives("dtls", (PEER[0], PEER[1] + 1), hello(2), "b_rtcp")
    assert house.associations.heard[-1][0] == rtcp
    await house.says(PEER, keys(7), rtp)
    assert house.flow("b_rtp").receive is not None and house.flow("b_rtcp").receive is None
    assert house.flow("b_rtcp").send is None
    await house.says((PEER[0], PEER[1] + 1), keys(17), rtcp)
    worker, _ = house.slot()
    cryptos = house.rig.plane.workers[worker].cryptos
    assert cryptos[house.flow("b_rtcp").receive].key.key == bytes([18]) * 16
    assert cryptos[house.flow("b_rtp").receive].key.key == bytes([8]) * 16
    again = persistence.from_record("c", house.rig.store.records["c"], lambda n: bytes(n))
    assert again.branches[0].media == house.branch.media
    await house.rig.calls.delete("c")
    assert house.rig.everything_is_free() and house.rig.plane.empty() and not house.associations.opened


async def test_both_legs_at_once(house: House) -> None:
    """A call with DTLS on both legs: two associations, and as many handshakes as it takes are one change."""
    await house.up(replace(leg(wish(True, "x")), interface="default"), leg(wish(False, "y")))
    first, second = house.associations.opened
    revision = house.rig.calls.get("c").revision
    house.keying.event(first, Address(*PEER), keys(7))
    house.keying.event(second, Address(*PEER), keys(17))
    await asyncio.sleep(0.02)
    assert house.leg("a").send == keys(7).send and house.leg("b").send == keys(17).send
    assert house.rig.calls.get("c").revision == revision + 1


async def test_media_goes_where_the_handshake_was(house: House) -> None:
    """A peer behind NAT: its SDP has another address than the one that proved to have the certificate."""
    await house.up(leg(wish()))
    await house.says(("127.0.0.9", 9), keys(7))
    assert house.flow().remote == ("127.0.0.9", 9)
    await house.up(replace(leg(wish()), remote_rtp=Address("127.0.0.10", 10)))  # it moved, by its own word
    assert house.flow().remote == ("127.0.0.10", 10)


# --- ICE -----------------------------------------------------------------------------------------------------------


async def test_with_ice_the_active_role_waits_for_a_valid_pair(house: House) -> None:
    await house.up(leg(wish(True), ice=ice()))
    key = house.associations.only
    assert house.associations.opened[key][1:] == (False, None) and house.associations.went == []
    assert house.flow().ice and house.flow().remote is None
    worker, slot = house.slot()
    agent = house.rig.plane.workers[worker].agents[slot]
    assert (agent.local_ufrag, agent.local_pwd, agent.remote_ufrag, agent.lite) == (
        "first", "pwd of first", "theirs", True,
    )  # fmt: skip
    await house.arrives("ice", PEER, b"valid")
    assert house.associations.went == [(key, Address(*PEER))]
    await house.arrives("ice", STRANGER, b"nominated")
    assert house.associations.went[1:] == [(key, Address(*STRANGER))]  # it goes on over the other pair (DTLS-15)
    house.keying.datagram(key, Address(*STRANGER), b"second flight")
    assert house.injected()[-1][1:] == (b"second flight", STRANGER)
    await house.says(STRANGER, keys(7))
    await house.arrives("ice", PEER, b"nominated")
    assert len(house.associations.went) == 2


async def test_a_pair_that_was_valid_before_the_answer(house: House) -> None:
    await house.up(leg(wish(None, right=False), ice=ice()))
    await house.arrives("ice", PEER, b"valid")
    assert house.associations.went == []
    await house.up(leg(wish(True), ice=ice()))
    assert house.associations.went == [(house.associations.only, Address(*PEER))]


async def test_of_several_answerers_the_right_certificate_wins(house: House) -> None:
    """DTLS-4, forking: the wrong one of two validated sources does not harm the call; the only one does."""
    await house.up(leg(wish(), ice=ice()))
    await house.arrives("dtls", PEER, hello(1))
    await house.arrives("dtls", STRANGER, hello(2))
    await house.says(STRANGER, Failed(Reason.FINGERPRINT_MISMATCH))
    await house.turn(SECOND_CHANCE_S - 1)
    assert house.told() == []
    await house.says(PEER, keys(7))
    await house.turn(SECOND_CHANCE_S)
    assert house.leg().receive is not None and [event.kind for event in house.told()] == [EventKind.KEYED]


async def test_wrong_ones_only(house: House) -> None:
    """Two sources, one wrong certificate (D1)."""
    await house.up(leg(wish(), ice=ice()))
    await house.arrives("dtls", PEER, hello(1))
    await house.arrives("dtls", STRANGER, hello(1))
    await house.says(STRANGER, Failed(Reason.FINGERPRINT_MISMATCH))
    await house.turn(SECOND_CHANCE_S)
    assert [event.kind for event in house.told()] == [EventKind.FINGERPRINT_MISMATCH, EventKind.FAILED]


# --- failures ------------------------------------------------------------------------------------------------------


@pytest.mark.row("D03", "DTLS-4")
async def test_a_wrong_certificate_ends_the_call(house: House) -> None:
    await house.up(leg(wish()))
    await house.arrives("dtls", PEER, hello(1))
    await house.says(PEER, Failed(Reason.FINGERPRINT_MISMATCH, "sha-256"))
    kinds = [event.kind for event in house.told()]
    assert kinds == [EventKind.FINGERPRINT_MISMATCH, EventKind.FAILED]
    assert house.rig.calls.ledger.registry.get("c") is None
    assert house.rig.everything_is_free() and house.rig.plane.empty() and not house.associations.opened
    assert ("fingerprint_mismatch", None) not in house.counts.results and house.counts.results


@pytest.mark.row("A3")
@pytest.mark.parametrize("reason", list(Reason))
async def test_a_stranger_fails_alone(house: House, reason: Reason) -> None:
    """A3 without ICE: a third address, and the caller's with another port."""
    await house.up(leg(wish()))
    for source in (STRANGER, (PEER[0], 50123)):
        await house.arrives("dtls", source, hello(1))
        await house.says(source, Failed(reason))
    await house.turn(3)
    assert house.told() == [] and house.counts.results == [] and house.counts.nothing == [str(reason)] * 2
    await house.arrives("dtls", PEER, hello(2))
    await house.says(PEER, keys(7))
    assert house.leg().receive is not None


async def test_a_forged_alert_does_not_end_it(house: House) -> None:
    """D5: without ICE a plain alert may be anybody's; the peer gets through afterwards."""
    await house.up(leg(wish()))
    await house.arrives("dtls", PEER, hello(1))
    await house.says(PEER, Failed(Reason.ALERT, "handshake_failure"))
    await house.arrives("dtls", PEER, hello(1))
    await house.turn(SECOND_CHANCE_S)
    assert house.told() == []
    await house.says(PEER, keys(7))
    assert house.leg().receive is not None
    await house.says(PEER, Failed(Reason.ALERT, "close_notify"))
    await house.turn(SECOND_CHANCE_S)
    assert house.leg().receive is not None


async def test_a_failure_that_stands_is_told_and_nothing_passes(house: House) -> None:
    await house.up(leg(wish()))
    await house.arrives("dtls", PEER, hello(1))
    await house.says(PEER, Failed(Reason.CIPHER, "none of ours"))
    assert house.told() == []
    await house.turn(SECOND_CHANCE_S)
    (event,) = house.told()
    assert event.kind is EventKind.HANDSHAKE_FAILED and "cipher: none of ours" in event.reason
    assert house.branch.handshakes == {Seat(0, "b", "rtp"): "failed: cipher: none of ours"}
    assert house.flow().receive is None and house.flow().secure
    await house.turn(100)
    assert house.told() == []


@pytest.mark.row("D08", "DTLS-7", "D6")
@pytest.mark.parametrize("active", [True, False])
@pytest.mark.parametrize("reason", [Reason.NO_PROFILE, Reason.NO_MASTER_SECRET])
async def test_a_failure_that_only_the_peer_can_cause_is_told_at_once(
    house: House, active: bool, reason: Reason
) -> None:
    """A peer that speaks DTLS and no SRTP has finished its handshake: no second chance, and no other ClientHello to a
    server that takes one connection at a time."""
    await house.up(leg(wish(active)))
    await house.arrives("dtls", PEER, hello(1))
    went = len(house.associations.went)
    await house.says(PEER, Failed(reason))
    (event,) = house.told()
    assert event.kind is EventKind.HANDSHAKE_FAILED and str(reason) in event.reason
    await house.turn(SECOND_CHANCE_S)
    assert len(house.associations.went) == went and house.flow().receive is None and house.flow().secure


async def test_a_failure_ends_the_call_where_that_is_wanted() -> None:
    house = House(end_failed=lambda: True)
    await house.up(leg(wish(), ice=ice()))
    await house.arrives("dtls", PEER, hello(1))
    await house.says(PEER, Failed(Reason.NO_CERTIFICATE))
    assert [event.kind for event in house.told()] == [EventKind.HANDSHAKE_FAILED, EventKind.FAILED]
    assert house.rig.everything_is_free()


def test_the_default_is_to_end_it() -> None:
    """Nobody hears anything in such a call; the signalling learns it by its end, as of a wrong certificate."""
    assert Dtls().end_failed


async def test_a_failure_for_rtcp_alone_ends_nothing() -> None:
    """Many phones have no DTLS on their RTCP port; the conversation has keys."""
    house = House(end_failed=lambda: True)
    await house.up(leg(wish(), mux=False))
    rtp, rtcp = sorted(house.associations.opened)
    await house.arrives("dtls", PEER, hello(1))
    await house.says(PEER, keys(1), rtp)
    beside = (PEER[0], PEER[1] + 1)
    await house.arrives("dtls", beside, hello(2), "b_rtcp")
    await house.says(beside, Failed(Reason.NO_CERTIFICATE), rtcp)
    await house.turn(SECOND_CHANCE_S)
    assert [event.kind for event in house.told()] == [EventKind.KEYED, EventKind.HANDSHAKE_FAILED]
    assert house.branch.media[0].b.receive is not None


@pytest.mark.parametrize(("failed", "ended"), [
    ((), False), ((0,), False), ((1,), False), ((0, 1), True), ((0, 1, 2), True),
])  # fmt: skip
def test_which_failures_leave_nothing(failed: tuple[int, ...], ended: bool) -> None:
    """Of two streams with DTLS the last one that fails ends the call."""
    plain = LegMedia("default", Address("127.0.0.1", 40000), Address("127.0.0.1", 40001))
    streams = {line: StreamMedia("audio", plain, leg(wish())) for line in (0, 1)}
    seats = {Seat(line, "b", "rtp") for line in failed}
    assert mute(streams, seats) is ended
    assert not mute(streams | {2: StreamMedia("video", plain, plain)}, seats)
    assert not mute({}, seats) and not mute(streams, {Seat(line, "b", "rtcp") for line in (0, 1)})


async def test_the_active_role_tries_again(house: House) -> None:
    """Without ICE an alert may be forged: a few times, then it is told."""
    await house.up(leg(wish(True)))
    for _ in range(MOST_TRIES + 1):
        await house.says(PEER, Failed(Reason.ALERT))
        await house.turn(1)
    assert len(house.associations.went) == MOST_TRIES + 1
    await house.turn(SECOND_CHANCE_S)
    assert [event.kind for event in house.told()] == [EventKind.HANDSHAKE_FAILED]


async def test_a_handshake_process_that_dies_costs_an_attempt(house: House) -> None:
    await house.up(leg(wish(True)))
    first = house.associations.only
    await house.says(PEER, Failed(Reason.PROCESS))
    second = house.associations.only
    assert second != first and house.associations.went == [(first, Address(*PEER)), (second, Address(*PEER))]
    assert house.told() == []


async def test_a_peer_that_never_comes_is_told_once_and_served_later(house: House) -> None:
    await house.up(leg(wish(None, right=False), remote=False))
    await house.turn(1000)
    assert house.told() == []  # it rings: nobody can come yet
    await house.up(leg(wish()))
    await house.turn(29)
    assert house.told() == []
    await house.turn(2)
    (event,) = house.told()
    assert event.kind is EventKind.HANDSHAKE_FAILED and "no ClientHello" in event.reason
    await house.turn(100)
    assert house.told() == []
    await house.arrives("dtls", PEER, hello(1))
    await house.says(PEER, keys(7))
    assert house.leg().receive is not None and house.branch.handshakes == {Seat(0, "b", "rtp"): "keyed"}


# --- later ---------------------------------------------------------------------------------------------------------


async def test_a_finished_association_lingers_and_is_freed(house: House) -> None:
    await house.up(leg(wish()))
    await house.arrives("dtls", PEER, hello(1))
    await house.says(PEER, keys(7))
    key = house.associations.only
    await house.arrives("dtls", PEER, b"\x16finished, once more")
    assert house.associations.heard[-1] == (key, Address(*PEER), b"\x16finished, once more")
    await house.turn(LINGER_S)
    assert not house.associations.opened
    await house.arrives("dtls", PEER, b"\x15alert")
    assert house.counts.nothing == ["no_association"]
    assert house.leg().receive is not None


@pytest.mark.row("D12", "DTLS-12")
async def test_a_new_association_takes_over(house: House) -> None:
    """Old keys go on, both ways, until the new ones are there; then they are received with beside them."""
    await house.up(leg(wish()))
    await house.says(PEER, keys(7))
    await house.up(leg(wish(association="two")))
    assert house.leg().receive == keys(7).receive and house.leg().send == keys(7).send
    new = max(house.associations.opened)
    await house.says(PEER, keys(17), new)
    assert house.leg().receive == keys(17).receive and house.leg().send == keys(17).send
    assert house.leg().receive_also == (keys(7).receive,)
    assert house.rig.plane.faults() == []
    await house.turn(LINGER_S)
    assert not house.associations.opened


@pytest.mark.row("D12", "DTLS-12", "SDP-15")
@pytest.mark.parametrize("supposed", [True, False])
async def test_a_handshake_that_nobody_said_would_come(supposed: bool) -> None:
    """Another m-line carries the group now and the peer keeps its transport (RFC 9143): its media goes on under the
    keys of before. Where a new association was signalled and fails, nothing of the one before passes."""
    house = House(end_failed=lambda: True)
    await house.up(leg(wish()))
    await house.says(PEER, keys(7))
    await house.up(leg(wish(association="one+" if supposed else "two")))
    house.told()
    await house.turn(31)
    await house.turn(SECOND_CHANCE_S)
    assert (house.rig.calls.ledger.registry.get("c") is not None) == supposed
    if supposed:
        assert house.leg().receive == keys(7).receive and house.leg().send == keys(7).send
        assert not [event for event in house.told() if event.kind is EventKind.HANDSHAKE_FAILED]
    assert house.rig.plane.faults() == []
    house.rig.stop()


@pytest.mark.row("D12", "DTLS-12")
@pytest.mark.parametrize("after_s", [0, 119, 121])
async def test_keys_of_the_association_before_go(house: House, after_s: int) -> None:
    """With the first packet under the new ones, and after two minutes in any case."""
    plane = house.rig.plane
    plane.used = {bytes([number]) * 16: (0, 0) for number in range(30)}
    watch = KeyWatch(house.rig.calls.ledger)
    await house.up(leg(wish()))
    await house.says(PEER, keys(7))
    await house.up(leg(wish(association="two")))
    await house.says(PEER, keys(17), max(house.associations.opened))
    call = house.rig.calls.ledger.registry.get("c")
    assert call is not None
    start = house.rig.calls.ledger.clock()
    house.rig.calls.ledger.clock = lambda: start + after_s
    if not after_s:
        plane.used[bytes([18]) * 16] = (1, 0)
    watch.look_at(call)
    await asyncio.sleep(0.02)
    assert house.leg().receive_also == (() if after_s != 119 else (keys(7).receive,))
    assert house.leg().receive == keys(17).receive and plane.faults() == []


async def test_a_leg_that_wants_no_dtls_any_more(house: House) -> None:
    await house.up(leg(wish()))
    await house.says(PEER, keys(7))
    await house.up(replace(leg(wish()), dtls=None, secure=False))
    assert not house.associations.opened and house.branch.keyed == {} and house.branch.handshakes == {}
    assert house.flow().receive is None and not house.flow().dtls and not house.flow().secure


async def test_a_restarted_control_process_goes_on() -> None:
    """Keyed legs keep their keys; an unfinished one begins again with the certificate that its peer was told of."""
    before = House()
    await before.up(leg(wish()))
    await before.says(PEER, keys(7))
    await before.up(leg(wish(True), ice=ice()), call_id="d")
    before.rig.stop()
    after = House(before.rig.plane, before.rig.store)
    worker, slot = 0, 0
    for call_id in ("c", "d"):
        call = before.rig.calls.ledger.registry.get(call_id)
        assert call is not None and call.branches[0].placement is not None
        placed = call.branches[0].placement.streams[0]
        worker, slot = placed.placement.worker, placed.flows["b_rtp"]
    after.pairs[worker, slot] = Address(*PEER)
    report = adoption.adopt(after.rig.calls.ledger, Loaded(after.rig.store.records, [], ""))
    await asyncio.sleep(0.02)
    assert report.adopted == 2 and not report.lost
    assert after.leg().receive == keys(7).receive and after.leg().send == keys(7).send
    key = after.associations.only  # of the unfinished one
    assert after.associations.opened[key][0].certificate == OURS
    assert after.associations.went == [(key, Address(*PEER))]
    await after.says(PEER, keys(17))
    for call_id in ("c", "d"):
        await after.rig.calls.delete(call_id)
    assert after.rig.everything_is_free() and after.rig.plane.empty() and not after.associations.opened


async def test_a_moved_call_is_found_where_it_is(house: House) -> None:
    await house.up(leg(wish(), mux=False))
    rtp, rtcp = house.associations.opened
    await house.says(PEER, keys(7), rtp)
    call = house.rig.calls.ledger.registry.get("c")
    assert call is not None and call.worker is not None
    await house.rig.calls.move_call("c", 1 - call.worker)
    await house.arrives("dtls", PEER, hello(1), "b_rtcp")
    assert house.associations.heard[-1][0] == rtcp
    await house.says((PEER[0], PEER[1] + 1), keys(17), rtcp)
    house.keying.datagram(rtcp, Address(*PEER), b"last flight")
    assert house.rig.plane.workers[1 - 0 if house.slot()[0] else 0].injected[-1][1] == b"last flight"
    assert house.flow("b_rtcp").receive is not None and house.rig.plane.faults() == []


async def test_keys_that_a_worker_refuses_are_not_believed(house: House) -> None:
    await house.up(leg(wish()))
    house.rig.plane.refuse[type(house.flow())] = "EINVAL"
    await house.says(PEER, keys(7))
    assert house.leg().receive is None and house.branch.keyed == {}
    house.rig.plane.refuse.clear()
    await house.turn(1)  # tried again
    assert house.leg().receive is not None and house.flow().receive is not None


async def test_the_end_of_a_call_ends_its_associations(house: House) -> None:
    await house.up(leg(wish(), mux=False))
    first, _ = house.associations.opened
    house.keying.event(first, Address(*PEER), keys(7))  # in the same turn as the end
    await house.rig.calls.delete("c")
    await house.turn(LINGER_S)
    assert not house.associations.opened and house.rig.everything_is_free() and house.rig.plane.empty()
    house.rig.plane.punt(0, 0, "dtls", PEER, hello(1))
    await asyncio.sleep(0.02)
    assert house.counts.nothing == ["no_association"]


async def test_secrets_stay_where_they_are(house: House) -> None:
    """Keys, passwords and the private key are in no repr, view or event."""
    await house.up(leg(wish(), ice=ice()))
    await house.says(PEER, keys(7))
    call = house.rig.calls.ledger.registry.get("c")
    shown = repr((house.rig.calls.get("c"), house.told(), house.branch.keyed, house.branch.media, call))
    for secret in (repr(bytes([7]) * 16)[2:-1], repr(bytes([8]) * 16)[2:-1], "pwd of", "private key"):
        assert secret not in shown


async def test_keys_are_in_the_record_before_the_peer_can_use_them(tmp_path: Path) -> None:
    """F1: when our last flight leaves, and with it the peer's leave to send, a control process that dies there leaves
    a record that has the keys. However fast the worker answers, and with others' keys in the same turn."""
    plane, vault = FakePlane(), Vault(bytes(32))
    house = House(plane, CallStore(tmp_path / "calls.db", vault))  # type: ignore[arg-type]
    store: Any = house.rig.store
    seen: list[str] = []

    def inject(worker: int, flow: int, data: bytes, to: tuple[str, int], *, wake: bool = True) -> None:
        name = data.decode()
        row = store._db.execute("SELECT record FROM calls WHERE name = ?", (name.encode(),)).fetchone()
        call = persistence.from_record(name, vault.open(row[0], name.encode()), lambda count: bytes(count))
        seen.extend(f"{name} {seat.side}" for branch in call.branches for seat in branch.keyed)

    for name in ("c", "d"):
        await house.up(leg(wish(), remote=True), call_id=name)
    await asyncio.sleep(0.02)
    plane.inject = inject  # type: ignore[method-assign]
    for number, name in enumerate(("c", "d")):
        key = list(house.associations.opened)[number]
        house.keying.event(key, Address(*PEER), keys(2 * number + 1))
        house.keying.datagram(key, Address(*PEER), name.encode())
    await asyncio.sleep(0.05)
    assert seen == ["c b", "d b"]
    store.close()
