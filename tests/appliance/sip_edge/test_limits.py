"""Rate limits and overload without a Kamailio: who is shed when, and how often it is told (rows K08, K10)."""

from __future__ import annotations

import socket

import pytest

from appliance.sip_edge.ksr.queues import Queues
from appliance.sip_edge.ksr.rules.limits import LimitRules, Pipe, retry_after, sheds
from appliance.sip_edge.ksr.rules.telling import A_SECOND, Telling

RULES = LimitRules(overload=True, shed_strangers_at=0.15, shed_all_at=0.3)


@pytest.mark.parametrize(
    ("fill", "known", "shed"),
    [(0.0, False, False), (0.14, False, False), (0.15, False, True), (0.15, True, False), (0.3, True, True)],
)
def test_strangers_are_shed_before_trunks(fill: float, known: bool, shed: bool) -> None:
    """K10."""
    assert sheds(RULES, fill, known=known) is shed


def test_those_refused_together_come_back_apart() -> None:
    """K08, RFC 3261 section 20.33."""
    assert (retry_after(5, 0.0), retry_after(5, 1.0)) == (5, 10)


def test_a_pipe_counts_its_methods() -> None:
    """K08."""
    invites, everything = (Pipe("p", "all", methods, "TAILDROP", 1, 1) for methods in (("INVITE",), ()))
    assert invites.counts("INVITE") and not invites.counts("OPTIONS") and everything.counts("OPTIONS")


def test_how_full_the_receive_buffers_are() -> None:
    """K10: measured on the sockets of this process; a connected one is not one that everybody sends to."""
    kind = (socket.AF_INET, socket.SOCK_DGRAM)
    with socket.socket(*kind) as ours, socket.socket(*kind) as them:
        ours.bind(("127.0.0.1", 0))
        queues = Queues()
        queues.find()
        before = queues.fill()
        for _ in range(100):
            them.sendto(b"x" * 1000, ours.getsockname())
        queues = Queues()
        queues.find()
        assert 0 <= before < 0.5 <= queues.fill() <= 1


def test_a_flood_of_refusals_is_told_by_samples() -> None:
    """K07: nothing is lost: the next one that is told says how many were not."""
    telling = Telling()
    told = [telling.ask("rule", 10.0) for _ in range(A_SECOND + 7)]
    assert told == [0] * A_SECOND + [None] * 7
    assert telling.ask("other", 10.5) == 0
    assert telling.ask("rule", 11.0) == 7
    assert telling.ask("rule", 11.1) == 0
