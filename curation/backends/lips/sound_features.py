"""Log band energies of sound, one row for each video frame."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

WINDOW = 400
"""25 ms at 16 kHz: a pitch period or two."""
HOP = 160
TRANSFORM = 512
NUM_BANDS = 24
LOWEST_HZ, HIGHEST_HZ = 100.0, 6000.0
FLOOR_POWER = 1e-9
"""Band power (full scale: 1) below which sound counts as silence, about -90 dB."""


def band_levels(samples: npt.NDArray[np.int16], num_frames: int, *, rate_hz: int, fps: int) -> npt.NDArray[np.float32]:
    """Natural log of the power in mel bands, `(num_frames, NUM_BANDS)`; frame i hears [i, i + 1) / fps.

    Args:
        samples: `(N,)` mono; missing samples count as silence.
        num_frames: video frames from the first sample on.
        rate_hz: samples a second.
        fps: frames a second; `rate_hz / fps` must be a multiple of the 10 ms hop.
    """
    hops = rate_hz // fps // HOP
    assert hops * HOP * fps == rate_hz, "whole hops a frame"
    power = short_time_power(samples, num_frames * hops)
    levels = np.log(power @ mel_bands(rate_hz).T + FLOOR_POWER)
    return np.asarray(levels.reshape(num_frames, hops, NUM_BANDS).mean(1), np.float32)


def short_time_power(samples: npt.NDArray[np.int16], num_hops: int) -> npt.NDArray[np.float32]:
    """`(num_hops, TRANSFORM // 2 + 1)` power spectra, a Hann window centred in each hop; full scale is 1."""
    before = (WINDOW - HOP) // 2
    padded = np.zeros(before + num_hops * HOP + WINDOW, np.float32)
    usable = samples[: len(padded) - before].astype(np.float32) / 32768
    padded[before : before + len(usable)] = usable
    window = np.hanning(WINDOW).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[: num_hops * HOP : HOP]
    spectra = np.fft.rfft(windows * window, TRANSFORM)
    return np.asarray(np.abs(spectra) ** 2 / (window**2).sum() / WINDOW, np.float32)


def mel_bands(rate_hz: int) -> npt.NDArray[np.float32]:
    """`(NUM_BANDS, TRANSFORM // 2 + 1)` triangles, evenly spaced in mel."""
    mel_edges = np.linspace(_mel(LOWEST_HZ), _mel(HIGHEST_HZ), NUM_BANDS + 2)
    edges = 700 * (10 ** (mel_edges / 2595) - 1)
    bins = np.fft.rfftfreq(TRANSFORM, 1 / rate_hz)[None]
    lower, centre, upper = (edges[i : i + NUM_BANDS, None] for i in range(3))
    rising, falling = (bins - lower) / (centre - lower), (upper - bins) / (upper - centre)
    return np.clip(np.minimum(rising, falling), 0, None).astype(np.float32)


def _mel(hertz: float) -> float:
    return float(2595 * np.log10(1 + hertz / 700))
