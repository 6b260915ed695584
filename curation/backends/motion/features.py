"""Camera motion from features of the background: tracked, or matched where the motion is too large to track.

Tracking (Lucas–Kanade) alone holds on soft backgrounds, where descriptors find nothing to match: on 35 real shots it
fitted every shot that matching fitted, and five more portraits. Matching (ORB) holds on pans above about a fifth of the
picture per second, where tracking loses its features. People are masked by their faces: a talking person fills much of
the picture and is not the background.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from curation.backends.faces.figure import body_box, head_box
from curation.backends.motion.estimator import PairMotion
from curation.clip.observations import Box
from curation.clip.schema import Clip

Gray = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float32]

SHORT_EDGE = 320
"""Measured on 35 real shots: two thirds of the time that 480 pixels take, and the same rates to about 0.001 per second,
except on one shot that is filled by a person without a visible face. At 240 a portrait's background was lost."""
MAX_FEATURES = 300
MIN_INLIERS = 20
"""Fewer features can agree by lying on a hair line or a collar: 16 did on portraits before a plain background."""
MIN_SHARE = 0.5
"""Two motions cannot both have the majority, so a large moving object does not pass for the camera."""
MIN_SPREAD = 0.08
"""Least root-mean-square distance of the inliers from their middle, in picture diagonals: scale and roll
cannot be told from a single small spot. Features spread evenly over the picture have 0.29."""
INLIER_PX = 2.0
TRACKING_ERROR_PX = 1.0
PATCH_RADIUS = 7
"""Half the side of the surroundings that are compared, in pixels."""
MIN_CORRELATION = 0.7
"""Least correlation of a feature's surroundings with those of the place it was tracked to. Without this limit the noise
of a plain wall passes for a static camera: noise that is tracked there and back ends within a pixel of where it
began."""
MAX_HAMMING = 64
"""A quarter of ORB's 256 bits."""


class FeatureCamera:
    """Similarity between keyframes by RANSAC over background features; deterministic."""

    def __init__(self) -> None:
        self.orb = cv2.ORB.create(MAX_FEATURES * 2, fastThreshold=8)

    def pairs(self, clip: Clip) -> tuple[PairMotion, ...]:
        """One motion for each two consecutive keyframes."""
        images = [working_image(keyframe.image()) for keyframe in clip.keyframes]
        masks = [
            background_mask(image, faces_at(clip, keyframe.time_s))
            for image, keyframe in zip(images, clip.keyframes, strict=True)
        ]
        return tuple(self._pair(images[i], images[i + 1], masks[i], masks[i + 1]) for i in range(len(images) - 1))

    def _pair(self, first: Gray, second: Gray, first_mask: Gray, second_mask: Gray) -> PairMotion:
        tracked = fit_similarity(*track(first, second, first_mask), first.shape)
        if tracked.known:
            return tracked
        return fit_similarity(*self._match(first, second, first_mask, second_mask), first.shape)

    def _match(self, first: Gray, second: Gray, first_mask: Gray, second_mask: Gray) -> tuple[Points, Points]:
        keypoints_a, descriptors_a = self.orb.detectAndCompute(first, first_mask)
        keypoints_b, descriptors_b = self.orb.detectAndCompute(second, second_mask)
        if descriptors_a is None or descriptors_b is None:
            return np.empty((0, 2), np.float32), np.empty((0, 2), np.float32)
        matches = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(descriptors_a, descriptors_b)
        good = [m for m in matches if m.distance < MAX_HAMMING]
        a = np.array([keypoints_a[m.queryIdx].pt for m in good], np.float32)
        b = np.array([keypoints_b[m.trainIdx].pt for m in good], np.float32)
        return a.reshape(-1, 2), b.reshape(-1, 2)


def working_image(image: npt.NDArray[np.uint8]) -> Gray:
    """Grey, with a short edge of at most `SHORT_EDGE`."""
    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    scale = SHORT_EDGE / min(gray.shape)
    if scale < 1:
        gray = cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(gray, np.uint8)


