from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from curation.clip.schema import Clip
from curation.stages.defects import DefectConfig, DefectFilter
from curation.stages.subtitles import SubtitleConfig, SubtitleFilter
from tests.worlds.clip_from_video import clip_from_images, clip_from_video
from tests.worlds.drawn_scenes import FPS, Picture, landscape, panned, with_text


@pytest.fixture(scope="module")
def defects() -> DefectFilter:
    return DefectFilter(DefectConfig())


def rule(clip: Clip) -> str | None:
    return clip.rejection.rule if clip.rejection else None


def letterboxed(frame: Picture, bar: int) -> Picture:
    copy = frame.copy()
    copy[:bar] = copy[480 - bar :] = 0
    return copy


def test_a_clean_clip_passes_with_every_kind_scored(defects: DefectFilter) -> None:
    clip = defects(clip_from_images(panned(landscape(41)), FPS))
    assert clip.kept
    kinds = ("letterbox", "pillarbox", "blurred_fill", "logo", "frozen_s", "still_s", "blank_s")
    assert {kind: clip.scores[f"defect_{kind}"] for kind in kinds} == dict.fromkeys(kinds, 0)


@pytest.mark.parametrize(("bar", "expected"), [(5, None), (30, "letterbox"), (60, "letterbox")])
def test_letterbox_is_rejected_and_padding_is_not(defects: DefectFilter, bar: int, expected: str | None) -> None:
    frames = [letterboxed(frame, bar) for frame in panned(landscape(41))]
    assert rule(defects(clip_from_images(frames, FPS))) == expected


def test_pillarbox_is_rejected(defects: DefectFilter) -> None:
    frames = [np.ascontiguousarray(np.rot90(letterboxed(frame, 40))) for frame in panned(landscape(41))]
    assert rule(defects(clip_from_images(frames, FPS))) == "pillarbox"


def test_blurred_fill_is_rejected(defects: DefectFilter) -> None:
    frames = []
    for frame in panned(landscape(42)):
        filled = cv2.GaussianBlur(cv2.resize(frame, None, fx=2, fy=2)[240:720, 320:960], (0, 0), 15)
        filled[:, 185:455] = frame[:, 185:455]
        frames.append(filled)
    assert rule(defects(clip_from_images(frames, FPS))) == "blurred_fill"


@pytest.mark.parametrize(("frozen_frames", "expected"), [(10, None), (40, "frozen")])
def test_a_frozen_span_is_rejected_by_its_length(
    defects: DefectFilter, frozen_frames: int, expected: str | None
) -> None:
    moving = panned(landscape(43), 11.0, num_frames=60)
    frames = [*moving[:20], *[moving[20]] * frozen_frames, *moving[20:]]
    assert rule(defects(clip_from_images(frames, 25.0))) == expected


def test_a_still_that_the_encoder_keeps_refreshing_is_rejected(defects: DefectFilter) -> None:
    assert rule(defects(clip_from_images(panned(landscape(44), 0.0), FPS))) == "still"


def test_a_calm_talking_head_is_no_still(defects: DefectFilter) -> None:
    frames = panned(landscape(44), 0.0)
    for index, frame in enumerate(frames):
        cv2.ellipse(frame, (320, 300), (22, 3 + 4 * (index % 3)), 0, 0, 360, (40, 40, 90), -1)
    assert defects(clip_from_images(frames, FPS)).kept


@pytest.mark.parametrize(("blank_frames", "expected"), [(3, None), (12, "blank")])
@pytest.mark.parametrize("luma", [0, 255])
def test_a_blank_span_is_rejected_by_its_length(
    defects: DefectFilter, blank_frames: int, expected: str | None, luma: int
) -> None:
    frames = panned(landscape(45), 11.0, num_frames=60)
    frames[30 : 30 + blank_frames] = [np.full_like(frames[0], luma)] * blank_frames
    assert rule(defects(clip_from_images(frames, 25.0))) == expected


def test_a_logo_is_rejected(defects: DefectFilter) -> None:
    frames = panned(landscape(46))
    for frame in frames:
        cv2.circle(frame, (570, 60), 24, (255, 255, 255), 4, cv2.LINE_AA)
    assert rule(defects(clip_from_images(frames, FPS))) == "logo"


def test_corner_text_that_the_subtitles_stage_found_is_a_logo(defects: DefectFilter) -> None:
    frames = with_text(panned(landscape(7)), ["NEWS 7"], centre=(0.88, 0.08), size=0.05)
    clip = SubtitleFilter(SubtitleConfig())(clip_from_images(frames, FPS))
    assert clip.kept
    # Three keyframes are too few for the picture alone to tell.
    few = replace(clip, keyframes=clip.keyframes[:3])
    assert rule(defects(few)) == "logo"
    assert defects(replace(few, scores={})).kept


def test_a_clip_without_keyframes_or_statistics_is_kept(defects: DefectFilter) -> None:
    clip = clip_from_images(panned(landscape(41)), FPS)
    assert defects(replace(clip, keyframes=(), stats=None)).kept


def test_flags_of_a_language_model_are_held_against_one_limit(defects: DefectFilter) -> None:
    class Flags:
        def detect(self, clip: Clip) -> dict[str, float]:
            return {"deformed_hands": 0.8, "remaining_subtitles": 0.1}

    flagging = DefectFilter(DefectConfig())
    flagging.detector = Flags()
    clip = flagging(clip_from_images(panned(landscape(41)), FPS))
    assert rule(clip) == "deformed_hands"
    assert clip.scores["defect_remaining_subtitles"] == 0.1


@pytest.mark.parametrize("wrong", [{"max_letterbox": 1.5}, {"max_frozen_s": -1.0}])
def test_a_nonsensical_setting_is_named(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DefectConfig(**wrong)  # type: ignore[arg-type]


def test_an_unknown_backend_names_the_known() -> None:
    with pytest.raises(ValueError, match="measured"):
        DefectFilter(DefectConfig(backend="eyes"))


@pytest.mark.clips
@pytest.mark.slow
def test_a_still_image_under_speech_is_frozen(defects: DefectFilter, shared: Path) -> None:
    path = shared / "clips" / "video" / "derived-still_image_speech.mp4"
    assert rule(defects(clip_from_video(str(path)))) == "frozen"


@pytest.mark.clips
@pytest.mark.slow
def test_real_clips_to_keep_have_no_defect(defects: DefectFilter, shared: Path) -> None:
    labels = json.loads((shared / "clips" / "labels.json").read_text())
    kept = [label["file"] for label in labels if label["expect"] == "keep"]
    assert len(kept) >= 15
    found = {file: rule(defects(clip_from_video(str(shared / "clips" / file), 0.0, 2.5))) for file in kept}
    assert {file: defect for file, defect in found.items() if defect} == {}
