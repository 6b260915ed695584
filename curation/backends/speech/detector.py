"""Whether somebody can be heard, and how: what a detector of speech returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from curation.clip.schema import AudioType


@dataclass(frozen=True, kw_only=True, slots=True)
class HeardSound:
    """What was measured on the sound of one clip."""

    level_db: float
    """Loudest 0.1 s, in dB below full scale; -120 for digital silence."""
    speech_fraction: float
    """Fraction of the time in which a voice (or an instrument: pitch cannot tell) sounds."""
    audio_type: AudioType
    """By sound alone; `UNKNOWN` for music, singing and speech over music: only lips can tell them apart."""
    confidence: float
    """Confidence in `audio_type`, in [0, 1]."""
    held_fraction: float
    """Fraction of the voiced time in which the pitch is held like a note."""


class SpeechDetector(Protocol):
    """Listens to one clip."""

    def listen(self, samples: npt.NDArray[np.int16]) -> HeardSound:
        """Measure `(N,)` mono samples at 16 kHz."""
        ...
