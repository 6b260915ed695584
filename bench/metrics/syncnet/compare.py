"""Distances of lips and sound over 31 shifts, and the scores made from them.

Legend: W windows of five frames, E embedding, V = 15 the largest shift.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from bench.metrics.syncnet.mfcc import mfcc
from bench.metrics.syncnet.network import SyncNet

SAMPLES_PER_FRAME = 640
WINDOW_FRAMES = 5
MAX_SHIFT_FRAMES = 15
BATCH = 20
EPSILON = 1e-6
"""Added to every difference before the norm, as torch's pairwise distance does."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sync:
    """What SyncNet says of one face and its sound."""

    distances: npt.NDArray[np.float64]
    """`(31,)` mean distance; entry 15 + s compares lips with the sound s frames later."""

    @property
    def lse_d(self) -> float:
        """Distance where they agree best."""
        return float(self.distances.min())

    @property
    def lse_c(self) -> float:
        """Median minus best distance."""
        return float(np.median(self.distances) - self.distances.min())

    @property
    def offset_frames(self) -> int:
        """15 − argmin, as published: positive when the sound comes before the lips."""
        return MAX_SHIFT_FRAMES - int(self.distances.argmin())


def num_windows(num_frames: int, num_samples: int) -> int:
    """How many windows lips `(num_frames)` and sound `(num_samples)` at 16 kHz have in common; 0 or less: none."""
    return min(num_frames, num_samples // SAMPLES_PER_FRAME) - WINDOW_FRAMES


@torch.inference_mode()
def compare(network: SyncNet, crops: npt.NDArray[np.uint8], samples: npt.NDArray[np.int16]) -> Sync:
    """Compare `(F, 224, 224, 3)` BGR crops at 25 fps with `(N,)` samples at 16 kHz.

    Raises:
        ValueError: they are too short to have a window in common.
    """
    windows = num_windows(len(crops), len(samples))
    if windows < 1:
        raise ValueError("fewer than six frames of face and sound")
    cepstra = torch.from_numpy(mfcc(samples)).float()
    device = next(network.parameters()).device
    lips, sound = [], []
    for first in range(0, windows, BATCH):
        starts = range(first, min(first + BATCH, windows))
        pictures = np.stack([crops[start : start + WINDOW_FRAMES] for start in starts])
        moving = torch.from_numpy(pictures).permute(0, 4, 1, 2, 3).float()
        lips.append(network.embed_lips(moving.to(device)).cpu())
        heard = torch.stack([cepstra[4 * start : 4 * start + 20].T for start in starts])[:, None]
        sound.append(network.embed_sound(heard.to(device)).cpu())
    return Sync(distances=shifted_distances(torch.cat(lips), torch.cat(sound)))


def shifted_distances(lips: torch.Tensor, sound: torch.Tensor) -> npt.NDArray[np.float64]:
    """Mean L2 distance of `(W, E)` lips to `(W, E)` sound at each shift, zeros where there is no sound: `(31,)`."""
    padded = torch.nn.functional.pad(sound, (0, 0, MAX_SHIFT_FRAMES, MAX_SHIFT_FRAMES))
    means = [
        torch.linalg.vector_norm(lips - padded[shift : shift + len(lips)] + EPSILON, dim=1).mean()
        for shift in range(2 * MAX_SHIFT_FRAMES + 1)
    ]
    return np.asarray(torch.stack(means).double().numpy())
