"""Measure how the camera and the main subject move, once, for captions and for checking them."""

from __future__ import annotations

from dataclasses import dataclass

from curation.backends.faces.figure import main_track
from curation.backends.lips.mouth_change import mouth_change
from curation.backends.models import NO_MODELS, ModelsConfig
from curation.backends.motion.paths import camera_motion, mean_fit, subject_motion
from curation.backends.registry import CAMERA_ESTIMATORS
from curation.clip.motion import CameraMotion, SubjectMotion
from curation.clip.schema import Clip


@dataclass(frozen=True, kw_only=True, slots=True)
class MotionConfig:
    """How motion is measured."""

    backend: str = "features"
    """Camera estimator: `features` (background features, no weights)."""
    min_camera_fit: float = 0.5
    """Mean share of the background's features that agree on the camera's motion, [0, 1]; below, the motion is
    unknown. Measured on 35 real shots: 0.7 to 1 where the background can be seen, up to 0.5 where hands,
    props or a plain wall fill the picture."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.min_camera_fit <= 1.0:
            raise ValueError(f"min_camera_fit must be in [0, 1], not {self.min_camera_fit}")


class MotionStage:
    """Store camera and subject motion as scores; rejects nothing."""

    def __init__(self, config: MotionConfig, models: ModelsConfig = NO_MODELS) -> None:
        self.config = config
        self.estimator = CAMERA_ESTIMATORS.build(config.backend, models)

    def __call__(self, clip: Clip) -> Clip:
        """The clip with the scores of `curation.clip.motion`; None where the motion is unknown."""
        pairs = self.estimator.pairs(clip)
        camera, subject, mouth = None, None, None
        fit = mean_fit(pairs)
        track = main_track(clip.tracks)
        if pairs and fit >= self.config.min_camera_fit:
            times_s = [keyframe.time_s for keyframe in clip.keyframes]
            camera = camera_motion(pairs, times_s)
            subject = subject_motion(track, pairs, times_s) if track else None
        if track:
            mouth = mouth_change(track, clip.keyframes)
        return clip.with_scores(
            camera_fit=fit,
            **(camera.scores() if camera else CameraMotion.unknown()),
            **(subject.scores() if subject else SubjectMotion.unknown()),
            subject_mouth_change=mouth,
        )
