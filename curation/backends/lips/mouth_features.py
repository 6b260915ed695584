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

    A head that nods or comes closer moves its lips too; subtracting its motion leaves that of the lips. Points and
    flows are complex numbers x + iy from the crop's middle: the flow at z is then `shift + turned · z`, where the real
    part of `turned` is growth and the imaginary part a turn.
    """

    def __init__(self) -> None:
        rows, columns = np.mgrid[0:CROP_SIZE, 0:CROP_SIZE].astype(np.float32) - CROP_SIZE / 2
        self.upper = (columns[UPPER_FACE] + 1j * rows[UPPER_FACE]).ravel().astype(np.complex128)
        self.upper_squared = np.abs(self.upper) ** 2
        self.lower_columns, self.lower_rows = columns[LOWER_FACE][:1], rows[LOWER_FACE][:, :1]
        self.mouth = complex(*(value - CROP_SIZE / 2 for value in MOUTH_CENTRE))

    def fit(self, flow: npt.NDArray[np.float32]) -> tuple[complex, complex]:
        """`(shift, turned)` by robust least squares (Cauchy weights of 0.3 px: blinks and brows are outliers) over
        `(H, W, 2)`."""
        seen = flow[UPPER_FACE].reshape(-1, 2).astype(np.float64).view(np.complex128)[:, 0]
        weights = np.ones(len(seen))
        shift = turned = 0j
        for _ in range(3):
            # The normal equations of two complex unknowns, ridged.
            total, second = weights.sum() + 1e-3, weights @ self.upper_squared + 1e-3
            first = complex(weights @ self.upper)
            weighted = weights * seen
            at_one, at_z = complex(weighted.sum()), complex(self.upper.conj() @ weighted)
            determinant = total * second - abs(first) ** 2
            shift = (second * at_one - first * at_z) / determinant
            turned = (total * at_z - first.conjugate() * at_one) / determinant
            error = seen - shift - turned * self.upper
            weights = 1 / (1 + (error.real**2 + error.imag**2) / 0.3**2)
        return shift, turned

    def at_lower_face(self, motion: tuple[complex, complex]) -> npt.NDArray[np.float32]:
        """The head's part of the flow over `LOWER_FACE`, `(56, 64, 2)`."""
        shift, turned = motion
        flow = np.empty((self.lower_rows.size, self.lower_columns.size, 2), np.float32)
        flow[..., 0] = shift.real + turned.real * self.lower_columns - turned.imag * self.lower_rows
        flow[..., 1] = shift.imag + turned.real * self.lower_rows + turned.imag * self.lower_columns
        return flow

    def at_mouth(self, motion: tuple[complex, complex]) -> npt.NDArray[np.float64]:
        """The head's shift (x, y) at the middle of the mouth."""
        shift, turned = motion
        there = shift + turned * self.mouth
        return np.array([there.real, there.imag])
