"""Destination sets on the wire: Kamailio as rendered, small SIP endpoints on loopback (rows O00-O36, fault F27)."""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.config.sip_dispatcher import DestinationSet
from appliance.placement.algorithms import kamailio_hash
from appliance.sip_edge.ksr.rules.balance import load_values
from tests.system.destinations import SIP, Edge, caller, running, targets
from tests.system.lab import wait_for
from tests.system.targets import HOST, SILENT, Caller, Target, header

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

SETS = [DestinationSet.model_validate(one) for one in (
    {"id": 1, "algorithm": "round-robin", "answer_timeout_ms": 500},
)]  # fmt: skip
WATCHED = {"ds_ping_interval": 1, "ds_ping_fr_timeout": 300}


@pytest.fixture
def three() -> Iterator[list[Target]]:
    with targets(3) as made:
        yield made


@pytest.fixture
def phone() -> Iterator[Caller]:
    with caller() as made:
        yield made


def lines(*made: Target, attrs: tuple[str, ...] = (), priorities: tuple[int, ...] = (), number: int = 1) -> list[str]:
    """dispatcher.list of one set. Kamailio puts those of equal priority in reverse order."""
    padded = [*attrs, *[""] * len(made)]
    ranks = [*priorities, *[0] * len(made)]
    return [f"{number} {one.uri} 0 {ranks[place]} {padded[place]}".rstrip() for place, one in enumerate(made)]


def using(algorithm: str | int, **more: object) -> list[DestinationSet]:
    return [DestinationSet.model_validate({"id": 1, "algorithm": algorithm, "answer_timeout_ms": 500, **more})]


def calls(made: list[Target]) -> list[int]:
    return [one.calls() for one in made]


def test_round_robin_and_failover(tmp_path: Path, three: list[Target], phone: Caller) -> None:
    """O07, O32, O33: turns; 500 and silence go to the next one, 486 does not, CANCEL stops; the silent one is out."""
    first, second, third = three
    with running(tmp_path, SETS, lines(*three)) as edge:
        assert phone.statuses(6) == {200: 6}
        assert calls(three) == [2, 2, 2]
        for one in three:
            one.invite = 500
        third.invite = 200
        assert phone.statuses(3) == {200: 3}
        assert third.calls() == 5
        first.invite = second.invite = third.invite = 486
        before = sum(calls(three))
        assert phone.statuses(3) == {486: 3}
        assert sum(calls(three)) == before + 3
        first.invite = second.invite = third.invite = SILENT
        before = sum(calls(three))
        assert phone.call(cancel_after=0.2).status == 487
        time.sleep(0.6)  # longer than a destination's time: nobody else may be tried
        assert sum(calls(three)) == before + 1
        assert edge.flags(first) == edge.flags(second) == edge.flags(third) == "AX"
        second.invite = third.invite = 200
        assert phone.statuses(4) == {200: 4}
        assert edge.flags(first) == "IP"
        heard = first.calls()
        assert phone.statuses(3) == {200: 3}
        assert first.calls() == heard
        assert edge.events("sip_destination_down")[-1]["destination"] == first.uri
        assert edge.rpc("htable.get", "rules", "destination_failover")["item"]["value"] >= 3


def test_nobody_takes_it(tmp_path: Path, three: list[Target], phone: Caller) -> None:
    """O31: a set that there is not, all inactive, an operator's disabled: 404 No destination."""
    with running(tmp_path, SETS, lines(*three, number=1)) as edge:
        edge.rpc("dispatcher.set_state", "d", 1, "all")
        wait_for(lambda: phone.call().status == 404, 10, "a disabled set still answers")
        assert " 404 No destination\r\n" in phone.call().reply
        edge.rpc("dispatcher.set_state", "i", 1, "all")
        time.sleep(0.1)
        assert phone.call().status == 404
        edge.rpc("dispatcher.set_state", "t", 1, three[1].uri)
        time.sleep(0.1)
        assert phone.statuses(2) == {200: 2}
        assert calls(three) == [0, 2, 0]


