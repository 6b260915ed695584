"""Writing frames and sound to a file in the format that its name tells: mp4, mkv, webm or mov."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorPrimaries, ColorRange, ColorTrc

from curation.sample.speech import SAMPLE_RATE_HZ

Image = npt.NDArray[np.uint8]
Samples = npt.NDArray[np.int16]

CODECS = {
    ".mp4": ("mp4", "libx264", "aac"),
    ".mkv": ("matroska", "libx264", "libopus"),
    ".webm": ("webm", "libvpx-vp9", "libopus"),
    ".mov": ("mov", "mpeg4", "aac"),
}
VIDEO_OPTIONS = {
    "libx264": {"preset": "superfast"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "row-mt": "1", "b": "0"},
    "mpeg4": {"qmin": "31", "qmax": "31"},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoding:
    """How the picture is stored."""

    crf: int = 23
    """x264's and VP9's quality; MPEG-4 in mov always has its worst quality."""
    stored_size: tuple[int, int] | None = None
    """Width and height in the file where they differ from the frames'."""
    sample_aspect_ratio: Fraction | None = None
    rotation_deg: int = 0
    """Counter-clockwise turn that the player is asked for."""


def encode(
    path: Path,
    name: str,
    frames: Iterable[Image],
    *,
    fps: int,
    samples: Samples | None,
    encoding: Encoding | None = None,
) -> None:
    """Write `frames` (BGR) and mono `samples` at `SAMPLE_RATE_HZ` to `path`; `name` tells the format."""
    encoding = encoding or Encoding()
    container_format, video_codec, audio_codec = CODECS[Path(name).suffix]
    # FFmpeg takes what stands before a colon for a protocol, except after a slash.
    with av.open(str(path.absolute()), "w", format=container_format) as container:
        options = {**VIDEO_OPTIONS[video_codec], "crf": str(encoding.crf)}
        video = container.add_stream(video_codec, rate=fps, options=options)
        video.pix_fmt = "yuv420p"
        # Videos are made side by side, one for each core.
        video.codec_context.thread_count = 1
        # What OpenCV's conversion below makes: BT.601's matrix, limited range.
        video.codec_context.colorspace, video.codec_context.color_range = 6, ColorRange.MPEG
        video.codec_context.color_primaries, video.codec_context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        if encoding.sample_aspect_ratio is not None:
            video.sample_aspect_ratio = encoding.sample_aspect_ratio
        if encoding.rotation_deg:
            video.set_display_rotation(encoding.rotation_deg)
        audio = None
        if samples is not None:
            audio = container.add_stream(audio_codec, rate=SAMPLE_RATE_HZ, layout="mono", bit_rate=64_000)
        for index, frame in enumerate(frames):
            if index == 0:
                video.width, video.height = encoding.stored_size or frame.shape[1::-1]
            picture = _picture(frame, (video.width, video.height))
            picture.pts, picture.time_base = index, Fraction(1, fps)
            container.mux(video.encode(picture))
            if audio is not None and samples is not None:
                begin, end = (round(i * SAMPLE_RATE_HZ / fps) for i in (index, index + 1))
                _sound(container, audio, samples[begin:end], begin)
        container.mux(video.encode(None))
        if audio is not None:
            container.mux(audio.encode(None))


def _picture(frame: Image, size: tuple[int, int]) -> av.video.frame.VideoFrame:
    """OpenCV converts a 720p frame several times faster than libswscale does."""
    if frame.shape[1::-1] != size:
        frame = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)
    return av.VideoFrame.from_ndarray(cv2.cvtColor(frame, cv2.COLOR_BGR2YUV_I420), format="yuv420p")


def _sound(
    container: av.container.OutputContainer, audio: av.audio.stream.AudioStream, part: Samples, begin: int
) -> None:
    if not len(part):
        return
    sound = av.AudioFrame.from_ndarray(part[None], format="s16", layout="mono")
    sound.sample_rate = SAMPLE_RATE_HZ
    sound.pts, sound.time_base = begin, Fraction(1, SAMPLE_RATE_HZ)
    container.mux(audio.encode(sound))
