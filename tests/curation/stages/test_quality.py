from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from curation.backends.quality.scorer import QualityScore
from curation.clip.schema import Clip, Decision
from curation.stages.quality import QualityConfig, QualityFilter
from tests.worlds.clip_from_video import clip_from_images, clip_from_video
from tests.worlds.drawn_scenes import FPS, Picture, landscape, panned


@pytest.fixture(scope="module")
def quality() -> QualityFilter:
    return QualityFilter(QualityConfig())


def test_a_clean_clip_passes_with_every_part_scored(quality: QualityFilter) -> None:
    clip = quality(clip_from_images(panned(landscape(1)), FPS))
    assert clip.kept
    assert set(clip.scores) == {
        f"quality_{name}" for name in ("score", "sharpness", "exposure", "contrast", "noise", "blockiness", "freeze")
    }


@pytest.mark.parametrize("fault", ["blurred", "dark", "flat", "noisy", "blank"])
def test_a_spoilt_clip_is_rejected_with_its_score(quality: QualityFilter, fault: str) -> None:
    rng = np.random.default_rng(0)
    spoilers: dict[str, Callable[[Picture], Picture]] = {
        "blurred": lambda frame: cv2.GaussianBlur(frame, (0, 0), 4),
        "dark": lambda frame: (frame * 0.06).astype(np.uint8),
        "flat": lambda frame: (120 + (frame - 120.0) * 0.06).astype(np.uint8),
        "noisy": lambda frame: np.clip(frame + rng.normal(0, 40, frame.shape), 0, 255).astype(np.uint8),
        "blank": np.zeros_like,
    }
    clip = quality(clip_from_images([spoilers[fault](frame) for frame in panned(landscape(1))], FPS))
    assert clip.rejection is not None
    assert (clip.rejection.stage, clip.rejection.rule) == ("quality", "low_score")
    assert clip.rejection.value == clip.scores["quality_score"]
    assert clip.rejection.threshold == quality.config.min_score


def test_a_clip_without_keyframes_is_rejected_not_raised(quality: QualityFilter) -> None:
    clip = replace(clip_from_images(panned(landscape(1)), FPS), keyframes=())
    assert not quality(clip).kept


@pytest.mark.parametrize(
    ("score", "rejection"),
    [(50.0, None), (49.9, Decision(stage="quality", rule="low_score", value=49.9, threshold=50.0))],
)
def test_half_of_the_scale_is_good_enough(score: float, rejection: Decision | None) -> None:
    class Scripted:
        def score(self, clip: Clip) -> QualityScore:
            return QualityScore(score=score, parts={"noise": 0.25})

    stage = QualityFilter(QualityConfig())
    stage.scorer = Scripted()
    clip = stage(clip_from_images(panned(landscape(1))[:1], FPS))
    assert dict(clip.scores) == {"quality_score": score, "quality_noise": 0.25}
    assert clip.rejection == rejection


def test_bad_settings_are_named() -> None:
    for wrong in (-1, 101):
        message = f"quality.min_score must be in [0, 100], not {wrong}"
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            QualityConfig(min_score=wrong)
    for limit in (0, 100):
        QualityConfig(min_score=limit)
    with pytest.raises(ValueError, match="no_reference"):
        QualityFilter(QualityConfig(backend="finevq-2"))


@pytest.mark.clips
@pytest.mark.slow
def test_real_clips_to_keep_pass_and_fail_once_blurred(quality: QualityFilter, shared: Path) -> None:
    labels = json.loads((shared / "clips" / "labels.json").read_text())
    wrong, blurred_scores = [], []
    for label in labels:
        if label["expect"] != "keep":
            continue
        clip = clip_from_video(str(shared / "clips" / label["file"]), 0.0, 2.0)
        if not quality(clip).kept:
            wrong.append(label["file"])
        frames = [cv2.GaussianBlur(keyframe.image(), (0, 0), 5) for keyframe in clip.keyframes]
        blurred_scores.append(quality.scorer.score(clip_from_images(frames, 2.0)).score)
    assert wrong == []
    assert len(blurred_scores) >= 15
    assert max(blurred_scores) < quality.config.min_score