def test_hashes_are_kamailios(tmp_path: Path, three: list[Target]) -> None:
    """O03, O35: as Kamailio's own dispatcher.hash, of one text and of two."""
    with running(tmp_path, SETS, lines(*three)) as edge:
        for number in range(400):
            words = [secrets.token_urlsafe(secrets.randbelow(20) + 1), f"host{number}.example"][: 1 + number % 2]
            assert edge.rpc("dispatcher.hash", 3, *words)["hashid"] == kamailio_hash(*words), words


def test_hash_of_the_call_id(tmp_path: Path, three: list[Target], phone: Caller) -> None:
    """O03, O36: the place is that of Kamailio's hash, call after call."""
    with running(tmp_path, using("hash-call-id"), lines(*three)) as edge:
        order = list(edge.listed())
        for number in range(12):
            call_id = f"call-{number}"
            expected = order[kamailio_hash(call_id) % 3]
            phone.call(call_id)
            assert [one.uri for one in three if one.had(call_id)] == [expected]


@pytest.mark.parametrize(
    ("algorithm", "more"), [("hash-from-uri", {}), ("hash-pvar", {"hash": "$fU@$rd"})], ids=["O04", "O10"]
)
def test_hash_of_the_caller(tmp_path: Path, three: list[Target], phone: Caller, algorithm: str,
                            more: dict[str, str]) -> None:  # fmt: skip
    """O04, O10: each caller always has the same destination, whatever the Call-ID; not all have the same one."""
    with running(tmp_path, using(algorithm, **more), lines(*three)):
        for user in ("alice", "bob", "carol", "dave", "erin", "frank", "grace"):
            before = calls(three)
            for _ in range(2):
                phone.call(user=user)
            moved = [now - then for now, then in zip(calls(three), before, strict=True)]
            assert sorted(moved) == [0, 0, 2]
        assert sum(count > 0 for count in calls(three)) > 1


def test_hash_of_the_credentials(tmp_path: Path, three: list[Target], phone: Caller) -> None:
    """O08: by username where there are credentials, in turns where there are none."""
    word = 'Proxy-Authorization: Digest username="alice", realm="r", nonce="n", uri="sip:x", response="{}"\r\n'
    with running(tmp_path, using("hash-auth-username"), lines(*three)):
        for _ in range(3):
            phone.call(headers=word.format("0" * 32))
        assert sorted(calls(three)) == [0, 0, 3]
        before = calls(three)
        for _ in range(3):
            phone.call()
        assert [now - then for now, then in zip(calls(three), before, strict=True)] == [1, 1, 1]


@pytest.mark.parametrize(
    ("algorithm", "attrs", "expected"),
    [
        ("weight", ("weight=50", "weight=30", "weight=20"), [50, 30, 20]),
        ("relative-weight", ("rweight=1", "rweight=2", "rweight=1"), [25, 50, 25]),
    ],
    ids=["O12", "O14"],
)
def test_shares(tmp_path: Path, three: list[Target], phone: Caller, algorithm: str, attrs: tuple[str, ...],
                expected: list[int]) -> None:  # fmt: skip
    """O12, O14, O20, O21, O30: of each 100 calls; and what one that goes away leaves to the others."""
    for one in three:
        one.invite = 486
    with running(tmp_path, using(algorithm), lines(*three, attrs=attrs, priorities=(3, 2, 1))) as edge:
        assert phone.statuses(100) == {486: 100}
        assert calls(three) == expected
        edge.rpc("dispatcher.set_state", "i", 1, three[2].uri)
        time.sleep(0.1)
        phone.statuses(99 if algorithm == "relative-weight" else 100)
        moved = [now - then for now, then in zip(calls(three), expected, strict=True)]
        assert moved == ([33, 66, 0] if algorithm == "relative-weight" else [70, 30, 0])


