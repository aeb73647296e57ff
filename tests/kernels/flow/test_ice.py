"""ICE on a flow, turn by turn: whose checks are answered, what they change, and where media goes (spec ICE-1 to ICE-8,
G20, D10; security-and-faults A3, A5, D8, D12)."""

from __future__ import annotations

import os
from typing import Any

import pytest

from kernels.control.commands import InstallFlow, RemoveFlow
from kernels.control.mailbox import DROPS
from tests.kernels.checks import (
    CONTROLLING,
    INDICATION,
    INTEGRITY,
    OUR_PASSWORD,
    OURS,
    PRIORITY,
    SUCCESS,
    THEIR_PASSWORD,
    THEIRS,
    UNKNOWN,
    USE_CANDIDATE,
    XOR_MAPPED,
    IcePlane,
    agent,
    check,
    error_code,
    legs,
    message,
    read,
)
from tests.kernels.rig import ALICE, BOB, MALLORY, balanced, master_key, rtcp, rtp, session

RELAY = ("192.0.2.99", 50000)  # of a TURN server
SIX = ("2001:db8::7", 6000)
HELLO = bytes([22]) + bytes(60)


def sealed(number: int) -> bytes:
    """From Alice."""
    data = session(master_key(0), True).protect_rtp(rtp(number))
    assert isinstance(data, bytes)
    return data


def to_alice(plane: IcePlane, number: int = 1) -> list[Any]:
    """Where a packet of Bob's goes."""
    return [to for by, _, to in plane.send(1, rtp(number), source=BOB) if by == 0]


# -- checks: ICE-3 --------------------------------------------------------------------------------------------------


@pytest.mark.row("ICE-3", "G20")
@pytest.mark.parametrize("source", [ALICE, SIX])
def test_a_check_is_answered(source: tuple[str, int]) -> None:
    """Signed with our password, and says where it came from; no secret of ours is in the arena."""
    plane = IcePlane()
    request = check()
    answer = plane.ask(request, source)
    assert answer is not None
    kind, found = read(answer)
    assert kind == SUCCESS
    assert INTEGRITY in found
    port = int.from_bytes(found[XOR_MAPPED][2:4]) ^ 0x2112
    ip = bytes(a ^ b for a, b in zip(found[XOR_MAPPED][4:], request[4:20], strict=False))
    assert (port, len(ip)) == (source[1], 16 if ":" in source[0] else 4)
    status = plane.flow(0).ice
    assert (status.answered, status.refused) == (1, {})
    assert plane.counters()["ice_answered"] == 1
    assert balanced(plane.counters(), DROPS)
    assert OUR_PASSWORD.encode() not in plane.arena.mapping[:]


@pytest.mark.row("ICE-3", "G20", "D8")
@pytest.mark.parametrize(
    ("data", "code", "reason"),
    [
        (check(password="another-password-of-22"), 401, "integrity"),
        (check(password=THEIR_PASSWORD), 401, "integrity"),
        (check(user=f"gats:{THEIRS}"), 401, "user"),
        (check(user=f"{OURS}:pear"), 401, "user"),
        (check(user=f"{THEIRS}:{OURS}"), 401, "user"),
        (check(user=OURS), 401, "user"),
        (check(user=f"{OURS}x:{THEIRS}"), 401, "user"),
        (check(password=None), 400, "malformed"),
        (message(1, [(PRIORITY, bytes(4))], OUR_PASSWORD), 400, "malformed"),
        (check((0x7FFF, b"must be understood")), 420, "attribute"),
        (check((CONTROLLING, bytes(8)), (0x0003, b"\x00\x00\x00\x06")), 420, "attribute"),  # CHANGE-REQUEST
    ],
)
def test_what_is_refused_with_an_error(data: bytes, code: int, reason: str) -> None:
    """And learns nobody: what was wrong is in the status, no source is validated, nothing is told."""
    plane = IcePlane()
    answer = plane.ask(data)
    assert answer is not None
    if code == 420:
        assert INTEGRITY in read(answer)[1]
        assert UNKNOWN in read(answer)[1]
    assert error_code(answer) == code
    status = plane.flow(0).ice
    assert (status.refused, status.answered, status.sources, status.selected) == ({reason: 1}, 0, (), None)
    assert plane.news() == []
    assert plane.counters()["ice_refused"] == 1
    assert balanced(plane.counters(), DROPS)


