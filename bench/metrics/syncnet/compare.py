"""The scores made from SyncNet's distances of a video's lips and sound.

Legend: W windows of five frames, E embedding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from curation.backends.lips.scorer import MAX_SHIFT_FRAMES
from curation.backends.lips.syncnet.distances import distances_over_shifts, stack_lips, stack_sound
from curation.backends.lips.syncnet.network import SyncNet
from curation.backends.lips.syncnet.windows import lip_windows, num_windows, sound_windows

BATCH = 20


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


@torch.inference_mode()
def compare(network: SyncNet, crops: npt.NDArray[np.uint8], samples: npt.NDArray[np.int16]) -> Sync:
    """Compare `(F, 224, 224, 3)` BGR crops at 25 fps with `(N,)` samples at 16 kHz.

    Raises:
        ValueError: they are too short to have a window in common.
    """
    windows = num_windows(len(crops), len(samples))
    if windows < 1:
        raise ValueError("fewer than six frames of face and sound")
    seen, heard = lip_windows(crops, windows), sound_windows(samples, windows)
    device = next(network.parameters()).device
    lips, sound = [], []
    for first in range(0, windows, BATCH):
        batch = slice(first, first + BATCH)
        lips.append(network.embed_lips(stack_lips(seen[batch]).to(device).float()).cpu())
        sound.append(network.embed_sound(stack_sound(heard[batch]).to(device)).cpu())
    return Sync(distances=shifted_distances(torch.cat(lips), torch.cat(sound)))


def shifted_distances(lips: torch.Tensor, sound: torch.Tensor) -> npt.NDArray[np.float64]:
    """Mean L2 distance of `(W, E)` lips to `(W, E)` sound at each shift, zeros where there is no sound: `(31,)`."""
    return distances_over_shifts(lips, torch.nn.functional.pad(sound, (0, 0, MAX_SHIFT_FRAMES, MAX_SHIFT_FRAMES)))
