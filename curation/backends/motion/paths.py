"""A clip's motion from that between keyframes: the camera's, and the main subject's with the camera's taken out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from curation.backends.faces.figure import HEADS_PER_FACE
from curation.backends.motion.estimator import PairMotion
from curation.clip.motion import CameraMotion, SubjectMotion
from curation.clip.observations import FaceTrack

Array = npt.NDArray[np.float64]

MIN_PATH_POINTS = 4
"""A path shorter than 1.5 s at two keyframes a second does not tell where somebody goes."""


def camera_motion(pairs: Sequence[PairMotion], times_s: Sequence[float]) -> CameraMotion | None:
    """Rates over the pairs whose motion is known, None when there is none."""
    known = [i for i, pair in enumerate(pairs) if pair.known]
    if not known:
        return None
    width, height = pairs[0].width, pairs[0].height
    durations = np.array([times_s[i + 1] - times_s[i] for i in known])
    matrices = np.stack([pairs[i].matrix for i in known])
    total_s, diagonal = float(durations.sum()), float(np.hypot(width, height))
    # Rates are those at the middle of the picture, so that zoom and roll do not leak into pan and tilt.
    shifts = _displacements(matrices, np.array([[width / 2, height / 2]]))[:, 0]
    edges = np.array([[0, 0], [width, 0], [0, height], [width, height], [width / 2, height / 2]])
    moved = np.linalg.norm(_displacements(matrices, edges), axis=2).mean(axis=1)
    scale = np.log(np.hypot(matrices[:, 0, 0], matrices[:, 1, 0]))
    turn = np.degrees(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0]))
    velocity = shifts / durations[:, None] / diagonal
    jolts = [
        float(np.linalg.norm(velocity[k + 1] - velocity[k]))
        for k in range(len(known) - 1)
        if known[k + 1] == known[k] + 1
    ]
    return CameraMotion(
        pan_per_s=float(-shifts[:, 0].sum() / width / total_s),
        tilt_per_s=float(shifts[:, 1].sum() / height / total_s),
        zoom_per_s=float(scale.sum() / total_s),
        # In pixels y points down, so a positive angle turns the picture clockwise and the camera the other
        # way.
        roll_deg_per_s=float(-turn.sum() / total_s),
        speed_per_s=float(moved.sum() / diagonal / total_s),
        shake_per_s=float(np.median(jolts)) if jolts else 0.0,
    )


def mean_fit(pairs: Sequence[PairMotion]) -> float:
    """How well the camera's motion is known over a clip, in [0, 1]; pairs without known motion count as 0."""
    return float(np.mean([pair.fit for pair in pairs])) if pairs else 0.0


def subject_motion(track: FaceTrack, pairs: Sequence[PairMotion], times_s: Sequence[float]) -> SubjectMotion | None:
    """The face's motion in the longest stretch with known camera motion, with that motion taken out.

    None when no stretch holds the face on at least `MIN_PATH_POINTS` keyframes.
    """
    if not pairs:
        return None
    width, height = pairs[0].width, pairs[0].height
    paths = [_stabilised(track, pairs, times_s, first, last) for first, last in _known_stretches(pairs)]
    seconds, path = max(paths, key=lambda p: len(p[0]), default=(np.empty(0), np.empty((0, 3))))
    if len(seconds) < MIN_PATH_POINTS:
        return None
    # One keyframe's false box must not count as travel.
    smooth = np.stack([_median3(column) for column in path.T], axis=1)
    head_px = float(np.exp(np.median(path[:, 2]))) * HEADS_PER_FACE
    spans = np.linalg.norm(smooth[:, None, :2] - smooth[None, :, :2], axis=2)
    return SubjectMotion(
        dx_per_s=_slope(seconds, path[:, 0]) / width,
        dy_per_s=_slope(seconds, path[:, 1]) / height,
        scale_per_s=_slope(seconds, path[:, 2]),
        travel_heads=float(spans.max()) / head_px,
        coverage=len(seconds) / len(times_s),
    )


def _displacements(matrices: Array, points: Array) -> Array:
    """Displacement of each of `(N, 2)` points under each of `(M, 2, 3)` matrices: `(M, N, 2)`."""
    there = np.einsum("mij,nj->mni", matrices[:, :, :2], points) + matrices[:, None, :, 2]
    return np.asarray(there - points, np.float64)


def _known_stretches(pairs: Sequence[PairMotion]) -> list[tuple[int, int]]:
    """First and last keyframe of each stretch without an unknown pair."""
    breaks = [-1, *(i for i, pair in enumerate(pairs) if not pair.known), len(pairs)]
    return [(before + 1, after) for before, after in pairwise(breaks)]


def _stabilised(
    track: FaceTrack,
    pairs: Sequence[PairMotion],
    times_s: Sequence[float],
    first: int,
    last: int,
) -> tuple[Array, Array]:
    """Times and `(N, 3)` of the face on keyframes `first` to `last`: x, y and the logarithm of its height, in
    pixels of keyframe `first`.
    """
    width, height = pairs[0].width, pairs[0].height
    to_first = np.eye(3)
    seconds, path = [], []
    for index in range(first, last + 1):
        if index > first:
            to_first = to_first @ np.linalg.inv(np.vstack([pairs[index - 1].matrix, [0.0, 0.0, 1.0]]))
        for time_s, face in zip(track.times_s, track.faces, strict=True):
            if abs(time_s - times_s[index]) < 1e-3:
                x, y = face.box.centre
                place = to_first @ np.array([x * width, y * height, 1.0])
                size = face.box.height * height * np.hypot(to_first[0, 0], to_first[1, 0])
                seconds.append(time_s)
                path.append([place[0], place[1], np.log(max(size, 1e-6))])
    return np.array(seconds), np.array(path).reshape(-1, 3)


def _median3(values: Array) -> Array:
    padded = np.pad(values, 1, mode="edge")
    return np.asarray(np.median([padded[:-2], padded[1:-1], padded[2:]], axis=0), np.float64)


def _slope(seconds: Array, values: Array) -> float:
    """Median of the slopes between all pairs of points (Theil–Sen): a few wrong boxes hardly change it."""
    i, j = np.triu_indices(len(seconds), k=1)
    return float(np.median((values[j] - values[i]) / (seconds[j] - seconds[i])))
