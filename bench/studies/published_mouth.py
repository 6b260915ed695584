"""Mouth and speech of published videos under wrong sound, by the shipped map and by maps fitted without the speech.

The shipped map was fitted on published videos like these (`python -m bench.studies.curation_sync --fit`), so its
figures on them are those of its own training material. The fair figure leaves all videos of a speech out of the fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.metrics.measured_video import MeasuredVideo, mouth
from bench.metrics.metric import VideoInput
from bench.metrics.mouth_sync import TOLERANCE_FRAMES
from bench.metrics.video_sound import hear
from bench.samples.samples import Sample
from bench.studies.curation_sync import GENERATED_LAG_FRAMES
from bench.studies.published_scores import SHIFTS_FRAMES
from curation.backends.lips.fit import fit_map
from curation.backends.lips.mouth_motion import MouthMotionScorer, level_features
from curation.backends.lips.scorer import MAX_SHIFT_FRAMES, SYNC_FPS, SYNC_RATE_HZ, SyncEvidence
from curation.backends.lips.sound_features import band_levels

SAMPLES_PER_FRAME = SYNC_RATE_HZ // SYNC_FPS
Features = npt.NDArray[np.float32]
Sound = npt.NDArray[np.int16]


@dataclass(frozen=True, kw_only=True, slots=True)
class Speaker:
    """One video's mouth and its sound."""

    method: str
    sample: str
    first_frame: int
    """The first frame that shows the face, at 25 fps."""
    mouth: Features
    """`(N, 40)`."""
    sound: Sound
    """`(S,)` at 16 kHz, as long as the video."""

    def hears(self, sound: Sound) -> Features:
        """Sound features `(N + 30, 24)` that go with the mouth, with `sound` in place of the video's own."""
        margin = MAX_SHIFT_FRAMES * SAMPLES_PER_FRAME
        heard = np.pad(sound, margin)[self.first_frame * SAMPLES_PER_FRAME :]
        num_frames = len(self.mouth) + 2 * MAX_SHIFT_FRAMES
        return level_features(band_levels(heard, num_frames, rate_hz=SYNC_RATE_HZ, fps=SYNC_FPS))


def watch(method: str, sample: Sample, path: Path) -> Speaker:
    """Follow a video's mouth and hear its own sound.

    Raises:
        MediaError: it cannot be read.
        NoValueError: it has no face or no sound.
    """
    first_frame, motion = mouth(MeasuredVideo.of(path))
    sound = hear(VideoInput(path=path, sample=sample), SYNC_RATE_HZ)
    return Speaker(method=method, sample=sample.id, first_frame=first_frame, mouth=motion.features, sound=sound)


def agreements(scorer: MouthMotionScorer, speaker: Speaker, others: Sequence[Speaker]) -> dict[str, float]:
    """Agreement as the metric gives it: `real`, and the means over all other sounds and over all shifts."""
    lips = scorer.map_lips(speaker.mouth)

    def agreement(sound: Sound) -> float:
        curve = scorer.compare(lips, scorer.map_sound(speaker.hears(sound)))
        return SyncEvidence(curve=curve, num_frames=len(lips)).agreement(TOLERANCE_FRAMES)

    foreign = [agreement(np.resize(other.sound, len(speaker.sound))) for other in others]
    shifted = [agreement(np.roll(speaker.sound, shift * SAMPLES_PER_FRAME)) for shift in SHIFTS_FRAMES]
    return {
        "real": agreement(speaker.sound),
        "another's sound": float(np.mean(foreign)),
        "shifted sound": float(np.mean(shifted)),
    }


def mouth_scores(speakers: Sequence[Speaker], *, left_out: bool) -> dict[str, list[float]]:
    """Control → each video's agreement, in the order of `speakers`.

    Args:
        speakers: all videos.
        left_out: whether each is scored by a map fitted on the other speeches' videos only, or by the shipped map.
    """
    scorers: Mapping[str, MouthMotionScorer] = {}
    if left_out:
        scorers = {sample: _fit_without(sample, speakers) for sample in sorted({one.sample for one in speakers})}
    shipped = MouthMotionScorer()
    found: dict[str, list[float]] = {}
    for speaker in speakers:
        others = list({one.sample: one for one in speakers if one.sample != speaker.sample}.values())
        for control, value in agreements(scorers.get(speaker.sample, shipped), speaker, others).items():
            found.setdefault(control, []).append(value)
    return found


def _fit_without(sample: str, speakers: Sequence[Speaker]) -> MouthMotionScorer:
    """The map as `bench.studies.curation_sync` fits it, on whole videos of all other samples."""
    start = MAX_SHIFT_FRAMES + GENERATED_LAG_FRAMES
    pairs = [
        (one.mouth, one.hears(one.sound)[start : start + len(one.mouth)]) for one in speakers if one.sample != sample
    ]
    return MouthMotionScorer(fit_map(pairs))
