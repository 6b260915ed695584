"""A portrait whose mouth opens with a synthetic voice: lip sync with known truth."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
from skimage import data

from curation.clip.observations import Box, FaceBox, FaceTrack
from curation.clip.schema import Clip, Media, Pool, Shot, Source
from curation.media import probe

FPS = 25
RATE_HZ = 16_000
FACE = Box(x0=0.342, y0=0.148, x1=0.518, y1=0.324)
"""Where the astronaut's face is; measured with dlib."""
MOUTH_XY = (0.441, 0.289)


def syllables(duration_s: float, seed: int) -> npt.NDArray[np.float64]:
    """Loudness in [0, 1] at 1 kHz: bumps 0.12 to 0.4 s apart, with pauses, as talk has."""
    rng = np.random.default_rng(seed)
    times = np.arange(round(duration_s * 1000)) / 1000
    envelope = np.zeros_like(times)
    at = 0.1
    while at < duration_s:
        envelope = np.maximum(envelope, rng.uniform(0.4, 1) * np.exp(-(((times - at) / 0.06) ** 2)))
        at += rng.uniform(0.15, 0.4) + (0.5 if rng.random() < 0.12 else 0.0)
    return envelope


def voice(envelope: npt.NDArray[np.float64], late_frames: float = 0.0) -> npt.NDArray[np.int16]:
    """Mono 16 kHz buzz with that loudness, delayed by `late_frames` video frames (negative: early)."""
    times = np.arange(len(envelope) * RATE_HZ // 1000) / RATE_HZ
    loudness = np.interp(times - late_frames / FPS, np.arange(len(envelope)) / 1000, envelope, left=0, right=0)
    hiss = 0.001 * np.random.default_rng(0).normal(size=len(times))
    return np.asarray((0.25 * loudness**2 * _buzz(len(times)) + hiss) * 20_000, np.int16)


@cache
def _buzz(num_samples: int) -> npt.NDArray[np.float64]:
    times = np.arange(num_samples) / RATE_HZ
    pitch = 140 + 25 * np.sin(2 * np.pi * 0.7 * times) + 10 * np.sin(2 * np.pi * 2.3 * times)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE_HZ
    buzz: npt.NDArray[np.float64] = sum((np.sin(n * phase) / n for n in range(1, 25)), np.zeros(num_samples))
    return buzz


def frames(envelope: npt.NDArray[np.float64] | None, duration_s: float) -> list[npt.NDArray[np.uint8]]:
    """The portrait, 512 × 512 BGR at 25 fps, its jaw down by up to 7 % of the face; closed without an envelope."""
    portrait = np.ascontiguousarray(data.astronaut()[:, :, ::-1])
    size = portrait.shape[0]
    mouth_x, mouth_y = MOUTH_XY[0] * size, MOUTH_XY[1] * size
    half = 0.3 * FACE.width * size
    # Nothing beyond moves.
    reach = round(3 * half)
    left, top = round(mouth_x) - reach, round(mouth_y) - reach
    window = slice(top, top + 2 * reach), slice(left, left + 2 * reach)
    y, x = np.mgrid[window].astype(np.float32)
    across = np.clip(1 - ((x - mouth_x) / half) ** 2, 0, 1)
    below = np.clip((y - mouth_y) / 3, 0, 1) * np.clip(1 - (y - mouth_y) / (1.6 * half), 0, 1)
    images: list[npt.NDArray[np.uint8]] = []
    for index in range(round(duration_s * FPS)):
        if envelope is None and images:
            images.append(images[0])
            continue
        level = 0.0 if envelope is None else float(envelope[min(index * 40 + 20, len(envelope) - 1)])
        drop = 0.09 * FACE.height * size * level
        part = cv2.remap(portrait, x, y - drop * across * below, cv2.INTER_LINEAR)
        inside = np.exp(-(((x - mouth_x) / (0.6 * half)) ** 2) - ((y - mouth_y - drop / 2) / (drop / 2 + 1)) ** 2)
        image = portrait.copy()
        image[window] = part * (1 - 0.8 * min(1.0, drop / 3) * inside[..., None])
        images.append(image)
    return images


def write_video(path: Path, images: list[npt.NDArray[np.uint8]], samples: npt.NDArray[np.int16] | None) -> Path:
    """H.264 at 25 fps, with AAC sound when there are samples."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FPS, options={"crf": "16", "preset": "ultrafast"})
        video.height, video.width = images[0].shape[:2]
        video.pix_fmt = "yuv420p"
        sound = None if samples is None else container.add_stream("aac", rate=RATE_HZ, layout="mono")
        for image in images:
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(video.encode())
        if sound is not None and samples is not None:
            _encode_sound(container, sound, samples)
    return path


def with_sound(path: Path, to: Path, samples: npt.NDArray[np.int16]) -> Path:
    """The unchanged pictures of a video, with another sound."""
    with av.open(str(path)) as source, av.open(str(to), "w") as container:
        pictures = source.streams.video[0]
        video = container.add_stream_from_template(pictures)
        sound = container.add_stream("aac", rate=RATE_HZ, layout="mono")
        for packet in source.demux(pictures):
            if packet.dts is not None:
                packet.stream = video
                container.mux(packet)
        _encode_sound(container, sound, samples)
    return to


def _encode_sound(
    container: av.container.OutputContainer, sound: av.AudioStream, samples: npt.NDArray[np.int16]
) -> None:
    for first in range(0, len(samples), 1024):
        part = samples[first : first + 1024].astype(np.float32)[None] / 32768
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
        frame.sample_rate, frame.pts = RATE_HZ, first
        container.mux(sound.encode(frame))
    container.mux(sound.encode())


def still_track(start_s: float, end_s: float) -> FaceTrack:
    """The portrait's face on keyframes at 2/s."""
    times = tuple(float(time) for time in np.arange(start_s, end_s, 0.5))
    return FaceTrack(times_s=times, faces=tuple(FaceBox(box=FACE, confidence=2.0) for _ in times))


def source_of(path: Path, clip_s: float, pool: Pool = Pool.HUMAN) -> Source:
    """The file as a source of one shot, split into clips of `clip_s`."""
    media = Media(path=str(path), info=probe(str(path)))
    end_s = media.info.duration_s
    source = Source(uri=str(path), pool=pool, media=media, shots=(Shot(start_s=0.0, end_s=end_s),))
    clips = tuple(
        Clip(
            key=source.clip_key(index),
            source=source.uri,
            media=media,
            pool=pool,
            shot=source.shots[0],
            start_s=index * clip_s,
            end_s=(index + 1) * clip_s,
            tracks=(still_track(index * clip_s, (index + 1) * clip_s),),
        )
        for index in range(int(end_s / clip_s + 0.01))
    )
    return Source(uri=source.uri, pool=pool, media=media, shots=source.shots, clips=clips)
