"""Destinations changed while Kamailio runs: table, memory, calls, restart, audit (rows O00, O01, O02, O25, O35)."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from appliance.config.sip_dispatcher import DestinationSet
from appliance.errors import AlreadyExists, EdgeRefused, InvalidRequest, NotFound
from appliance.sip_edge.management.destinations import Destinations, Shown
from appliance.sip_edge.tables import dispatcher_files
from appliance.sip_edge.tables.dispatcher_rows import Row
from tests.system.destinations import caller, management, running, targets
from tests.system.lab import wait_for
from tests.system.targets import SILENT, Caller, Target

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]
T = TypeVar("T")

SETS = [DestinationSet.model_validate({"id": 1, "name": "gateways", "answer_timeout_ms": 500})]
BY_LOAD = [DestinationSet.model_validate({"id": 1, "algorithm": "call-load", "answer_timeout_ms": 500})]
WATCHED = {"ds_ping_interval": 1, "ds_ping_fr_timeout": 300, "ds_probing_threshold": 1}


@pytest.fixture
def three() -> Iterator[list[Target]]:
    with targets(3) as made:
        yield made


@pytest.fixture
def phone() -> Iterator[Caller]:
    with caller() as made:
        yield made


def do(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def states(sets: Destinations) -> dict[str, str]:
    return {one.row.destination: one.live.state if one.live else "" for one in do(sets.shown())}


def by_uri(sets: Destinations, target: Target) -> Shown:
    return next(one for one in do(sets.shown()) if one.row.destination == target.uri)


def test_life_of_a_set(tmp_path: Path, three: list[Target], phone: Caller) -> None:
    """O35, O31: empty, then members come, change, are disabled, go: live, without a restart, audited; a refused change
    changes nothing; what an operator set is there after Kamailio was killed."""
    first, second, third = three
    with running(tmp_path, SETS, None, destination="set:gateways") as edge:
        sets = management(edge, tmp_path, SETS)
        assert phone.call().status == 404
        rows = [do(sets.add("ann", Row(1, one.uri, attrs=f"duid=gw{place}"))).value for place, one in enumerate(three)]
        assert phone.statuses(3) == {200: 3}
        assert [one.calls() for one in three] == [1, 1, 1]
        assert states(sets) == {one.uri: "active" for one in three}

        for wrong, error in (
            (Row(1, first.uri), AlreadyExists),
            (Row(1, "sip:"), InvalidRequest),
            (Row(1, "sip:192.0.2.9", attrs="duid=gw0"), InvalidRequest),
            (Row(1, "sip:192.0.2.9", attrs="weight=101"), InvalidRequest),
            (Row(1, "sip:192.0.2.9", attrs="weight=101"), InvalidRequest),
        ):
            with pytest.raises(error):
                do(sets.add("ann", wrong))
        assert len(do(sets.shown())) == 3

        assert do(sets.set_state("ben", rows[0].id, "disabled")).live
        assert states(sets)[first.uri] == "disabled"
        assert phone.statuses(4) == {200: 4}
        assert first.calls() == 1
        do(sets.update("ben", rows[2].id, priority=7))
        assert edge.listed()[third.uri]["PRIORITY"] == 7
        assert states(sets)[first.uri] == "disabled"
        do(sets.remove("ben", rows[1].id))
        assert phone.statuses(2) == {200: 2}
        assert second.calls() + third.calls() == 8
        with pytest.raises(NotFound):
            do(sets.remove("ben", rows[1].id))

        edge.stop(9)
        assert not do(sets.set_state("cid", rows[2].id, "inactive")).live  # it has it when it starts
        edge.start()
        assert states(sets) == {first.uri: "disabled", third.uri: "inactive"}
        assert phone.call().status == 404
        do(sets.set_state("cid", rows[0].id, "active"))
        assert phone.call().status == 200
    records = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert [record["who"] for record in records if record["action"] == "destinations state"] == ["ben", "cid", "cid"]
    assert {record["action"].split()[1] for record in records} == {"add", "remove", "update", "state"}


def test_a_change_forgets_neither_state_nor_load(tmp_path: Path, three: list[Target], phone: Caller) -> None:
    """O35, O13, O27: a reload after a change leaves a dead destination dead, and calls counted."""
    first, second, third = three
    first.options = SILENT
    with running(tmp_path, BY_LOAD, None, **WATCHED) as edge:
        sets = management(edge, tmp_path, BY_LOAD, **WATCHED)
        rows = [Row(1, one.uri, attrs=f"duid=gw{number}") for number, one in enumerate((first, second))]
        do(sets.replace("ann", {1: rows}))
        wait_for(lambda: states(sets)[first.uri] == "inactive", 5, "it is dead")
        assert phone.statuses(2) == {200: 2}
        do(sets.add("ann", Row(1, third.uri, attrs="duid=gw2")))
        assert states(sets)[first.uri] == "inactive"
        shown = by_uri(sets, second)
        assert shown.live is not None
        assert shown.live.load == 2
        assert shown.live.latency.keys() == {"AVG", "STD", "EST", "MAX", "TIMEOUT"}
        assert phone.call().status == 200
        assert third.calls() == 1  # the least loaded
        do(sets.reload("ann"))
        assert (states(sets)[first.uri], first.calls()) == ("inactive", 0)


def test_replacing_sets_is_atomic(tmp_path: Path, three: list[Target], phone: Caller) -> None:
    """O35: all rows or none; rows that stay keep their id."""
    first, second, third = three
    with running(tmp_path, SETS, None) as edge:
        sets = management(edge, tmp_path, SETS)
        before = do(sets.replace("ann", {1: [Row(1, first.uri), Row(1, second.uri)]})).value
        with pytest.raises(InvalidRequest):
            do(sets.replace("ann", {1: [Row(1, third.uri), Row(1, third.uri)]}))
        with pytest.raises(InvalidRequest):
            do(sets.replace("ann", {1: [Row(1, third.uri, attrs="weight=60"), Row(1, first.uri, attrs="weight=60")]}))
        assert phone.statuses(2) == {200: 2}
        after = do(sets.replace("ann", {1: [Row(1, second.uri, priority=3), Row(1, third.uri)], 9: []})).value
        assert after[0].id == before[1].id
        assert set(edge.listed()) == {second.uri, third.uri}


def test_what_kamailio_refuses_is_taken_back(tmp_path: Path, three: list[Target]) -> None:
    """O35: no dispatcher in the running Kamailio: the table stays as it was."""
    with running(tmp_path, SETS, None, enabled=False) as edge:
        sets = management(edge, tmp_path, SETS)
        with pytest.raises(EdgeRefused):
            do(sets.add("ann", Row(1, three[0].uri)))
        assert do(sets.shown()) == []


def test_whom_a_call_would_go_to(tmp_path: Path, three: list[Target], phone: Caller) -> None:
    """O35: `hash`: the destination of a Call-ID, before the call and by the call."""
    by_hash = [DestinationSet.model_validate({"id": 1, "algorithm": "hash-call-id"})]
    with running(tmp_path, by_hash, None) as edge:
        sets = management(edge, tmp_path, by_hash)
        do(sets.replace("ann", {1: [Row(1, one.uri) for one in three]}))
        for number in range(6):
            expected = do(sets.choose(1, [f"call-{number}"]))[0].row.destination
            phone.call(f"call-{number}")
            assert [one.uri for one in three if one.had(f"call-{number}")] == [expected]
        with pytest.raises(NotFound):
            do(sets.choose(5, ["x"]))


def test_pings_on_and_off(tmp_path: Path, three: list[Target]) -> None:
    """O35: dispatcher.ping_active."""
    with running(tmp_path, SETS, None, **WATCHED) as edge:
        sets = management(edge, tmp_path, SETS, **WATCHED)
        do(sets.replace("ann", {1: [Row(1, three[0].uri)]}))
        assert do(sets.pinging())
        do(sets.ping_active("ann", False))
        assert not do(sets.pinging())


KAMAILIOS_OWN = """
# proxies
2 sip:127.0.0.1:5080;transport=tcp 0 10 class=4;prefix=448;strip=2
2 sip:127.0.0.1:5082;px=vx 0 5 duid=abc;socket=udp:127.0.0.1:29400;pipe=p10

