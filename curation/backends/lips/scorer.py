"""Scoring how well lips and sound agree: what a scorer returns and how evidence adds up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from curation.clip.schema import Clip

MAX_SHIFT_FRAMES = 15
"""Shifts tried each way, at 25 fps (SyncNet's `vshift`)."""
SYNC_FPS = 25
SYNC_RATE_HZ = 16_000
MARGIN_S = MAX_SHIFT_FRAMES / SYNC_FPS
"""Sound beyond the clip that scorers see, so that no shift loses frames."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncEvidence:
    """Agreement of one clip's lips and sound at every shift."""

    curve: npt.NDArray[np.float32] = field(repr=False)
    """`(2 · MAX_SHIFT_FRAMES + 1,)`, higher is better: entry `MAX_SHIFT_FRAMES + s` compares the lips with
    the sound s frames later, so a peak at s > 0 means that the sound is late. (SyncNet: minus distance.)"""
    num_frames: int
    """Face frames that went into it; 0 when there was nothing to compare."""
    mouth_speed: float | None = None
    """Mean speed of the lower face relative to the upper face, in face widths a second; None when the scorer
    does not measure it."""

    @property
    def offset_frames(self) -> int:
        """Frames at 25 fps by which the sound is late (negative: early) where the two agree best."""
        return int(self.curve.argmax()) - MAX_SHIFT_FRAMES

    @property
    def confidence(self) -> float:
        """Best minus median over the shifts, as in SyncNet."""
        # The median of an odd number of values; `np.median` takes ten times as long, and an index has many curves.
        return float(self.curve.max() - np.partition(self.curve, MAX_SHIFT_FRAMES)[MAX_SHIFT_FRAMES])

    def agreement(self, max_offset_frames: int) -> float:
        """The best value of the curve at shifts of at most `max_offset_frames`."""
        near = slice(MAX_SHIFT_FRAMES - max_offset_frames, MAX_SHIFT_FRAMES + max_offset_frames + 1)
        return float(self.curve[near].max())


class SyncScorer(Protocol):
    """Compares the lips of a clip's largest face with its sound."""

    def score(self, clip: Clip, samples: npt.NDArray[np.int16]) -> SyncEvidence:
        """Score `clip` against `samples` `(N,)`, mono at 16 kHz: its span and `MARGIN_S` more on each side.

        Raises:
            MediaError: the span cannot be decoded.
        """
        ...


def no_evidence() -> SyncEvidence:
    """The evidence of a clip that has no face or is too short to shift."""
    return SyncEvidence(curve=np.zeros(2 * MAX_SHIFT_FRAMES + 1, np.float32), num_frames=0)


def pool_evidence(evidence: Sequence[SyncEvidence]) -> SyncEvidence:
    """Add up the evidence of clips that share one recording, each frame counting once.

    Chance peaks of single clips stand at different shifts and average out; a true offset stays.
    """
    num_frames = sum(item.num_frames for item in evidence)
    if num_frames == 0:
        return no_evidence()
    weights = np.array([item.num_frames for item in evidence], np.float32) / num_frames
    watched = [item for item in evidence if item.mouth_speed is not None and item.num_frames]
    mouth_speed = None
    if watched:
        total = sum((item.mouth_speed or 0.0) * item.num_frames for item in watched)
        mouth_speed = total / sum(item.num_frames for item in watched)
    return SyncEvidence(
        curve=np.einsum("c,cs->s", weights, np.stack([item.curve for item in evidence])),
        num_frames=num_frames,
        mouth_speed=mouth_speed,
    )
