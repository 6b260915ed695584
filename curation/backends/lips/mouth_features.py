"""How a mouth moves, without a trained network: optical flow relative to the upper face, and brightness.

Legend: N frames at 25 fps, C channels. The crop is `CROP_SIZE` pixels square with the face box centred and
`CROP_SIZE / CROP_MARGIN` = 80 pixels wide, so that the eyes lie near row 48 and the mouth near row 88.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from einops import rearrange
from scipy.ndimage import gaussian_filter1d

FPS = 25
CROP_SIZE = 128
CROP_MARGIN = 1.6

UPPER_FACE = (slice(32, 72, 4), slice(34, 94, 4))
"""Brows, eyes and nose: what moves here is the head, not speech."""
LOWER_FACE = (slice(64, 120), slice(32, 96))
"""Nose tip to below the chin."""
MOUTH_CENTRE = (63.5, 92.0)
MOUTH_SIZE = (48, 40)
DRIFT_LEAK = 0.97
"""The sum of head motion keeps the mouth in place between box positions. It forgets within about 33 frames, so that its
drift stays below that of the boxes."""
SLOW_FRAMES = 25.0
"""Changes slower than about a second are light, pose and expression."""
SLOW_APPEARANCE_FRAMES = 12.0
NOISE_FLOW_PX = 0.02
"""Flow of this size is compression noise; without the floor the noise of a still face would be scaled up to look like
motion."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MouthMotion:
    """What was measured on one face."""

    features: npt.NDArray[np.float32]
    """`(N, C)`, zero mean over a second or so and about unit spread."""
    speed: npt.NDArray[np.float32]
    """`(N,)` mean speed of the lower face relative to the upper, in face widths a second."""


def measure_mouth(images: npt.NDArray[np.uint8]) -> MouthMotion:
    """Measure `(N, CROP_SIZE, CROP_SIZE, 3)` BGR crops."""
    num_frames = len(images)
    flow = np.zeros((num_frames, 4, 4, 2), np.float32)
    magnitude = np.zeros((num_frames, 4, 4), np.float32)
    appearance = np.zeros((num_frames, 4, 4, 2), np.float32)
    dense_flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    head = HeadMotion()
    drift = np.zeros(2)
    previous = None
    for index, image in enumerate(images):
        luma, red = cv2.split(cv2.cvtColor(image, cv2.COLOR_BGR2YCrCb))[:2]
        if previous is not None:
            motion = dense_flow.calc(previous, luma, None)
            parameters = head.fit(motion)
            lower = motion[LOWER_FACE] - head.at_lower_face(parameters)
            flow[index] = cv2.resize(lower, (4, 4), interpolation=cv2.INTER_AREA)
            magnitude[index] = cv2.resize(np.hypot(lower[..., 0], lower[..., 1]), (4, 4), interpolation=cv2.INTER_AREA)
            drift = DRIFT_LEAK * drift + head.at_mouth(parameters)
        centre = (MOUTH_CENTRE[0] + float(drift[0]), MOUTH_CENTRE[1] + float(drift[1]))
        for channel, plane in enumerate((luma, red)):
            mouth = cv2.getRectSubPix(plane, MOUTH_SIZE, centre)
            appearance[index, ..., channel] = cv2.resize(mouth, (4, 4), interpolation=cv2.INTER_AREA)
        previous = luma
    face_px = CROP_SIZE / CROP_MARGIN
    return MouthMotion(features=normalise(flow, magnitude, appearance), speed=magnitude.mean((1, 2)) * FPS / face_px)


