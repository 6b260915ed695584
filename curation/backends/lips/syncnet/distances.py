"""SyncNet's distances of lips and sound over 31 shifts.

Legend: W windows, E embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from curation.backends.lips.scorer import MAX_SHIFT_FRAMES

EPSILON: Final = 1e-6
"""Added to every difference before the norm, as torch's pairwise distance does."""


def stack_lips(windows: Sequence[npt.NDArray[np.uint8]]) -> torch.Tensor:
    """`(W, 3, 5, 224, 224)` of bytes, as `SyncNet.embed_lips` takes them once they are floats."""
    return torch.from_numpy(np.stack(windows)).permute(0, 4, 1, 2, 3)


def stack_sound(windows: Sequence[npt.NDArray[np.float32]]) -> torch.Tensor:
    """`(W, 1, 13, 20)`, as `SyncNet.embed_sound` takes them."""
    return torch.from_numpy(np.stack(windows))[:, None]


def distances_over_shifts(lips: torch.Tensor, sound: torch.Tensor) -> npt.NDArray[np.float64]:
    """Mean L2 distance of `(W, E)` lips to `(W + 30, E)` sound, which starts 15 frames before them: `(31,)`.

    Entry 15 + s compares the lips with the sound s frames later.
    """
    means = [
        torch.linalg.vector_norm(lips - sound[shift : shift + len(lips)] + EPSILON, dim=1).mean()
        for shift in range(2 * MAX_SHIFT_FRAMES + 1)
    ]
    return np.asarray(torch.stack(means).double().numpy())
