"""Clips of talking people made straight from video files, for measuring one curation stage by itself."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2

from bench.metrics.timing import at_least_one, length_s
from curation.backends.faces.detector import FaceDetector
from curation.backends.registry import FACE_DETECTORS
from curation.clip.observations import Keyframe
from curation.clip.schema import Clip, Media, Pool, Shot
from curation.media import Frame, probe, sample_frames
from curation.stages.faces import FacesConfig, build_tracks
from curation.stages.split import SplitConfig

KEYFRAMES_PER_S = 2
KEYFRAME_SHORT_EDGE = 480


def whole_shot(path: Path, start_s: float = 0.0, end_s: float | None = None) -> Clip:
    """The span of `path` (all of it by default) as one clip, keyframes and face tracks made as curation makes them."""
    info = probe(str(path))
    end_s = length_s(path) if end_s is None else end_s
    fps = at_least_one(KEYFRAMES_PER_S, end_s - start_s)
    keyframes = tuple(
        _keyframe(frame) for frame in sample_frames(str(path), start_s, end_s, fps=fps, short_edge=KEYFRAME_SHORT_EDGE)
    )
    faces = FacesConfig()
    return Clip(
        key=f"{path.stem}-0000",
        source=str(path),
        media=Media(path=str(path), info=info),
        pool=Pool.HUMAN,
        shot=Shot(start_s=start_s, end_s=end_s),
        start_s=start_s,
        end_s=end_s,
        keyframes=keyframes,
        tracks=build_tracks(keyframes, faces.min_iou, faces.max_gap_frames),
    )


def _keyframe(frame: Frame) -> Keyframe:
    ok, jpeg = cv2.imencode(".jpg", frame.image, [cv2.IMWRITE_JPEG_QUALITY, 90])
    assert ok
    return Keyframe(time_s=frame.time_s, jpeg=jpeg.tobytes(), faces=_detector().detect([frame.image])[0])


@cache
def _detector() -> FaceDetector:
    return FACE_DETECTORS.build(SplitConfig().backend)
