"""Agent against agent on a virtual wire (ICE-2 to ICE-8, G20; D9, D11)."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest

from appliance.calls.media import IceCredentials
from appliance.protocols.ice.agent import Agent
from appliance.protocols.ice.consent import Consent
from appliance.protocols.ice.outputs import Base, ConsentLost, Dropped, Failed, Selected, Send, Valid
from appliance.protocols.ice.pacing import GLOBAL_TA_S, Pacer
from appliance.protocols.stun.attributes import append
from appliance.protocols.stun.integrity import crc, short_term, sign
from appliance.protocols.stun.message import Kind, Message, encode, parse
from tests.appliance.protocols.ice.wire import PORT_A, PORT_B, A, B, Side, Wire, couple, join, side

A2, B2 = IceCredentials("AAAA", "A" * 22), IceCredentials("BBBB", "B" * 22)
NAT = {PORT_A.address: ("203.0.113.9", 40000)}


def request(credentials: IceCredentials = B, sender: str = "aaaa", key: str = "", **change: object) -> bytes:
    message = Message(Kind.REQUEST, bytes(12), username=f"{credentials.ufrag}:{sender}", priority=1, controlling=1)
    return encode(replace(message, **change), short_term(key or credentials.pwd))  # type: ignore[arg-type]


def sent(one: Side, kind: Kind) -> list[Message]:
    messages = [parse(send.data) for _, send in one.sent]
    return [message for message in messages if isinstance(message, Message) and message.kind is kind]


@pytest.mark.row("G20", "ICE-4")
def test_two_agents_find_each_other() -> None:
    """Regular nomination: one check that nominates, behind the first that succeeded."""
    a, b = couple()
    wire = Wire((a, b))
    join(wire, a, b)
    wire.run(1.0)
    assert a.of(Valid) == [Valid(PORT_A, PORT_B.address)] and a.of(Selected) == [Selected(PORT_A, PORT_B.address)]
    assert b.of(Selected) == [Selected(PORT_B, PORT_A.address)]
    assert a.agent.settled and b.agent.selected(1) == (PORT_B, PORT_A.address)
    nominations = [message.use_candidate for message in sent(a, Kind.REQUEST)]
    assert nominations.count(True) == 1 and nominations[0] is False
    assert not any(message.use_candidate for message in sent(b, Kind.REQUEST))
    assert not a.of(Failed) and not b.of(Failed)


@pytest.mark.row("ICE-4")
@pytest.mark.parametrize("seed", range(20))
def test_loss_and_reordering(seed: int) -> None:
    """30 % lost each way, delays that reorder, both components."""
    a = side(A, PORT_A, Base(2, ("192.0.2.1", 5001)), controlling=True, seed=seed)
    b = side(B, PORT_B, Base(2, ("198.51.100.1", 6001)), controlling=False, seed=seed + 1000)
    wire = Wire((a, b), loss=0.3, delay=(0.005, 0.3), seed=seed)
    join(wire, a, b)
    wire.run(30.0)
    assert a.agent.settled and b.agent.settled
    assert a.agent.selected(2) == (Base(2, ("192.0.2.1", 5001)), ("198.51.100.1", 6001))
    assert not a.of(Failed) and not b.of(Failed)


@pytest.mark.row("ICE-7")
@pytest.mark.parametrize("seed", range(5))
def test_consent_holds_where_a_tenth_is_lost(seed: int) -> None:
    a, b = couple(seed)
    wire = Wire((a, b), seed=seed)
    join(wire, a, b)
    wire.run(1.0)
    wire.loss = 0.1
    wire.run(600.0)
    assert not a.of(ConsentLost) and not b.of(ConsentLost)


@pytest.mark.parametrize("roles", [(True, True), (False, False)])
@pytest.mark.parametrize("seed", range(4))
def test_role_conflict(roles: tuple[bool, bool], seed: int) -> None:
    """RFC 8445 section 7.3.1.1: the greater tie-breaker controls; one side switches and only one (ICE-2)."""
    a, b = couple(seed, roles=roles)
    wire = Wire((a, b))
    join(wire, a, b)
    wire.run(3.0)
    assert a.agent.settled and b.agent.settled
    assert a.agent.controlling is not b.agent.controlling


@pytest.mark.row("ICE-3")
def test_role_conflict_where_the_worker_answers() -> None:
    """A worker answers every authentic request by success: the conflict is settled by our own checks and theirs."""
    for seed in range(6):
        a = side(A, PORT_A, controlling=True, seed=seed, answering=False)
        b = side(B, PORT_B, controlling=True, seed=seed + 1000)
        answerer = side(A, PORT_A, controlling=True, seed=seed)  # stands for the worker
        wire = Wire((a, b))
        deliver = wire._deliver

        def both(source, destination, data, wire=wire, worker=answerer, deliver=deliver):  # type: ignore[no-untyped-def]
            message = parse(data)
            if destination == PORT_A.address and isinstance(message, Message) and message.kind is Kind.REQUEST:
                success = Message(Kind.SUCCESS, message.transaction, xor_mapped_address=source)
                wire.take(worker, [Send(PORT_A, source, encode(success, short_term(A.pwd)))])
            deliver(source, destination, data)

        wire._deliver = both  # type: ignore[method-assign]
        join(wire, a, b)
        wire.run(5.0)
        assert a.agent.settled and b.agent.settled, seed
        assert a.agent.controlling is not b.agent.controlling
        assert not sent(a, Kind.SUCCESS) and not sent(a, Kind.ERROR)


@pytest.mark.row("A5")
def test_peer_behind_nat_is_found_by_its_checks() -> None:
    """A peer-reflexive candidate (section 7.3.1.3): no candidate of A leads to it, its checks do."""
    a, b = couple()
    wire = Wire((a, b), nat=NAT, passes=lambda source, to: to != PORT_A.address)
    join(wire, a, b)
    wire.run(2.0)
    assert b.of(Selected) == [Selected(PORT_B, ("203.0.113.9", 40000))]
    assert a.agent.settled


def test_checks_before_the_answer_are_remembered() -> None:
    """Section 7.3: the peer had our offer and checks; its answer comes later."""
    a, b = couple(roles=(False, True))
    wire = Wire((a, b))
    wire.take(b, b.agent.set_remote(A, a.lines(), complete=True, now=0.0))
    wire.run(0.3)
    assert b.of(Valid) and not sent(a, Kind.REQUEST)  # answered, nothing asked
    wire.take(a, a.agent.set_remote(B, [], complete=True, now=wire.now))  # no candidate: its check told where it is
    wire.run(2.0)
    assert a.of(Selected) == [Selected(PORT_A, PORT_B.address)]


# ---------------------------------------------------------------- nomination


def test_aggressive_nomination_of_a_peer() -> None:
    """RFC 5245 peers nominate with every check: the best valid pair wins, whatever the order."""
    b = side(B, PORT_B, controlling=False, seed=1)
    worse, better = ("192.0.2.2", 5000), ("192.0.2.1", 5000)
    lines = [f"1 1 udp {rank} {host} {port} typ host" for rank, (host, port) in ((100, worse), (200, better))]
    peers = [side(A, Base(1, address), controlling=True, seed=2 + n) for n, address in enumerate((worse, better))]
    wire = Wire((b, *peers), delay=(0.02, 0.02))
    wire.take(b, b.agent.set_remote(A, lines, complete=True, now=0.0))
    for peer in peers:
        peer.agent.set_remote(B, [], complete=True, now=0.0)
    for peer, rank in zip(peers, (100, 200), strict=True):
        data = request(use_candidate=True, priority=rank)
        wire.take(peer, [Send(peer.bases[0], PORT_B.address, data)])
    wire.run(1.0)
    assert b.agent.selected(1) == (PORT_B, better)
    wire.take(peers[0], [Send(peers[0].bases[0], PORT_B.address, request(use_candidate=True, priority=100))])
    wire.run(1.5)
    assert b.agent.selected(1) == (PORT_B, better), "a worse pair while the better is alive"
    wire.run(5.0)
    wire.take(peers[0], [Send(peers[0].bases[0], PORT_B.address, request(use_candidate=True, priority=100))])
    wire.run(6.0)
    assert b.agent.selected(1) == (PORT_B, worse), "the peer has moved"


def test_the_best_pair_is_nominated() -> None:
    """Controlling: the better candidate answers later, but within patience."""
    a = side(A, PORT_A, controlling=True, seed=1)
    slow, fast = ("198.51.100.1", 6000), ("198.51.100.2", 6000)
    peers = [side(B, Base(1, address), controlling=False, seed=2 + n) for n, address in enumerate((slow, fast))]
    wire = Wire((a, *peers), delay=(0.02, 0.02))
    for peer in peers:
        wire.take(peer, peer.agent.set_remote(A, [], complete=True, now=0.0))
    lines = [f"{rank} 1 udp {rank} {host} {port} typ host" for rank, (host, port) in ((2, slow), (1, fast))]
    wire.take(a, a.agent.set_remote(B, lines, complete=True, now=0.0))
    wire.run(2.0)
    assert a.of(Selected) == [Selected(PORT_A, slow)]


def test_a_pair_that_never_answers_is_not_waited_for() -> None:
    """The best candidate is private and silent: nomination after patience, not after its 39.5 s."""
    a, b = couple()
    wire = Wire((a, b), passes=lambda source, to: to[0] != "10.0.0.1")
    wire.take(b, b.agent.set_remote(A, a.lines(), complete=True, now=0.0))
    lines = [
        "1 1 udp 2130706431 10.0.0.1 9999 typ host",
        f"2 1 udp 5 {PORT_B.address[0]} {PORT_B.address[1]} typ srflx",
    ]
    wire.take(a, a.agent.set_remote(B, lines, complete=True, now=0.0))
    wire.run(1.0)
    assert a.of(Selected) == [Selected(PORT_A, PORT_B.address)]


# ---------------------------------------------------------------- what is refused


@pytest.mark.row("ICE-3", "G20", "D8")
@pytest.mark.parametrize(
    ("data", "code", "reason"),
    [
        (request(key="x" * 22), 401, "not authentic"),
        (request(A), 401, "user name"),
        (request(sender="eeee"), 401, "user name"),
        (encode(Message(Kind.REQUEST, bytes(12), username="bbbb:aaaa", priority=1)), 400, "not signed"),
        (encode(Message(Kind.REQUEST, bytes(12), priority=1), b"b" * 22), 400, "not signed"),
        (request(priority=None), 400, "no priority"),
        (request(method=3), None, "not a check"),
        (encode(Message(Kind.REQUEST, bytes(12), username="bbbb:aaaa"), b"b" * 22, fingerprint=False), None,
         "not a check"),
        (b"\0\1\0\0" + bytes(16), None, "malformed"),
    ],
)  # fmt: skip
def test_refused(data: bytes, code: int | None, reason: str) -> None:
    """Wrong user or password 401, malformed 400; nothing is learnt from any of them, and the answer is not larger than
    three times the question."""
    _, b = couple()
    b.agent.set_remote(A, [], complete=True, now=0.0)
    told = b.agent.receive(PORT_B, ("192.0.2.66", 6), data, 0.0)
    assert told[-1] == Dropped(reason)
    answers = [parse(output.data) for output in told if isinstance(output, Send)]
    assert [answer.error[0] for answer in answers if isinstance(answer, Message) and answer.error] == (
        [code] if code else []
    )
    assert sum(len(output.data) for output in told if isinstance(output, Send)) <= 3 * len(data)
    assert b.agent.advance(10.0) == []  # no check goes there


def test_unknown_attribute() -> None:
    """420 with the attribute named (RFC 8489 section 6.3.1)."""
    _, b = couple()
    body = bytearray(request()[20:-32]) + b"\x77\x77\x00\x00"
    unsigned = b"\0\1" + (len(body) + 24).to_bytes(2, "big") + request()[4:20] + body
    signed = bytearray(unsigned)
    append(signed, 8, sign(short_term(B.pwd), unsigned))
    signed[2:4] = (len(signed) - 20 + 8).to_bytes(2, "big")
    append(signed, 0x8028, crc(bytes(signed)))
    told = b.agent.receive(PORT_B, ("192.0.2.1", 5000), bytes(signed), 0.0)
    (answer,) = [parse(output.data) for output in told if isinstance(output, Send)]
    assert isinstance(answer, Message) and answer.error is not None
    assert (answer.error[0], answer.unknown_attributes) == (420, (0x7777,))


@pytest.mark.row("D8", "D9")
def test_responses_that_do_not_count() -> None:
    """Unsigned, wrongly signed, of another transaction, from another address: none makes a pair valid."""
    a, _ = couple()
    (check,) = a.agent.set_remote(
        B, [f"1 1 udp 9 {PORT_B.address[0]} {PORT_B.address[1]} typ host"], complete=True, now=0.0
    )
    assert isinstance(check, Send)
    asked = parse(check.data)
    assert isinstance(asked, Message)
    right = Message(Kind.SUCCESS, asked.transaction, xor_mapped_address=PORT_A.address)
    key = short_term(B.pwd)
    for data, source in (
        (encode(right), PORT_B.address),
        (encode(right, b"guess"), PORT_B.address),
        (encode(replace(right, transaction=bytes(12)), key), PORT_B.address),
    ):
        (dropped,) = a.agent.receive(PORT_A, source, data, 0.1)
        assert isinstance(dropped, Dropped)
    told = a.agent.receive(PORT_A, ("192.0.2.66", 6), encode(right, key), 0.1)  # section 7.2.5.2.1: not symmetric
    assert not [output for output in told if isinstance(output, Valid)]
    assert a.agent.selected(1) is None


@pytest.mark.row("D9")
def test_transaction_ids_are_random() -> None:
    """10,000 of checks and of consent: all different, each of the 96 bits set in about half of them."""
    ids = []
    for n in range(50):
        lines = [f"{port} 1 udp {port} 198.51.100.1 {port} typ host" for port in range(1, 101)]
        agent = Agent(A, [PORT_A], controlling=True, random=os.urandom, pacer=Pacer())
        told = agent.set_remote(B, lines, complete=True, now=float(n))
        for step in range(1, 30):
            told += agent.advance(n + step * 0.06)
        ids += list({output.data[8:20] for output in told if isinstance(output, Send)})
    assert len(ids) > 1000
    consent, now = Consent(os.urandom, 0.0), 0.0
    while len(ids) < 10_000:
        now = consent.ask_at
        key = consent.advance(now)
        assert key is not None
        consent.given(key, now)
        ids.append(key)
    assert len(set(ids)) == len(ids) and {len(key) for key in ids} == {12}
    for bit in range(96):
        ones = sum(int.from_bytes(key, "big") >> bit & 1 for key in ids)
        assert 0.45 < ones / len(ids) < 0.55, bit


# ---------------------------------------------------------------- floods


@pytest.mark.row("D11")
def test_a_thousand_candidates_of_a_victim() -> None:
    """Nobody answers: at most 100 pairs, 50 ms apart, and at most three octets out for one in."""
    a, _ = couple()
    lines = [f"{n} 1 udp {n} 203.0.113.{n % 250 + 1} {2000 + n} typ host" for n in range(1, 1001)]
    wire = Wire((a,))
    wire.take(a, a.agent.set_remote(B, lines, complete=True, now=0.0))
    wire.run(600.0)
    told_octets = sum(map(len, lines)) + 400  # what an offer has beside them
    assert sum(len(send.data) for _, send in a.sent) <= 3 * told_octets
    keys = [send.data[8:20] for _, send in a.sent]
    first = [at for n, (at, send) in enumerate(a.sent) if send.data[8:20] not in keys[:n]]
    assert 20 < len(first) <= 100
    assert all(later - earlier >= 0.05 - 1e-9 for earlier, later in pairwise(first))
    assert a.of(Failed) == [Failed((1,))]


@pytest.mark.row("D11")
def test_few_candidates_of_a_victim() -> None:
    """The ratio holds for the cheapest offer as well."""
    for count in (1, 2, 10, 50):
        a, _ = couple()
        lines = [f"{n} 1 udp 1 203.0.113.1 {n} typ host" for n in range(1, count + 1)]
        wire = Wire((a,))
        wire.take(a, a.agent.set_remote(B, lines, complete=True, now=0.0))
        wire.run(100.0)
        assert sum(len(send.data) for _, send in a.sent) <= 3 * (sum(map(len, lines)) + 400)
        assert len({send.to for _, send in a.sent}) == count or count > 10


@pytest.mark.row("D11")
def test_pacing_is_global() -> None:
    """50 agents of one process: their checks are 5 ms apart, and all get their turn."""
    pacer = Pacer()
    sides = [
        side(A, Base(1, ("192.0.2.1", 5000 + n)), controlling=True, seed=n, pacer=pacer, answering=False)
        for n in range(50)
    ]
    wire = Wire(sides)
    for one in sides:
        lines = [f"{n} 1 udp {n} 198.51.100.{n} 6000 typ host" for n in (1, 2)]
        wire.take(one, one.agent.set_remote(B, lines, complete=True, now=0.0))
    wire.run(0.499)
    times = sorted(at for one in sides for at, _ in one.sent)
    assert len(times) == 100
    assert all(later - earlier >= GLOBAL_TA_S - 1e-9 for earlier, later in pairwise(times))


@pytest.mark.row("D11")
def test_pacing_holds_for_whoever_comes_late() -> None:
    """The process was held up: what is overdue is not sent at once."""
    pacer = Pacer()
    agents = [side(A, Base(1, ("192.0.2.1", 5000 + n)), controlling=True, seed=n, pacer=pacer) for n in range(20)]
    for one in agents:
        one.agent.set_remote(B, ["1 1 udp 9 198.51.100.1 6000 typ host"], complete=True, now=0.0)
    wire = Wire(agents)
    wire.now = 0.3
    wire.run(0.45)
    times = sorted(at for one in agents for at, _ in one.sent)
    assert len(times) == 19
    assert all(later - earlier >= GLOBAL_TA_S - 1e-9 for earlier, later in pairwise(times))


def test_early_requests_are_bounded() -> None:
    """Authentic requests before the answer: no more than 16 are kept."""
    a, _ = couple(roles=(False, True))
    for n in range(1000):
        a.agent.receive(PORT_A, ("198.51.100.1", 1000 + n), request(A, "bbbb"), 0.0)
    wire = Wire((a,))
    wire.take(a, a.agent.set_remote(B, [], complete=True, now=0.0))
    wire.run(5.0)
    assert len({send.to for _, send in a.sent}) <= 16


# ---------------------------------------------------------------- consent


@pytest.mark.row("ICE-7", "ICE-8", "D12")
def test_consent_ends_30_s_after_the_last_answer() -> None:
    a, b = couple()
    wire = Wire((a, b))
    join(wire, a, b)
    wire.run(60.0)
    asked = [at for at, send in a.sent if at > 1 and parse(send.data).kind is Kind.REQUEST]  # type: ignore[union-attr]
    gaps = [later - earlier for earlier, later in pairwise(asked)]
    assert len(asked) >= 10 and all(4 - 1e-6 <= gap <= 6 + 1e-6 for gap in gaps)
    assert max(gaps) - min(gaps) > 0.3, "not randomised"
    keys = [send.data[8:20] for at, send in a.sent if at > 1]
    assert len(keys) == len(set(keys)), "a new transaction id each"
    wire.passes = lambda source, to: False
    last = wire.now
    wire.run(last + 31.0)
    (lost,) = [at for at, output in a.told if isinstance(output, ConsentLost)]
    assert last + 30 - 6.1 <= lost <= last + 30.1
    assert a.agent.selected(1) is None
    before = len(a.sent)
    wire.passes = lambda source, to: True
    wire.run(last + 120.0)
    assert len(a.sent) == before, "never again with these credentials"


@pytest.mark.row("ICE-7")
def test_a_forged_answer_gives_no_consent() -> None:
    a, b = couple()
    wire = Wire((a, b))
    join(wire, a, b)
    wire.run(1.0)
    wire.passes = lambda source, to: False
    wire.run(20.0)
    asked = [parse(send.data) for at, send in a.sent if at > 2]
    assert asked
    for message in asked:
        assert isinstance(message, Message)
        answer = Message(Kind.SUCCESS, message.transaction, xor_mapped_address=PORT_A.address)
        for data, source in ((encode(answer), PORT_B.address), (encode(answer, b"guess"), PORT_B.address),
                             (encode(answer, short_term(B.pwd)), ("192.0.2.66", 6))):  # fmt: skip
            (dropped,) = a.agent.receive(PORT_A, source, data, wire.now)
            assert isinstance(dropped, Dropped)
    wire.run(35.0)
    assert a.of(ConsentLost)


@pytest.mark.row("ICE-4", "ICE-7", "A5")
@pytest.mark.parametrize("we_control", [True, False])
def test_a_peer_whose_nat_binds_its_port_anew(we_control: bool) -> None:
    """It does not know, and asks for consent as before, from elsewhere: nobody nominates, and media must not end."""
    a, b = couple(roles=(we_control, not we_control))
    wire = Wire((a, b), nat={PORT_B.address: ("203.0.113.9", 40000)})
    join(wire, a, b)
    wire.run(20.0)
    assert a.agent.selected(1) == (PORT_A, ("203.0.113.9", 40000))
    wire.nat = {PORT_B.address: ("203.0.113.9", 40001)}
    wire.run(25.0)
    assert a.agent.selected(1) == (PORT_A, ("203.0.113.9", 40000)), "one that is lost is no reason"
    wire.run(37.0)
    assert a.agent.selected(1) == (PORT_A, ("203.0.113.9", 40001))
    wire.run(120.0)
    assert a.agent.selected(1) == (PORT_A, ("203.0.113.9", 40001))
    assert not a.of(ConsentLost) and not b.of(ConsentLost)


@pytest.mark.row("ICE-4")
def test_a_pair_that_is_kept_warm_is_not_taken_for_the_selected_one() -> None:
    """Browsers check a second pair, too; and as long as the selected one answers it stays that."""
    a, b = couple(roles=(False, True))
    other = side(B, Base(1, ("198.51.100.2", 6000)), controlling=True, seed=7)
    wire = Wire((a, b, other))
    join(wire, a, b)
    for at in range(5, 60, 5):
        wire.run(float(at))
        wire.take(other, [Send(other.bases[0], PORT_A.address, request(A, "bbbb"))])
    assert a.agent.selected(1) == (PORT_A, PORT_B.address) and len(a.of(Selected)) == 1


# ---------------------------------------------------------------- restart, trickle, the end


@pytest.mark.row("ICE-5")
@pytest.mark.parametrize("loss", [0.0, 0.3])
def test_restart_keeps_the_old_pair_until_the_new_one_is_valid(loss: float) -> None:
    a, b = couple()
    wire = Wire((a, b))
    join(wire, a, b)
    wire.run(10.0)
    before = a.agent.selected(1)
    wire.take(a, a.agent.restart(A2, controlling=True, now=wire.now))
    assert a.agent.selected(1) == before and not a.agent.settled
    wire.run(55.0)  # the answer takes its time, consent by the old credentials goes on
    assert not a.of(ConsentLost) and a.agent.selected(1) == before
    wire.loss = loss
    wire.take(b, b.agent.restart(B2, controlling=False, now=wire.now))
    join(wire, a, b)
    wire.run(75.0)
    assert a.agent.settled and b.agent.settled
    assert len(a.of(Selected)) == 2 and len(b.of(Selected)) == 2
    old = request(A, "bbbb")
    assert Dropped("user name") in a.agent.receive(PORT_A, PORT_B.address, old, wire.now)  # over and gone


@pytest.mark.row("ICE-5")
def test_a_restart_that_leads_nowhere_leaves_the_old_pair() -> None:
    a, b = couple()
    wire = Wire((a, b))
    join(wire, a, b)
    wire.run(5.0)
    wire.take(a, a.agent.restart(A2, controlling=True, now=wire.now))
    wire.take(a, a.agent.set_remote(B2, b.lines(), complete=True, now=wire.now))  # b never hears of it
    wire.run(100.0)
    assert a.of(Failed) == [Failed((1,))]
    assert a.agent.selected(1) == (PORT_A, PORT_B.address) and not a.of(ConsentLost)


@pytest.mark.row("ICE-5")
def test_a_restart_brings_back_what_consent_took() -> None:
    a, b = couple()
    wire = Wire((a, b))
    join(wire, a, b)
    wire.run(2.0)
    wire.passes = lambda source, to: False
    wire.run(40.0)
    assert a.agent.selected(1) is None
    wire.passes = lambda source, to: True
    wire.take(a, a.agent.restart(A2, controlling=True, now=wire.now))
    wire.take(b, b.agent.restart(B2, controlling=False, now=wire.now))
    join(wire, a, b)
    wire.run(42.0)
    assert a.agent.selected(1) == (PORT_A, PORT_B.address)


@pytest.mark.row("ICE-6", "G21")
def test_trickled_candidates() -> None:
    """None at first, then one that leads nowhere, then the right one: no failure while more may come."""
    a, b = couple()
    wire = Wire((a, b), passes=lambda source, to: to[0] != "10.9.9.9")
    wire.take(b, b.agent.set_remote(A, [], complete=False, now=0.0))
    wire.take(a, a.agent.set_remote(B, [], complete=False, now=0.0))
    wire.run(5.0)
    assert not a.sent
    wire.take(a, a.agent.add_candidates(["1 1 udp 9 10.9.9.9 9 typ host"], complete=False, now=wire.now))
    wire.run(50.0)
    assert not a.of(Failed)
    wire.take(a, a.agent.add_candidates(b.lines(), complete=True, now=wire.now))
    wire.run(51.0)
    assert a.agent.settled and b.agent.settled


@pytest.mark.row("ICE-6", "G21")
def test_end_of_candidates_ends_the_waiting() -> None:
    """With it the agent fails once nothing is left (not before the peer had 39.5 s: RFC 8863); without it a minute
    after the start."""
    for complete, least, most in ((True, 39.4, 40.6), (False, 60.0, 61.1)):
        a, _ = couple()
        wire = Wire((a,))
        wire.take(a, a.agent.set_remote(B, [], complete=False, now=0.0))
        wire.run(10.0)
        wire.take(a, a.agent.add_candidates([], complete=complete, now=wire.now))
        wire.run(100.0)
        (failed,) = [at for at, output in a.told if isinstance(output, Failed)]
        assert least <= failed <= most


def test_candidates_of_another_generation_are_not_taken() -> None:
    a, _ = couple()
    line = "1 1 udp 9 198.51.100.1 6000 typ host ufrag "
    assert a.agent.set_remote(B, [line + "zzzz"], complete=True, now=0.0) == []
    assert a.agent.add_candidates([line + "bbbb"], complete=True, now=0.0)


def test_nothing_that_arrives_raises() -> None:
    source = Random(5)
    a, b = couple()
    wire = Wire((a, b))
    join(wire, a, b)
    wire.run(1.0)
    seeds = [send.data for _, send in (*a.sent, *b.sent)]
    for _ in range(5000):
        data = bytearray(source.choice(seeds))
        for _ in range(source.randint(0, 4)):
            data[source.randrange(len(data))] = source.randrange(256)
        a.agent.receive(PORT_A, PORT_B.address, bytes(data[: source.randint(0, len(data))]), 1.0)
        a.agent.receive(PORT_A, PORT_B.address, bytes(data), 1.0)
    assert a.agent.selected(1) == (PORT_A, PORT_B.address)


@pytest.mark.row("D11")
def test_a_peer_with_the_password_and_bad_intentions() -> None:
    """Signed requests from forged sources: bounded pairs, no more than three octets out for one in, nothing raises."""
    source = Random(7)
    _, b = couple()
    b.agent.set_remote(A, [], complete=True, now=0.0)
    wire = Wire((b,))
    arrived = 0
    for _ in range(3000):
        change = {"priority": source.choice((0, 1, 2**32 - 1)), "use_candidate": source.random() < 0.5,
                  "controlling": source.choice((None, 0, 2**64 - 1)), "controlled": source.choice((None, 0, 2**64 - 1)),
                  "error": source.choice((None, (487, ""))), "xor_mapped_address": source.choice((None, ("::", 0))),
                  "kind": source.choice((Kind.REQUEST, Kind.REQUEST, Kind.SUCCESS, Kind.ERROR))}  # fmt: skip
        data = request(**change)
        arrived += len(data)
        victim = (f"203.0.113.{source.randrange(256)}", source.randrange(65536))
        wire.take(b, b.agent.receive(PORT_B, victim, data, wire.now))
        wire.run(wire.now + 0.01)
    wire.run(wire.now + 60.0)
    assert len(b.agent._current.pairs) <= 100
    assert sum(len(send.data) for _, send in b.sent) <= 3 * (arrived + 400)
    assert not b.of(Valid) and not b.of(Selected)
