"""The judge of the telephone tests: it hears what is there, at its level, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.system import sound, wire


def test_a_recording_is_recognised_after_loss_and_delay() -> None:
    played = sound.noise(10, 1)
    heard = np.concatenate((np.zeros(1234), played[4000:30_000] * 0.5, played[31_000:70_000] * 0.5))
    found = sound.compare(played, heard)
    assert 7 <= found.found <= 8
    assert found.correlation == pytest.approx(1, abs=0.01)
    assert found.level == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("late", [0.25, 0.5, 0.85])
def test_a_part_of_a_sample_is_no_difference(late: float) -> None:
    """A browser resamples 48 kHz to 8 kHz, and where it begins is another sixth of a sample in each session."""
    played = sound.noise(4, 1)
    turn = np.exp(-2j * np.pi * np.fft.rfftfreq(len(played)) * late)
    found = sound.compare(played, np.fft.irfft(np.fft.rfft(played) * turn, len(played)))
    assert found.found >= 3 and found.correlation == pytest.approx(1, abs=0.002)


def test_another_recording_is_not() -> None:
    assert sound.compare(sound.noise(10, 1), sound.noise(10, 2)).found == 0
    assert sound.compare(sound.noise(10, 1), sound.noise(10, 2), sound.RATE // 10).found == 0
    assert sound.compare(sound.noise(10, 1), np.zeros(80_000)).found == 0


def test_a_wav_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    played = sound.noise(1, 3)
    assert sound.read(sound.write(tmp_path / "x.wav", played)) == pytest.approx(played, abs=1e-4)
    twice = sound.write(tmp_path / "y.wav", np.repeat(played, 2), 2 * sound.RATE)
    assert sound.read(twice) == pytest.approx(played, abs=1e-4)


def test_mu_law() -> None:
    """ITU-T G.711 table 2b: code 0xFF is 0, 0x80 the largest positive, 0x00 the largest negative value."""
    assert wire.pcmu([bytes((0xFF, 0x80, 0x00))]).tolist() == pytest.approx([0, 8031 / 8159, -8031 / 8159])
