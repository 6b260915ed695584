"""Videos with odd headers, times and containers, made on the spot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from tests.worlds.moving_mouth import FPS, RATE_HZ

Images = Iterable[npt.NDArray[np.uint8]]


def write_odd(
    path: Path,
    images: Images,
    samples: npt.NDArray[np.int16] | None = None,
    *,
    times_s: Sequence[float] | None = None,
    codec: str = "libx264",
    live: bool = False,
) -> Path:
    """Write frames at any times, to the millisecond; the sound is PCM or Opus.

    Args:
        path: the file; its ending names the container.
        images: `(H, W, 3)` BGR.
        samples: mono at 16 kHz.
        times_s: when each image is shown; None for 25 a second.
        codec: of the images.
        live: whether to write as a live recorder does, without a length in the header.
    """
    options = {"live": "1"} if live else {}
    with av.open(str(path), "w", options=options) as container:
        video = container.add_stream(codec, rate=FPS)
        pictures = iter(images)
        first = next(pictures)
        video.height, video.width = first.shape[:2]
        video.pix_fmt = "yuv420p"
        video.codec_context.time_base = Fraction(1, 1000)
        video.codec_context.thread_count = 1
        sound = container.add_stream("libopus", rate=48_000, layout="mono") if samples is not None else None
        for index, image in enumerate(chain([first], pictures)):
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts = round((index / FPS if times_s is None else times_s[index]) * 1000)
            frame.time_base = Fraction(1, 1000)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if sound is not None and samples is not None:
            plain = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
            plain.sample_rate, plain.pts = RATE_HZ, 0
            resampler = av.AudioResampler(format="flt", layout="mono", rate=48_000, frame_size=960)
            for part in (*resampler.resample(plain), *resampler.resample(None)):
                container.mux(sound.encode(part))
            container.mux(sound.encode(None))
    return path


def write_without_frames(path: Path) -> Path:
    """An mp4 with a video track in which there is no frame, and a second of sound."""
    with av.open(str(path), "w", format="mp4", options={"movflags": "frag_keyframe+empty_moov"}) as container:
        video = container.add_stream("mpeg4", rate=FPS)
        video.width = video.height = 64
        video.pix_fmt = "yuv420p"
        sound = container.add_stream("aac", rate=RATE_HZ, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, RATE_HZ), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = RATE_HZ, 0
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    return path


def flat(num: int, side: int = 64) -> list[npt.NDArray[np.uint8]]:
    """Pictures of one grey each; every picture differs from the one before."""
    return [np.full((side, side, 3), 40 + 50 * (index % 4), np.uint8) for index in range(num)]
