"""Every suite, with and without a key derivation rate, goes on across a move: index, ROC, session keys of the epoch."""

from __future__ import annotations

import pytest

from kernels.control.commands import InstallCrypto, InstallFlow, MasterKeyBytes
from kernels.srtp.session import Session
from tests.kernels.rig import ALICE, BOB, LocalTeam, discard, export, rtcp, rtp, secure_bridge, take
from tests.kernels.srtp.suites import SUITES, keys


@pytest.mark.parametrize("kdr", [None, 4], ids=["derive once", "rate 16"])
@pytest.mark.parametrize("name", SUITES)
def test_continues(name: str, kdr: int | None) -> None:
    """65,500 to beyond the wrap, moved after each eleven packets, so also within an epoch of 16."""
    transform, team = SUITES[name], LocalTeam()
    theirs, ours = keys(transform, 3), keys(transform, 4)
    flows = [command for command in secure_bridge() if isinstance(command, InstallFlow)]
    receive = InstallCrypto(0, transform, MasterKeyBytes(*theirs), False, kdr_log2=kdr)
    send = InstallCrypto(1, transform, MasterKeyBytes(*ours), True, kdr_log2=kdr)
    assert team.do(0, receive, send, *flows) == [0] * 4
    bob_out = Session(transform, *theirs, send=True, kdr_log2=kdr)
    bob_in = Session(transform, *ours, send=False, kdr_log2=kdr)
    worker = 0
    for number in range(65500, 65590):
        team.ports[worker].inject(0, rtp(number), *ALICE)
        sealed = bob_out.protect_rtp(rtp(number)), bob_out.protect_rtcp(rtcp())
        for data in sealed:
            assert isinstance(data, bytes)
            team.ports[worker].inject(1, data, *BOB)
        team.turn(worker)
        sent = team.ports[worker].collect()
        assert [bob_in.unprotect_rtp(data) for socket, data, _ in sent if socket == 1] == [rtp(number)]
        assert [data for socket, data, _ in sent if socket == 0] == [rtp(number), rtcp()]
        if number % 11 == 0:
            assert team.do(worker, export(number, 1 - worker)) == [0]
            worker = 1 - worker
            assert team.do(worker, take(number), discard(number)) == [0, 0]
