"""[sip_dispatcher] and [[destination_sets]]: to Kamailio's parameters and the script's rules; contradictions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from appliance.config import check_dispatcher
from appliance.config.faults import Severity
from appliance.config.schema import Settings
from appliance.sip_edge.areas import dispatcher
from appliance.sip_edge.areas.area import Places


def settings(*sets: dict[str, Any], **watch: Any) -> Settings:
    interface = {"name": "default", "address": "127.0.0.1"}
    return Settings.model_validate({"interfaces": [interface], "destination_sets": sets, "sip_dispatcher": watch})


def places(tmp_path: Path, database: str = "sqlite:///x") -> Places:
    return Places(tmp_path, Path("/usr/lib/x86_64-linux-gnu/kamailio/modules"), database)


def parameters(made: Settings, where: Places) -> dict[str, Any]:
    area = dispatcher.dispatcher(made, where)
    return {name: value for module, name, value in area.parameters if module == "dispatcher"}


def test_parameters_have_kamailios_names(tmp_path: Path) -> None:
    """O02, O26, O27, O28, O29: each setting is the parameter of that name."""
    wished = {"priority_col": "dstpriority", "ds_ping_interval": 1, "ds_ping_reply_codes": "class=2;code=403",
              "ds_probing_threshold": 4, "ds_inactive_threshold": 5, "ds_probing_mode": 3}  # fmt: skip
    found = parameters(settings(**wished), places(tmp_path))
    assert wished.items() <= found.items()
    assert (found["db_url"], found["ds_latency_estimator_alpha"]) == ("sqlite:///x", 900)
    assert found["ds_ping_latency_stats"] == 1


def test_a_file_in_place_of_the_table(tmp_path: Path) -> None:
    """O00: its text goes into the run directory, where Kamailio may read it; flag 32 as Kamailio 5.6 can be told it."""
    listing = tmp_path / "mine"
    listing.write_text("# carriers\n1 sip:192.0.2.1 32\n")
    area = dispatcher.dispatcher(settings(list_file=listing), places(tmp_path, ""))
    assert area.files == {"dispatcher.list": "1 sip:192.0.2.1 32 0 noping=1\n"}
    assert ("dispatcher", "list_file", str(tmp_path / "dispatcher.list")) in area.parameters
    assert area.tables == ()


def test_without_a_place_for_sets_there_is_nothing(tmp_path: Path) -> None:
    assert dispatcher.dispatcher(settings(), places(tmp_path, "")).modules == ()
    assert dispatcher.dispatcher(settings(enabled=False), places(tmp_path)).modules == ()


def test_the_scripts_rules() -> None:
    """O10, O31, O32: a set's own hash goes before; without flags bit 2 nobody fails over."""
    made = settings({"id": 1, "algorithm": "hash-pvar"}, {"id": 2, "algorithm": 7, "hash": "$ci"}, hash_pvar="$fU")
    assert [one.hash for one in dispatcher.rules(made).sets] == ["$fU", "$ci"]
    assert dispatcher.rules(made).sets[0].failover == ("500", "timeout")
    assert dispatcher.rules(settings({"id": 1}, flags=1)).sets[0].failover == ()
    assert dispatcher.rules(settings({"id": 1}, flags=1)).user_only


@pytest.mark.parametrize(
    ("word", "number"), [("round-robin", 4), ("weight", 9), ("call-load", 10), ("overload", 64), (11, 11), ("13", 13)]
)
def test_algorithms_by_word_and_number(word: str | int, number: int) -> None:
    """O03 to O17."""
    assert settings({"id": 1, "algorithm": word}).destination_sets[0].algorithm == number


@pytest.mark.parametrize(
    ("one", "watch"),
    [
        ({"id": 1, "algorithm": "fastest"}, {}), ({"id": 1, "failover": ["200"]}, {}), ({"id": 1, "mark": "x"}, {}),
        ({"id": 1, "hash": "constant"}, {}), ({"id": -1}, {}), ({"id": 1}, {"ds_probing_mode": 4}),
        ({"id": 1}, {"ds_ping_reply_codes": "2xx"}), ({"id": 1}, {"table_name": "a b"}), ({"id": 1}, {"flags": 4}),
    ],
)  # fmt: skip
def test_values_that_are_none(one: dict[str, Any], watch: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings(one, **watch)


@pytest.mark.parametrize(
    ("sets", "watch", "words", "severity"),
    [
        ([{"id": 1, "algorithm": 7}], {}, "hashes nothing", Severity.ERROR),
        ([{"id": 1}, {"id": 1}], {}, "already taken", Severity.ERROR),
        ([{"id": 1, "name": "a"}, {"id": 2, "name": "a"}], {}, "already taken", Severity.ERROR),
        ([{"id": 1, "name": "7"}], {}, "reads like an id", Severity.ERROR),
        ([{"id": 1, "algorithm": 999}], {}, "there is no algorithm 999", Severity.WARNING),
        ([{"id": 1}], {"ds_ping_interval": 0}, "nothing brings", Severity.WARNING),
        ([{"id": 1, "algorithm": 13}], {"ds_ping_latency_stats": False}, "no latency", Severity.WARNING),
        ([], {"list_file": "/nowhere/at/all"}, "is not there", Severity.ERROR),
        ([], {"algorithm": 7}, "hashes nothing", Severity.ERROR),
    ],
)
def test_contradictions(sets: list[dict[str, Any]], watch: dict[str, Any], words: str, severity: Severity) -> None:
    """O10 (unset hash_pvar: a configuration error), O16 (a warning)."""
    found = list(check_dispatcher.dispatcher(settings(*sets, **watch)))
    assert [(one.severity, words in one.message) for one in found] == [(severity, True)]


def test_nothing_to_say_of_good_settings() -> None:
    sets = [{"id": 1, "name": "carriers", "algorithm": "weight"}, {"id": 2, "algorithm": 7, "hash": "$fU@$ci"}]
    assert not list(check_dispatcher.dispatcher(settings(*sets)))
