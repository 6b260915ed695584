"""What a clip is recognised by when another file shows the same seconds: its bytes, its look, its course in time.

A still picture does not tell the clips of one recording apart, and a copy is re-encoded, scaled, cropped or begins at
another moment. So a look says which clips may show the same scene, and the course of motion, brightness and sound says
whether they show the same seconds of it. All of it is made of what earlier stages hold in memory: keyframes, the
statistics of frames, the exported files. A clip of 5 s takes about 350 bytes.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
import soundfile

from curation.clip.observations import FrameStats, Keyframe
from curation.clip.schema import Clip

COLUMNS: Final = ("content_hash", "look_print", "motion_print", "sound_print", "embedding_print")
"""The columns of the index that hold a fingerprint."""

STEPS_PER_S: Final = 12.5
"""Of a course. Speech moves lips and head at up to some 5 Hz."""
MOST_STEPS: Final = 125
"""Of a longer clip only the first 10 s are described."""
LEAST_FRAMES_PER_S: Final = 8
"""Of fewer frames the steps show when they come, not what moves."""
MOTION_CHANNELS: Final = 3
"""How much moves, how the brightness changes, how the contrast changes."""
COURSE_UNIT: Final = 32.0
"""Courses are stored in bytes: this is one typical deviation of the clip's own."""
MOST_DEVIATIONS: Final = 3.9
"""Larger ones are cut off, so that a flash does not outweigh everything else."""
LEAST_DEVIATIONS: Final = (0.08, 0.03, 0.03)
"""A channel that deviates by less (logarithm of levels a step; levels of 255) is not amplified: it is the codec's noise
[re-encoded real clips]."""
LEAST_SOUND_DEVIATION: Final = 0.1
"""The same of sound, in powers of ten."""

FREQUENCIES: Final = 8
_ROWS, _COLUMNS = np.indices((FREQUENCIES, FREQUENCIES))
IN_A_LOOK: Final = (_ROWS + _COLUMNS > 0) & (_ROWS + _COLUMNS <= FREQUENCIES)
"""Which coefficients of the mean picture's cosine transform a look has: 42, without the mean brightness."""
WEIGHTS: Final = np.sqrt(1.0 + _ROWS + _COLUMNS)[IN_A_LOOK]
"""Pictures have less of the finer frequencies, which tell them apart best."""
IS_MIRRORED: Final = (_COLUMNS % 2 == 1)[IN_A_LOOK]
"""Coefficients that change their sign when the picture is mirrored."""
LOOK_PX: Final = 32
LEAST_LOOK: Final = 40.0
"""Length of a look before it is scaled to 1, below which the picture is blank."""
BAR_LEVEL: Final = 32
"""Rows and columns at the picture's edges that never show more are bars."""

Bytes = npt.NDArray[np.int8]
Floats = npt.NDArray[np.float32]


def fingerprint(clip: Clip) -> dict[str, Any]:
    """The columns of the index by which a clip is recognised; None where there is nothing to be recognised by.

    `content_hash`: of the exported picture, in hex. `look_print`: 42 numbers of the mean picture, a byte each; None for
    a blank one. `motion_print`: three channels, 12.5 steps a second, a byte each. `sound_print`: one such channel; None
    without sound. `embedding_print`: of the keyframes, where a network has seen them.
    """
    payload = clip.payload
    return {
        "content_hash": hashlib.blake2b(payload.mp4, digest_size=16).hexdigest() if payload else None,
        "look_print": _stored(look(clip.keyframes)),
        "motion_print": _stored(motion_course(clip.stats, clip.start_s, clip.end_s)),
        "sound_print": _stored(sound_course(payload.wav)) if payload and payload.wav else None,
        "embedding_print": _stored(embedding(clip.keyframes)),
    }


def look(keyframes: Sequence[Keyframe]) -> Bytes | None:
    """`(42,)`: the low frequencies of the mean picture, bars at its edges left out; None for a blank picture."""
    if not keyframes:
        return None
    pictures = [_small(keyframe) for keyframe in keyframes]
    inside = _without_bars(pictures)
    mean = np.mean(
        [
            cv2.resize(picture[inside].astype(np.float32), (LOOK_PX, LOOK_PX), interpolation=cv2.INTER_AREA)
            for picture in pictures
        ],
        axis=0,
    )
    low = cv2.dct(mean.astype(np.float32))[:FREQUENCIES, :FREQUENCIES][IN_A_LOOK] * WEIGHTS
    return unit_bytes(low, LEAST_LOOK)


def embedding(keyframes: Sequence[Keyframe]) -> Bytes | None:
    """The mean of the keyframes' embeddings; None where no network has looked at them."""
    seen = [np.frombuffer(keyframe.embedding, np.int8) for keyframe in keyframes if keyframe.embedding is not None]
    return unit_bytes(np.mean(seen, axis=0), 1.0) if seen else None


