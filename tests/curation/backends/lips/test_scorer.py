"""Evidence of several clips adds up, each frame counting once."""

import numpy as np
import pytest

from curation.backends.lips.scorer import MAX_SHIFT_FRAMES, SyncEvidence, no_evidence, pool_evidence


def evidence_of(peak: dict[int, float], num_frames: int = 100, speed: float | None = 0.1) -> SyncEvidence:
    curve = np.zeros(2 * MAX_SHIFT_FRAMES + 1, np.float32)
    for shift, value in peak.items():
        curve[MAX_SHIFT_FRAMES + shift] = value
    return SyncEvidence(curve=curve, num_frames=num_frames, mouth_speed=speed)


def test_pooling_weighs_frames_and_ignores_absent_evidence() -> None:
    pooled = pool_evidence([evidence_of({0: 1.0}, 300), no_evidence(), evidence_of({5: 1.0}, 100, speed=0.5)])
    assert pooled.num_frames == 400
    assert pooled.curve[MAX_SHIFT_FRAMES] == pytest.approx(0.75)
    assert pooled.curve[MAX_SHIFT_FRAMES + 5] == pytest.approx(0.25)
    assert pooled.mouth_speed == pytest.approx(0.2)
    assert pool_evidence([]).num_frames == 0
