"""The sample bucket's portrait says what no training has heard, and its mouth is read back from pixels.

Letters: T pixel frames, S side, P pixels about the mouth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Self

import cv2
import numpy as np
import numpy.typing as npt

from bench.studies.talking_faces.performance import FPS, Take, Voice, frame_openings, recorded
from curation.sample.speech import speak
from curation.sample.takes import portrait_take

Frames = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

HELD_OUT_SEEDS: Final = range(70_001, 70_100)
"""Of speech that the sample bucket does not have."""
FITTED_SEEDS: Final = range(60_001, 60_004)
"""Of the takes that the reading of the mouth is fitted on."""

_FILMED_SIDE: Final = 640
_MOUTH: Final = (0.512, 0.70, 0.375, 0.612)
"""Rows and columns about the mouth and the chin, of the picture's side: first and last."""
_WINDOW: Final = (19, 15)
"""Width and height that they are reduced to."""
_RIDGE: Final = 1.0
_VOICE: Final = Voice(pitch_hz=205.0, formant_scale=1.0, loudness=1.0, tilt=0.0)


def portrait_says(seed: int, duration_s: float, *, size: int) -> Take:
    """A take (T, S, S, 3) of the portrait with speech of a seed; the head sways and the lids blink as in the bucket."""
    speech = speak(duration_s, seed=seed, pitch_hz=_VOICE.pitch_hz)
    filmed = portrait_take(speech, duration_s, fps=FPS, size=(_FILMED_SIDE, _FILMED_SIDE))
    frames = [cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA)[..., ::-1] for frame in filmed]
    opening = frame_openings(speech, len(frames))
    return Take(
        frames=np.ascontiguousarray(np.stack(frames)),
        waveform=recorded(speech, _VOICE),
        opening=opening,
        shift=np.zeros((len(frames), 2)),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class MouthReader:
    """A linear map from the brightness about the mouth to its opening, 0 to 1."""

    mean: Floats = field(repr=False)
    """(P,)."""
    weights: Floats = field(repr=False)
    """(P,)."""
    opening: float
    """That of the mean picture."""

    @classmethod
    def fitted(cls, takes: Sequence[Take]) -> Self:
        """The map that fits takes of known opening best (ridge regression)."""
        pixels = np.concatenate([_about_the_mouth(take.frames) for take in takes])
        opening = np.concatenate([take.opening for take in takes])
        mean, centre = pixels.mean(axis=0), float(opening.mean())
        centred = pixels - mean
        gram = centred.T @ centred + _RIDGE * np.eye(centred.shape[1])
        weights = np.linalg.solve(gram, centred.T @ (opening - centre))
        return cls(mean=mean, weights=weights, opening=centre)

    def read(self, frames: Frames) -> Floats:
        """(T,): the opening on each frame (T, S, S, 3)."""
        return np.asarray((_about_the_mouth(frames) - self.mean) @ self.weights + self.opening, np.float64)


def _about_the_mouth(frames: Frames) -> Floats:
    """(T, P), brightness of 0 to 1."""
    side = frames.shape[1]
    top, bottom, left, right = (round(part * side) for part in _MOUTH)
    pieces = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[top:bottom, left:right] for frame in frames]
    small = [cv2.resize(piece, _WINDOW, interpolation=cv2.INTER_AREA) for piece in pieces]
    return np.stack(small).reshape(len(frames), -1).astype(np.float64) / 255
