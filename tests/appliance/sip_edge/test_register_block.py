"""The block against floods of REGISTER: numbers and boundaries of the reference, time injected (rows L01-L06)."""

from __future__ import annotations

import pytest

from appliance.sip_edge.ksr.rules.registrar import (
    Attempts,
    BlockRules,
    Judgement,
    RegistrarRules,
    is_ours,
    judge,
    key,
    meant,
    read,
    written,
)

RULES = BlockRules(enabled=True)
NOW = 1_800_000_000


def test_thirty_are_handled_and_the_next_one_is_blocked() -> None:
    """L01, L02: attempts 1 to 30 are counted, the check fires on the 31st."""
    seen = Attempts()
    for number in range(1, 31):
        verdict, seen = judge(RULES, seen, NOW + number)
        assert (verdict, seen.auth_count, seen.last_auth) == (Judgement.HANDLED, number, NOW + number)
    verdict, seen = judge(RULES, seen, NOW + 31)
    assert (verdict, seen.last_block) == (Judgement.BLOCKED, NOW + 31)
    assert judge(RULES, seen, NOW + 32)[0] is Judgement.ALREADY


@pytest.mark.parametrize(
    ("since_block", "since_auth", "verdict"),
    [
        (899, 899, Judgement.ALREADY),  # L03
        (900, 901, Judgement.HANDLED),  # L05: at exactly 900 s not blocked any more
        (900, 299, Judgement.BLOCKED),  # the last attempt is too near: blocked anew
        (901, 300, Judgement.HANDLED),  # L05: at exactly 300 s counting begins anew
        (901, 301, Judgement.HANDLED),  # L04
        (901, 299, Judgement.BLOCKED),
    ],
)
def test_boundaries(since_block: int, since_auth: int, verdict: Judgement) -> None:
    """L03, L04, L05: both comparisons are strict."""
    found, after = judge(RULES, Attempts(30, NOW - since_auth, NOW - since_block), NOW)
    assert found is verdict
    if verdict is Judgement.HANDLED:
        assert (after.auth_count, after.last_auth) == (1, NOW)


@pytest.mark.parametrize("count", [31, 1000])
def test_the_comparison_is_at_least(count: int) -> None:
    """Trap 11: `== 30` would let the 32nd pass."""
    assert judge(RULES, Attempts(count, NOW - 1), NOW)[0] is Judgement.BLOCKED


def test_other_numbers() -> None:
    """L06."""
    rules = BlockRules(True, attempts=2, window_s=5, block_s=10)
    assert judge(rules, Attempts(1, NOW), NOW)[0] is Judgement.HANDLED
    assert judge(rules, Attempts(2, NOW - 4), NOW)[0] is Judgement.BLOCKED
    assert judge(rules, Attempts(2, NOW - 5), NOW)[0] is Judgement.HANDLED


def test_what_is_counted() -> None:
    """L06: by user, by source, by both."""
    keys = [key(BlockRules(key=name), "alice", "10.0.0.1") for name in ("user", "ip", "both")]
    assert keys == ["alice", "10.0.0.1", "alice@10.0.0.1"]


def test_domains() -> None:
    assert is_ours(RegistrarRules(), "any.example")
    assert is_ours(RegistrarRules(domains=("example.org",)), "Example.ORG")
    assert not is_ours(RegistrarRules(domains=("example.org",)), "example.com")


def test_what_is_remembered_is_one_entry() -> None:
    """One lock guards it: two would be taken in both orders by two processes."""
    seen = Attempts(30, NOW, NOW - 5)
    assert read(written(seen)) == seen
    assert read("") == read("nonsense") == read("1:2") == Attempts()


@pytest.mark.row("L01")
@pytest.mark.parametrize(
    ("domains", "host", "wanted"),
    [
        (("a.example", "b.example"), "10.0.0.1", ("a.example", "b.example")),
        (("a.example",), "[2001:db8::1]", ("a.example",)),
        (("a.example",), "b.example", ("b.example",)),
        ((), "10.0.0.1", ("10.0.0.1",)),
    ],
)
def test_whose_user_is_called(domains: tuple[str, ...], host: str, wanted: tuple[str, ...]) -> None:
    """At an address of ours: of any domain of the registrar's."""
    assert meant(RegistrarRules(True, domains), host, ("10.0.0.1", "2001:db8::1")) == wanted
