"""Video files written by x264 and by NVIDIA's encoders: seconds and sizes of hard frames and of easy ones."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from bench.gpu_check.figure import Figure
from bench.gpu_check.setting import ClipSize, Setting
from model.media.video import VideoWriter
from model.media.video_codec import CODECS, X264, codec_problem

FPS = 25


def measure(setting: Setting) -> Iterator[Figure]:
    """Each codec with noise, which is the hardest, and with a blurred picture that moves."""
    clip = setting.clips[0]
    for kind, frames in (("noise", noise(clip)), ("a soft picture that moves", soft(clip))):
        first: float | None = None
        for codec in CODECS:
            what = f"{len(frames)} frames of {clip.name}, {kind}, {codec}"
            if problem := codec_problem(codec, height=clip.height, width=clip.width, fps=FPS):
                yield Figure(what=what, missing=problem)
                continue
            seconds, megabytes = _written(frames, codec)
            first = first or seconds
            yield Figure(
                what=what, seconds=seconds, ratio=seconds / first, reference=X264, also={"mb": round(megabytes, 2)}
            )


def noise(clip: ClipSize) -> npt.NDArray[np.uint8]:
    """(T, H, W, 3): every pixel of every frame is drawn anew."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (clip.num_frames, clip.height, clip.width, 3), np.uint8)


def soft(clip: ClipSize) -> npt.NDArray[np.uint8]:
    """(T, H, W, 3): a picture without edges that moves by two pixels a frame."""
    rng = np.random.default_rng(1)
    picture = cv2.resize(rng.integers(0, 256, (12, 16, 3), np.uint8), (clip.width, clip.height))
    return np.stack([np.roll(picture, 2 * frame, axis=1) for frame in range(clip.num_frames)])


def _written(frames: npt.NDArray[np.uint8], codec: str) -> tuple[float, float]:
    """Seconds that the file took, and its megabytes."""
    _, height, width, _ = frames.shape
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        started = time.perf_counter()
        with VideoWriter(path, height=height, width=width, fps=FPS, codec=codec) as writer:
            writer.write(frames)
        return time.perf_counter() - started, path.stat().st_size / 1e6
