"""Row G12: VoIP metrics (RFC 3611 section 4.7) as numbers."""

from __future__ import annotations

import pytest

from appliance.protocols.rtcp.voip_metrics import VoipMetrics, parse

SAID = bytes.fromhex("11223344 0d 04 80 10 003c 1388 0054 000c ec b0 37 10 5d 7f 2b 2a 30 00 0028 003c 0078")


def test_all_fields() -> None:
    assert parse(SAID) == VoipMetrics(
        ssrc=0x11223344,
        loss_rate=13 / 256,
        discard_rate=4 / 256,
        burst_density=0.5,
        gap_density=1 / 16,
        burst_ms=60,
        gap_ms=5000,
        round_trip_ms=84,
        end_system_ms=12,
        signal_dbm=-20,
        noise_dbm=-80,
        echo_return_loss_db=55,
        r_factor=93,
        external_r_factor=None,
        mos_listening=4.3,
        mos_conversational=4.2,
        jitter_buffer_ms=40,
        jitter_buffer_most_ms=60,
        jitter_buffer_limit_ms=120,
    )


def test_what_the_phone_does_not_know() -> None:
    """127 (sections 4.7.5 and 4.7.6), and scores that are none."""
    found = parse(SAID[:16] + bytes([127, 127, 127, 16, 127, 127, 127, 60]) + SAID[24:])
    assert found is not None
    known = (found.signal_dbm, found.noise_dbm, found.echo_return_loss_db, found.r_factor, found.external_r_factor)
    assert set(known) == {None}
    assert found.mos_listening is None and found.mos_conversational is None


@pytest.mark.parametrize("block", [b"", SAID[:-1], SAID + b"\0"])
def test_another_length(block: bytes) -> None:
    assert parse(block) is None
