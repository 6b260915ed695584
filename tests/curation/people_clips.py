"""Clips with face tracks, made straight from a file or from drawn pictures, as the earlier stages would."""

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
import dlib
import numpy as np
import numpy.typing as npt

from curation.media import iter_frames, probe
from curation.observations import Box, FaceBox, FaceTrack, FrameStats, Keyframe
from curation.schema import Clip, Media, Pool, Shot, VideoInfo

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
def _detector() -> Any:
    return dlib.get_frontal_face_detector()


def detect_faces(image: Image) -> tuple[FaceBox, ...]:
    """Faces by dlib's HOG detector, the picture upsampled once."""
    height, width = image.shape[:2]
    found, confidences, _ = _detector().run(np.ascontiguousarray(image[:, :, ::-1]), 1, 0.0)
    return tuple(
        FaceBox(
            box=Box(
                x0=max(0.0, r.left() / width),
                y0=max(0.0, r.top() / height),
                x1=min(1.0, r.right() / width),
                y1=min(1.0, r.bottom() / height),
            ),
            confidence=float(confidence),
        )
        for r, confidence in zip(found, confidences, strict=True)
    )


def track_faces(keyframes: Sequence[Keyframe]) -> tuple[FaceTrack, ...]:
    """Join each face to the open track that it overlaps most (IoU > 0.2, gap of one keyframe)."""
    open_tracks: list[list[tuple[float, FaceBox]]] = []
    for keyframe in keyframes:
        taken: set[int] = set()
        for face in keyframe.faces:
            overlaps = [
                (track[-1][1].box.iou(face.box), index)
                for index, track in enumerate(open_tracks)
                if index not in taken and keyframe.time_s - track[-1][0] < 2.5 * KEYFRAME_PERIOD_S
            ]
            best, index = max(overlaps, default=(0.0, -1))
            if best <= 0.2:
                open_tracks.append([])
                index = len(open_tracks) - 1
            open_tracks[index].append((keyframe.time_s, face))
            taken.add(index)
    tracks = [
        FaceTrack(times_s=tuple(t for t, _ in track), faces=tuple(face for _, face in track)) for track in open_tracks
    ]
    return tuple(sorted(tracks, key=lambda track: -track.mean_area))


def clip_from_video(path: Path, start_s: float = 0.0, end_s: float = float("inf")) -> Clip:
    """The span `[start_s, end_s)` of a file as one clip with keyframes, statistics and face tracks."""
    info = probe(str(path))
    keyframes: list[Keyframe] = []
    rows: list[tuple[float, float, float, float]] = []
    previous: Image | None = None
    for frame in iter_frames(str(path), start_s, end_s, short_edge=480):
        luma = np.asarray(cv2.cvtColor(frame.image, cv2.COLOR_BGR2GRAY), np.uint8)
        change = 0.0 if previous is None else float(cv2.absdiff(luma, previous).mean())
        rows.append((frame.time_s, float(luma.mean()), float(luma.std()), change))
        previous = luma
        if frame.time_s >= start_s + len(keyframes) * KEYFRAME_PERIOD_S - 1e-6:
            keyframes.append(make_keyframe(frame.time_s, frame.image, detect_faces(frame.image)))
    columns = np.array(rows).reshape(-1, 4).T
    end_s = min(end_s, float(columns[0][-1]) + 1 / (info.fps or 25.0))
    clip = Clip(
        key=path.stem.replace(".", "_"),
        source=str(path),
        media=Media(path=str(path), info=info),
        pool=Pool.HUMAN,
        shot=Shot(start_s=start_s, end_s=end_s),
        start_s=start_s,
        end_s=end_s,
        keyframes=tuple(keyframes),
        stats=FrameStats(
            times_s=columns[0],
            luma_mean=columns[1].astype(np.float32),
            luma_std=columns[2].astype(np.float32),
            change=columns[3].astype(np.float32),
        ),
    )
    return replace(clip, tracks=track_faces(keyframes))


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
            clip = clip_from_video(SHARED / "clips" / label["file"], max(0.0, middle - half), middle + half)
            out.append(LabelledClip(clip, label, shot))
    return out