def faces_at(clip: Clip, time_s: float) -> list[Box]:
    """The tracked faces on the keyframe at `time_s`."""
    return [
        face.box
        for track_ in clip.tracks
        for at, face in zip(track_.times_s, track_.faces, strict=True)
        if abs(at - time_s) < 1e-3
    ]


def background_mask(image: Gray, faces: list[Box]) -> Gray:
    """255 where the picture may be background, 0 on the head and body below each face."""
    height, width = image.shape
    mask = np.full((height, width), 255, np.uint8)
    for face in faces:
        for part in (head_box(face, width / height), body_box(face, width / height)):
            x0, y0, x1, y1 = part.pixels(width, height)
            mask[y0:y1, x0:x1] = 0
    return mask


def track(first: Gray, second: Gray, mask: Gray) -> tuple[Points, Points]:
    """Corners of `first` and where they are in `second`, `(N, 2)` each: those that look alike and are tracked back."""
    corners = cv2.goodFeaturesToTrack(first, MAX_FEATURES, 0.005, 7, mask=mask)
    if corners is None:
        return np.empty((0, 2), np.float32), np.empty((0, 2), np.float32)
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 20, 0.03)
    there, found, _ = cv2.calcOpticalFlowPyrLK(first, second, corners, None, maxLevel=4, criteria=stop)
    back, returned, _ = cv2.calcOpticalFlowPyrLK(second, first, there, None, maxLevel=4, criteria=stop)
    error = np.abs(back - corners).max(axis=(1, 2))
    kept = (found[:, 0] > 0) & (returned[:, 0] > 0) & (error < TRACKING_ERROR_PX)
    a, b = corners[kept, 0], there[kept, 0]
    alike = patch_correlation(first, a, second, b) >= MIN_CORRELATION
    return a[alike], b[alike]


def patch_correlation(first: Gray, a: Points, second: Gray, b: Points) -> npt.NDArray[np.float32]:
    """Normalised correlation, in [-1, 1], of the surroundings of each of the points `a` and `b`, `(N, 2)`."""
    if len(a) == 0:
        return np.empty(0, np.float32)
    offsets = np.mgrid[-PATCH_RADIUS : PATCH_RADIUS + 1, -PATCH_RADIUS : PATCH_RADIUS + 1]
    dy, dx = offsets.reshape(2, 1, -1).astype(np.float32)
    patches = [
        cv2.remap(image, points[:, :1] + dx, points[:, 1:] + dy, cv2.INTER_LINEAR).astype(np.float32)
        for image, points in ((first, a), (second, b))
    ]
    centred = [patch - patch.mean(axis=1, keepdims=True) for patch in patches]
    norms = np.linalg.norm(centred[0], axis=1) * np.linalg.norm(centred[1], axis=1)
    return np.asarray((centred[0] * centred[1]).sum(axis=1) / np.maximum(norms, 1e-6), np.float32)


def fit_similarity(a: Points, b: Points, shape: tuple[int, ...]) -> PairMotion:
    """The motion that most of the features `a` → `b` share; unknown when they do not agree on one."""
    height, width = shape[:2]
    unknown = PairMotion(np.eye(2, 3), width, height, 0.0)
    if len(a) < MIN_INLIERS:
        return unknown
    # RANSAC draws from a generator that OpenCV keeps for the whole thread.
    cv2.setRNGSeed(0)
    matrix, inliers = cv2.estimateAffinePartial2D(
        a, b, method=cv2.RANSAC, ransacReprojThreshold=INLIER_PX, maxIters=500, confidence=0.99
    )
    if matrix is None:
        return unknown
    chosen = a[inliers[:, 0] > 0]
    spread = float(np.sqrt(chosen.var(axis=0).sum()) / np.hypot(width, height)) if len(chosen) else 0.0
    share = len(chosen) / len(a)
    if len(chosen) < MIN_INLIERS or share < MIN_SHARE or spread < MIN_SPREAD:
        return unknown
    return PairMotion(matrix, width, height, share)
