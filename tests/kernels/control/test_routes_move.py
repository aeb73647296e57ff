"""Streams that share a port move between workers: one after the other, the port with its own stream."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kernels.control.commands import DiscardTransfer, ExportStream, ImportStream, InstallFlow, InstallRoutes, Route
from kernels.control.mailbox import DROPS
from tests.kernels.flow.test_routes import AUDIO, BOB_VIDEO, FACE, MID, VIDEO, VOICE, bundle, named, with_mid
from tests.kernels.rig import ALICE, BOB, LocalTeam, balanced, rtp

NONE = (None,) * 4


def goes_to(team: LocalTeam, worker: int, *data: bytes) -> list[tuple[str, int]]:
    for datagram in data:
        team.ports[worker].inject(0, datagram, *ALICE)
    team.turn(worker)
    return [to for _, _, to in team.ports[worker].collect()]


@pytest.mark.row("SDP-15")
def test_there_and_back() -> None:
    """What was learnt of SSRCs goes along; slots are told again. No table stays behind."""
    team = LocalTeam()
    assert team.do(0, *bundle()) == [0] * 5
    assert goes_to(team, 0, with_mid("video", AUDIO, FACE)) == [BOB_VIDEO]
    for move, (source, to) in enumerate([(0, 1), (1, 0), (0, 1)]):
        shift = 4 * to
        at, now = 4 * source, (shift, shift + 1, shift + 2, shift + 3)
        for stream in (0, 2):
            record, flows = 10 * move + stream, (at + stream, at + stream + 1, None, None)
            assert team.do(source, ExportStream(0, record + 1, to, flows, NONE)) == [0]
            placed = (now[stream], now[stream + 1], None, None)
            assert team.do(to, ImportStream(0, record + 1, placed, NONE), DiscardTransfer(0, record + 1)) == [0, 0]
        member = bundle()[2]
        assert isinstance(member, InstallFlow)
        routes = (Route(now[0], (0, AUDIO), "0"), Route(now[2], (VIDEO, 97), "video"))
        told = replace(member, slot=now[2], rtp_partner=now[3], rtcp_partner=now[3])
        assert team.do(to, told, InstallRoutes(now[0], routes, MID)) == [0, 0]
        assert goes_to(team, to, rtp(2 + move, ssrc=FACE, kind=33), rtp(1 + move, ssrc=VOICE, kind=AUDIO)) == [
            BOB_VIDEO,
            BOB,
        ]
        team.ports[to].inject(3, rtp(1 + move), *BOB_VIDEO)
        team.turn(to)
        assert team.ports[to].collect() == [(0, named("video", rtp(1 + move)), ALICE)]
        left = team.mailboxes[source].regions()["routes"]
        assert team.peek(left, 1024) == bytes(1024)
        assert team.mailboxes[source].flows() == []
    assert all(balanced(team.counters(worker), DROPS) for worker in (0, 1))