@pytest.mark.row("ICE-3", "D8", "D10")
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (check(after=[(USE_CANDIDATE, b"")]), "malformed"),
        (check(after=[(0x8022, b"soft")]), "malformed"),
        (check()[:-1] + b"\x00", "malformed"),  # fingerprint
        (check()[:40], "malformed"),
        (b"\x00\x01" + bytes(30), "malformed"),
        (b"\x00\x01", "malformed"),
        (message(INDICATION, [], None), "unexpected"),
        (message(SUCCESS, [(XOR_MAPPED, bytes(8))], OUR_PASSWORD), "unexpected"),
        (message(0x0111, [(9, bytes([0, 0, 4, 87]))], OUR_PASSWORD), "unexpected"),
    ],
)
def test_what_is_refused_in_silence(data: bytes, reason: str) -> None:
    plane = IcePlane()
    assert plane.ask(data) is None
    status = plane.flow(0).ice
    assert (status.refused, status.sources) == ({reason: 1}, ())
    assert plane.flow(0).drops == {"stun": 1}
    assert plane.news() == []


@pytest.mark.row("ICE-3")
def test_a_forged_flood_makes_nobody_send() -> None:
    """Error responses are few; without a fingerprint there are none. Meanwhile real checks are answered."""
    plane = IcePlane()
    bad = check(password=THEIR_PASSWORD)
    answers = plane.send(0, *[bad] * 500, source=MALLORY)
    assert 10 <= len(answers) <= 20
    assert all(len(data) == 36 < len(bad) for _, data, _ in answers)
    status = plane.flow(0).ice
    assert status.refused == {"integrity": 500, "unanswered": 500 - len(answers)}
    assert plane.send(0, check(password=THEIR_PASSWORD, fingerprint=False), source=MALLORY) == []
    answer = plane.ask(check())
    assert answer is not None
    assert read(answer)[0] == SUCCESS
    assert balanced(plane.counters(), DROPS)


@pytest.mark.row("ICE-3")
def test_who_checks_without_a_fingerprint_but_signed_is_answered() -> None:
    plane = IcePlane()
    answer = plane.ask(check(fingerprint=False))
    assert answer is not None
    assert read(answer)[0] == SUCCESS


def test_before_its_peer_is_known_any_fragment_of_it_is_taken() -> None:
    """An offer of ours is out, the answer not here (or there are several: forks)."""
    plane = IcePlane([*legs()[:-1], agent(remote_ufrag="")])
    for theirs in ("one", "another", "x" * 256):
        assert plane.ask(check(user=f"{OURS}:{theirs}")) is not None
    assert plane.flow(0).ice.answered == 3
    assert plane.do(agent(remote_ufrag="x" * 256)) == [0]
    plane.nominate(user=f"{OURS}:{'x' * 256}")
    answer = plane.ask(check(user=f"{OURS}:one"))
    assert answer is not None
    assert error_code(answer) == 401


def test_before_its_agent_is_installed_a_flow_answers_nobody() -> None:
    plane = IcePlane(legs()[:-1])
    assert plane.ask(check(nominate=True)) is None
    assert plane.flow(0).ice is None
    assert plane.flow(0).drops == {"stun": 1}


