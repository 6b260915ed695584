"""DINOv2 and SyncNet with random weights in their published layouts, on real videos."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from curation.backends.lips.scorer import MARGIN_S, SYNC_FPS, SYNC_RATE_HZ
from curation.backends.lips.syncnet.config import SyncNetConfig
from curation.backends.lips.syncnet.scorer import SyncNetScorer
from curation.backends.picture.cut_checker import CutWindow
from curation.backends.picture.dinov2 import Dinov2, Dinov2Config
from curation.clip.schema import Clip
from curation.media import read_audio
from tests.worlds.people_clips import clip_with_faces


def test_dinov2_tells_other_pictures_apart_and_not_the_same(
    tiny_model: Callable[[str], Path], clips: tuple[Clip, Clip]
) -> None:
    checker = Dinov2(Dinov2Config(weights=str(tiny_model("dinov2")), device="cpu", batch_size=3))
    first, later, other = (
        keyframe.image() for keyframe in (clips[0].keyframes[0], clips[0].keyframes[6], clips[1].keyframes[0])
    )
    other = other[: first.shape[0], : first.shape[1]]
    pairs = [(first, first), (first, later), (first, other), (other, other)]
    same, moved, changed, again = checker.distances([CutWindow([a] * 3 + [b] * 3, 3) for a, b in pairs])
    assert same == pytest.approx(0, abs=1e-5)
    assert again == pytest.approx(0, abs=1e-5)
    assert 1e-4 < moved < changed, "another video is farther than the same person later"


def test_syncnet_has_a_curve_over_31_shifts_that_follows_the_sound(
    tiny_model: Callable[[str], Path], talking: tuple[Path, Path]
) -> None:
    scorer = SyncNetScorer(SyncNetConfig(weights=str(tiny_model("syncnet")), device="cpu", batch_size=16))
    clip = clip_with_faces(talking[1], 1.0, 2.2)
    assert clip.tracks, "dlib sees the talker"
    start_s, end_s = clip.start_s - MARGIN_S, clip.end_s + MARGIN_S
    samples, _ = read_audio(str(talking[1]), start_s, end_s, sample_rate_hz=SYNC_RATE_HZ)
    evidence = scorer.score(clip, samples[:, 0])
    assert evidence.curve.shape == (31,)
    assert np.isfinite(evidence.curve).all()
    assert evidence.num_frames >= SYNC_FPS
    assert np.ptp(evidence.curve) > 1e-4, "the sound differs from shift to shift"
    late = np.roll(samples[:, 0], 2 * SYNC_RATE_HZ // SYNC_FPS)
    shifted = scorer.score(clip, late).curve
    assert shifted[4:-2] == pytest.approx(evidence.curve[2:-4], rel=1e-3), "sound that is late by two frames"
