"""What far ends report on the streams that they get (RFC 3550 section 6.4, RFC 3611): row G12."""

from __future__ import annotations

import struct
import time

import pytest

from tests.kernels.guarded import damaged
from tests.kernels.rig import BOB, LocalPlane, bridge, master_key, secure_bridge, session

MIDDLE = 0x12345678  # of the NTP time in Alice's sender report
VOICE = 0x11223344
METRICS = struct.pack(">IBBBBHHHHBBBBBBBBBBHHH", VOICE, 13, 0, 0, 0, 0, 0, 84, 12, 0, 0, 0, 16, 93, 127, 43, 42,
                      0x30, 0, 40, 60, 120)  # fmt: skip


def sender_report(middle: int = MIDDLE, ssrc: int = VOICE) -> bytes:
    return struct.pack(">BBHIQIII", 0x80, 200, 6, ssrc, middle << 16, 160, 1, 160)


def block(
    ssrc: int = VOICE, fraction: int = 64, lost: int = 5, jitter: int = 33, last: int = 0, delay: int = 0
) -> bytes:
    return struct.pack(">IIIIII", ssrc, fraction << 24 | lost & 0xFFFFFF, 1, jitter, last, delay)


def receiver_report(*blocks: bytes) -> bytes:
    return struct.pack(">BBHI", 0x80 | len(blocks), 201, 1 + 6 * len(blocks), 9) + b"".join(blocks)


def extended(*blocks: bytes) -> bytes:
    return struct.pack(">BBHI", 0x80, 207, 1 + sum(map(len, blocks)) // 4, 9) + b"".join(blocks)


def voip(metrics: bytes = METRICS) -> bytes:
    return struct.pack(">BBH", 7, 0, len(metrics) // 4) + metrics


@pytest.fixture
def plane() -> LocalPlane:
    made = LocalPlane()
    made.do(*bridge())
    return made


def test_a_report_of_the_far_end(plane: LocalPlane) -> None:
    """Bob's, on what he gets of Alice: with the flow he sends by."""
    plane.send(1, receiver_report(block(fraction=128, lost=-3)), source=BOB)
    report = plane.flow(1).report
    assert 0 <= report.age_s < 60
    assert (report.fraction_lost, report.lost, report.jitter, report.round_trip_ms) == (0.5, -3, 33, None)
    assert plane.flow(0).report is None
    plane.send(1, sender_report(ssrc=9), source=BOB)
    assert plane.flow(1).report.jitter == 33  # one without blocks says nothing
    said = struct.pack(">BBHIQIII", 0x81, 200, 12, 9, 1, 1, 1, 1) + block(jitter=7)
    plane.send(1, said, source=BOB)
    assert plane.flow(1).report.jitter == 7


def test_the_round_trip_is_the_legs_own(plane: LocalPlane) -> None:
    """From the passage of Alice's sender report to Bob's answer, without the time he kept it."""
    plane.send(0, sender_report())
    sent = time.monotonic_ns()
    time.sleep(0.05)
    plane.send(1, receiver_report(block(last=MIDDLE, delay=int(0.04 * 65536))), source=BOB)
    passed_ms = (time.monotonic_ns() - sent) / 1e6
    assert 9 < plane.flow(1).report.round_trip_ms < passed_ms - 39


@pytest.mark.parametrize(("last", "delay"), [(MIDDLE + 1, 0), (MIDDLE, 65536), (0, 0)])
def test_a_round_trip_that_cannot_be(plane: LocalPlane, last: int, delay: int) -> None:
    """To another sender report, kept for longer than it is ago, to none."""
    plane.send(0, sender_report())
    plane.send(1, receiver_report(block(last=last, delay=delay)), source=BOB)
    assert plane.flow(1).report.round_trip_ms is None


def test_the_block_on_what_we_sent_is_taken(plane: LocalPlane) -> None:
    """Of several, that on the stream whose sender report passed; before one did, the first."""
    several = receiver_report(block(ssrc=1, jitter=1), block(ssrc=VOICE, jitter=2), block(ssrc=3, jitter=3))
    plane.send(1, several, source=BOB)
    assert plane.flow(1).report.jitter == 1
    plane.send(0, sender_report())
    plane.send(1, several, source=BOB)
    assert plane.flow(1).report.jitter == 2


def test_voip_metrics(plane: LocalPlane) -> None:
    """G12: block type 7, behind other blocks, in a compound."""
    loss_rle = struct.pack(">BBHIHHHH", 1, 0, 3, VOICE, 1, 2, 0, 0)
    plane.send(1, receiver_report() + extended(loss_rle, voip()), source=BOB)
    assert plane.flow(1).voip_metrics == METRICS
    assert plane.flow(0).voip_metrics == b""
    assert plane.counters()["forwarded"] == 1  # and it passes


@pytest.mark.parametrize(
    "blocks",
    [
        [struct.pack(">BBH", 7, 0, 8) + METRICS[:-4]],  # longer than its packet
        [struct.pack(">BBH", 7, 0, 7) + METRICS[:-4]],  # not the length of the RFC
        [struct.pack(">BBH", 1, 0, 100), voip()],  # behind one that lies
        [struct.pack(">BBH", 6, 0, 8) + METRICS],
    ],
)
def test_metrics_that_are_none(plane: LocalPlane, blocks: list[bytes]) -> None:
    plane.send(1, receiver_report() + extended(*blocks), source=BOB)
    assert plane.flow(1).voip_metrics == b""


def test_only_what_authenticates_is_believed() -> None:
    """Behind SRTCP: a forged report changes nothing, a real one does."""
    plane = LocalPlane()
    plane.do(*secure_bridge())
    plane.send(1, receiver_report(block()), source=BOB)
    assert plane.flow(1).report is None
    far = session(master_key(0), send=True)
    plane.send(1, far.protect_rtcp(receiver_report(block())), source=BOB)
    assert plane.flow(1).report.jitter == 33


@pytest.mark.malformed
def test_damaged_reports(plane: LocalPlane) -> None:
    """Nothing is read behind the end: the sanitizer's build runs this too."""
    whole = receiver_report(block(), block()) + extended(voip(), voip())
    for data in damaged(whole, 4000):
        plane.send(1, data, source=BOB)
    plane.send(1, whole, source=BOB)
    assert plane.flow(1).voip_metrics == METRICS