@pytest.mark.parametrize(
    "words",
    [
        {"local_ufrag": ""},
        {"local_ufrag": "abc"},
        {"local_ufrag": "x" * 33},
        {"local_ufrag": "a:bc"},
        {"local_pwd": "x" * 21},
        {"earlier_ufrag": "gate", "earlier_pwd": "short"},
    ],
)
def test_credentials_that_no_agent_of_ours_has(words: dict[str, str]) -> None:
    """RFC 8839 section 5.4; and the record that was begun is wiped."""
    plane = IcePlane()
    with pytest.raises(ValueError, match=r"RFC 8839"):
        plane.mailbox.submit(agent(**words))


def test_agents_belong_to_flows_with_ice() -> None:
    plane = IcePlane()
    assert plane.do(agent(1), agent(9)) == ["ENOENT", "ENOENT"]


def test_passwords_are_in_no_repr() -> None:
    shown = repr(agent(earlier_ufrag="earl", earlier_pwd=THEIR_PASSWORD, remote_pwd=THEIR_PASSWORD))
    assert OUR_PASSWORD not in shown
    assert THEIR_PASSWORD not in shown


# -- media: ICE-4 ---------------------------------------------------------------------------------------------------


@pytest.mark.row("ICE-4", "A5")
def test_nothing_passes_before_a_pair_is_selected() -> None:
    """Neither way; a validated source may shake hands, and media of hers waits for the nomination."""
    plane = IcePlane()
    assert plane.send(0, sealed(1), rtcp()) == []
    assert to_alice(plane) == []
    assert plane.flow(0).drops["source"] == 2
    assert plane.flow(1).drops == {"no_partner": 1}
    assert plane.ask(check()) is not None
    assert plane.send(0, sealed(1), HELLO) == []
    assert [(punt.kind, punt.source) for punt in plane.taken()] == [("ice", ALICE), ("dtls", ALICE)]
    plane.nominate()
    assert plane.send(0, sealed(1)) == [(1, rtp(1), BOB)]
    assert to_alice(plane) == [ALICE]
    status = plane.flow(0).ice
    assert (status.selected, status.present, status.consent, status.nominations) == (ALICE, True, True, 1)


@pytest.mark.row("ICE-4")
def test_the_signalled_address_counts_for_nothing() -> None:
    """`remote` of the SDP's c= line is not where a lite agent sends, and not whom it hears."""
    commands = legs()
    commands[2] = InstallFlow(0, "memory", 0, True, True, MALLORY, 1, 1, 0, 1, True, ice=True)
    plane = IcePlane(commands)
    assert to_alice(plane) == []
    assert plane.send(0, sealed(1), source=MALLORY) == []
    plane.nominate()
    assert to_alice(plane) == [ALICE]
    assert plane.send(0, sealed(1), source=MALLORY) == []
    assert plane.do(InstallFlow(0, "memory", 0, True, True, RELAY, 1, 1, 0, 1, True, ice=True)) == [0]
    assert to_alice(plane, 2) == [ALICE]
    assert plane.flow(0).learnt


@pytest.mark.row("ICE-4", "A5", "F26")
def test_media_moves_no_address() -> None:
    """From another validated source it is let in and goes on to the selected pair; from strangers it is not, tag or no
    tag."""
    plane = IcePlane()
    plane.nominate()
    assert plane.ask(check(), RELAY) is not None
    phone = session(master_key(0), True)
    for number, source in ((1, ALICE), (2, RELAY), (3, MALLORY)):
        data = phone.protect_rtp(rtp(number))
        assert isinstance(data, bytes)
        assert bool(plane.send(0, data, source=source)) == (source != MALLORY)
        assert to_alice(plane, number) == [ALICE]
    assert plane.flow(0).drops == {"source": 1}
    assert plane.counters().get("learnt", 0) == 0


@pytest.mark.row("ICE-4")
def test_a_later_nomination_moves_media() -> None:
    plane = IcePlane()
    plane.nominate()
    plane.older(1.1)
    plane.nominate(RELAY)
    assert to_alice(plane) == [RELAY]
    plane.older(1.1)
    plane.nominate(SIX)
    assert to_alice(plane, 2) == [SIX]
    plane.nominate(SIX)
    assert plane.flow(0).ice.nominations == 3
    assert plane.news() == [
        ("valid", ALICE), ("nominated", ALICE), ("valid", RELAY), ("nominated", RELAY), ("valid", SIX),
        ("nominated", SIX),
    ]  # fmt: skip


