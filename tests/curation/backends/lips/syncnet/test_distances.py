"""SyncNet's distances over the shifts."""

from __future__ import annotations

import pytest
import torch

from curation.backends.lips.scorer import MAX_SHIFT_FRAMES, SyncEvidence
from curation.backends.lips.syncnet.distances import distances_over_shifts


@pytest.mark.parametrize("late", [-7, 0, 4])
def test_sound_that_is_late_peaks_at_a_positive_offset(late: int) -> None:
    truth = torch.randn(60, 8, generator=torch.Generator().manual_seed(0))
    lips, sound = truth[MAX_SHIFT_FRAMES:45], torch.roll(truth, late, 0)
    evidence = SyncEvidence(curve=-distances_over_shifts(lips, sound).astype("float32"), num_frames=30)
    assert evidence.offset_frames == late
    assert evidence.confidence > 1
