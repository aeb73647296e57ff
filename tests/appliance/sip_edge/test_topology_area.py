"""[sip_topology] to Kamailio's parameters, and the keys it begins with (rows K05, K06)."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path
from typing import Any

import pytest

from appliance.config.check_topology import topology as check
from appliance.config.schema import Settings
from appliance.sip_edge import from_settings, kamailio, render
from appliance.sip_edge.areas import topology
from appliance.sip_edge.areas.area import Places
from appliance.sip_edge.ksr.rules.masking import Mask

pytestmark = pytest.mark.row("K05", "K06")


def settings(place: Path, **chosen: Any) -> Settings:
    tables = chosen.pop("tables", {})
    return Settings.model_validate({"paths": {"state": str(place / "state")}, "sip_topology": chosen, **tables})


def secret(path: Path, text: str = "a secret of some length") -> str:
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


def said(given: Settings, place: Path) -> dict[tuple[str, str], Any]:
    places = Places(place, Path("/usr/lib/x86_64-linux-gnu/kamailio/modules"), "postgres://u:w@h/n")
    area = topology.area(given, places)
    return {(module, name): value for module, name, value in area.parameters}


def test_kamailios_names_and_prefixes(tmp_path: Path) -> None:
    given = settings(tmp_path, mask_key_file=secret(tmp_path / "key"), mask_ip="192.0.2.1", mask_callid=False)
    mask = Mask("a secret of some length")
    found = said(given, tmp_path)
    assert found["topoh", "mask_key"] == mask.key
    assert (found["topoh", "mask_ip"], found["topoh", "mask_callid"]) == ("192.0.2.1", 0)
    assert found["topoh", "uparam_prefix"] == f"sr-{mask.tag}-"
    assert found["topoh", "callid_prefix"] == f"!!:{mask.tag}:"
    assert not [name for name in found if name[0] == "corex"]  # nothing is changed: nothing looks at every message


def test_two_edges_with_one_key_say_the_same(tmp_path: Path) -> None:
    shared = secret(tmp_path / "key")
    one, two = (said(settings(tmp_path / name, mask_key_file=shared), tmp_path) for name in "ab")
    assert one == two


def test_a_key_of_our_own_is_made_once(tmp_path: Path) -> None:
    given = settings(tmp_path)
    first, again = topology.rules(given), topology.rules(given)
    assert first.mask == again.mask
    assert first.mask is not None
    path = tmp_path / "state" / "sip" / "mask.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert first.mask.key == path.read_text()
    assert first.mask.key not in repr(first)


def test_an_earlier_key_is_taken_for_as_long_as_a_call_may_last(tmp_path: Path) -> None:
    old = tmp_path / "old"
    given = settings(tmp_path, mask_key_file=secret(tmp_path / "key"), previous_key_file=secret(old, "o" * 20))
    found = topology.rules(given)
    assert found.earlier == Mask("o" * 20)
    assert 0 < found.until - time.time() <= given.sip.dialog_timeout_s
    assert said(given, tmp_path)["corex", "nio_intercept"] == 1
    long_ago = time.time() - given.sip.dialog_timeout_s - 1
    os.utime(old, (long_ago, long_ago))
    assert topology.rules(given).earlier is None


def test_a_key_that_is_too_short_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="16 characters"):
        topology.rules(settings(tmp_path, mask_key_file=secret(tmp_path / "key", "short")))


def test_strip_keeps_dialogs_longer_than_calls_last(tmp_path: Path) -> None:
    given = settings(tmp_path, mode="strip", contact_mode=1)
    found = said(given, tmp_path)
    assert found["topos", "db_url"] == "postgres://u:w@h/n"
    assert found["topos", "dialog_expire"] > given.sip.dialog_timeout_s
    assert (found["topos", "branch_expire"], found["topos", "contact_mode"]) == (180, 1)
    assert ("dialog", "lreq_callee_headers") not in found  # TH is topoh's; nobody would take it out


def test_redis_by_url(tmp_path: Path) -> None:
    given = settings(tmp_path, mode="strip", storage="redis", redis_url="redis://:word@127.0.0.1:6380/3")
    found = said(given, tmp_path)
    assert found["ndb_redis", "server"] == "name=topos;addr=127.0.0.1;port=6380;db=3;pass=word"
    assert "word" not in repr(given)


@pytest.mark.parametrize("earlier", [False, True])
def test_kamailio_takes_it(tmp_path: Path, earlier: bool) -> None:
    if kamailio.find("kamailio") is None:
        pytest.skip("not installed: kamailio")
    chosen = {"previous_key_file": secret(tmp_path / "old", "o" * 20)} if earlier else {}
    chosen["mask_key_file"] = secret(tmp_path / "key")
    edge = dataclasses.replace(from_settings.edge_config(settings(tmp_path, **chosen), tmp_path / "sip"), user="")
    kamailio.prepare(edge)
    kamailio.check(edge)
    assert ("event_route[network:msg]" in render.kamailio_cfg(edge)) == earlier
    assert "a secret of some length" not in repr(edge)


@pytest.mark.parametrize(
    ("chosen", "tables", "where", "words"),
    [
        ({"mode": "strip"}, {}, "storage", "SQLite"),
        ({"mode": "strip", "storage": "redis"}, {}, "redis_url", "missing"),
        ({"mode": "strip", "branch_expire": 60}, {}, "branch_expire", "ring_timeout_ms"),
        ({"mode": "strip", "dialog_expire": 100}, {}, "dialog_expire", "longer calls"),
        ({"mode": "strip"}, {"sip_database": {"url": "postgres://u:w@h/n"}}, "mode", "Call-IDs"),
        ({"mask_key_file": "/nonexistent"}, {}, "mask_key_file", "No such file"),
    ],
)
def test_contradictions_are_told(
    tmp_path: Path, chosen: dict[str, Any], tables: dict[str, Any], where: str, words: str
) -> None:
    findings = list(check(settings(tmp_path, **chosen, tables=tables)))
    assert [one for one in findings if one.where[-1] == where and words in one.message]


def test_a_key_that_everybody_can_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "key"
    secret(path)
    path.chmod(0o644)
    (found,) = check(settings(tmp_path, mask_key_file=str(path)))
    assert "everybody" in found.message


@pytest.mark.parametrize(
    "url", ["redis://host", "http://h:1/0", "redis://h:1/x", 'redis://:a"b@h:1/0', "redis://:a;b@h:1"]
)
def test_no_redis_url(tmp_path: Path, url: str) -> None:
    with pytest.raises(ValueError, match="not a Redis URL"):
        settings(tmp_path, redis_url=url)
