"""Contradictions in access settings, and permission files by their lines (rows N01, P11)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from appliance.config.load import Loaded, examine

TRUNKS = """
[[trunks]]
name = "phones"
match = ["10.0.0.0/8"]
destination = "registrar"
[[trunks]]
name = "carrier"
match = ["192.0.2.0/24"]
destination = "set:core"
uri = "sip:192.0.2.1"
"""


def check(place: Path, text: str, **files: str) -> Loaded:
    (place / "access").mkdir()
    for name, content in files.items():
        (place / "access" / name.replace("_", ".")).write_text(content)
    path = place / "srtpgw.toml"
    path.write_text(f'[paths]\nstate = "{place}"\n{TRUNKS}{text}')
    return examine([path], environment={})


def words(loaded: Loaded) -> list[str]:
    """Those of ours: trunks of these tests use what other tables would have to switch on."""
    ours = ("address_groups", "routes", "sip_access", "trunks[0].peer", "trunks[0].auth", "trunks[2]")
    return [str(fault) for fault in loaded.faults if fault.key.startswith(ours)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[[address_groups]]\nnumber = 1\nname = "a"\ntrunk = "x"\n', "address_groups[0].trunk: there is no trunk 'x'"),
        ('[[address_groups]]\nnumber = 1\nname = "a"\n[[address_groups]]\nnumber = 1\nname = "b"\n',
         "address_groups[1].number: 1 has a meaning already"),
        ('[[address_groups]]\nnumber = 1\nname = "a"\naction = "deny"\ngateway = true\n', "its members are refused"),
        ('[sip_access]\ntrusted_trunk = "x"\n', "sip_access.trusted_trunk: there is no trunk 'x'"),
        ('[[routes]]\nname = "a"\nfrom_trunk = "x"\n', "routes[0].from_trunk: there is no trunk 'x'"),
        ('[[routes]]\nname = "a"\ndestination = "trunk:x"\n', "routes[0].destination: there is no trunk 'x'"),
        ('[[routes]]\nname = "a"\ndestination = "trunk:phones"\n', "trunk 'phones' has no uri"),
        ('[[routes]]\nname = "a"\nprefix = "1"\n[[routes]]\nname = "a"\nprefix = "2"\n', "is already taken"),
        ('[[routes]]\nname = "a"\nprefix = "0"\n[[routes]]\nname = "b"\nprefix = "00"\nmethod = "REFER"\n',
         "routes[1]: is never reached: 'a' above it takes all of its calls"),
        ('[[routes]]\nname = "a"\ndestination = "set:x"\n[sip_dispatcher]\nenabled = true\n', "no destination set 'x'"),
        ('[[routes]]\nname = "a"\ndestination = "set:1"\n[sip_dispatcher]\nenabled = false\n', "needs sip_dispatcher"),
        ('[[trunks]]\nname = "t"\nauthenticate = "certificate"\n', "trunks[2].peer_names: must name what is in"),
        ('[[trunks]]\nname = "t"\nauthenticate = "certificate"\npeer_names = ["a"]\n', "needs sip.client_ca"),
        ('[[trunks]]\nname = "t"\npeer_names = ["a"]\n', "says nothing without authenticate"),
    ],
)  # fmt: skip
def test_contradictions(tmp_path: Path, text: str, expected: str) -> None:
    assert any(expected in fault for fault in words(check(tmp_path, text)))


@pytest.mark.row("P11")
@pytest.mark.parametrize(
    "text",
    [
        '[[routes]]\nname = "a"\nprefix = "00"\n[[routes]]\nname = "b"\nprefix = "0"\n',
        '[[routes]]\nname = "a"\nprefix = "0"\nfrom_trunk = "phones"\n[[routes]]\nname = "b"\nprefix = "00"\n',
        '[[routes]]\nname = "a"\npattern = "1.*"\n[[routes]]\nname = "b"\nprefix = "1"\n',
        '[[routes]]\nname = "a"\nprefix = "0"\nstrip = 1\nprepend = "+"\ndestination = "trunk:carrier"\n',
        '[[address_groups]]\nnumber = 7\nname = "a"\ntrunk = "carrier"\ngateway = true\n',
    ],
)
def test_what_is_right_is_quiet(tmp_path: Path, text: str) -> None:
    assert words(check(tmp_path, text)) == []


@pytest.mark.parametrize(
    "text",
    [
        '[[routes]]\nname = "a"\ndestination = "set:"\n', '[[routes]]\nname = "a"\npattern = "("\n',
        '[[routes]]\nname = "a"\nprefix = "a b"\n', '[sip_access]\nrouting = ["a", "b", "c"]\n',
        '[sip_access]\nrouting = ["a\\"b"]\n', '[sip_access]\ngrp_col = "a; DROP"\n',
        '[[address_groups]]\nnumber = 0\nname = "a"\n', '[sip_access]\nreload_delta = 0\n',
    ],
)  # fmt: skip
def test_values_that_are_none(tmp_path: Path, text: str) -> None:
    assert check(tmp_path, text).settings is None


@pytest.mark.row("N01")
def test_permission_files_by_their_lines(tmp_path: Path) -> None:
    deny = 'ALL : "^sip:900"\n\nno rule\nAll : "x"\n'
    found = check(tmp_path, "", permissions_deny=deny, register_deny='ALL : "["\n')
    file = tmp_path / "access" / "permissions.deny"
    assert [fault.partition(": sip_access")[0] for fault in words(found)] == [
        f"{file}:3: error", f"{file}:4: warning", f"{tmp_path}/access/register.deny:1: error",
    ]  # fmt: skip


@pytest.mark.row("N01", "N05")
@pytest.mark.parametrize(
    ("setting", "files", "lines"),
    [
        ("", {}, 0),  # a missing file is an empty one
        ('[sip_access]\nrouting = ["rules"]\n', {"rules_allow": "x"}, 1),
        ('[sip_access]\nrouting = ["a.allow", "b.deny"]\n', {"b_deny": "x"}, 1),
        ("[sip_access]\nrouting = []\n", {"permissions_allow": "x"}, 0),
    ],
)
def test_which_files_are_read(tmp_path: Path, setting: str, files: dict[str, Any], lines: int) -> None:
    assert len(words(check(tmp_path, setting, **files))) == lines


@pytest.mark.row("N01")
def test_a_misspelt_deny_file(tmp_path: Path) -> None:
    """The reference writes hosts.deby."""
    (fault,) = words(check(tmp_path, '[sip_access]\nrouting = ["hosts"]\n', hosts_deby='ALL : "x"\n'))
    assert "hosts.deby is not read" in fault
    assert "is it hosts.deny?" in fault
