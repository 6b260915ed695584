import numpy as np
import pytest

from curation.backends.speech.periodicity import RATE_HZ, PeriodicityDetector
from curation.clip.schema import AudioType
from tests.worlds.moving_mouth import syllables, voice

DETECTOR = PeriodicityDetector()
TIMES = np.arange(5 * RATE_HZ) / RATE_HZ


def test_syllables_with_pauses_are_talk() -> None:
    sound = DETECTOR.listen(voice(syllables(5.0, seed=3)))
    assert sound.audio_type is AudioType.TALKING
    assert sound.speech_fraction > 0.4


def test_held_notes_are_not_talk() -> None:
    pitch = np.repeat([220.0, 247.0, 262.0, 330.0, 294.0], RATE_HZ)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE_HZ
    notes = sum(np.sin(n * phase) / n for n in range(1, 9))
    sound = DETECTOR.listen(np.asarray(notes * 8000, np.int16))
    assert sound.audio_type is AudioType.UNKNOWN
    assert sound.held_fraction > 0.6


def test_noise_has_no_voice() -> None:
    noise = np.random.default_rng(0).normal(size=len(TIMES)) * 3000
    sound = DETECTOR.listen(noise.astype(np.int16))
    assert sound.audio_type is AudioType.NONE
    assert sound.speech_fraction == 0.0
    assert sound.level_db == pytest.approx(20 * np.log10(3000 / 32768), abs=1)


@pytest.mark.parametrize("num_samples", [0, 100, 5 * RATE_HZ])
def test_digital_silence_is_bottomless(num_samples: int) -> None:
    sound = DETECTOR.listen(np.zeros(num_samples, np.int16))
    assert sound.audio_type is AudioType.NONE
    assert sound.level_db == -120
