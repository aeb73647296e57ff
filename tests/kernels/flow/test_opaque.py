"""Row J11 in the worker: SRTP of others is relayed as it is; only what is in clear is looked at."""

from __future__ import annotations

import dataclasses

import pytest

from kernels.control.commands import InstallFlow
from tests.kernels.rig import ALICE, BOB, LocalPlane, bridge, master_key, rtcp, rtp, session

pytestmark = [pytest.mark.malformed, pytest.mark.row("J11")]


@pytest.fixture
def plane() -> LocalPlane:
    """The plain bridge, both legs opaque: slot 0 faces Alice, slot 1 Bob."""
    made = LocalPlane()
    flows: list[InstallFlow] = [dataclasses.replace(flow, opaque=True) for flow in bridge()]
    assert made.do(*flows) == [0, 0]
    return made


def test_srtp_and_srtcp_of_others_pass(plane: LocalPlane) -> None:
    """As they came, padding bit and all; the far end opens them. As plain RTCP the same would be malformed."""
    sender, receiver = session(master_key(0), True), session(master_key(0), False)
    padded = rtp(2)
    padded = bytes([padded[0] | 0x20, *padded[1:-1], 1])
    for packet in (sender.protect_rtp(rtp(1)), sender.protect_rtp(padded)):
        (out,) = plane.send(0, packet, source=ALICE)
        assert out[1] == packet
        receiver.unprotect_rtp(out[1])
    compound = sender.protect_rtcp(rtcp() + rtcp())
    ((_, out, _),) = plane.send(0, compound, source=ALICE)
    assert out == compound and receiver.unprotect_rtcp(out) == rtcp() + rtcp()
    plain = LocalPlane()
    assert plain.do(*bridge()) == [0, 0]
    assert plain.send(0, compound, source=ALICE) == [] and plain.flow(0).drops["malformed"] == 1


def test_what_is_in_clear_is_checked(plane: LocalPlane) -> None:
    """Lengths of the header; the source; the counters say so."""
    lying = bytes([0x8F]) + rtp(3)[1:16]  # fifteen CSRCs in sixteen octets
    assert plane.send(0, lying, source=ALICE) == []
    assert plane.send(0, rtcp()[:6], source=ALICE) == []
    assert plane.send(0, rtp(4), source=("198.51.100.7", 9)) == []
    assert plane.send(1, rtp(5), source=BOB)[0][1] == rtp(5)
    drops = plane.flow(0).drops
    assert (drops["malformed"], drops["too_short"], drops["source"]) == (1, 1, 1)
