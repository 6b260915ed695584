from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from curation.backends.lips.syncnet.mfcc import mel_bands, mfcc


def slow_mfcc(samples: npt.NDArray[np.int16]) -> list[list[float]]:
    """The definition of `python_speech_features.mfcc(samples, 16000)` written out term by term."""
    sound = [float(value) for value in samples]
    sound = [value if i == 0 else value - 0.97 * sound[i - 1] for i, value in enumerate(sound)]
    windows = 1 if len(sound) <= 400 else 1 + math.ceil((len(sound) - 400) / 160)
    sound += [0.0] * ((windows - 1) * 160 + 400 - len(sound))
    highest = 2595 * math.log10(1 + 8000 / 700)
    corners = [
        math.floor(513 * 700 * (10 ** (highest * index / 27 / 2595) - 1) / 16000 + (1e-9 if index == 27 else 0))
        for index in range(28)
    ]
    bins = np.arange(257)
    turning = np.exp(-2j * np.pi * np.outer(bins, np.arange(400)) / 512)
    rows = []
    for window in range(windows):
        piece = np.array(sound[160 * window : 160 * window + 400])
        power = [abs(sum_) ** 2 / 512 for sum_ in turning @ piece]
        logs = []
        for band in range(26):
            low, middle, high = corners[band : band + 3]
            total = sum(power[i] * (i - low) / (middle - low) for i in range(low, middle))
            total += sum(power[i] * (high - i) / (high - middle) for i in range(middle, high))
            logs.append(math.log(total or np.finfo(float).eps))
        cepstra = []
        for order in range(13):
            value = sum(log * math.cos(math.pi * order * (2 * band + 1) / 52) for band, log in enumerate(logs))
            value *= math.sqrt((1 if order == 0 else 2) / 26) * (1 + 11 * math.sin(math.pi * order / 22))
            cepstra.append(value)
        cepstra[0] = math.log(sum(power) or np.finfo(float).eps)
        rows.append(cepstra)
    return rows


@pytest.mark.parametrize("length", [400, 401, 560, 3200, 3333])
def test_cepstra_are_those_of_the_definition(length: int) -> None:
    rng = np.random.default_rng(length)
    samples = (3000 * np.sin(np.arange(length) * 0.05) + rng.normal(0, 800, length)).astype(np.int16)
    cepstra = mfcc(samples)
    assert cepstra.shape == (1 + math.ceil((length - 400) / 160), 13)
    assert np.allclose(cepstra, slow_mfcc(samples), rtol=0, atol=1e-7)


def test_silence_and_scraps_of_sound_stay_finite() -> None:
    assert np.isfinite(mfcc(np.zeros(3200, np.int16))).all()
    assert mfcc(np.array([5, -5], np.int16)).shape == (1, 13)


def test_loudness_is_on_the_scale_of_int16() -> None:
    samples = np.random.default_rng(0).integers(-8000, 8000, 1600).astype(np.int16)
    louder = mfcc((samples * 2).astype(np.int16))
    assert np.allclose(louder[:, 0] - mfcc(samples)[:, 0], math.log(4))
    assert np.allclose(louder[:, 1:], mfcc(samples)[:, 1:])


def test_bands_rise_to_one_and_overlap_by_half() -> None:
    bands = mel_bands()
    assert bands.shape == (26, 257)
    assert np.allclose(bands.max(1), 1)
    covered = bands.sum(0)[int(bands[0].argmax()) : int(bands[-1].argmax()) + 1]
    assert np.allclose(covered, 1)