def test_plain_legs_have_ice_too() -> None:
    """AVP with ICE: nothing but the source says whose a packet is, and the agent says which source."""
    commands = legs(receive=None, send=None, secure=False, latching="host")
    plane = IcePlane(commands)
    assert plane.send(0, rtp(1)) == []
    plane.nominate()
    assert plane.send(0, rtp(1), rtcp()) == [(1, rtp(1), BOB), (1, rtcp(), BOB)]
    assert plane.send(0, rtp(2), source=(ALICE[0], 4001)) == []
    assert to_alice(plane) == [ALICE]


def test_the_set_of_sources_is_bounded() -> None:
    """Seven; the longest silent gives way, the selected one never does."""
    plane = IcePlane()
    plane.nominate()
    for number in range(20):
        assert plane.ask(check(), ("198.51.100.1", 2000 + number)) is not None
    sources = [source for source, _ in plane.flow(0).ice.sources]
    assert sorted(sources) == sorted([ALICE, *(("198.51.100.1", 2014 + number) for number in range(6))])
    assert to_alice(plane) == [ALICE]
    plane.send(0, HELLO, source=("198.51.100.1", 2000))
    assert plane.flow(0).drops == {"source": 1}


@pytest.mark.row("A3", "A5")
def test_handshakes_come_from_validated_sources_alone() -> None:
    """A3 (a): 50 ClientHellos a second from a third address, also one of the caller's host: none goes up. A5: a TURN
    relay's does, once its pair is validated."""
    plane = IcePlane()
    plane.nominate()
    plane.taken()
    for source in (MALLORY, (ALICE[0], 9), RELAY):
        plane.send(0, *[HELLO] * 50, source=source)
    assert plane.taken() == []
    assert plane.flow(0).drops == {"source": 150}
    assert plane.ask(check(), RELAY) is not None
    plane.send(0, HELLO, source=RELAY)
    plane.send(0, HELLO)
    assert [punt.source for punt in plane.taken() if punt.kind == "dtls"] == [RELAY, ALICE]


# -- consent: ICE-7, ICE-8 ------------------------------------------------------------------------------------------


@pytest.mark.row("ICE-7", "ICE-8", "D12")
def test_consent_ends_after_thirty_seconds() -> None:
    """RTP, RTCP, DTLS: nothing is sent any more, and control is told once. A check brings it back."""
    plane = IcePlane()
    plane.nominate()
    plane.taken()
    plane.older(29)
    assert to_alice(plane) == [ALICE]
    plane.older(1.1)
    assert to_alice(plane, 2) == []
    assert plane.send(1, rtcp(), source=BOB) == []
    plane.mailbox.inject(0, HELLO, *ALICE)
    plane.worker.turn()
    assert plane.port.collect() == []
    assert plane.flow(1).drops == {"consent": 2}
    assert plane.news() == [("expired", ALICE)]
    assert plane.counters()["inject_failed"] == 1
    status = plane.flow(0).ice
    assert (status.selected, status.consent) == (ALICE, False)
    assert plane.ask(check()) is not None
    assert plane.flow(0).ice.consent
    assert to_alice(plane, 3) == [ALICE]
    assert plane.send(1, rtcp(), source=BOB) != []
    assert balanced(plane.counters(), DROPS)


@pytest.mark.row("ICE-7", "D12")
def test_only_the_selected_pair_gives_consent_for_itself() -> None:
    """Of a peer that asks for consent: refused checks, media and indications do not keep a dead pair alive."""
    plane = IcePlane()
    plane.nominate()
    plane.older(4)
    assert plane.ask(check()) is not None
    plane.older(31)
    plane.ask(check(password=THEIR_PASSWORD))
    plane.send(0, sealed(1), message(INDICATION, [], None))
    assert to_alice(plane) == []
    assert not plane.flow(0).ice.consent


