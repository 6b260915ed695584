"""Small videos with known content, written by the tests."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace

OPTIONS = {
    "libx264": {"crf": "20", "preset": "veryfast"},
    "libx265": {"crf": "20", "preset": "ultrafast"},
    "mpeg4": {},
}


def write_video(
    path: Path,
    *,
    size: tuple[int, int] = (640, 512),
    fps: int = 25,
    seconds: float = 2.0,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    audio_seconds: float | None = None,
    audio_rate_hz: int = 16000,
    audio_codec: str = "aac",
    aspect: Fraction | None = None,
    rotation_deg: int = 0,
    times_s: Sequence[float] | None = None,
    gop: int = 12,
    container: str | None = None,
    tagged: bool = True,
) -> Path:
    """Frames that show their own number (`frame_number` reads it back), and a tone of 440 Hz."""
    width, height = size
    times = list(times_s) if times_s is not None else [index / fps for index in range(round(seconds * fps))]
    with av.open(str(path), "w", format=container) as output:
        video = output.add_stream(codec, rate=fps, options=OPTIONS.get(codec, {"crf": "20"}))
        video.width, video.height, video.pix_fmt = width, height, pixel_format
        video.codec_context.time_base = Fraction(1, 12800)
        video.codec_context.gop_size = gop
        if tagged:
            context = video.codec_context
            context.colorspace = context.color_primaries = context.color_trc = context.color_range = 1
        if aspect is not None:
            video.codec_context.sample_aspect_ratio = aspect
        if rotation_deg:
            video.set_display_rotation(rotation_deg)
        sound = None
        if audio_seconds is not None:
            sound = output.add_stream(audio_codec, rate=audio_rate_hz)
            sound.layout = "mono"
        for index, time_s in enumerate(times):
            frame = VideoFrame.from_ndarray(picture(index, width, height), format="bgr24")
            frame.pts = round(time_s * 12800)
            frame.time_base = Fraction(1, 12800)
            if tagged and pixel_format == "yuv420p":
                frame = frame.reformat(format=pixel_format, dst_colorspace=Colorspace.ITU709, dst_color_range=1)
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
        if sound is not None:
            samples = tone(audio_seconds or 0.0, audio_rate_hz)
            for start in range(0, len(samples), 1024):
                part = av.AudioFrame.from_ndarray(samples[None, start : start + 1024], format="s16", layout="mono")
                part.sample_rate, part.pts, part.time_base = audio_rate_hz, start, Fraction(1, audio_rate_hz)
                output.mux(sound.encode(part))
            output.mux(sound.encode(None))
    return path


def picture(index: int, width: int, height: int) -> npt.NDArray[np.uint8]:
    """A gradient with the frame's number as ten black or white blocks along the top."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.linspace(40, 200, width, dtype=np.uint8)
    image[..., 1] = np.linspace(40, 200, height, dtype=np.uint8)[:, None]
    image[..., 2] = 90
    block = width // 10
    for bit in range(10):
        image[: height // 4, bit * block : (bit + 1) * block] = 255 if index >> bit & 1 else 0
    return image


def frame_number(image: npt.NDArray[np.uint8]) -> int:
    """The number of the frame of `write_video` that a picture shows."""
    height, width = image.shape[:2]
    block = width // 10
    means = [
        image[: height // 5, bit * block + block // 4 : (bit + 1) * block - block // 4].mean() for bit in range(10)
    ]
    return sum(1 << bit for bit, mean in enumerate(means) if mean > 128)


def tone(seconds: float, rate: int) -> npt.NDArray[np.int16]:
    """A sine of 440 Hz."""
    return np.asarray(9000 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate), np.int16)


def add_video(folder: Path, name: str, *, size: tuple[int, int] = (640, 512), seconds: float = 2.0) -> Path:
    """A video in a folder, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    write_video(folder / name, size=size, seconds=seconds)
    return folder / name