# gateways
1 sip:127.0.0.1:7070 0 0 duid=xyz;maxload=20
1 sip:127.0.0.1:7072 0 5
1 sip:127.0.0.1:7074
"""


def test_file_and_table_are_the_same_set(tmp_path: Path) -> None:
    """O00, O18, O19: Kamailio's sample file as it is, and imported into the table: the same to Kamailio."""
    found = dispatcher_files.read(KAMAILIOS_OWN)
    with running(tmp_path, SETS, KAMAILIOS_OWN.splitlines()) as edge:
        from_file = edge.listed()
        sets = management(edge, tmp_path, SETS, list_file=tmp_path / "anything")
        assert len(do(sets.shown())) == 5
        with pytest.raises(EdgeRefused):
            do(sets.add("ann", Row(1, "sip:192.0.2.1")))
    with running(tmp_path, SETS, None) as edge:
        sets = management(edge, tmp_path, SETS)
        do(sets.replace("ann", {number: [row for row in found.rows if row.setid == number] for number in (1, 2)}))
        assert edge.listed() == from_file


def test_the_references_insert_and_renamed_columns(tmp_path: Path) -> None:
    """O01, O02: the reference's INSERT goes into the table as it is; a table with other names serves as well."""
    insert = """INSERT INTO "dispatcher" VALUES(1,1,'sip:192.168.0.1:5060',0,12,'rweight=50;weight=50;cc=1;','');"""
    renamed = {"table_name": "gateways", "priority_col": "dstpriority", "setid_col": "groupid"}
    with running(tmp_path, SETS, None) as edge:
        path = next(tmp_path.glob("state/**/*.sqlite"))
        with sqlite3.connect(path) as database:
            database.executescript(insert)
        edge.rpc("dispatcher.reload")
        found = edge.listed()["sip:192.168.0.1:5060"]
        assert (found["PRIORITY"], found["ATTRS"]["WEIGHT"], found["ATTRS"]["RWEIGHT"]) == (12, 50, 50)
        with sqlite3.connect(path) as database:
            database.executescript(
                "CREATE TABLE gateways AS SELECT id, setid AS groupid, destination, flags, priority AS dstpriority,"
                " attrs, description FROM dispatcher;"
                " INSERT INTO version (table_name, table_version) VALUES ('gateways', 4);"
            )
    with running(tmp_path, SETS, None, **renamed) as edge:
        assert edge.listed()["sip:192.168.0.1:5060"] == found
        sets = management(edge, tmp_path, SETS, **renamed)
        assert do(sets.update("ann", 1, priority=3)).live
        assert edge.listed()["sip:192.168.0.1:5060"]["PRIORITY"] == 3