@pytest.mark.row("ICE-8")
def test_what_control_sends_obeys_too() -> None:
    """Handshakes to validated sources that consent; STUN (a full agent's checks) to anybody."""
    plane = IcePlane()
    plane.nominate()
    plane.mailbox.inject(0, HELLO, *ALICE)
    plane.mailbox.inject(0, HELLO, *MALLORY)
    plane.mailbox.inject(0, b"\x00\x01 a check", *MALLORY)
    plane.worker.turn()
    assert plane.port.collect() == [(0, HELLO, ALICE), (0, b"\x00\x01 a check", MALLORY)]


# -- restart: ICE-5 -------------------------------------------------------------------------------------------------

RESTART = {"local_ufrag": "new1", "local_pwd": "the-new-password-of-ours", "remote_ufrag": "newp"}
EARLIER = {"earlier_ufrag": OURS, "earlier_pwd": OUR_PASSWORD}
NEW = {"user": "new1:newp", "password": RESTART["local_pwd"]}


@pytest.mark.row("ICE-5")
def test_restart_keeps_the_old_pair_until_the_new_one_is_selected() -> None:
    """With its consent, which checks under the earlier credentials go on giving."""
    plane = IcePlane()
    plane.nominate()
    assert plane.do(agent(**RESTART, **EARLIER)) == [0]
    assert not plane.flow(0).ice.present
    assert to_alice(plane) == [ALICE]
    plane.older(29)
    assert plane.ask(check()) is not None
    plane.older(29)
    assert to_alice(plane, 2) == [ALICE]
    assert plane.ask(check(**NEW), RELAY) is not None  # valid under the new ones, not nominated
    assert to_alice(plane, 3) == [ALICE]
    plane.nominate(RELAY, **NEW)
    assert to_alice(plane, 4) == [RELAY]
    assert plane.flow(0).ice.present
    plane.nominate(ALICE)  # late, under the earlier ones: answered, and moves nothing
    assert to_alice(plane, 5) == [RELAY]


@pytest.mark.row("ICE-5")
def test_restart_on_the_same_pair() -> None:
    """Told again as valid and nominated: a full peer and the control process can tell that it is done."""
    plane = IcePlane()
    plane.nominate()
    plane.taken()
    assert plane.do(agent(**RESTART, **EARLIER)) == [0]
    assert plane.ask(check(**NEW)) is not None
    assert not plane.flow(0).ice.present
    plane.nominate(**NEW)
    assert plane.news() == [("valid", ALICE), ("nominated", ALICE)]
    assert (plane.flow(0).ice.present, plane.flow(0).ice.nominations) == (True, 2)
    assert plane.do(agent(**RESTART)) == [0]  # settled: the earlier ones are forgotten
    answer = plane.ask(check())
    assert answer is not None
    assert error_code(answer) == 401
    assert to_alice(plane) == [ALICE]


@pytest.mark.row("ICE-5")
def test_a_restart_that_is_taken_back() -> None:
    """A re-offer that is refused: the credentials before it are the present ones again, and so is the pair."""
    plane = IcePlane()
    plane.nominate()
    assert plane.do(agent(**RESTART, **EARLIER), agent()) == [0, 0]
    assert plane.flow(0).ice.present
    assert to_alice(plane) == [ALICE]
    answer = plane.ask(check(**NEW))
    assert answer is not None
    assert error_code(answer) == 401


def test_the_same_command_again_changes_nothing() -> None:
    plane = IcePlane()
    plane.nominate()
    before = plane.flow(0)
    assert plane.do(*legs()) == [0] * 5
    assert plane.flow(0) == before
    assert to_alice(plane) == [ALICE]


