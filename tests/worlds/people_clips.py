"""Clips with face tracks as the earlier stages make them, made directly from a file or from drawn pictures."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from curation.backends.faces.detector import FaceDetector
from curation.backends.registry import FACE_DETECTORS
from curation.clip.observations import Box, FaceBox, FaceTrack, FrameStats, Keyframe
from curation.clip.schema import Clip, Media, Pool, Shot, VideoInfo
from curation.stages.faces import FacesConfig, build_tracks
from tests.worlds.clip_from_video import clip_from_video

Image = npt.NDArray[np.uint8]

SHARED = Path(os.environ.get("SOUL_SHARED", "../shared"))
KEYFRAME_PERIOD_S = 0.5


def make_keyframe(time_s: float, image: Image, faces: tuple[FaceBox, ...] = ()) -> Keyframe:
    """A picture `(H, W, 3)` BGR as a keyframe, short edge at most 480."""
    scale = min(1.0, 480 / min(image.shape[:2]))
    size = round(image.shape[1] * scale), round(image.shape[0] * scale)
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image
    _, jpeg = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 90])
    return Keyframe(time_s=time_s, jpeg=jpeg.tobytes(), faces=faces)


def make_clip(
    images: Sequence[Image],
    tracks: tuple[FaceTrack, ...] = (),
    *,
    size: tuple[int, int] | None = None,
    pool: Pool = Pool.HUMAN,
    audio_codec: str | None = None,
) -> Clip:
    """Pictures shown 0.5 s each; `size` is the source's (width, height) where it is not the pictures'."""
    height, width = images[0].shape[:2]
    width, height = size or (width, height)
    info = VideoInfo(
        width=width,
        height=height,
        fps=25.0,
        duration_s=len(images) * KEYFRAME_PERIOD_S,
        codec="h264",
        pixel_format="yuv420p",
        rotation_deg=0,
        sample_aspect_ratio=1.0,
        audio_codec=audio_codec,
        audio_rate_hz=48000 if audio_codec else 0,
        audio_channels=1 if audio_codec else 0,
    )
    luma = [cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32) for image in images]
    change = [0.0] + [float(np.abs(b - a).mean()) for a, b in pairwise(luma)]
    return Clip(
        key="made-0000",
        source="made.mp4",
        media=Media(path="made.mp4", info=info),
        pool=pool,
        shot=Shot(start_s=0.0, end_s=info.duration_s),
        start_s=0.0,
        end_s=info.duration_s,
        keyframes=tuple(make_keyframe(i * KEYFRAME_PERIOD_S, image) for i, image in enumerate(images)),
        stats=FrameStats(
            times_s=np.arange(len(images), dtype=np.float64) * KEYFRAME_PERIOD_S,
            luma_mean=np.array([x.mean() for x in luma], np.float32),
            luma_std=np.array([x.std() for x in luma], np.float32),
            change=np.array(change, np.float32),
        ),
        tracks=tracks,
    )


def make_track(boxes: Iterable[Box], first: int = 0) -> FaceTrack:
    """A face seen on consecutive keyframes, the first of them number `first`."""
    faces = tuple(FaceBox(box=box, confidence=1.0) for box in boxes)
    times_s = tuple((first + i) * KEYFRAME_PERIOD_S for i in range(len(faces)))
    return FaceTrack(times_s=times_s, faces=faces)


@cache
def _detector() -> FaceDetector:
    return FACE_DETECTORS.build("dlib_hog")


def detect_faces(image: Image) -> tuple[FaceBox, ...]:
    """Faces as curation finds them."""
    return _detector().detect([image])[0]


def clip_with_faces(path: Path, start_s: float = 0.0, end_s: float = float("inf")) -> Clip:
    """The span `[start_s, end_s)` of a file as one clip with keyframes, statistics and face tracks."""
    clip = clip_from_video(str(path), start_s, end_s)
    keyframes = tuple(replace(keyframe, faces=detect_faces(keyframe.image())) for keyframe in clip.keyframes)
    config = FacesConfig()
    tracks = build_tracks(keyframes, config.min_iou, config.max_gap_frames)
    return replace(clip, keyframes=keyframes, tracks=tracks)


@dataclass(frozen=True, slots=True)
class LabelledClip:
    """At most 5 s from the middle of one shot of a labelled video."""

    clip: Clip
    label: dict[str, Any]
    shot: int


def labelled_clips() -> list[LabelledClip]:
    """One clip for each shot of each readable labelled video that is at least a second long."""
    labels = json.loads((SHARED / "clips" / "labels.json").read_text())
    out: list[LabelledClip] = []
    for label in labels:
        if label["duration_s"] < 1 or "truncated" in label["file"]:
            continue
        bounds = [0.0, *label["cuts_s"], label["duration_s"]]
        for shot, (begin, end) in enumerate(pairwise(bounds)):
            middle, half = (begin + end) / 2, min(2.5, (end - begin) / 2 - (0.1 if label["cuts_s"] else 0.0))
            clip = clip_with_faces(SHARED / "clips" / label["file"], max(0.0, middle - half), middle + half)
            out.append(LabelledClip(clip, label, shot))
    return out
