"""Made speech has the rhythm of speech."""

from __future__ import annotations

import numpy as np

from curation.sample.speech import CONTROL_RATE_HZ, SAMPLE_RATE_HZ, speak


def test_speech_has_pauses_and_syllables_at_the_rate_of_speech() -> None:
    speech = speak(20.0, seed=3)
    assert len(speech.samples) == 20 * SAMPLE_RATE_HZ
    assert 0.1 < np.mean(speech.opening < 0.05) < 0.6
    spectrum = np.abs(np.fft.rfft(speech.opening - speech.opening.mean())) ** 2
    rate_hz = np.fft.rfftfreq(len(speech.opening), 1 / CONTROL_RATE_HZ)
    share = spectrum / spectrum.sum()
    assert share[(rate_hz > 2) & (rate_hz < 8)].sum() > 0.25
    assert share[rate_hz > 10].sum() < 0.02
    sound = speech.samples.astype(float).reshape(500, -1).std(axis=1)
    opening = speech.opening.reshape(500, -1).mean(axis=1)
    assert np.corrcoef(opening, sound)[0, 1] > 0.75
    assert np.array_equal(speak(20.0, seed=3).samples, speech.samples)
    assert not np.array_equal(speak(20.0, seed=4).samples, speech.samples)
