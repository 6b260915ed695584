"""Silero hears speech in speech, and none in what pitch and pauses take for it."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from curation.backends.speech.periodicity import RATE_HZ
from curation.backends.speech.silero import SileroDetector
from curation.clip.schema import AudioType
from curation.sample.speech import speak

SECONDS = 4


@pytest.fixture(scope="module")
def detector() -> SileroDetector:
    return SileroDetector()


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return speak(SECONDS, seed=1).samples


def babble() -> np.ndarray:
    """Buzzing tones with pauses: periodic, and its level spreads like that of talk."""
    time_s = np.arange(SECONDS * RATE_HZ) / RATE_HZ
    buzz = sum(np.sin(2 * np.pi * 140 * (1 + 0.3 * np.sin(7 * time_s)) * time_s * k) / k for k in range(1, 12))
    gate = (np.sin(2 * np.pi * 3 * time_s) > -0.3).astype(np.float64)
    return np.asarray(buzz * gate * 4000, np.int16)


def test_made_speech_is_talk(detector: SileroDetector, speech: np.ndarray) -> None:
    heard = detector.listen(speech)
    assert heard.audio_type is AudioType.TALKING
    assert heard.speech_fraction > 0.5


def test_silence_holds_nothing(detector: SileroDetector) -> None:
    heard = detector.listen(np.zeros(SECONDS * RATE_HZ, np.int16))
    assert heard.audio_type is AudioType.NONE
    assert heard.speech_fraction == 0.0
    assert detector.listen(np.zeros(100, np.int16)).audio_type is AudioType.NONE


def test_what_only_sounds_like_talk_to_pitch_and_pauses_is_left_to_the_lips(detector: SileroDetector) -> None:
    sound = babble()
    assert detector.periodicity.listen(sound).audio_type is AudioType.TALKING, "or this test shows nothing"
    assert detector.listen(sound).audio_type is AudioType.UNKNOWN


def test_the_samples_before_a_window_count(detector: SileroDetector, speech: np.ndarray) -> None:
    probabilities = detector.probabilities(speech)
    assert probabilities.shape == (len(speech) // 512,)
    assert probabilities.max() > 0.9
    assert probabilities.min() >= 0.0


def test_threads_do_not_disturb_each_other(detector: SileroDetector, speech: np.ndarray) -> None:
    alone, together = detector.probabilities(speech), list[np.ndarray]()
    threads = [threading.Thread(target=lambda: together.append(detector.probabilities(speech))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(together) == 4
    assert all(np.array_equal(alone, each) for each in together)