def unit_bytes(vector: npt.NDArray[Any], least: float) -> Bytes | None:
    """A vector as bytes, of which the largest is 127; None for one that is shorter than `least`."""
    if float(np.linalg.norm(vector)) < least:
        return None
    return np.asarray(np.rint(vector * (127.0 / np.abs(vector).max())), np.int8)


def motion_course(stats: FrameStats | None, start_s: float, end_s: float) -> Bytes | None:
    """`(3, T)`: how motion, brightness and contrast deviate from their mean around each moment.

    None below 1 s, and for slow series of pictures.
    """
    if stats is None or len(stats.times_s) < max(2.0, LEAST_FRAMES_PER_S * (end_s - start_s)):
        return None
    times_s = stats.times_s - start_s
    edges_s = _edges(end_s - start_s)
    if len(edges_s) <= STEPS_PER_S:
        return None
    # The change summed over a step does not depend on the frame rate; that of the first frame is of another clip.
    path = np.concatenate([[0.0], np.cumsum(stats.change[1:], dtype=np.float64)])
    moved = np.log(np.diff(np.interp(edges_s, times_s, path)) + 0.05)
    levels = [_step_means(times_s, values, edges_s) for values in (stats.luma_mean, stats.luma_std)]
    channels = np.stack([moved, *(np.diff(level, prepend=level[:1]) for level in levels)])
    return _deviations(channels, np.asarray(LEAST_DEVIATIONS))


def sound_course(wav: bytes) -> Bytes | None:
    """`(1, T)`: how loudness deviates from its mean around each moment; None for silence, and below 1 s."""
    try:
        samples, rate_hz = soundfile.read(io.BytesIO(wav), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError:
        return None
    edges = np.rint(_edges(len(samples) / rate_hz) * rate_hz).astype(np.int64)
    if len(edges) <= STEPS_PER_S or not samples.any():
        return None
    power = np.add.reduceat(np.square(samples[: edges[-1]].mean(1)), edges[:-1]) / np.diff(edges)
    loudness = 0.5 * np.log10(power + 1e-7)
    return _deviations(loudness[None], np.asarray([LEAST_SOUND_DEVIATION]))


def _small(keyframe: Keyframe) -> npt.NDArray[np.uint8]:
    # A quarter of the size comes out of the JPEG's own transform, in a fraction of the time.
    picture = cv2.imdecode(np.frombuffer(keyframe.jpeg, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_4)
    assert picture is not None, "keyframes are written by this program"
    return np.asarray(picture, np.uint8)


def _without_bars(pictures: Sequence[npt.NDArray[np.uint8]]) -> tuple[slice, slice]:
    """Rows and columns between the bars; all of a picture of which less than 2/5 would be left."""
    brightest = np.max(np.stack(pictures), axis=0) > BAR_LEVEL
    spans = []
    for axis in (1, 0):
        shown = np.flatnonzero(brightest.mean(axis) > 0.02)
        if len(shown) < 0.4 * brightest.shape[1 - axis]:
            return slice(None), slice(None)
        spans.append(slice(int(shown[0]), int(shown[-1]) + 1))
    return spans[0], spans[1]


def _edges(duration_s: float) -> npt.NDArray[np.float64]:
    steps = min(int(duration_s * STEPS_PER_S + 1e-6), MOST_STEPS)
    return np.arange(steps + 1) / STEPS_PER_S


def _step_means(
    times_s: npt.NDArray[np.float64], values: npt.NDArray[np.float32], edges_s: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The mean within each step of values that hold from their frame to the next."""
    ends = np.append(times_s, 2 * times_s[-1] - times_s[-2])
    total = np.concatenate([[0.0], np.cumsum(values * np.diff(ends))])
    return np.asarray(np.diff(np.interp(edges_s, ends, total)) * STEPS_PER_S, np.float64)


def _deviations(channels: npt.NDArray[np.float64], least: npt.NDArray[np.float64]) -> Bytes:
    """`(C, T)` from the mean of the second around each step, in typical ones of the clip itself."""
    reach = int(STEPS_PER_S) // 2
    padded = np.pad(channels, ((0, 0), (reach, reach)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=1)
    apart = channels - windows.mean(-1)
    typical = np.maximum(1.4826 * np.median(np.abs(apart), axis=1), least)[:, None]
    return np.asarray(np.rint(np.clip(apart / typical, -MOST_DEVIATIONS, MOST_DEVIATIONS) * COURSE_UNIT), np.int8)


def _stored(values: Bytes | None) -> bytes | None:
    return None if values is None else values.tobytes()
