"""`srtpgw acl test` decides as the script does; what tests/system/test_access.py cannot send (N08, N13, J05)."""

from __future__ import annotations

import pytest

from appliance.policy import permission_file
from appliance.sip_edge.ksr.routing import RoutingTable, Trunk
from appliance.sip_edge.ksr.rules.access import AccessRules, Group
from appliance.sip_edge.management.acl_trial import Knowledge, Question, ask, find
from appliance.sip_edge.tables.access_rows import Address, Trusted

CORE = Trunk("core", ("198.51.100.0/24",), "sip:10.0.0.1", authenticate="certificate", peer_names=("Core.Example",))
PHONES = Trunk("phones", ("10.0.0.0/8",), "registrar", authenticate="digest")
TABLE = RoutingTable((CORE, PHONES), access=AccessRules(address=True, trusted=True))
ROWS = (
    Address(5, "192.0.2.1", 32, tag="first"), Address(7, "192.0.2.1", 32, tag="last"), Address(9, "192.0.2.0", 24),
    Address(1, "192.0.0.0", 8), Address(3, "192.0.2.2", 32, 5060), Address(4, "host.example", 32),
    Address(2, "2001:db8::", 32),
)  # fmt: skip


@pytest.mark.row("N08", "N13")
@pytest.mark.parametrize(
    ("host", "port", "first", "longest"),
    [
        ("192.0.2.1", 1, 7, 7),  # a single address before networks, the last row of several
        ("192.0.2.9", 1, 1, 9),
        ("192.0.2.2", 5060, 3, 3),
        ("192.0.2.2", 5061, 1, 9),
        ("192.1.1.1", 1, 1, 1),
        ("2001:db8::7", 1, 2, 2),
        ("host.example", 1, 4, 4),
        ("Host.example", 1, None, None),  # as it is written
        ("203.0.113.1", 1, None, None),
    ],
)
def test_which_row_kamailio_finds(host: str, port: int, first: int | None, longest: int | None) -> None:
    for expected, mode in ((first, False), (longest, True)):
        row = find(ROWS, host, port, longest=mode)
        assert (row.grp if row else None) == expected


@pytest.mark.parametrize(
    ("transport", "names", "rule"),
    [("tls", ("core.example",), ""), ("tls", ("other",), "certificate_name"),
     ("udp", ("core.example",), "certificate_name")],
)  # fmt: skip
def test_certificate(transport: str, names: tuple[str, ...], rule: str) -> None:
    question = Question("198.51.100.1", transport=transport, uri="sip:1@gw", certificate=names)
    assert ask(Knowledge(TABLE), question).rule == rule


def test_a_password_is_asked_for_and_counts() -> None:
    asked = ask(Knowledge(TABLE), Question("10.0.0.1", uri="sip:1@gw"))
    assert (asked.status, asked.rule, asked.steps[-1].verdict) == (407, "digest", "ask")
    given = ask(Knowledge(TABLE), Question("10.0.0.1", uri="sip:1@gw", user="alice"))
    assert (given.status, given.destination) == (0, "registrar")


def test_every_step_is_told_with_the_line_of_the_file() -> None:
    files = {"routing": (permission_file.read(""), permission_file.read('# c\nALL : "^sip:900"\n'))}
    table = RoutingTable((PHONES,), access=AccessRules(address=True, routing=True, groups=(Group(1, "office"),)))
    known = Knowledge(table, (Address(1, "10.0.0.1", 32),), files=files)
    outcome = ask(known, Question("10.0.0.1", from_uri="sip:me@a", uri="sip:9001@gw:5060;x=y"))
    assert [(step.rule, step.verdict) for step in outcome.steps] == [
        ("trunk_network", "pass"), ("address", "info"), ("address", "pass"), ("permissions_routing", "deny"),
    ]  # fmt: skip
    assert outcome.steps[-1].detail == "routing.deny line 2: sip:me@a -> sip:9001@gw"


@pytest.mark.row("N09")
def test_patterns_of_trusted_peers_mind_the_case() -> None:
    peers = (Trusted("203.0.113.1", "any", "^sip:Alice@", tag="phones"),)
    for user, status in (("Alice", 0), ("alice", 404)):
        question = Question("203.0.113.1", from_uri=f"sip:{user}@a", uri="sip:1@gw")
        assert ask(Knowledge(TABLE, trusted=peers), question).status == status


@pytest.mark.parametrize(
    "question",
    [Question("nobody", uri="sip:1@gw"), Question("10.0.0.1", uri="tel:1"), Question("10.0.0.1", from_uri="x")],
)
def test_a_question_that_is_none(question: Question) -> None:
    with pytest.raises(ValueError, match=r"nobody|no SIP URI"):
        ask(Knowledge(TABLE), question)