def test_flags(tmp_path: Path, three: list[Target], phone: Caller) -> None:
    """O25: 1 inactive, 2 trying, 4 disabled, 8 probing (mode 3), 16 no DNS: a name that has no address is no error."""
    first, second, third = three
    rows = [Row(1, first.uri, 1), Row(1, second.uri, 2), Row(1, third.uri, 4), Row(2, first.uri, 8),
            Row(3, "sip:gw.invalid", 16)]  # fmt: skip
    with running(tmp_path, SETS, None, **{**WATCHED, "ds_probing_mode": 3}) as edge:
        sets = management(edge, tmp_path, SETS)
        do(sets.replace("ann", {number: [row for row in rows if row.setid == number] for number in (1, 2, 3)}))
        found = {(one.row.setid, one.row.destination): (one.live.state, one.live.probing)
                 for one in do(sets.shown()) if one.live}  # fmt: skip
        assert found[1, first.uri] == ("inactive", False)
        assert found[1, second.uri] == ("trying", False)
        assert found[1, third.uri] == ("disabled", False)
        assert found[2, first.uri] == ("active", True)
        assert found[3, "sip:gw.invalid"] == ("active", False)
        assert phone.statuses(2) == {200: 2}
        assert second.calls() == 2
        wait_for(lambda: first.count("OPTIONS") >= 2, 4, "who has the flag is pinged")
        assert (second.count("OPTIONS"), third.count("OPTIONS")) == (0, 0)


def test_who_is_not_pinged(tmp_path: Path, three: list[Target], phone: Caller) -> None:
    """O25: 32 no ping, by table and by file: it stays active and takes calls; the others are pinged."""
    first, second, _ = three
    with running(tmp_path, SETS, [f"1 {first.uri} 32", f"1 {second.uri} 0x0"], **WATCHED) as edge:
        wait_for(lambda: second.count("OPTIONS") >= 2, 4, "no pings")
        assert (first.count("OPTIONS"), edge.listed()[first.uri]["FLAGS"][0]) == (0, "A")
        assert phone.statuses(2) == {200: 2}
        assert first.calls() == 1
    with running(tmp_path, SETS, None) as edge:
        sets = management(edge, tmp_path, SETS)
        assert do(sets.add("ann", Row(1, first.uri, 32, attrs="duid=a;"))).value.attrs == "duid=a;noping=1"