def test_an_agent_goes_with_its_flow() -> None:
    """Removed, on another port, or without ICE from now on: no source, no key state, no selected pair is left."""
    for way in ("remove", "port", "plain"):
        plane = IcePlane()
        plane.nominate()
        first = plane.mailbox.regions()["ices"]
        plain = InstallFlow(0, "memory", 0 if way == "plain" else 7, True, True, BOB, 1, 1, latching="off")
        assert plane.do(RemoveFlow(0) if way == "remove" else plain) == [0]
        assert plane.arena.mapping[first + 4 : first + 512] == bytes(508)
        assert plane.do(*legs()) == [0] * 5
        assert to_alice(plane) == []
        assert plane.flow(0).ice.sources == ()


# -- beside a full agent in the control process ---------------------------------------------------------------------


def full(**changes: Any) -> IcePlane:
    return IcePlane([*legs()[:-1], agent(lite=False, **changes)])


def chosen(remote: Any) -> InstallFlow:
    """Control selects."""
    return InstallFlow(
        0, "memory", 0, True, True, remote, 1, 1, 0, 1, True, latching="authenticated", ice=True, dtls=True
    )


@pytest.mark.row("ICE-2", "ICE-4")
def test_a_full_agent_selects_by_itself() -> None:
    """Checks are answered, validated and go up as they came; USE-CANDIDATE is control's to judge."""
    plane = full()
    request = check(nominate=True)
    assert plane.ask(request) is not None
    assert [(punt.kind, punt.data) for punt in plane.taken()] == [("stun", request), ("ice", b"valid")]
    assert to_alice(plane) == []
    assert plane.do(chosen(ALICE)) == [0]
    assert to_alice(plane) == [ALICE]
    assert plane.send(0, sealed(1)) == [(1, rtp(1), BOB)]
    assert plane.do(chosen(RELAY)) == [0]
    assert to_alice(plane, 2) == [RELAY]
    assert plane.do(chosen(None)) == [0]
    assert to_alice(plane, 3) == []


def test_a_full_agent_gets_every_response() -> None:
    """Without the peer's password the worker judges none of them, and control judges consent."""
    plane = full()
    plane.do(chosen(ALICE))
    good = message(SUCCESS, [(XOR_MAPPED, bytes(8))], THEIR_PASSWORD)
    plane.send(0, good, source=ALICE)
    plane.send(0, message(0x0111, [(9, bytes([0, 0, 4, 87]))], THEIR_PASSWORD), source=MALLORY)
    assert [(punt.kind, punt.source) for punt in plane.taken()] == [("stun", ALICE), ("stun", MALLORY)]
    assert plane.flow(0).ice.sources == ()
    plane.older(100)
    assert to_alice(plane) == [ALICE]
    assert plane.counters()["punted"] == 2


@pytest.mark.row("ICE-7", "D12")
def test_responses_give_a_full_agent_consent() -> None:
    """With the peer's password the worker enforces it: signed responses alone count (RFC 7675 section 5.1)."""
    plane = full(remote_pwd=THEIR_PASSWORD)
    plane.do(chosen(ALICE))
    assert to_alice(plane) == [ALICE]
    plane.older(31)
    assert plane.ask(check()) is not None
    plane.send(0, message(SUCCESS, [(XOR_MAPPED, bytes(8))], "a-password-of-a-forger"))
    assert to_alice(plane, 2) == []
    plane.send(0, message(SUCCESS, [(XOR_MAPPED, bytes(8))], THEIR_PASSWORD))
    assert to_alice(plane, 3) == [ALICE]
    assert [source for source, _ in plane.flow(0).ice.sources] == [ALICE]
    plane.mailbox.inject(0, HELLO, *ALICE)
    plane.worker.turn()
    assert plane.port.collect() == [(0, HELLO, ALICE)]


