"""Digest arithmetic against RFC 7616's own example, and what is no credential at all (row J06)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.sip_edge.ksr.rules import auth
from appliance.sip_edge.ksr.rules.auth import AuthRules, Verdict

RULES = AuthRules(True, "", auth.ALGORITHMS, secret="s" * 24)
NOW = 1_800_000_000.0

# RFC 7616 section 3.9.1: user Mufasa, password "Circle of Life".
EXAMPLE = (
    'Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", algorithm={}, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001, '
    'cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, response="{}", '
    'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_example_of_rfc_7616(algorithm: str, response: str) -> None:
    """J06. The nonce is not ours, so the right answer is merely stale; another one is wrong."""
    credentials = auth.read(EXAMPLE.format(algorithm, response))
    assert credentials is not None
    known = auth.ha1(algorithm, "Mufasa", "http-auth@example.org", "Circle of Life")
    assert auth.verify(RULES, credentials, "GET", known, NOW) is Verdict.STALE
    assert auth.verify(RULES, credentials, "POST", known, NOW) is Verdict.WRONG
    assert auth.verify(RULES, credentials, "GET", auth.ha1(algorithm, "Mufasa", "x", "y"), NOW) is Verdict.WRONG
    assert auth.verify(RULES, credentials, "GET", "", NOW) is Verdict.WRONG


def test_a_nonce_knows_its_age_its_realm_and_its_secret() -> None:
    nonce = auth.nonce(RULES.secret, "example.org", NOW)
    assert auth.age(RULES.secret, "example.org", nonce, NOW + 7) == 7
    assert auth.age(RULES.secret, "example.com", nonce, NOW) is None
    assert auth.age("another secret of a gateway", "example.org", nonce, NOW) is None
    assert auth.age(RULES.secret, "example.org", nonce[:-1] + "x", NOW) is None
    assert nonce != auth.nonce(RULES.secret, "example.org", NOW)


@pytest.mark.parametrize(
    "header",
    [
        "", "Basic dXNlcjpwYXNz", "Digest", 'Digest username="a"', EXAMPLE.format("MD4", "0" * 32),
        EXAMPLE.format("MD5", "0" * 32).replace("Mufasa", "Mu'fasa"),
        EXAMPLE.format("MD5", "0" * 32).replace("nc=0", "nc=x"),
        EXAMPLE.format("MD5", "0" * 32) + ', username="other"', EXAMPLE.format("MD5", "0" * 4000),
    ],
)  # fmt: skip
def test_what_is_no_credential(header: str) -> None:
    assert auth.read(header) is None


@given(st.text(max_size=300))
def test_nothing_that_arrives_raises(text: str) -> None:
    auth.read(text)
    auth.read("Digest " + text)
    assert auth.age(RULES.secret, "example.org", text, NOW) is None


def test_challenges_say_stale_only_when_it_is() -> None:
    """J06, RFC 8760 section 2.3: one header for each algorithm, one nonce."""
    first = auth.challenges(RULES, "example.org", NOW, stale=False)
    assert ["SHA-512-256" in first[0], "SHA-256" in first[1], "MD5" in first[2]] == [True] * 3
    assert not any("stale" in one for one in first)
    assert all(one.endswith("stale=true") for one in auth.challenges(RULES, "example.org", NOW, stale=True))