@pytest.mark.parametrize("algorithm", ["priority", 999], ids=["O11", "O16"])
def test_by_priority(tmp_path: Path, three: list[Target], phone: Caller, algorithm: str | int) -> None:
    """O11: the highest, on failure the next lower; O16: an algorithm that is none takes the first active one."""
    first, second, third = three
    with running(tmp_path, using(algorithm), lines(*three, priorities=(1, 9, 5))):
        assert phone.statuses(3) == {200: 3}
        assert calls(three) == [0, 3, 0]
        second.invite = third.invite = 500
        assert phone.call().status == 200
        assert calls(three) == [1, 4, 1]
        assert first.calls() == 1


def test_parallel_forking(tmp_path: Path, three: list[Target], phone: Caller) -> None:
    """O15: all are called; the first 200 wins, the others are cancelled."""
    first, second, third = three
    first.invite = second.invite = 180
    third.delay_s = 0.2
    with running(tmp_path, using("parallel"), lines(*three)):
        assert phone.call().status == 200
        assert calls(three) == [1, 1, 1]
        wait_for(lambda: first.count("CANCEL") and second.count("CANCEL"), 2, "the others still ring")
        assert third.count("CANCEL") == 0


def _dialogs_stored(edge: Edge) -> int:
    with contextlib.closing(sqlite3.connect(edge.config.database)) as database:
        return int(database.execute("SELECT count(*) FROM dialog WHERE state = 4").fetchone()[0])


def test_call_load(tmp_path: Path, three: list[Target], phone: Caller) -> None:
    """O13, O18, O19, O35: least loaded; maxload; BYE, CANCEL and refusals free; failover moves the load; neither a
    reload nor a restart forgets it."""
    first, second, third = three
    attrs = ("duid=a;maxload=1", "duid=b;maxload=2", "duid=c;maxload=0")
    with running(tmp_path, using("call-load"), lines(*three, attrs=attrs), workers=1) as edge:
        up = [phone.call() for _ in range(6)]
        assert [call.status for call in up] == [200] * 6
        assert calls(three) == [1, 2, 3]
        edge.rpc("dispatcher.reload")
        wait_for(lambda: _dialogs_stored(edge) == 6, 5, "dialogs are not written")  # at most a second later
        edge.stop()
        edge.start()
        assert {name: load_of(edge, name) for name in "abc"} == {"a": 1, "b": 2, "c": 3}
        assert phone.call().status == 200
        assert calls(three) == [1, 2, 4]
        there = next(one for one in three if one.had(up[0].call_id))
        duid = "abc"[three.index(there)]
        before = load_of(edge, duid)
        up[0].hang_up()
        wait_for(lambda: load_of(edge, duid) == before - 1, 2, "a call that is over counts")
        first.invite = second.invite = 486
        third.invite = 500
        loads = {name: load_of(edge, name) for name in "abc"}
        phone.statuses(3)
        third.invite = SILENT
        assert phone.call(cancel_after=0.1).status in (486, 487)
        wait_for(lambda: {name: load_of(edge, name) for name in "abc"} == loads, 3, "calls that failed count")


def load_of(edge: Edge, duid: str) -> int:
    """Calls that count for a duid."""
    return sum(edge.rpc("dlg.profile_get_size", "destination", value)
               for value in load_values(duid, time.time(), 7200))  # fmt: skip


def test_sockets_and_pings(tmp_path: Path, three: list[Target], phone: Caller) -> None:
    """O23, O24, O26: calls and pings leave by `socket`; From of pings; one a second."""
    first, second, _ = three
    attrs = (f"socket=udp:{HOST}:{SIP + 5};ping_from=sip:us@gw.example", "")
    with running(tmp_path, SETS, lines(first, second, attrs=attrs), ports=(SIP, SIP + 5), **WATCHED):
        began, since = first.count("OPTIONS"), time.monotonic()
        wait_for(lambda: first.count("OPTIONS") >= began + 3, 15, "not pinged each second")
        assert time.monotonic() - since > 1
        phone.statuses(2)
    pings = {one: next(heard for heard in one.heard if heard.startswith("OPTIONS")) for one in (first, second)}
    invites = {one: next(heard for heard in one.heard if heard.startswith("INVITE")) for one in (first, second)}
    for message in (pings[first], invites[first]):
        assert f"{HOST}:{SIP + 5};" in header(message, "Via")
    assert f"{HOST}:{SIP};" in header(invites[second], "Via").replace(f"{HOST};", f"{HOST}:{SIP};")
    assert "<sip:us@gw.example>" in header(pings[first], "From")
    assert "<sip:dispatcher@localhost>" in header(pings[second], "From")


