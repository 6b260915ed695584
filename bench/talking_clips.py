"""Clips of talking people made straight from video files, for measuring one curation stage by itself."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2

from curation.backends.face import FaceDetector, build_face_detector
from curation.media import Frame, probe, sample_frames
from curation.observations import FaceTrack, Keyframe
from curation.schema import Clip, Media, Pool, Shot
from curation.stages.faces import FacesConfig, build_tracks
from curation.stages.split import SplitConfig

KEYFRAMES_PER_S = 2
KEYFRAME_SHORT_EDGE = 480


def whole_shot(path: Path, start_s: float = 0.0, end_s: float | None = None) -> Clip:
    """The span of `path` (all of it by default) as one clip, keyframes and face tracks made as curation makes them."""
    info = probe(str(path))
    end_s = info.duration_s if end_s is None else end_s
    keyframes = tuple(
        _keyframe(frame)
        for frame in sample_frames(str(path), start_s, end_s, fps=KEYFRAMES_PER_S, short_edge=KEYFRAME_SHORT_EDGE)
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
    return Keyframe(time_s=frame.time_s, jpeg=jpeg.tobytes(), faces=_detector().detect(frame.image))


@cache
def _detector() -> FaceDetector:
    return build_face_detector(SplitConfig().detector)


def split_shot(shot: Clip, shortest_s: float = 4.0, longest_s: float = 5.0) -> tuple[Clip, ...]:
    """As many clips of `shortest_s` to `longest_s` as fit, at least one, each with its part of the tracks."""
    num_clips = max(1, int(shot.duration_s // shortest_s))
    length_s = min(longest_s, shot.duration_s / num_clips)
    starts = [shot.start_s + index * length_s for index in range(num_clips)]
    return tuple(
        replace(
            shot,
            key=f"{shot.key[:-4]}{index:04d}",
            start_s=start_s,
            end_s=start_s + length_s,
            tracks=tuple(part for track in shot.tracks if (part := _between(track, start_s, start_s + length_s))),
        )
        for index, start_s in enumerate(starts)
    )


def _between(track: FaceTrack, start_s: float, end_s: float) -> FaceTrack | None:
    inside = [index for index, time_s in enumerate(track.times_s) if start_s - 1e-6 <= time_s < end_s]
    if not inside:
        return None
    return FaceTrack(
        times_s=tuple(track.times_s[index] for index in inside),
        faces=tuple(track.faces[index] for index in inside),
    )
