from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from curation.clip.schema import Clip, Decision
from curation.stages.defects import ASKED, DefectConfig, DefectFilter
from curation.stages.subtitles import SubtitleConfig, SubtitleFilter
from tests.worlds.clip_from_video import clip_from_images, clip_from_video
from tests.worlds.drawn_scenes import FPS, Picture, landscape, panned, with_text
from tests.worlds.people_clips import make_clip


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


class Told:
    """A detector that is told what it finds."""

    def __init__(self, found: dict[str, float]) -> None:
        self.found = found

    def detect(self, clip: Clip) -> dict[str, float]:
        return self.found


GREY = make_clip([np.full((90, 160, 3), 128, np.uint8)])
LIMITS = DefectConfig(
    max_letterbox=0.1,
    max_pillarbox=0.2,
    max_blurred_fill=0.3,
    max_logo=0.4,
    max_frozen_s=5.0,
    max_still_s=6.0,
    max_blank_s=7.0,
    max_watermark=0.8,
)


def filtered(found: dict[str, float], overlays: str | None = None, config: DefectConfig = LIMITS) -> Clip:
    """What the stage makes of a clip on which a detector finds this."""
    stage = DefectFilter(config)
    stage.detector = Told(found)
    return stage(GREY.with_scores(subtitle_overlays=overlays))


@pytest.mark.parametrize(
    ("kind", "limit", "rule"),
    [
        ("letterbox", 0.1, "letterbox"),
        ("pillarbox", 0.2, "pillarbox"),
        ("blurred_fill", 0.3, "blurred_fill"),
        ("logo", 0.4, "logo"),
        ("frozen_s", 5.0, "frozen"),
        ("still_s", 6.0, "still"),
        ("blank_s", 7.0, "blank"),
        ("watermark", 0.8, "watermark"),
    ],
)
def test_each_kind_has_its_limit_and_is_rejected_above_it(kind: str, limit: float, rule: str) -> None:
    assert filtered({kind: limit}).rejection is None
    above = filtered({kind: limit + 0.01})
    assert above.rejection == Decision(stage="defects", rule=rule, value=limit + 0.01, threshold=limit)


def test_every_severity_is_scored_and_the_first_above_its_limit_rejects() -> None:
    clip = filtered({"subtitles": 0.1, "watermark": 0.9, "letterbox": 1.0})
    assert dict(clip.scores) == {
        "subtitle_overlays": None,
        "defect_subtitles": 0.1,
        "defect_watermark": 0.9,
        "defect_letterbox": 1.0,
        "defect_logo": 0.0,
    }
    assert clip.rejection == Decision(stage="defects", rule="letterbox", value=1.0, threshold=0.1)


def place(x0: float, y0: float, x1: float, y1: float, motion: str = "over_motion") -> list[str | float]:
    """A text as the subtitles stage writes it down."""
    return [motion, x0, y0, x1, y1]


@pytest.mark.parametrize(
    ("text", "is_logo"),
    [
        (place(0.2, 0.1, 0.4, 0.25), True),
        (place(0.2, 0.75, 0.4, 0.9), True),
        (place(0.6, 0.1, 0.8, 0.25), True),
        (place(0.6, 0.75, 0.8, 0.9), True),
        # Too far from the left and right edge, or from the upper and lower one.
        (place(0.2, 0.1, 0.41, 0.25), False),
        (place(0.59, 0.75, 0.8, 0.9), False),
        (place(0.2, 0.1, 0.4, 0.26), False),
        (place(0.6, 0.74, 0.8, 0.9), False),
        # A banner begins above the limit of the width.
        (place(0.0, 0.1, 0.3, 0.2), True),
        (place(0.0, 0.1, 0.31, 0.2), False),
        # Only text that stays over a moving picture was surely laid over it.
        (place(0.2, 0.1, 0.4, 0.25, "still"), False),
        (place(0.2, 0.1, 0.4, 0.25, "moved"), False),
        (place(0.2, 0.1, 0.4, 0.25, "changed"), False),
    ],
)
def test_narrow_text_in_a_corner_is_a_logo(text: list[str | float], is_logo: bool) -> None:
    clip = filtered({}, json.dumps([text]), DefectConfig())
    _, x0, y0, x1, y1 = text
    area = (float(x1) - float(x0)) * (float(y1) - float(y0)) if is_logo else 0.0
    assert clip.scores["defect_logo"] == pytest.approx(area)
    assert rule(clip) == ("logo" if is_logo else None)


def test_the_largest_logo_counts_whether_text_or_picture() -> None:
    texts = json.dumps([place(0.0, 0.0, 0.1, 0.1), place(0.75, 0.0, 1.0, 0.125), place(0.0, 0.9, 0.1, 1.0)])
    assert filtered({"logo": 0.02}, texts).scores["defect_logo"] == 0.03125
    assert filtered({"logo": 0.05}, texts).scores["defect_logo"] == 0.05


SHARES = [
    "max_letterbox",
    "max_pillarbox",
    "max_blurred_fill",
    "max_logo",
    "max_logo_text_width",
    *(f"max_{kind}" for kind in ASKED),
]
SPANS = ["max_frozen_s", "max_still_s", "max_blank_s"]


@pytest.mark.parametrize("name", SHARES)
def test_a_share_is_from_0_to_1(name: str) -> None:
    for share in (0.0, 1.0):
        DefectConfig(**{name: share})  # type: ignore[arg-type]
    for share in (-0.1, 1.1):
        with pytest.raises(ValueError, match=rf"^defects\.{name} must be in \[0, 1\], not {share}$"):
            DefectConfig(**{name: share})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", SPANS)
def test_a_span_is_not_negative(name: str) -> None:
    DefectConfig(**{name: 0.0})  # type: ignore[arg-type]
    for span_s in (-0.1, float("nan")):
        with pytest.raises(ValueError, match=rf"^defects\.{name} must not be negative, but is {span_s}$"):
            DefectConfig(**{name: span_s})  # type: ignore[arg-type]


def test_an_unknown_backend_names_the_known() -> None:
    for config in (DefectConfig(backend="eyes"), DefectConfig(second_backend="eyes")):
        with pytest.raises(ValueError, match="measured"):
            DefectFilter(config)


@pytest.mark.parametrize("changes", [{"second_backend": "measured"}, {"in_flight": 0}])
def test_impossible_settings_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        DefectConfig(**changes)


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
