"""Mel-frequency cepstra as SyncNet was trained on: those of `python_speech_features.mfcc` with its defaults.

Legend: N samples, F windows, M = 26 mel bands, C = 13 cepstra.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.fft import dct

RATE_HZ = 16_000
WINDOW, HOP = 400, 160
"""25 ms every 10 ms; the window is rectangular."""
TRANSFORM = 512
NUM_BANDS, NUM_CEPSTRA = 26, 13
PREEMPHASIS = 0.97
LIFTER = 22
Floats = npt.NDArray[np.float64]


def mfcc(samples: npt.NDArray[np.int16]) -> Floats:
    """Cepstra `(F, C)` of `(N,)` samples at 16 kHz on the scale of int16; the first is the log energy.

    F = 1 + ⌈(N − 400) / 160⌉: the last window is filled up with zeros.
    """
    sound = samples.astype(np.float64)
    emphasised = np.append(sound[:1], sound[1:] - PREEMPHASIS * sound[:-1])
    num_windows = 1 + max(0, -(-(len(sound) - WINDOW) // HOP))
    padded = np.zeros((num_windows - 1) * HOP + WINDOW)
    padded[: len(emphasised)] = emphasised
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    power = np.abs(np.fft.rfft(windows, TRANSFORM)) ** 2 / TRANSFORM
    energy = _positive(power.sum(1))
    bands = np.log(_positive(power @ mel_bands().T))
    cepstra = np.asarray(dct(bands, type=2, axis=1, norm="ortho")[:, :NUM_CEPSTRA], np.float64)
    cepstra *= 1 + LIFTER / 2 * np.sin(np.pi * np.arange(NUM_CEPSTRA) / LIFTER)
    cepstra[:, 0] = np.log(energy)
    return cepstra


def mel_bands() -> Floats:
    """Triangles `(M, TRANSFORM // 2 + 1)` whose corners are whole bins, evenly spaced in mel from 0 to 8 kHz."""
    corners_mel = np.linspace(0, 2595 * np.log10(1 + RATE_HZ / 2 / 700), NUM_BANDS + 2)
    corners = np.floor((TRANSFORM + 1) * 700 * (10 ** (corners_mel / 2595) - 1) / RATE_HZ)
    bins = np.arange(TRANSFORM // 2 + 1)
    bands = np.zeros((NUM_BANDS, len(bins)))
    for band, (low, middle, high) in enumerate(zip(corners, corners[1:], corners[2:], strict=False)):
        rising, falling = (bins >= low) & (bins < middle), (bins >= middle) & (bins < high)
        bands[band, rising] = (bins[rising] - low) / (middle - low)
        bands[band, falling] = (high - bins[falling]) / (high - middle)
    return bands


def _positive(values: Floats) -> Floats:
    """Values with zeros replaced by a double's machine epsilon, so that all have a logarithm."""
    return np.where(values == 0, np.finfo(np.float64).eps, values)
