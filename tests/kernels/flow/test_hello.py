"""Cookies before anything else: what a worker says to ClientHellos, beside what the control process would say
(D3, DTLS-22; RFC 6347 section 4.2.1)."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.calls.media import Address
from appliance.protocols.dtls.cookie import EPOCH_S, CookieFront
from kernels.control.commands import InstallFlow, InstallIce
from tests.appliance.protocols.dtls.wire import client_hello, cookie_of
from tests.kernels.flow.test_punts import handshaking, taken
from tests.kernels.rig import ALICE, BOB, MALLORY, LocalPlane

pytestmark = pytest.mark.malformed
ALIKE = (f"{ALICE[0]}", ALICE[1] + 1)
SIX = ("2001:db8::7", 4711)


def front(plane: LocalPlane) -> CookieFront:
    """The control process's, with the secret of the arena."""
    return CookieFront(plane.arena.cookie_secret)


def asked(plane: LocalPlane, source: tuple[str, int], age_s: float = 0.0) -> bytes:
    """What a source of a cookie so old sends."""
    answer = front(plane).hello(client_hello(), Address(*source), time.monotonic() - age_s)
    assert isinstance(answer, bytes)
    return client_hello(cookie=cookie_of(answer), sequence=1)


@pytest.mark.row("D3", "DTLS-22")
@pytest.mark.parametrize("source", [ALICE, ALIKE, MALLORY, SIX])
def test_a_cookie_round(source: tuple[str, int]) -> None:
    """The answer is the control process's to the octet and shorter than the question; with it, and only then, it is
    disturbed. Its successor, and that of the worker, take it too."""
    plane, hello = handshaking(), client_hello()
    while time.monotonic() % EPOCH_S > EPOCH_S - 1:
        time.sleep(0.1)  # or they may differ
    ((slot, answer, to),) = plane.send(0, hello, source=source)
    assert (slot, to) == (0, source) and len(answer) <= len(hello)
    assert answer == front(plane).hello(hello, Address(*source), time.monotonic())
    assert taken(plane) == []
    assert plane.counters()["cookies"] == 1
    again = client_hello(cookie=cookie_of(answer), sequence=1)
    plane.start()
    plane.do(InstallFlow(0, "memory", 0, True, True, ALICE, 1, 1, latching="off", dtls=True))
    assert plane.send(0, again, source=source) == []
    assert [(punt.source, punt.data) for punt in taken(plane)] == [(source, again)]
    assert front(plane).hello(again, Address(*source), time.monotonic()) is True


@pytest.mark.row("D3")
def test_wrong_cookies_go_nowhere() -> None:
    """Another's, an old one, a cut one, none, one of another gateway; nothing is said and nobody is disturbed."""
    plane = handshaking()
    mine = asked(plane, MALLORY)
    wrong = [
        asked(plane, BOB), asked(plane, (MALLORY[0], MALLORY[1] + 1)), asked(plane, MALLORY, age_s=2 * EPOCH_S),
        client_hello(sequence=1), client_hello(cookie=bytes(16), sequence=1),
        client_hello(cookie=cookie_of(mine)[:8], sequence=1), asked(handshaking(), MALLORY),
    ]  # fmt: skip
    assert plane.send(0, *wrong, source=MALLORY) == []
    assert taken(plane) == [] and plane.flow(0).drops == {"cookie": len(wrong)}
    assert plane.send(0, mine, asked(plane, MALLORY, age_s=EPOCH_S), source=MALLORY) == []
    assert len(taken(plane)) == 2


@pytest.mark.row("D3", "A3")
def test_a_flood_is_answered_at_a_bounded_rate() -> None:
    """Strangers and the known source have their own: who floods in one name does not keep the other from its cookie."""
    plane, hello = handshaking(), client_hello()
    answered = plane.send(0, *[hello] * 5000, source=MALLORY)
    assert 64 <= len(answered) <= 64 + 2000
    assert plane.flow(0).drops == {"punt_rate": 5000 - len(answered)}
    assert len(plane.send(0, hello, source=ALICE)) == 1
    assert len(plane.send(2, hello, source=MALLORY)) == 1
    assert taken(plane) == []


@pytest.mark.row("A12", "D10")
def test_where_there_is_no_cookie() -> None:
    """Without DTLS a ClientHello is dropped as ever; with ICE the checks take the cookie's place."""
    plane, hello = handshaking(), client_hello()
    plane.do(
        InstallFlow(4, "memory", 4, True, True, ALICE, 5, 5, latching="off"),
        InstallFlow(6, "memory", 6, True, True, None, 7, 7, latching="off", dtls=True, ice=True),
        InstallIce(6, "ours", "p" * 24, "theirs"),
    )
    assert plane.send(4, hello) == [] and plane.send(6, hello) == []
    assert plane.flow(4).drops == {"unknown_kind": 1} and plane.flow(6).drops == {"source": 1}
    assert taken(plane) == []


def test_what_is_no_first_flight_goes_up() -> None:
    """Alerts, later messages, fragments, hellos too short for an answer: not for a cookie to judge."""
    plane, hello = handshaking(), client_hello()
    others = [
        bytes([21, 0xFE, 0xFD]) + hello[3:11] + b"\0\2\2\50",
        hello[:13] + b"\x0b" + hello[14:],
        hello[:19] + b"\0\0\1" + hello[22:],
        hello[:3] + b"\0\1" + hello[5:],
        client_hello(sequence=2),
        hello[:30],
        bytes([22]) + bytes(60),
    ]
    assert plane.send(0, *others) == []
    assert [punt.data for punt in taken(plane)] == others


@pytest.fixture(scope="module")
def judged() -> LocalPlane:
    return handshaking()


@settings(max_examples=400, deadline=None)
@given(
    start=st.sampled_from([0, 1]), cut=st.integers(0, 300),
    changes=st.lists(st.tuples(st.integers(0, 120), st.integers(0, 255)), max_size=4),
)  # fmt: skip
def test_both_say_the_same(judged: LocalPlane, start: int, cut: int, changes: list[tuple[int, int]]) -> None:
    """Whatever is sent: what the worker answers the control process would; what it drops that would not take; what it
    lets through is for that one to judge."""
    data = bytearray(client_hello() if start == 0 else asked(judged, BOB))
    for at, value in changes:
        if at < len(data):
            data[at] = value
    sent = bytes(data[: len(data) - cut] or b"\x16")
    if not 20 <= sent[0] <= 63:
        sent = b"\x16" + sent[1:]
    judged.start()  # with full budgets
    judged.do(InstallFlow(0, "memory", 0, True, True, ALICE, 1, 1, latching="off", dtls=True))
    answers = [data for _, data, _ in judged.send(0, sent, source=BOB)]
    gone_up = [punt.data for punt in taken(judged)]
    verdict = front(judged).hello(sent, Address(*BOB), time.monotonic())
    assert len(answers) + len(gone_up) <= 1
    if answers:
        assert isinstance(verdict, bytes) and len(verdict) == len(answers[0])
        assert answers[0][:28] == verdict[:28]
    elif not gone_up:
        assert verdict is None
    else:
        assert not isinstance(verdict, bytes)