@pytest.mark.row("A3")
def test_a_flood_of_responses_leaves_checks_their_way_up() -> None:
    plane = full()
    forged = message(SUCCESS, [(XOR_MAPPED, bytes(8))], "a-password-of-a-forger")
    plane.send(0, *[forged] * 5000, source=MALLORY)
    assert len(plane.taken()) < 100
    for _ in range(20):
        assert plane.ask(check()) is not None
    assert sum(punt.kind == "stun" for punt in plane.taken()) == 20


# -- the worker dies ------------------------------------------------------------------------------------------------


@pytest.mark.row("ICE-4", "ICE-7")
def test_a_new_worker_knows_pairs_and_consent() -> None:
    plane = IcePlane()
    plane.nominate()
    assert plane.ask(check(), RELAY) is not None
    before = plane.flow(0)
    plane.older(29)
    plane.start()
    assert plane.flow(0).ice.sources != ()
    assert plane.flow(0).current == before.current == ALICE
    assert to_alice(plane) == [ALICE]
    plane.older(2)
    plane.start()
    assert to_alice(plane, 2) == []
    assert plane.ask(check()) is not None
    assert to_alice(plane, 3) == [ALICE]
    assert plane.flow(0).ice.answered == 3


@pytest.mark.parametrize("torn", ["flow", "agent", "both"])
def test_a_worker_that_died_in_a_change(torn: str) -> None:
    """Odd sequence numbers: the selected pair is told by the agent, whose sources are never half written."""
    plane = IcePlane()
    plane.nominate()
    regions = plane.mailbox.regions()
    for name, at in (("flow", regions["flows"]), ("agent", regions["ices"])):
        if torn in (name, "both"):
            os.pwrite(plane.fd, bytes([plane.arena.mapping[at] | 1]), at)
    plane.start()
    assert plane.flow(0).current == ALICE
    assert to_alice(plane) == [ALICE]


def test_news_that_found_no_room_come_with_the_next_check() -> None:
    plane = IcePlane()
    bridged = [InstallFlow(slot, "memory", slot, True, False, BOB, dtls=True) for slot in range(2, 10)]
    assert plane.do(*bridged) == [0] * 8
    for slot in range(2, 10):
        plane.send(slot, *[HELLO] * 40, source=BOB)
    assert plane.counters()["punt_full"] > 0
    plane.nominate()
    assert plane.news() == []
    plane.nominate()
    assert plane.news() == [("valid", ALICE), ("nominated", ALICE)]


# -- RFC 7983 in each phase -----------------------------------------------------------------------------------------

PHASES = ("no agent", "nobody validated", "validated", "selected", "expired")


def in_phase(phase: str) -> IcePlane:
    plane = IcePlane(legs()[:-1] if phase == "no agent" else None)
    if phase in ("validated", "selected", "expired"):
        plane.ask(check(nominate=phase != "validated"))
    if phase == "expired":
        plane.older(31)
    plane.taken()
    return plane


@pytest.mark.row("D10", "A12")
@pytest.mark.parametrize("phase", PHASES)
def test_first_octet_in_each_phase(phase: str) -> None:
    """0..255: STUN to the agent, DTLS and ZRTP up from validated sources, TURN channels and the rest nowhere, RTP and
    RTCP into the context once a pair is selected."""
    heard, selected = phase in PHASES[2:], phase in PHASES[3:]
    for first in range(256):
        plane = in_phase(phase)
        assert plane.send(0, bytes([first, 0x01]) + bytes(60)) == []
        up, drops = [punt.kind for punt in plane.taken()], plane.flow(0).drops
        if first <= 3:
            assert (up, drops) == ([], {"stun": 1}), first
        elif 16 <= first <= 63:
            kind = "zrtp" if first <= 19 else "dtls"
            assert (up, drops) == (([kind], {}) if heard else ([], {"source": 1})), first
        elif 128 <= first <= 191:
            assert up == [], first
            assert set(drops) <= ({"auth_fail", "malformed"} if selected else {"source"}), first
            assert sum(drops.values()) == 1
        else:
            assert (up, drops) == ([], {"unknown_kind": 1}), first
        assert balanced(plane.counters(), DROPS)
