"""The drawn face moves its lower lip alone."""

from __future__ import annotations

import numpy as np

from curation.sample.face import MAX_DROP, Pose, TalkingFace, portrait


def test_opening_moves_the_lower_lip_and_leaves_the_upper_half_alone() -> None:
    canvas = portrait(2.0)
    face = TalkingFace(canvas, (0.0, 0.0), 2.0)
    face.show(Pose())
    shut = canvas.copy()
    face.show(Pose(opening=1.0))
    assert np.array_equal(shut[: 2 * 134], canvas[: 2 * 134])
    gap = canvas[2 * 151 : 2 * round(150 + MAX_DROP) - 3, 2 * 220 : 2 * 228]
    assert gap.max(axis=2).mean() < 100 < shut[2 * 151 : 2 * 157, 2 * 220 : 2 * 228].max(axis=2).mean()
