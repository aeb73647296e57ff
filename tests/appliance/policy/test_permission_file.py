"""Rows N01, N04-N07: permission files as Kamailio reads them, and every line that it would skip."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.policy import permission_file
from appliance.policy.permission_file import Mistake, judge, read
from appliance.policy.posix_regex import PosixRegex

# In the manner of Kamailio's own samples: comments, an exception list, a blank line, the lines that count.
ROUTING = r"""# Syntax:
#	from_list [EXCEPT from_list] : req_uri_list [EXCEPT req_uri_list]

ALL : "^sip:361[0-9]*@abc\.com$" EXCEPT "^sip:361[0-9]*3@abc\.com$", "^sip:361[0-9]*4@abc\.com$"
"^sip:3677[0-9]*@abc\.com$" : "^sip:362[0-9]*@abc\.com$"   # a comment behind a rule
"""
REGISTER = 'ALL : "^sip:.*1\\.2\\.3\\.4$"\n#ALL : "^sip:.*0*1\\.0*2\\.0*3\\.0*4"\n'


@pytest.mark.row("N01")
def test_the_manner_of_kamailios_samples() -> None:
    found = read(ROUTING)
    assert found.mistakes == ()
    assert [rule.line for rule in found.rules] == [4, 5]
    assert found.rules[0].who.expressions == ()
    assert len(found.rules[0].uri.exceptions) == 2


@pytest.mark.row("N01")
@pytest.mark.parametrize(
    ("who", "uri", "line"),
    [
        ("sip:anybody@x", "sip:3611@abc.com", 4),
        ("sip:anybody@x", "SIP:3611@ABC.COM", 4),  # case does not count
        ("sip:anybody@x", "sip:36113@abc.com", 0),  # excepted
        ("sip:anybody@x", "sip:3611@abc.com.evil", 0),
        ("sip:3677@abc.com", "sip:3622@abc.com", 5),
        ("sip:3678@abc.com", "sip:3622@abc.com", 0),
    ],
)
def test_which_rule_matches(who: str, uri: str, line: int) -> None:
    rule = read(ROUTING).find(who, uri)
    assert (rule.line if rule else 0) == line


@pytest.mark.row("N06")
def test_a_gateways_contact() -> None:
    deny = read(REGISTER)
    assert not judge(read(""), deny, "sip:bob@x", ["sip:bob@1.2.3.4"]).allowed
    assert judge(read(""), deny, "sip:bob@x", ["sip:bob@1.2.3.5"]).allowed


@pytest.mark.row("N04")
@pytest.mark.parametrize(
    ("uris", "allowed"),
    [
        (["sip:1@a"], True),  # in allow, though deny has it too
        (["sip:2@a"], False),
        (["sip:3@a"], True),  # in neither
        (["sip:1@a", "sip:3@a"], True),
        (["sip:1@a", "sip:2@a"], False),  # one denied branch denies all
    ],
)
def test_all_pairs_are_judged(uris: list[str], allowed: bool) -> None:
    allow, deny = read('ALL : "^sip:1@"'), read('ALL : "^sip:[12]@"')
    assert judge(allow, deny, "sip:me@x", uris).allowed is allowed


@pytest.mark.row("N01")
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('"^sip:900"', "no colon"),
        (': "^sip:900"', "no colon"),
        ("ALL :", "no colon"),
        ("ALL : ", "an empty list"),
        ('ALL : "^sip:(900"', "bad regular expression"),
        ('ALL : "^sip:900', "not closed"),
        ('ALL : "a",,"b"', "empty expression"),
        ('ALL : ""', "empty expression"),
        ('ALL : "' + "a" * 255 + '"', "longer than 254"),
        ('ALL : "' + "a" * 200 + '", "' + "b" * 200 + '", "' + "c" * 200 + '"', "two lines"),
        ('ALL : "a\0b"', "NUL"),
    ],
)
def test_every_line_that_kamailio_would_skip_is_named(line: str, words: str) -> None:
    found = read(f'# first\n{line}\nALL : "fine"\n')
    assert [mistake.line for mistake in found.mistakes] == [2]
    assert words in found.mistakes[0].message
    assert len(found.rules) == 1


@pytest.mark.row("N01")
@pytest.mark.parametrize("line", ['All : "^sip:900"', 'ALL : "ALL"', 'ALL : "a except b"'])
def test_what_kamailio_takes_otherwise_than_meant_is_a_warning(line: str) -> None:
    found = read(line)
    assert [(mistake.line, mistake.warning) for mistake in found.mistakes] == [(1, True)]
    assert len(found.rules) == 1


def test_posix_expressions_are_not_pythons() -> None:
    assert PosixRegex("^sip:[[:digit:]]+@").search("sip:123@x")
    assert not PosixRegex("^sip:[[:digit:]]+@").search("sip:abc@x")
    assert not PosixRegex("A", ignore_case=False).search("a")
    with pytest.raises(ValueError, match="regular"):
        PosixRegex("[")


@given(st.text(max_size=300))
def test_no_text_raises(text: str) -> None:
    found = read(text)
    assert all(isinstance(mistake, Mistake) for mistake in found.mistakes)
    assert all(1 <= mistake.line <= text.count("\n") + 1 for mistake in found.mistakes)


_EXPRESSION = st.text(st.sampled_from("abc019@.:,# ^"), min_size=1, max_size=20).filter(
    lambda text: text.strip() == text and " EXCEPT " not in text
)


@given(
    st.lists(_EXPRESSION, max_size=3), st.lists(_EXPRESSION, min_size=1, max_size=3), st.lists(_EXPRESSION, max_size=2)
)  # fmt: skip
def test_what_is_written_is_read(who: list[str], uris: list[str], excepted: list[str]) -> None:
    quoted = [", ".join(f'"{one}"' for one in side) for side in (who, uris, excepted)]
    line = f"{quoted[0] or 'ALL'} : {quoted[1]}" + (f" EXCEPT {quoted[2]}" if excepted else "")
    (rule,) = read(line).rules
    assert (list(rule.who.expressions), list(rule.uri.expressions), list(rule.uri.exceptions)) == (who, uris, excepted)


def test_longest_line_is_kamailios() -> None:
    assert read('ALL : "x"' + " " * (permission_file.LONGEST_LINE - 9)).mistakes == ()
    assert read('ALL : "x"' + " " * (permission_file.LONGEST_LINE - 8)).mistakes != ()
