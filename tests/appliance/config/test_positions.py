"""Lines of keys in TOML, also in its darker corners."""

from __future__ import annotations

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from appliance.config.positions import positions

DOCUMENT = '''\
# comment [not.a.table]
title = "a # not a comment ] }"

[media]  # comment
ports = "1-2"
cores = [
  1,   # one
  2,
]
"quoted key" = 1
a.b.c = { x = 1, "y.z" = [ { deep = 2 } ] }

text = """
[fake]
key = 1 \\""" still
"""
literal = \'\'\'
[[fake]]\'\'\'
date = 1979-05-27T07:32:00.5Z
float = 6.02e-23

[[trunks]]
name = "one"
[[trunks]]
name = "two"
match = [["a"], ["b"]]
[trunks.extra]
z = 1
[[trunks.list]]
w = 1
[[trunks.list]]
w = 2
[ a . "b" ]
c = 1
'''


def test_every_corner() -> None:
    tomllib.loads(DOCUMENT)  # it is TOML
    found = positions(DOCUMENT)
    lines = DOCUMENT.splitlines()
    wanted = {
        ("title",): "title",
        ("media",): "[media]",
        ("media", "ports"): "ports",
        ("media", "cores"): "cores",
        ("media", "cores", 0): "1,",
        ("media", "cores", 1): "2,",
        ("media", "quoted key"): '"quoted key"',
        ("media", "a", "b", "c", "y.z", 0, "deep"): "a.b.c",
        ("media", "text"): "text",
        ("media", "literal"): "literal",
        ("media", "date"): "date",
        ("media", "float"): "float",
        ("trunks", 0, "name"): 'name = "one"',
        ("trunks", 1, "name"): 'name = "two"',
        ("trunks", 1, "match", 1, 0): "match",
        ("trunks", 1, "extra", "z"): "z = 1",
        ("trunks", 1, "list", 0, "w"): "w = 1",
        ("trunks", 1, "list", 1, "w"): "w = 2",
        ("a", "b", "c"): "c = 1",
    }
    for path, start in wanted.items():
        assert lines[found[path] - 1].strip().startswith(start), path
    assert ("fake",) not in found and ("media", "fake") not in found


def _paths(value: Any, path: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    found = {path} if path else set()
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in items:
        found |= _paths(below, (*path, key))
    return found


def test_every_value_has_a_line() -> None:
    assert _paths(tomllib.loads(DOCUMENT)) == set(positions(DOCUMENT))


_KEY = st.text("abc.\" #='[]", min_size=1, max_size=5).map(lambda text: '"' + text.replace('"', '\\"') + '"')
_SCALAR = st.one_of(
    st.integers(-9, 9).map(str),
    st.text("ab]}[,#='\n", max_size=6).map(lambda text: '"""\n' + text + '"""'),
    st.text("ab]}[,#= ", max_size=6).map(lambda text: f"'{text}'"),
    st.sampled_from(["true", "1.5", "[1,[2,[]],\n]", "{}", "[{a=1},{a=2}]", "{a={b=[1]}}"]),
)


@given(st.lists(st.tuples(_KEY, _SCALAR), max_size=8, unique_by=lambda pair: pair[0]), st.booleans())
def test_property_positions_cover_what_tomllib_reads(pairs: list[tuple[str, str]], table: bool) -> None:
    document = ("[t]\n" if table else "") + "".join(f"{key} = {value} # c\n" for key, value in pairs)
    assert _paths(tomllib.loads(document)) == set(positions(document))
