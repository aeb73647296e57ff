"""Speech-like noise that no other recording resembles, and how much of it is found again in what was heard.

Sound is float64 in -1..1 at RATE samples a second, one channel.
"""

from __future__ import annotations

import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

RATE = 8000
Sound = npt.NDArray[np.float64]
PIECE = RATE // 2  # samples that are looked for at a time: a jitter buffer may slip between two pieces


def noise(seconds: float, seed: int) -> Sound:
    """Noise between 300 and 3000 Hz: what a telephone passes, so that G.711 and resampling leave it as it is."""
    count = int(seconds * RATE)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(count))
    frequency = np.fft.rfftfreq(count, 1 / RATE)
    spectrum[(frequency < 300) | (frequency > 3000)] = 0
    sound = np.fft.irfft(spectrum, count)
    return np.asarray(0.5 * sound / np.abs(sound).max())


def write(path: Path, sound: Sound, rate: int = RATE) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def read(path: Path) -> Sound:
    """First channel of a 16-bit WAV file, brought to RATE (its own rate must be a multiple).

    The length in the header is not believed: a recorder that was ended has not written it."""
    octets = path.read_bytes()
    channels = int.from_bytes(octets[22:24], "little")
    rate = int.from_bytes(octets[24:28], "little")
    start = octets.index(b"data") + 8
    samples = np.frombuffer(octets[start : start + (len(octets) - start) // 2 * 2], "<i2")[::channels] / 32768
    assert rate % RATE == 0, rate
    return samples.reshape(-1, rate // RATE).mean(axis=1) if rate != RATE else samples


@dataclass(frozen=True)
class Likeness:
    """`found`: seconds of the played sound that were heard (correlation of the piece above `LIKE`); `level`: how loud
    they were, relative to what was played."""

    found: float
    correlation: float  # median of the found pieces
    level: float


LIKE = 0.9
_AROUND = np.arange(-32, 33)
_BETWEEN = np.sinc(_AROUND - np.linspace(-0.5, 0.5, 17)[:, None])  # values between samples (band-limited interpolation)


def compare(played: Sound, heard: Sound, piece: int = PIECE) -> Likeness:
    """Look for each piece of what was heard in what was played, wherever it is there. `piece`: samples; noise of 0.1 s
    is still like no other (a correlation of 0.2 at best)."""
    size = 1 << (len(played) + piece).bit_length()
    spectrum = np.fft.rfft(played, size)
    energy = np.concatenate(([0.0], np.cumsum(played**2)))
    there = np.maximum(energy[piece:] - energy[:-piece], 1e-12)  # of each stretch that a piece may be
    pieces = [heard[at : at + piece] for at in range(0, len(heard) - piece, piece)]
    fits = [_fit(spectrum, there, one, size) for one in pieces if np.any(one)]
    found = [fit for fit in fits if fit[0] > LIKE]
    if not found:
        return Likeness(0.0, 0.0, 0.0)
    correlation, level = np.median(np.array(found), axis=0)
    return Likeness(len(found) * piece / RATE, float(correlation), float(level))


def _fit(spectrum: npt.NDArray[np.complex128], there: Sound, piece: Sound, size: int) -> tuple[float, float]:
    """Best normalised cross-correlation of the piece with any place of what was played, and the gain there. Places are
    between samples, too: who resamples may be half a sample late, which makes 0.8 of a perfect likeness."""
    product = np.fft.irfft(spectrum * np.conj(np.fft.rfft(piece, size)), size)
    own = float(np.sum(piece**2))
    best = int(np.argmax(product[: len(there)] / np.sqrt(there * own)))
    near = product[(best + _AROUND) % size]
    return float((_BETWEEN @ near).max() / np.sqrt(there[best] * own)), float(np.sqrt(own / there[best]))
