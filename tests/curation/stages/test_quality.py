from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

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


def test_bad_settings_are_named() -> None:
    with pytest.raises(ValueError, match="min_score"):
        QualityConfig(min_score=101)
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
