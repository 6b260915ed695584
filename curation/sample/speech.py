"""A speech-like signal whose mouth opening is known: source and filter, syllable by syllable.

A glottal pulse train runs through three formant resonators; fricatives are filtered noise, plosives a closure
and a burst. Syllables come at 4 to 5 a second in phrases with pauses between them, as in speech
(Chandrasekaran et al. 2009: mouth area and acoustic envelope both move at 2 to 7 Hz).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

Floats = npt.NDArray[np.float64]

SAMPLE_RATE_HZ = 24_000
CONTROL_RATE_HZ = 200
"""Rate of the opening and rounding curves: far above any video frame rate."""


class Vowel(NamedTuple):
    """Formants in Hz (Peterson and Barney 1952, women) and what the lips do."""

    formants_hz: tuple[float, float, float]
    opening: float
    """How far the mouth is open, 0 to 1."""
    rounding: float
    """How far the lips are rounded, 0 to 1."""

    def scaled(self, formant_scale: float) -> Vowel:
        """The same vowel out of a vocal tract of another length."""
        first, second, third = (formant_scale * formant_hz for formant_hz in self.formants_hz)
        return self._replace(formants_hz=(first, second, third))


VOWELS = (
    Vowel((850, 1220, 2810), 1.0, 0.0),
    Vowel((860, 2050, 2850), 0.85, 0.0),
    Vowel((610, 2330, 2990), 0.6, 0.0),
    Vowel((310, 2790, 3310), 0.4, 0.0),
    Vowel((590, 920, 2710), 0.7, 0.7),
    Vowel((370, 950, 2670), 0.4, 1.0),
)
BANDWIDTHS_HZ = (90.0, 110.0, 170.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Speech:
    """Sound and the mouth that makes it, on one timeline."""

    samples: npt.NDArray[np.int16] = field(repr=False)
    """`(N,)` mono at `SAMPLE_RATE_HZ`."""
    opening: Floats = field(repr=False)
    """Mouth opening, 0 (shut) to 1, at `CONTROL_RATE_HZ`."""
    rounding: Floats = field(repr=False)
    """Lip rounding, 0 to 1, at `CONTROL_RATE_HZ`."""

    def mouth(self, time_s: float) -> tuple[float, float]:
        """Opening and rounding at a time; the mouth is shut outside the signal."""
        at = time_s * CONTROL_RATE_HZ
        grid = np.arange(len(self.opening))
        return (
            float(np.interp(at, grid, self.opening, right=0.0)),
            float(np.interp(at, grid, self.rounding, right=0.0)),
        )


def speak(duration_s: float, *, seed: int, pitch_hz: float = 205.0, formant_scale: float = 1.0) -> Speech:
    """`duration_s` seconds of syllables in phrases, the same for the same seed.

    Args:
        duration_s: length.
        seed: of everything that is random.
        pitch_hz: of the voice, about which it glides.
        formant_scale: of the formants' frequencies: 1 for women, about 0.85 for men, whose vocal tracts are longer.
    """
    rng = np.random.default_rng(seed)
    sound = np.zeros(round((duration_s + 1.0) * SAMPLE_RATE_HZ))
    opening = np.zeros(round((duration_s + 1.0) * CONTROL_RATE_HZ))
    rounding = np.zeros_like(opening)
    now = float(rng.uniform(0.15, 0.3))
    while now < duration_s - 0.35:
        num_syllables = int(rng.integers(3, 8))
        for index in range(num_syllables):
            length_s = float(rng.uniform(0.17, 0.28)) * (1.3 if index == num_syllables - 1 else 1.0)
            if now + length_s > duration_s - 0.1:
                break
            vowel = VOWELS[int(rng.integers(len(VOWELS)))].scaled(formant_scale)
            pitch = pitch_hz * (1.12 - 0.22 * index / num_syllables) * float(rng.uniform(0.96, 1.04))
            loudness = float(rng.uniform(0.75, 1.0)) * (0.35 + 0.65 * vowel.opening)
            _add(sound, _syllable(vowel, length_s, pitch, rng) * loudness, round(now * SAMPLE_RATE_HZ))
            arch = np.sin(np.linspace(0.0, np.pi, round(length_s * CONTROL_RATE_HZ))) ** 0.7
            begin = round(now * CONTROL_RATE_HZ)
            _add(opening, arch * vowel.opening * (0.8 + 0.2 * loudness), begin)
            _add(rounding, arch * vowel.rounding, begin)
            now += length_s
        now += float(rng.uniform(0.3, 0.65))
    sound += rng.normal(0.0, 1e-3, len(sound))
    return Speech(
        samples=np.round(np.clip(sound[: round(duration_s * SAMPLE_RATE_HZ)], -1, 1) * 32000).astype(np.int16),
        opening=np.clip(_smooth(opening), 0, 1)[: round(duration_s * CONTROL_RATE_HZ)],
        rounding=np.clip(_smooth(rounding), 0, 1)[: round(duration_s * CONTROL_RATE_HZ)],
    )


def silence(duration_s: float) -> Speech:
    """A shut mouth and digital silence."""
    still = np.zeros(round(duration_s * CONTROL_RATE_HZ))
    return Speech(samples=np.zeros(round(duration_s * SAMPLE_RATE_HZ), np.int16), opening=still, rounding=still)


def _syllable(vowel: Vowel, length_s: float, pitch_hz: float, rng: np.random.Generator) -> Floats:
    """A consonant (fricative, plosive or glide) and a vowel; peaks below 1."""
    total = round(length_s * SAMPLE_RATE_HZ)
    onset = round(min(0.07, 0.3 * length_s) * SAMPLE_RATE_HZ)
    voiced = _voice(vowel, total - onset, pitch_hz, rng)
    consonant = np.zeros(onset)
    kind = int(rng.integers(3))
    if kind == 0:
        noise = rng.normal(0.0, 1.0, onset)
        hiss = lfilter([1.0, -0.95], [1.0], noise)
        consonant = 0.09 * hiss * np.sin(np.linspace(0, np.pi, onset))
    elif kind == 1:
        burst = round(0.012 * SAMPLE_RATE_HZ)
        consonant[-burst:] = 0.2 * rng.normal(0.0, 1.0, burst) * np.linspace(1.0, 0.1, burst)
    else:
        consonant = _voice(vowel, onset, pitch_hz, rng) * np.linspace(0.0, 0.3, onset)
    return np.concatenate([consonant, voiced])


def _voice(vowel: Vowel, num: int, pitch_hz: float, rng: np.random.Generator) -> Floats:
    """Glottal pulses with a little jitter through the vowel's resonators, faded in and out."""
    # Speech glides: a syllable falls by about three semitones, where a sung note would be held.
    drift = np.linspace(1.09, 0.91, num) + 0.004 * rng.normal(0, 1, num)
    phase = np.cumsum(pitch_hz * drift / SAMPLE_RATE_HZ)
    pulses = np.diff(np.floor(phase), prepend=0.0)
    signal = lfilter([1.0], [1.0, -1.8, 0.81], pulses)
    for formant_hz, bandwidth_hz in zip(vowel.formants_hz, BANDWIDTHS_HZ, strict=True):
        radius = np.exp(-np.pi * bandwidth_hz / SAMPLE_RATE_HZ)
        cosine = np.cos(2 * np.pi * formant_hz / SAMPLE_RATE_HZ)
        signal = lfilter([1.0 - radius], [1.0, -2 * radius * cosine, radius**2], signal)
    signal = np.diff(signal, prepend=0.0)
    fade = np.sin(np.linspace(0, np.pi, num)) ** 0.6
    # Equal power, so that the mouth's opening alone decides the loudness; the peaks are rounded off.
    power = float(np.sqrt(np.mean(signal**2))) or 1.0
    faded: Floats = np.asarray(np.tanh(0.3 * signal / power * fade), np.float64)
    return faded


def _smooth(curve: Floats, seconds: float = 0.05) -> Floats:
    """Lips have mass: a short raised-cosine average."""
    window = np.hanning(round(seconds * CONTROL_RATE_HZ) + 2)[1:-1]
    return np.convolve(curve, window / window.sum(), mode="same")


def _add(target: Floats, part: Floats, begin: int) -> None:
    end = min(begin + len(part), len(target))
    target[begin:end] += part[: end - begin]
