"""Clips of talking people made straight from video files, for measuring one curation stage by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import dlib
import numpy as np

from curation.media import probe, sample_frames
from curation.observations import Box, FaceBox, FaceTrack, Keyframe
from curation.schema import Clip, Media, Pool, Shot

KEYFRAMES_PER_S = 2
KEYFRAME_SHORT_EDGE = 480
SAME_FACE_IOU = 0.3


def whole_shot(path: Path, start_s: float = 0.0, end_s: float | None = None, *, thorough: bool = True) -> Clip:
    """The span of `path` (all of it by default) as one clip with keyframes and face tracks.

    Faces are looked for in the doubled picture, as curation does; without `thorough` only where the picture
    as it is shows none, which is four times cheaper and places the boxes less exactly.
    """
    info = probe(str(path))
    end_s = info.duration_s if end_s is None else end_s
    keyframes = tuple(
        _keyframe(frame.time_s, frame.image, thorough=thorough)
        for frame in sample_frames(str(path), start_s, end_s, fps=KEYFRAMES_PER_S, short_edge=KEYFRAME_SHORT_EDGE)
    )
    return Clip(
        key=f"{path.stem}-0000",
        source=str(path),
        media=Media(path=str(path), info=info),
        pool=Pool.HUMAN,
        shot=Shot(start_s=start_s, end_s=end_s),
        start_s=start_s,
        end_s=end_s,
        keyframes=keyframes,
        tracks=track_faces(keyframes),
    )


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


def track_faces(keyframes: Sequence[Keyframe]) -> tuple[FaceTrack, ...]:
    """Join the keyframes' faces by overlap with each track's last box; largest mean area first."""
    tracks: list[tuple[list[float], list[FaceBox]]] = []
    for keyframe in keyframes:
        for face in keyframe.faces:
            near = [t for t in tracks if t[1][-1].box.iou(face.box) > SAME_FACE_IOU and t[0][-1] < keyframe.time_s]
            if near:
                times, faces = max(near, key=lambda t: t[1][-1].box.iou(face.box))
                times.append(keyframe.time_s)
                faces.append(face)
            else:
                tracks.append(([keyframe.time_s], [face]))
    done = [FaceTrack(times_s=tuple(times), faces=tuple(faces)) for times, faces in tracks]
    longest = max((len(track.times_s) for track in done), default=0)
    lasting = [track for track in done if len(track.times_s) >= longest / 2]
    return tuple(sorted(lasting, key=lambda track: -track.mean_area))


def _keyframe(time_s: float, image: Any, *, thorough: bool) -> Keyframe:
    height, width = image.shape[:2]
    rgb = np.ascontiguousarray(image[:, :, ::-1])
    found, scores, _ = _detector().run(rgb, int(thorough), 0.0)
    if not found and not thorough:
        found, scores, _ = _detector().run(rgb, 1, 0.0)
    faces = tuple(
        FaceBox(
            box=Box(
                x0=box.left() / width,
                y0=box.top() / height,
                x1=(box.right() + 1) / width,
                y1=(box.bottom() + 1) / height,
            ),
            confidence=score,
        )
        for box, score in zip(found, scores, strict=True)
    )
    _, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])
    return Keyframe(time_s=time_s, jpeg=jpeg.tobytes(), faces=faces)


@cache
def _detector() -> Any:
    return dlib.get_frontal_face_detector()
