"""Clips as the scene pass makes them, made directly from a file or from drawn pictures."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from curation.clip.observations import FrameStats, Keyframe
from curation.clip.schema import Clip, Media, Pool, Shot, VideoInfo
from curation.media import iter_frames, probe

Image = npt.NDArray[np.uint8]

KEYFRAMES_PER_S = 2.0
KEYFRAME_SHORT_EDGE = 480
KEYFRAME_JPEG_QUALITY = 90
STATISTICS_SHORT_EDGE = 144


def clip_from_video(path: str, start_s: float = 0.0, end_s: float = float("inf")) -> Clip:
    """The span `[start_s, end_s)` of a file as one clip, without faces."""
    info = probe(path)
    frames = ((frame.time_s, frame.image) for frame in iter_frames(path, start_s, end_s, short_edge=480))
    return _clip(path, info, start_s, frames)


def clip_from_images(images: Iterable[Image], fps: float = 25.0, *, has_audio: bool = False) -> Clip:
    """Pictures `(H, W, 3)` BGR, all of one size, shown at a constant rate."""
    timed = [(index / fps, image) for index, image in enumerate(images)]
    height, width = timed[0][1].shape[:2]
    info = VideoInfo(
        width=width,
        height=height,
        fps=fps,
        duration_s=len(timed) / fps,
        codec="h264",
        pixel_format="yuv420p",
        rotation_deg=0,
        sample_aspect_ratio=1.0,
        audio_codec="aac" if has_audio else None,
        audio_rate_hz=44100 if has_audio else 0,
        audio_channels=2 if has_audio else 0,
    )
    return _clip("drawn.mp4", info, 0.0, timed)


def _clip(path: str, info: VideoInfo, start_s: float, frames: Iterable[tuple[float, Image]]) -> Clip:
    keyframes: list[Keyframe] = []
    rows: list[tuple[float, float, float, float]] = []
    previous, last_s = None, start_s
    for time_s, full in frames:
        image = _shrink(full, KEYFRAME_SHORT_EDGE)
        luma = cv2.cvtColor(_shrink(image, STATISTICS_SHORT_EDGE), cv2.COLOR_BGR2GRAY)
        change = 0.0 if previous is None else float(cv2.absdiff(luma, previous).mean())
        rows.append((time_s, float(luma.mean()), float(luma.std()), change))
        if time_s >= start_s + len(keyframes) / KEYFRAMES_PER_S - 1e-6:
            _, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, KEYFRAME_JPEG_QUALITY])
            keyframes.append(Keyframe(time_s=time_s, jpeg=jpeg.tobytes()))
        previous, last_s = luma, time_s
    columns = np.asarray(rows, np.float64).reshape(-1, 4).T
    stats = FrameStats(
        times_s=columns[0],
        luma_mean=columns[1].astype(np.float32),
        luma_std=columns[2].astype(np.float32),
        change=columns[3].astype(np.float32),
    )
    end_s = last_s + 1.0 / (info.fps or 25.0)
    return Clip(
        key=Path(path).stem.replace(".", "_"),
        source=path,
        media=Media(path=path, info=info),
        pool=Pool.HUMAN,
        shot=Shot(start_s=start_s, end_s=end_s),
        start_s=start_s,
        end_s=end_s,
        keyframes=tuple(keyframes),
        stats=stats,
    )


def _shrink(image: Image, short_edge: int) -> Image:
    height, width = image.shape[:2]
    scale = short_edge / min(height, width)
    if scale >= 1:
        return image
    return np.asarray(
        cv2.resize(image, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA),
        np.uint8,
    )
