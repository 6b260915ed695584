"""The model and curation import nothing of each other and must hear the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from curation.media import MediaError, read_audio
from model.codecs.audio import load_audio
from tests.worlds.media_table import SOUND_FILES, TONE_HZ, SoundFile

RATE_HZ = 16_000
NAMES = [sound.name for sound in SOUND_FILES]
WITH_PICTURES = [sound for sound in SOUND_FILES if sound.has_pictures]


def tone_of(samples: np.ndarray) -> tuple[float, float]:
    """Amplitude of 440 Hz, and all that is not it in dB to it."""
    phases = 2 * np.pi * TONE_HZ * np.arange(len(samples)) / RATE_HZ
    waves = np.stack([np.sin(phases), np.cos(phases)], axis=1)
    weights = np.linalg.lstsq(waves, samples, rcond=None)[0]
    rest = samples - waves @ weights
    amplitude = float(np.hypot(*weights))
    return amplitude, float(10 * np.log10(np.mean(rest**2) / max(amplitude**2 / 2, 1e-12) + 1e-12))


def check(sound: SoundFile, samples: np.ndarray, start_s: float) -> None:
    """The tone is there from its start to its end, at its level, without anything else."""
    before = float(np.abs(samples[: max(round(start_s * RATE_HZ) - 20, 0)]).max(initial=0))
    assert before < 0.01, "something before it begins"
    heard = samples[round((start_s + 0.1) * RATE_HZ) : round((start_s + sound.seconds - 0.1) * RATE_HZ)]
    # The tone's phase jumps where files are joined: each third of a second is looked at by itself.
    pieces = [tone_of(piece) for piece in np.array_split(heard, len(heard) // (RATE_HZ // 3))]
    levels, distortions = (sorted(values) for values in zip(*pieces, strict=True))
    # Two of each join may fall into the pieces around it.
    distortions = distortions[: len(distortions) - 2 * sound.num_joins]
    assert levels[len(levels) // 2] == pytest.approx(sound.level, rel=0.04)
    assert distortions[-1] <= sound.distortion_db


@pytest.mark.parametrize("sound", SOUND_FILES, ids=NAMES)
def test_the_model_hears(sound: SoundFile, tmp_path: Path) -> None:
    path = sound.make(tmp_path)
    if sound.refused:
        with pytest.raises(ValueError, match=path.name) as error:
            load_audio(path)
        assert "\n" not in str(error.value)
        return
    samples = load_audio(path).numpy()
    wanted = sound.seconds * RATE_HZ
    assert wanted <= len(samples) <= wanted + sound.slack_s * RATE_HZ + 1
    check(sound, samples, 0.0)


@pytest.mark.parametrize("sound", WITH_PICTURES, ids=[sound.name for sound in WITH_PICTURES])
def test_curation_hears(sound: SoundFile, tmp_path: Path) -> None:
    path = str(sound.make(tmp_path))
    end_s = sound.starts_s + sound.seconds
    if sound.refused:
        with pytest.raises((ValueError, MediaError)):
            read_audio(path, 0, end_s, sample_rate_hz=RATE_HZ)
        return
    samples, rate_hz = read_audio(path, 0, end_s, sample_rate_hz=RATE_HZ)
    assert (rate_hz, samples.shape) == (RATE_HZ, (round(end_s * RATE_HZ), 1))
    check(sound, samples[:, 0] / 32768, sound.starts_s)
