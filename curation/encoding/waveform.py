"""A clip's sound, and the part of it that belongs to the encoded frames."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import soundfile
from torch import Tensor
from torch.nn import functional

from model.codecs.audio import SAMPLE_RATE_HZ


@dataclass(frozen=True, kw_only=True, slots=True)
class Sound:
    """Sound of a clip, 16 kHz mono."""

    waveform: Tensor = field(repr=False)
    """(N,) fp32 in [-1, 1]: the whole sound of the clip."""
    start: int
    """The window's first frame, in frames since the clip's start."""
    num_frames: int
    """Of the window."""
    wav: bytes = field(repr=False)
    """The window's own sound, 16 bit."""


def lay_out_sound(waveform: Tensor, *, start: int, num_frames: int, fps: int) -> Sound:
    """The sound of a clip with that of its window.

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
    return Sound(waveform=waveform, start=start, num_frames=num_frames, wav=_wav(window))


def _wav(waveform: Tensor) -> bytes:
    sink = io.BytesIO()
    levels = np.clip(np.round(waveform.numpy() * 32768), -32768, 32767).astype(np.int16)
    soundfile.write(sink, levels, SAMPLE_RATE_HZ, format="WAV", subtype="PCM_16")
    return sink.getvalue()
