"""Destination sets: what is read of Kamailio, what goes on the wire of one call, by a fake KSR."""

from __future__ import annotations

import json
from typing import Any

import pytest

from appliance.sip_edge.ksr.routing import RoutingTable
from appliance.sip_edge.ksr.rules import balance as rules
from appliance.sip_edge.ksr.rules.balance import BalanceRules, DestinationSet
from tests.appliance.sip_edge.fake_ksr import FakeKSR


def dest(uri: str, flags: str = "AP", priority: int = 0, attrs: str = "", **latency: float) -> dict[str, Any]:
    found: dict[str, Any] = {"URI": uri, "FLAGS": flags, "PRIORITY": priority}
    if attrs:
        found["ATTRS"] = {"BODY": attrs}
    return {"DEST": found | ({"LATENCY": latency} if latency else {})}


def answer(**sets: list[dict[str, Any]]) -> str:
    records = [{"SET": {"ID": int(name[1:]), "TARGETS": targets}} for name, targets in sets.items()]
    return json.dumps({"jsonrpc": "2.0", "result": {"NRSETS": len(sets), "RECORDS": records}, "id": 1})


A, B, C = (f"sip:192.0.2.{number}:5060" for number in (1, 2, 3))


class Calls:
    """What a fake Kamailio counts and knows."""

    def __init__(self, ksr: FakeKSR) -> None:
        self.ksr = ksr
        self.counters: dict[str, int] = {}
        self.profile: list[str] = []
        ksr.answers |= {
            "htable.sht_inc": self._increase, "htable.sht_get": lambda table, name: self.counters.get(name),
            "tm.t_branch_timeout": -1, "tm.t_branch_replied": -1,
            "dialog.set_dlg_profile": lambda name, value: self.profile.append(value) or 1,
            "dialog.unset_dlg_profile": lambda name, value: self.profile.remove(value) or 1,
            "dialog.get_profile_size": self._size,
        }  # fmt: skip

    def knows(self, **sets: list[dict[str, Any]]) -> None:
        self.ksr.variables["$jsonrpl(body)"] = answer(**sets)
        self.counters["generation"] = self.counters.get("generation", 0) + 1

    def _increase(self, table: str, name: str) -> int:
        self.counters[name] = self.counters.get(name, 0) + 1
        return self.counters[name]

    def _size(self, name: str, value: str, variable: str) -> int:
        self.ksr.variables[variable] = self.profile.count(value)
        return 1


@pytest.fixture
def calls(ksr: FakeKSR, monkeypatch: pytest.MonkeyPatch) -> Calls:
    from appliance.sip_edge.ksr import balance

    monkeypatch.setattr(balance, "_known", balance._Known())
    return Calls(ksr)


def table(*sets: DestinationSet, **more: Any) -> RoutingTable:
    return RoutingTable(balance=BalanceRules(enabled=True, sets=sets, **more))


def test_the_listing_is_read() -> None:
    """O25, O28: states A, T, I, D with P or X; latencies; attributes."""
    found = rules.listing(json.loads(answer(s1=[
        dest(A, "AP", 5, "duid=a;weight=50;x=", AVG=20.1, EST=45.0), dest(B, "TX"), dest(C, "IP"), dest(C, "DX"),
    ]))["result"])[1]  # fmt: skip
    assert [one.active for one in found] == [True, True, False, False]
    assert [one.probing for one in found] == [True, False, True, False]
    assert (found[0].duid, found[1].duid) == ("a", B)
    candidate = found[0].candidate()
    assert (candidate.weight, candidate.priority, candidate.congestion_ms) == (50, 5, 24)
    assert rules.listing({"NRSETS": 0}) == {}


def test_the_references_attributes() -> None:
    """O01, O21, O22: 'rweight=50;weight=50;cc=1;'."""
    assert rules.attributes("rweight=50;weight=50;cc=1;") == {"rweight": "50", "weight": "50", "cc": "1"}


