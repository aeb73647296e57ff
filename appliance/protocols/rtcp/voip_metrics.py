"""VoIP metrics of RTCP extended reports (RFC 3611 section 4.7): what a phone thinks of what it plays. Pure."""

from __future__ import annotations

import struct
from dataclasses import dataclass

_BLOCK = struct.Struct(">I4B4H2b8B3H")
_UNKNOWN = 127


@dataclass(frozen=True, slots=True)
class VoipMetrics:
    """None: the phone does not know. Rates and densities are shares, 0 to 1; times are milliseconds."""

    ssrc: int  # of the stream that the phone gets
    loss_rate: float  # of packets, since reception began
    discard_rate: float  # came too late or too early for the jitter buffer
    burst_density: float  # lost or discarded within bursts
    gap_density: float  # and between them
    burst_ms: int
    gap_ms: int
    round_trip_ms: int
    end_system_ms: int
    signal_dbm: int | None
    noise_dbm: int | None
    echo_return_loss_db: int | None
    r_factor: int | None  # of this hop, 0 to 100
    external_r_factor: int | None  # of a network behind the phone
    mos_listening: float | None  # 1 to 5
    mos_conversational: float | None
    jitter_buffer_ms: int  # nominal delay
    jitter_buffer_most_ms: int  # at present
    jitter_buffer_limit_ms: int  # it can reach


def parse(block: bytes) -> VoipMetrics | None:
    """`block`: the 32 octets behind the block's header. None: another length."""
    if len(block) != _BLOCK.size:
        return None
    (
        ssrc, loss, discard, burst, gap, burst_ms, gap_ms, round_trip, end_system, signal, noise,
        return_loss, _gmin, r_factor, external, listening, conversational, _config, _reserved, nominal, most, limit,
    ) = _BLOCK.unpack(block)  # fmt: skip
    return VoipMetrics(
        ssrc, loss / 256, discard / 256, burst / 256, gap / 256, burst_ms, gap_ms, round_trip, end_system,
        _known(signal), _known(noise), _known(return_loss), _known(r_factor), _known(external),
        _score(listening), _score(conversational), nominal, most, limit,
    )  # fmt: skip


def _known(value: int) -> int | None:
    return None if value == _UNKNOWN else value


def _score(tenths: int) -> float | None:
    """10 to 50; RFC 3611 reserves the rest."""
    return tenths / 10 if 10 <= tenths <= 50 else None
