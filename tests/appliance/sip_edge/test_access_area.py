"""What Kamailio is told of access: modules, parameters, native blocks, files (rows N01, N05, N10-N13)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from appliance.config.schema import Settings
from appliance.sip_edge.areas import access
from appliance.sip_edge.areas.area import Places

DATABASE = "sqlite:////var/lib/tables.sqlite"


def settings(place: Path, **words: Any) -> Settings:
    return Settings(paths={"state": place, "run": place}, sip_access=words)  # type: ignore[arg-type]


def parameters(place: Path, database: str = DATABASE, **words: Any) -> dict[str, Any]:
    area = access.area(settings(place, **words), Places(place, Path("/modules"), database))
    return {name: value for module, name, value in area.parameters if module == "permissions"}


@pytest.mark.row("N10", "N11", "N12")
def test_names_are_kamailios(tmp_path: Path) -> None:
    found = parameters(tmp_path, db_mode=0, max_subnets=7, grp_col="g", trusted_table="pbx", reload_delta=5)
    assert (found["db_url"], found["db_mode"], found["max_subnets"]) == (DATABASE, 0, 7)
    assert (found["grp_col"], found["trusted_table"], found["reload_delta"]) == ("g", "pbx", 5)
    assert (found["address_table"], found["peer_tag_avp"]) == ("address", "$avp(peer_tag)")
    assert parameters(tmp_path, address=False)["load_backends"] == 4 + 8 + 2


def test_without_a_database_no_table_is_read(tmp_path: Path) -> None:
    assert "db_url" not in parameters(tmp_path, "")
    area = access.area(settings(tmp_path), Places(tmp_path, Path("/modules"), ""))
    assert area.modules == ("permissions",)
    assert not access.rules(settings(tmp_path), database=False).address


@pytest.mark.row("N13")
def test_longest_prefix_is_read_from_a_view(tmp_path: Path) -> None:
    assert parameters(tmp_path, subnet_match_mode="longest")["address_table"] == access.LONGEST_VIEW
    longest = settings(tmp_path, subnet_match_mode="longest")
    assert access.area(longest, Places(tmp_path, Path("/modules"), DATABASE)).statements
    assert not access.area(longest, Places(tmp_path, Path("/modules"), "")).statements
    assert not access.area(settings(tmp_path), Places(tmp_path, Path("/modules"), DATABASE)).statements


@pytest.mark.row("N01", "N05")
def test_files_are_copied_to_where_kamailio_may_read_them(tmp_path: Path) -> None:
    (tmp_path / "access").mkdir()
    (tmp_path / "access" / "permissions.deny").write_text('ALL : "x"\n')
    (tmp_path / "mine.allow").write_text("ALL : ALL\n")
    found = access.area(
        settings(tmp_path, uri=[f"{tmp_path}/mine.allow", "other.deny"], register_files=[]),
        Places(tmp_path, Path("/modules"), DATABASE),
    )
    assert found.files == {
        "routing.allow": "",
        "routing.deny": 'ALL : "x"\n',
        "uri.allow": "ALL : ALL\n",
        "uri.deny": "",
    }
    blocks = "\n".join(found.blocks)
    assert "route[perm_routing]" in blocks
    assert f'allow_uri("{tmp_path}/uri", "$avp(perm_uri)")' in blocks
    assert "perm_register" not in blocks


def test_nothing_named_nothing_compared(tmp_path: Path) -> None:
    quiet = settings(tmp_path, routing=[], register_files=[], uri=[])
    assert access.area(quiet, Places(tmp_path, Path("/modules"), DATABASE)).blocks == ()
    rules = access.rules(quiet, database=True)
    assert (rules.routing, rules.register_files, rules.uri) == (False, False, False)
