"""What loss does to speech, as a number (ITU-T G.107, G.113).

R = 93.2 - Ie,eff, with Ie,eff = Ie + (95 - Ie) * Ppl / (Ppl + Bpl): G.107 with its default values, random loss, and no
delay, which a relay cannot measure. Ie and Bpl are those of G.711 with concealment (G.113 appendix I) whatever the
codec: what the network did is compared between calls, not codecs.
"""

from __future__ import annotations

BEST = 93.2  # R of the default values
IE, BPL = 0.0, 25.1
WORST, PERFECT = 1.0, 4.5


def loss_percent(received: int, lost: int) -> float:
    """Of what was sent; 0 where nothing was."""
    return 100.0 * lost / (received + lost) if received + lost else 0.0


def rating(loss: float) -> float:
    """R, 0 to 93.2, at so many percent of lost packets."""
    return max(0.0, BEST - IE - (95.0 - IE) * loss / (loss + BPL))


def mos(factor: float) -> float:
    """Mean opinion score of an R (G.107 annex B), 1 to 4.5."""
    if factor <= 0:
        return WORST
    if factor >= 100:
        return PERFECT
    return max(WORST, 1 + 0.035 * factor + factor * (factor - 60) * (100 - factor) * 7e-6)


def heard(received: int, lost: int) -> float:
    """MOS of a stream, two decimals; 0 of one that never came."""
    return round(mos(rating(loss_percent(received, lost))), 2) if received else 0.0
