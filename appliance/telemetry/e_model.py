"""What the network did to speech, as a number (ITU-T G.107, G.113).

    R = 93.2 - Id - Ie,eff
    Ie,eff = Ie + (95 - Ie) * Ppl / (Ppl + Bpl)           Ppl: percent of packets that were not played
    Id = 0.024 * d + 0.11 * max(0, d - 177.3)             d: one way, milliseconds

G.107 with its default values and random loss. Id is the usual reduction of its echo-free delay terms (Cole and
Rosenbluth, 2001). Ie and Bpl are those of G.711 with concealment (G.113 appendix I) whatever the codec: what the
network did is compared between calls, not codecs. Delay and jitter are known where phones report them over RTCP.
"""

from __future__ import annotations

BEST = 93.2  # R of the default values
IE, BPL = 0.0, 25.1
NOTICED_MS = 177.3  # from here on delay disturbs the conversation
BUFFER = 2.0  # a jitter buffer holds so many mean deviations (RFC 3550's jitter)
WORST, PERFECT = 1.0, 4.5


def loss_percent(received: int, lost: int) -> float:
    """Of what was sent; 0 where nothing was."""
    return 100.0 * lost / (received + lost) if received + lost else 0.0


def rating(loss: float, delay_ms: float = 0.0) -> float:
    """R, 0 to 93.2, at so many percent of lost packets and so much delay from mouth to ear."""
    return max(0.0, BEST - _delay(delay_ms) - IE - (95.0 - IE) * loss / (loss + BPL))


def mos(factor: float) -> float:
    """Mean opinion score of an R (G.107 annex B), 1 to 4.5."""
    if factor <= 0:
        return WORST
    if factor >= 100:
        return PERFECT
    return max(WORST, 1 + 0.035 * factor + factor * (factor - 60) * (100 - factor) * 7e-6)


def one_way(round_trips_ms: float, jitter_ms: float = 0.0, buffer_ms: float = 0.0) -> float:
    """Delay from the round trips of both legs together; of the listener's jitter buffer what its phone says of it
    (`buffer_ms`), else what the jitter takes."""
    return round_trips_ms / 2 + (buffer_ms or BUFFER * jitter_ms)


def heard(loss: float, delay_ms: float = 0.0) -> float:
    """MOS, two decimals."""
    return round(mos(rating(loss, delay_ms)), 2)


def _delay(milliseconds: float) -> float:
    return 0.024 * milliseconds + 0.11 * max(0.0, milliseconds - NOTICED_MS)