@pytest.mark.parametrize(
    ("uri", "user_only", "keys"),
    [
        ("sip:bob@example.com:5060", False, ("bob", "example.com")),
        ("sips:bob@example.com:5061", False, ("bob", "example.com")),
        ("sip:bob@example.com:5080;transport=tcp", False, ("bob", "example.com:5080")),
        ("sip:bob@[2001:db8::1]", False, ("bob", "[2001:db8::1]")),
        ("<sip:bob@example.com>", True, ("bob",)),
        ("sip:example.com", True, ("example.com",)),
    ],
)
def test_what_is_hashed_of_a_uri(uri: str, user_only: bool, keys: tuple[str, ...]) -> None:
    """O04: `flags` bit 1: user part only; the port only when it is not the default one."""
    assert rules.uri_keys(uri, user_only) == keys


@pytest.mark.parametrize(
    ("words", "status", "timeout", "expected"),
    [
        (("500", "timeout"), 500, False, True), (("500", "timeout"), 408, True, True),
        (("500", "timeout"), 408, False, False), (("500", "timeout"), 486, False, False), (("5xx",), 503, False, True),
        (("5xx",), 408, True, False), ((), 500, False, False), (("408",), 408, False, True),
    ],
)  # fmt: skip
def test_outcomes(words: tuple[str, ...], status: int, timeout: bool, expected: bool) -> None:
    """O32: 500 or a local timeout without reply; codes configurable."""
    assert rules.matches(words, status, timeout) is expected


def test_how_a_set_is_named() -> None:
    ours = BalanceRules(sets=(DestinationSet(3, "carriers"), DestinationSet(4)), other=DestinationSet(0, algorithm=8))
    for word in ("set:3", "set:carriers", "carriers"):
        assert (found := ours.find(word)) is not None
        assert found.id == 3
    assert (found := ours.find("set:9")) is not None
    assert (found.id, found.algorithm) == (9, 8)
    assert ours.find("set:nobody") is ours.find("sip:192.0.2.1") is ours.find("registrar") is ours.find("3") is None


def test_load_is_forgotten_after_its_time() -> None:
    """O13: a call of `ds_hash_expire` seconds ago still counts, one of an eighth more does not."""
    born = rules.load_values("gw", 1_000_000.0, 7200)[0]
    assert born in rules.load_values("gw", 1_000_000.0 + 7200, 7200)
    assert born not in rules.load_values("gw", 1_000_000.0 + 7200 + 901, 7200)


def test_a_destination_and_those_behind_it(ksr: FakeKSR, calls: Calls) -> None:
    """O07, O23, O31: $du, its socket, the rest for later, in turns."""
    from appliance.sip_edge.ksr import balance

    calls.knows(s1=[dest(A), dest(B, attrs="socket=udp:192.0.2.9:5060"), dest(C)])
    ours = table(DestinationSet(1))
    assert balance.select(ours, "set:1")
    assert ksr.variables["$du"] == A
    assert "$fs" not in ksr.variables
    assert balance.select(ours, "set:1")
    assert (ksr.variables["$du"], ksr.variables["$fs"]) == (B, "udp:192.0.2.9:5060")
    assert json.loads(ksr.variables["$avp(ds_rest)"]) == [C, A]
    assert (0, 2000) in ksr.called("tm.t_set_fr")


@pytest.mark.parametrize("targets", [[], [dest(A, "IP"), dest(B, "DX")]])
def test_nobody_can_take_it(ksr: FakeKSR, calls: Calls, targets: list[dict[str, Any]]) -> None:
    """O31: empty or all inactive: 404 No destination, counted and told."""
    from appliance.sip_edge.ksr import balance

    calls.knows(s1=targets)
    assert not balance.select(table(DestinationSet(1)), "set:1")
    assert ksr.replies == [(404, "No destination")]
    assert calls.counters["no_destination"] == 1
    assert '"reason": "no_destination"' in ksr.log[0]


def test_an_unknown_set(ksr: FakeKSR, calls: Calls) -> None:
    from appliance.sip_edge.ksr import balance

    calls.knows(s1=[dest(A)])
    assert not balance.select(table(), "set:nobody")
    assert ksr.replies == [(404, "No destination")]


