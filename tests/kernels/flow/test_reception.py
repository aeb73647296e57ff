"""Loss estimate of a flow (RFC 3550 appendices A.1, A.3)."""

from __future__ import annotations

import pytest

from tests.kernels.rig import LocalPlane, bridge, rtp


@pytest.mark.parametrize(
    ("sequences", "lost"),
    [
        (range(100, 200), 0),
        ([1, 2, 5, 6], 2),
        ([1, 2, 5, 3, 4], 0),
        ([65530, 65535, 65536, 65540], 7),
        ([1, 1, 1, 4], 0),
        ([10, 9, 8], 0),
        ([1, 2, 30000, 30001], 0),
        ([1, 3, 30000, 30002], 2),
    ],
)
def test_lost_packets(sequences: list[int], lost: int) -> None:
    plane = LocalPlane()
    plane.do(*bridge())
    plane.send(0, *[rtp(number) for number in sequences])
    assert plane.flow(0).lost == lost


def test_a_new_ssrc_keeps_what_was_lost_before() -> None:
    """F23: a changed SSRC is counted; its sequence starts anew."""
    plane = LocalPlane()
    plane.do(*bridge())
    plane.send(0, rtp(1), rtp(3), rtp(40000, ssrc=7), rtp(40002, ssrc=7))
    status = plane.flow(0)
    assert (status.lost, status.ssrc_in, status.ssrc_changes) == (2, 7, 1)