def normalise(
    flow: npt.NDArray[np.float32], magnitude: npt.NDArray[np.float32], appearance: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Fold left and right together (speech is symmetric), drop slow change, scale to about unit spread.

    Args:
        flow: `(N, 4, 4, 2)` lower-face flow in pixels a frame (x, y).
        magnitude: `(N, 4, 4)` its mean length.
        appearance: `(N, 4, 4, 2)` brightness and redness of the mouth, 0 to 255.

    Returns:
        `(N, 40)`: 8 horizontal, 8 vertical, 8 magnitudes, 8 brightness, 8 redness.
    """
    sideways, upright = _fold(flow[..., 0], sign=-1), _fold(flow[..., 1])
    spread = np.sqrt((sideways**2).mean() + (upright**2).mean()) + NOISE_FLOW_PX
    loudness = high_pass(np.log(_fold(magnitude) + 0.05), SLOW_FRAMES)
    parts = [sideways / spread, upright / spread, loudness / (loudness.std() + 0.02)]
    for channel in range(2):
        look = high_pass(_fold(appearance[..., channel]), SLOW_APPEARANCE_FRAMES)
        parts.append(look / (look.std() + 0.5))
    return np.asarray(np.clip(np.concatenate(parts, 1), -5, 5), np.float32)


def high_pass(values: npt.NDArray[np.float32], frames: float) -> npt.NDArray[np.float32]:
    """`values` `(N, C)` minus their Gaussian average over `frames` (standard deviation)."""
    return np.asarray(values - gaussian_filter1d(values, frames, axis=0, mode="nearest"), np.float32)


def _fold(grid: npt.NDArray[np.float32], sign: int = 1) -> npt.NDArray[np.float32]:
    mirrored = grid[:, :, ::-1]
    halves = ((grid + sign * mirrored) / 2)[:, :, : grid.shape[2] // 2]
    return np.asarray(rearrange(halves, "n h w -> n (h w)"), np.float32)


class HeadMotion:
    """The similarity transform (shift, turn, scale) that the upper face makes between two frames.

    A head that nods or comes closer moves its lips too; subtracting its motion leaves that of the lips.
    """

    def __init__(self) -> None:
        rows, columns = np.mgrid[0:CROP_SIZE, 0:CROP_SIZE].astype(np.float32) - CROP_SIZE / 2
        self.design = self._design(columns[UPPER_FACE], rows[UPPER_FACE])
        self.lower_design = self._design(columns[LOWER_FACE], rows[LOWER_FACE])
        self.lower_shape = rows[LOWER_FACE].shape
        x, y = (np.array([value - CROP_SIZE / 2], np.float32) for value in MOUTH_CENTRE)
        self.mouth_design = self._design(x, y)

    @staticmethod
    def _design(x: npt.NDArray[np.float32], y: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """`(2P, 4)`: x flow of all points, then y flow, linear in (shift x, shift y, scale, turn)."""
        x, y = x.ravel(), y.ravel()
        one, zero = np.ones_like(x), np.zeros_like(x)
        design = np.concatenate([np.stack([one, zero, x, -y], 1), np.stack([zero, one, y, x], 1)])
        return np.asarray(design, np.float32)

    def fit(self, flow: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Robust least squares (Cauchy weights of 0.3 px: blinks and brows are outliers) over `(H, W, 2)`."""
        target = flow[UPPER_FACE].reshape(-1, 2).T.ravel()
        weights = np.ones(len(target) // 2, np.float32)
        parameters = np.zeros(4)
        for _ in range(3):
            weighted = self.design * np.concatenate([weights, weights])[:, None]
            parameters = np.linalg.solve(weighted.T @ self.design + 1e-3 * np.eye(4), weighted.T @ target).astype(
                np.float64
            )
            error = (target - self.design @ parameters).reshape(2, -1)
            weights = (1 / (1 + (error**2).sum(0) / 0.3**2)).astype(np.float32)
        return parameters

    def at_lower_face(self, parameters: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        """The head's part of the flow over `LOWER_FACE`, `(56, 64, 2)`."""
        flow = (self.lower_design @ parameters).reshape(2, *self.lower_shape)
        return np.moveaxis(flow, 0, -1).astype(np.float32)

    def at_mouth(self, parameters: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The head's shift (x, y) at the middle of the mouth."""
        return np.asarray(self.mouth_design @ parameters, np.float64)
