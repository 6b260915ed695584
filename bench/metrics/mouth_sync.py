"""Agreement of mouth motion and speech, measured without weights: curation's scorer over the whole video.

The scorer's map was fitted on published Soul-Bench videos of InfiniteTalk, OmniAvatar, Sonic and StableAvatar (see
`bench.studies.curation_sync`), so their scores are too high: the agreement on the videos of the fit is 0.56, and 0.46
with maps fitted without the speech in question (`bench.studies.published`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, ClassVar

import cv2
import numpy as np

from bench.metrics.measured_video import MeasuredVideo, face_clip, mouth
from bench.metrics.metric import Input, Metric, NoValueError, Outcome, VideoInput
from bench.metrics.timing import length_s
from bench.metrics.video_sound import hear
from bench.values import Better, Value
from curation.backends.lips.mouth_motion import MAP_FILE, MIN_FRAMES, MouthMotionScorer, level_features
from curation.backends.lips.scorer import MARGIN_S, MAX_SHIFT_FRAMES, SYNC_FPS, SYNC_RATE_HZ, SyncEvidence
from curation.backends.lips.sound_features import band_levels

REVISION = 1
"""Raised whenever the code gives other numbers for the same settings."""
TOLERANCE_FRAMES = 2
"""Generated lips lag the map's zero by about a frame (`bench.studies.curation_sync`); one frame more is not visible."""


class MouthSync(Metric):
    """Correlation of mouth motion and sound at 31 shifts, the shifts of SyncNet's distance; the scale is another."""

    name: ClassVar[str] = "mouth_sync"
    values: ClassVar[tuple[Value, ...]] = (
        Value(
            name="mouth_agreement",
            better=Better.HIGHER,
            unit="",
            about="correlation of mouth and sound as they are (best within 2 frames)",
        ),
        Value(
            name="mouth_confidence", better=Better.HIGHER, unit="", about="best minus median agreement over the shifts"
        ),
        Value(name="mouth_offset", better=Better.ZERO, unit="frames", about="by how much the sound is late"),
        Value(name="mouth_offset_abs", better=Better.LOWER, unit="frames", about="the same without its sign"),
        Value(
            name="mouth_speed",
            better=Better.NEITHER,
            unit="face widths/s",
            about="how fast the lower face moves; a speaker's 0.06 to 0.13",
        ),
    )
    inputs: ClassVar[frozenset[Input]] = frozenset({Input.AUDIO})

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Versions, and the frozen map that lips and sound are compared through."""
        digest = hashlib.sha256(MAP_FILE.read_bytes()).hexdigest()[:12]
        return {"revision": REVISION, "map": digest, "detector": "dlib_hog", "opencv": cv2.__version__}

    def measure(self, video: VideoInput) -> Outcome:
        """See the class."""
        measured = MeasuredVideo.of(video.path)
        duration_s = length_s(video.path)
        if duration_s * SYNC_FPS + 1e-6 < MIN_FRAMES:
            raise NoValueError("too short", seconds=round(duration_s, 3))
        face_clip(measured)
        samples = hear(video, SYNC_RATE_HZ, start_s=-MARGIN_S, end_s=duration_s + MARGIN_S)
        first, motion = mouth(measured)
        num_frames = len(motion.features)
        if num_frames < MIN_FRAMES:
            raise NoValueError("face too short", frames=num_frames)
        scorer = MouthMotionScorer()
        heard = samples[first * SYNC_RATE_HZ // SYNC_FPS :]
        levels = band_levels(heard, num_frames + 2 * MAX_SHIFT_FRAMES, rate_hz=SYNC_RATE_HZ, fps=SYNC_FPS)
        curve = scorer.compare(scorer.map_lips(motion.features), scorer.map_sound(level_features(levels)))
        evidence = SyncEvidence(curve=curve, num_frames=num_frames)
        return Outcome(
            values={
                "mouth_agreement": evidence.agreement(TOLERANCE_FRAMES),
                "mouth_confidence": evidence.confidence,
                "mouth_offset": float(evidence.offset_frames),
                "mouth_offset_abs": float(abs(evidence.offset_frames)),
                "mouth_speed": float(np.mean(motion.speed)),
            },
            detail={
                "first_frame": first,
                "num_frames": num_frames,
                "curve": [round(float(value), 4) for value in curve],
            },
        )