def test_the_next_one_that_is_still_active(ksr: FakeKSR, calls: Calls) -> None:
    """O32: after 500; one that went away meanwhile is left out."""
    from appliance.sip_edge.ksr import balance

    ours = table(DestinationSet(1))
    calls.knows(s1=[dest(A), dest(B), dest(C)])
    assert balance.select(ours, "set:1")
    calls.knows(s1=[dest(A), dest(B, "IP"), dest(C)])
    assert balance.next(ours, 500)
    assert ksr.variables["$du"] == C
    assert not balance.next(ours, 500)
    assert calls.counters["destination_failover"] == 1


@pytest.mark.parametrize("status", [486, 404, 408, 487, 603])
def test_no_other_outcome_fails_over(ksr: FakeKSR, calls: Calls, status: int) -> None:
    """O32: 486 is the callee's own word; a 408 that was received is not a local timeout."""
    from appliance.sip_edge.ksr import balance

    ours = table(DestinationSet(1))
    calls.knows(s1=[dest(A), dest(B)])
    balance.select(ours, "set:1")
    assert not balance.next(ours, status)
    assert ksr.variables["$du"] == A


def test_never_after_cancel(ksr: FakeKSR, calls: Calls) -> None:
    """O32."""
    from appliance.sip_edge.ksr import balance

    ours = table(DestinationSet(1))
    calls.knows(s1=[dest(A), dest(B)])
    balance.select(ours, "set:1")
    ksr.answers["tm.t_is_canceled"] = 1
    assert not balance.next(ours, 500)


def test_a_silent_one_is_marked(ksr: FakeKSR, calls: Calls) -> None:
    """O33: ds_mark_dst("ip") of the one that failed, also when there is no other."""
    from appliance.sip_edge.ksr import balance

    ours = table(DestinationSet(1))
    calls.knows(s1=[dest(A)])
    balance.select(ours, "set:1")
    ksr.answers["tm.t_branch_timeout"] = 1
    assert not balance.next(ours, 408)
    assert ksr.called("dispatcher.ds_mark_dst_state") == [("ip",)]
    assert ksr.called("pvx.xavp_child_sets") == [("_dsdst_", "uri", A)]
    ksr.answers["tm.t_branch_replied"] = 1  # rang, then nobody picked up
    balance.next(ours, 408)
    assert len(ksr.called("dispatcher.ds_mark_dst_state")) == 1


def test_the_limit_of_tries(ksr: FakeKSR, calls: Calls) -> None:
    from appliance.sip_edge.ksr import balance

    ours = table(DestinationSet(1, limit=2))
    calls.knows(s1=[dest(A), dest(B), dest(C)])
    balance.select(ours, "set:1")
    assert balance.next(ours, 500)
    assert not balance.next(ours, 500)


def test_call_load(ksr: FakeKSR, calls: Calls) -> None:
    """O13, O36: least loaded, counted in the dialog's profile; failover takes the call along; full ones are left out,
    0 is unlimited in the failover list too (bug 2297)."""
    from appliance.sip_edge.ksr import balance

    ours = table(DestinationSet(1, algorithm=10))
    calls.knows(s1=[dest(A, attrs="duid=a;maxload=1"), dest(B, attrs="duid=b;maxload=0")])
    assert balance.select(ours, "set:1")
    assert [value.partition("@")[0] for value in calls.profile] == ["a"]
    ksr.variables["$dlg_var(destination)"] = ""  # another call
    assert balance.select(ours, "set:1")
    assert balance.select(ours, "set:1")  # the same one once more: it counts once
    assert [value.partition("@")[0] for value in calls.profile] == ["a", "b"]
    calls.profile.clear()
    ksr.variables["$dlg_var(destination)"] = ""
    calls.counters["calls:1"] = 0
    assert balance.select(ours, "set:1")
    assert balance.next(ours, 500)
    assert [value.partition("@")[0] for value in calls.profile] == ["b"]


def test_hashes_are_stateless(ksr: FakeKSR, calls: Calls) -> None:
    """O36, O03: no dialog is touched, the same Call-ID goes the same way."""
    from appliance.sip_edge.ksr import balance

    ours = table(DestinationSet(1, algorithm=0))
    calls.knows(s1=[dest(A), dest(B), dest(C)])
    ksr.variables["$ci"] = "a-call"
    assert balance.select(ours, "set:1")
    first = ksr.variables["$du"]
    assert balance.select(ours, "set:1")
    assert ksr.variables["$du"] == first
    assert not [call for call in ksr.calls if call[0].startswith("dialog.")]