def test_probing(tmp_path: Path, three: list[Target], phone: Caller) -> None:
    """O26, O27, F27: 403 is alive where it is said to be; two lost pings and it is out, three good ones and it is back;
    an event each time, not one more; no call fails."""
    first, second, third = three
    first.options, third.options = 403, 500
    with running(tmp_path, SETS, lines(*three), ds_ping_reply_codes="class=2;code=403", **WATCHED) as edge:
        wait_for(lambda: edge.flags(third) == "IP", 6, "500 is no life")
        assert edge.flags(first) == "AP"
        second.options = second.invite = SILENT
        wait_for(lambda: edge.flags(second) == "IP", 6, "a silent destination stays")
        assert phone.statuses(3) == {200: 3}
        assert calls(three)[2] == 0
        good = second.count("OPTIONS")
        second.options = second.invite = 200
        wait_for(lambda: edge.flags(second) == "AP", 8, "it answers and does not come back")
        assert second.count("OPTIONS") - good >= 3
        assert phone.statuses(2) == {200: 2}
        downs = Counter(event["destination"] for event in edge.events("sip_destination_down"))
        assert downs == {second.uri: 1, third.uri: 1}
        assert [event["destination"] for event in edge.events("sip_destination_up")] == [second.uri]


def test_latencies(tmp_path: Path, three: list[Target]) -> None:
    """O28, O29: AVG, STD, EST, MAX, TIMEOUT; samples of 20 ms, then one of 100: EST = 0.9 * 100 + 0.1 * 20 = 92 (at
    alpha 0.1: in Kamailio it is the share of what was before)."""
    first, second, _ = three
    first.delay_s, second.options = 0.1, SILENT
    watched = {**WATCHED, "ds_latency_estimator_alpha": 100}
    with running(tmp_path, SETS, lines(first, second, attrs=("latency=20",)), **watched) as edge:
        wait_for(lambda: edge.listed()[first.uri]["LATENCY"]["MAX"] >= 100, 4, "no ping was measured")
        found = edge.listed()[first.uri]["LATENCY"]
        assert set(found) == {"AVG", "STD", "EST", "MAX", "TIMEOUT"}
        assert found["EST"] == pytest.approx(0.9 * found["MAX"] + 0.1 * 20, abs=0.01)
        assert 92.0 <= found["EST"] < 101  # 100 ms is what the target waits, not all that passes
        assert found["AVG"] == pytest.approx(20, abs=0.1)
        wait_for(lambda: edge.listed()[second.uri]["LATENCY"]["TIMEOUT"] >= 1, 5, "no timeout")


def test_a_dead_target_costs_no_call(tmp_path: Path, three: list[Target], phone: Caller) -> None:
    """F27: one gone, one that loses half of its packets, one that lives: no call fails, none waits longer than 2 s."""
    first, second, _third = three
    second.lose = lambda serial: serial % 2 == 0
    first.close()
    with running(tmp_path, SETS, lines(*three), **WATCHED) as edge:
        made = [phone.call() for _ in range(20)]
        assert {call.status for call in made} == {200}
        assert max(call.took_s for call in made) < 2
        assert edge.flags(first) == "IP"
        assert len(edge.events("sip_destination_down")) <= 3


def test_slow_answers(tmp_path: Path, three: list[Target], phone: Caller) -> None:
    """F27: a target that takes 3 s for its first reply is passed over."""
    first, *_ = three
    first.delay_s = 3
    with running(tmp_path, SETS, lines(*three)):
        assert phone.statuses(6) == {200: 6}
