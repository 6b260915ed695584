"""The sync scorer on SyncNet's network (paper, Sec. 4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from curation.backends.batches import Batched
from curation.backends.faces.crops import crop_face
from curation.backends.lips.scorer import MAX_SHIFT_FRAMES, SYNC_FPS, SYNC_RATE_HZ, SyncEvidence, no_evidence
from curation.backends.lips.syncnet.config import SyncNetConfig
from curation.backends.lips.syncnet.distances import distances_over_shifts, stack_lips, stack_sound
from curation.backends.lips.syncnet.network import load_syncnet
from curation.backends.lips.syncnet.windows import (
    BORDER,
    CONTEXT,
    CROP_PX,
    SAMPLES_PER_FRAME,
    WINDOW_FRAMES,
    lip_windows,
    sound_windows,
)
from curation.backends.settings import require
from curation.backends.torch_device import torch_device
from curation.clip.schema import Clip
from infra.config import persons_mistakes

MIN_FRAMES: Final = 25
"""Less than a second of face is no evidence: a mean over so few windows is chance."""


class SyncNetScorer:
    """Minus the mean distance of lips and sound at each shift."""

    def __init__(self, config: SyncNetConfig) -> None:
        """Load the weights.

        Raises:
            ConfigError: they are missing or not SyncNet's, or there is no such device.
        """
        require(config)
        self.device = torch_device(config.device)
        with persons_mistakes():
            self.network = load_syncnet(Path(config.weights)).to(self.device)
        self._embed_lips = Batched(self._run_lips, size=config.batch_size, what="SyncNet's lips")
        self._embed_sound = Batched(self._run_sound, size=config.batch_size, what="SyncNet's sound")

    def score(self, clip: Clip, samples: npt.NDArray[np.int16]) -> SyncEvidence:
        """See `SyncScorer.score`."""
        if not clip.tracks:
            return no_evidence()
        crops = crop_face(
            clip,
            clip.tracks[0],
            fps=SYNC_FPS,
            size=CROP_PX,
            margin=1 + CONTEXT,
            lower=CONTEXT / 2,
            border=BORDER,
        )
        if len(crops.images) < MIN_FRAMES:
            return no_evidence()
        heard = samples[crops.first_frame * SYNC_RATE_HZ // SYNC_FPS :]
        return SyncEvidence(curve=self.compare(crops.images, heard), num_frames=len(crops.images))

    def compare(self, crops: npt.NDArray[np.uint8], samples: npt.NDArray[np.int16]) -> npt.NDArray[np.float32]:
        """Minus the mean distance, over all windows, at each shift: `(31,)`.

        Args:
            crops: `(F, 224, 224, 3)` BGR at 25 fps, at least 6 frames.
            samples: `(N,)` at 16 kHz. They start `MAX_SHIFT_FRAMES` before the crops and are filled up with silence to
                end as much after them, so every shift compares all windows.
        """
        windows = len(crops) - WINDOW_FRAMES
        span = (len(crops) + 2 * MAX_SHIFT_FRAMES) * SAMPLES_PER_FRAME
        heard = np.pad(samples[:span], (0, max(0, span - len(samples))))
        lips = self._embed_lips(lip_windows(crops, windows))
        sound = self._embed_sound(sound_windows(heard, windows + 2 * MAX_SHIFT_FRAMES))
        return (-distances_over_shifts(torch.stack(lips), torch.stack(sound))).astype(np.float32)

    @torch.inference_mode()
    def _run_lips(self, windows: Sequence[npt.NDArray[np.uint8]]) -> Sequence[torch.Tensor]:
        return list(self.network.embed_lips(stack_lips(windows).to(self.device).float()).cpu())

    @torch.inference_mode()
    def _run_sound(self, windows: Sequence[npt.NDArray[np.float32]]) -> Sequence[torch.Tensor]:
        return list(self.network.embed_sound(stack_sound(windows).to(self.device)).cpu())
