"""A clip's sound, laid out so that the steps of its features fall on the encoded frames."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import soundfile
from torch import Tensor
from torch.nn import functional

from model.codecs.audio import SAMPLE_RATE_HZ, SAMPLES_PER_STEP


@dataclass(frozen=True, kw_only=True, slots=True)
class Sound:
    """Sound of a clip, 16 kHz mono."""

    waveform: Tensor = field(repr=False)
    """(N,) fp32 in [-1, 1]: the whole sound, less the part of a step at its start, so that a step begins where the
    window does."""
    first_step: int
    """Number of the waveform's first 20 ms step; 0 is the one at which the window begins."""
    wav: bytes = field(repr=False)
    """The window's own sound, 16 bit."""


def lay_out_sound(waveform: Tensor, *, start: int, num_frames: int, fps: int) -> Sound:
    """Lay the whole sound of a clip around its window.

    Args:
        waveform: (N,) at 16 kHz, beginning with the clip.
        start: the window's first frame, in frames since the clip's start.
        num_frames: of the window.
        fps: frames a second.
    """
    begin = round(Fraction(start, fps) * SAMPLE_RATE_HZ)
    length = round(Fraction(num_frames, fps) * SAMPLE_RATE_HZ)
    window = waveform[begin : begin + length]
    window = functional.pad(window, (0, length - len(window)))
    return Sound(
        waveform=waveform[begin % SAMPLES_PER_STEP :],
        first_step=-(begin // SAMPLES_PER_STEP),
        wav=_wav(window),
    )


def _wav(waveform: Tensor) -> bytes:
    sink = io.BytesIO()
    levels = np.clip(np.round(waveform.numpy() * 32768), -32768, 32767).astype(np.int16)
    soundfile.write(sink, levels, SAMPLE_RATE_HZ, format="WAV", subtype="PCM_16")
    return sink.getvalue()