def test_the_template_of_algorithm_7(ksr: FakeKSR, calls: Calls) -> None:
    """O10: Kamailio writes the template out."""
    from appliance.sip_edge.ksr import balance

    ours = table(DestinationSet(1, algorithm=7, hash="$fU@$ci"))
    calls.knows(s1=[dest(A), dest(B)])
    ksr.variables["$var(ds_hash)"] = "alice@abc"
    assert balance.select(ours, "set:1")
    assert ksr.called("pvx.evalx") == [("$var(ds_hash)", "$fU@$ci")]


def test_parallel_forking(ksr: FakeKSR, calls: Calls) -> None:
    """O15: a branch for each, and nothing left to fail over to."""
    from appliance.sip_edge.ksr import balance

    calls.knows(s1=[dest(A), dest(B), dest(C)])
    assert balance.select(table(DestinationSet(1, algorithm=12)), "set:1")
    assert len(ksr.called("corex.append_branch")) == 2
    assert (ksr.variables["$du"], ksr.variables["$avp(ds_rest)"]) == (A, "[]")


def test_the_last_one_in_reserve(ksr: FakeKSR, calls: Calls) -> None:
    """use_default: the announcement server takes calls when nobody else does."""
    from appliance.sip_edge.ksr import balance

    ours = table(DestinationSet(1), use_default=True)
    calls.knows(s1=[dest(A), dest(B), dest(C)])
    for _ in range(6):
        assert balance.select(ours, "set:1")
        assert ksr.variables["$du"] in (A, B)
    calls.knows(s1=[dest(A, "IP"), dest(B, "IP"), dest(C)])
    assert balance.select(ours, "set:1")
    assert ksr.variables["$du"] == C


def test_a_next_hop_that_is_set_stays_when_asked(ksr: FakeKSR, calls: Calls) -> None:
    """force_dst = 0."""
    from appliance.sip_edge.ksr import balance

    calls.knows(s1=[dest(A)])
    ksr.variables["$du"] = "sip:192.0.2.77"
    assert balance.select(table(DestinationSet(1), force_dst=False), "set:1")
    assert ksr.variables["$du"] == "sip:192.0.2.77"


def test_what_is_known_is_kept_until_something_changes(ksr: FakeKSR, calls: Calls) -> None:
    """O27: asked once; an event of Kamailio's makes every process ask again."""
    from appliance.sip_edge.ksr import balance

    ours = table(DestinationSet(1), refresh_ms=60_000)
    calls.knows(s1=[dest(A)])
    for _ in range(3):
        balance.select(ours, "set:1")
    assert len(ksr.called("jsonrpcs.execx")) == 1
    ksr.variables["$ru"] = A
    balance.changed("dispatcher:dst-down")
    balance.select(ours, "set:1")
    assert len(ksr.called("jsonrpcs.execx")) == 2
    assert f'"destination": "{A}"' in ksr.log[0]
    assert calls.counters["destination_down"] == 1


def test_pings_have_a_time_of_their_own(ksr: FakeKSR, calls: Calls) -> None:
    """F27, O25: a dead target is known after a ping's time; other requests of Kamailio's own keep theirs; who has flag
    32 is not pinged."""
    from appliance.sip_edge.ksr import balance

    calls.knows(s1=[dest(A), dest(B, attrs="noping=1")])
    ksr.variables |= {"$rm": "BYE", "$ru": A}
    balance.local_request(table(ping_timeout_ms=700))
    assert not ksr.called("tm.t_set_fr")
    ksr.variables["$rm"] = "OPTIONS"
    balance.local_request(table(ping_timeout_ms=700))
    assert ksr.called("tm.t_set_fr") == [(0, 700)]
    assert not ksr.dropped
    ksr.variables["$ru"] = B
    balance.local_request(table(ping_timeout_ms=700))
    assert ksr.dropped
