from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from curation.clip.schema import Clip
from curation.stages.subtitles import SubtitleConfig, SubtitleFilter
from tests.worlds.clip_from_video import clip_from_images, clip_from_video
from tests.worlds.drawn_scenes import FPS, Picture, landscape, panned, with_text, write

SENTENCES = {
    "latin": ["and this is what we did next", "nobody had expected that", "so they went home again"],
    "cyrillic": ["и вот что было дальше с ними", "никто этого не ожидал", "и они пошли домой"],
    "greek": ["και αυτό έγινε μετά από όλα", "κανείς δεν το περίμενε", "και πήγαν πάλι σπίτι"],
}


@pytest.fixture(scope="module")
def subtitles() -> SubtitleFilter:
    return SubtitleFilter(SubtitleConfig())


def judged(subtitles: SubtitleFilter, frames: list[Picture]) -> Clip:
    return subtitles(clip_from_images(frames, FPS))


def seen_area(clip: Clip) -> float:
    area = clip.scores["subtitle_text_area"]
    assert isinstance(area, float)
    return area


@pytest.mark.parametrize(
    ("language", "row", "font", "size"),
    [
        # Every language, row and font once by default.
        ("latin", 0.07, "DejaVuSerif", 0.055),
        ("cyrillic", 0.9, "DejaVuSans-Bold", 0.055),
        ("greek", 0.72, "DejaVuSansMono", 0.05),
        pytest.param("latin", 0.72, "DejaVuSans-Bold", 0.07, marks=pytest.mark.slow),
        pytest.param("latin", 0.9, "DejaVuSansMono", 0.045, marks=pytest.mark.slow),
        pytest.param("cyrillic", 0.07, "DejaVuSansMono", 0.05, marks=pytest.mark.slow),
        pytest.param("cyrillic", 0.72, "DejaVuSerif", 0.045, marks=pytest.mark.slow),
        pytest.param("greek", 0.07, "DejaVuSans-Bold", 0.045, marks=pytest.mark.slow),
        pytest.param("greek", 0.9, "DejaVuSerif", 0.07, marks=pytest.mark.slow),
    ],
)
def test_captions_that_change_are_rejected(
    subtitles: SubtitleFilter, language: str, row: float, font: str, size: float
) -> None:
    frames = with_text(panned(landscape(1)), SENTENCES[language], centre=(0.5, row), font=font, size=size)
    clip = judged(subtitles, frames)
    assert clip.rejection is not None
    assert clip.rejection.rule == "heavy_text"


@pytest.mark.parametrize(
    ("speed_px", "row"),
    [
        # Every speed and row once by default.
        (0.0, 0.9),
        (37.0, 0.07),
        (37.0, 0.72),
        pytest.param(0.0, 0.07, marks=pytest.mark.slow),
        pytest.param(0.0, 0.72, marks=pytest.mark.slow),
        pytest.param(37.0, 0.9, marks=pytest.mark.slow),
    ],
)
def test_a_caption_that_stays_is_rejected_whether_or_not_the_camera_moves(
    subtitles: SubtitleFilter, speed_px: float, row: float
) -> None:
    frames = with_text(panned(landscape(2), speed_px), ["and this is what we did next"], centre=(0.5, row))
    assert not judged(subtitles, frames).kept


SIGN_ROWS = (0.07, 0.4, 0.72, 0.9)
SIGNS = (("DejaVuSans-Bold", 0.055, 1.0), ("DejaVuSansMono", 0.045, 3.0), ("DejaVuSerif", 0.08, 12.0))


@pytest.mark.parametrize(
    ("row", "font", "size", "speed_px"),
    [
        # Every row and every sign once by default.
        pytest.param(row, *sign, marks=[] if (place - kind) % len(SIGNS) == 0 else [pytest.mark.slow])
        for place, row in enumerate(SIGN_ROWS)
        for kind, sign in enumerate(SIGNS)
    ],
)
def test_a_sign_that_the_camera_passes_is_kept(
    subtitles: SubtitleFilter, row: float, font: str, size: float, speed_px: float
) -> None:
    scene = write(landscape(3), "CORNER BAKERY & COFFEE", centre=(0.72, row), font=font, size=size)
    clip = judged(subtitles, panned(scene, speed_px))
    assert clip.kept
    assert seen_area(clip) > 0.005, "the detector must have seen the sign"


@pytest.mark.parametrize(
    "row", [0.45, pytest.param(0.3, marks=pytest.mark.slow), pytest.param(0.6, marks=pytest.mark.slow)]
)
def test_a_sign_behind_a_speaker_before_a_fixed_camera_is_kept(subtitles: SubtitleFilter, row: float) -> None:
    scene = write(landscape(4), "CORNER BAKERY", centre=(0.55, row), size=0.06)
    clip = judged(subtitles, panned(scene, 0.0))
    assert clip.kept
    assert seen_area(clip) > 0.005, "the detector must have seen the sign"


def test_text_on_a_swaying_shirt_is_kept(subtitles: SubtitleFilter) -> None:
    background = landscape(5)[:, 100:740]
    frames = [
        write(background, "UNIVERSITY", centre=(0.5 + 0.006 * np.sin(index), 0.8 + 0.004 * np.cos(2 * index)))
        for index in range(16)
    ]
    clip = judged(subtitles, frames)
    assert clip.kept
    assert seen_area(clip) > 0.005, "the detector must have seen the text"


def test_a_title_card_in_the_middle_of_a_moving_picture_is_rejected(subtitles: SubtitleFilter) -> None:
    frames = with_text(panned(landscape(6)), ["THE LONG WAY HOME"], centre=(0.5, 0.45), size=0.09)
    assert not judged(subtitles, frames).kept


def test_a_small_logo_is_not_heavy_but_recorded(subtitles: SubtitleFilter) -> None:
    clip = judged(subtitles, with_text(panned(landscape(7)), ["NEWS 7"], centre=(0.88, 0.08), size=0.05))
    assert clip.kept
    overlays = json.loads(str(clip.scores["subtitle_overlays"]))
    (motion, x0, y0, x1, y1), *others = overlays
    assert not others
    assert motion == "over_motion"
    assert x0 < 0.88 < x1
    assert y0 < 0.08 < y1


def test_a_line_that_shows_once_is_kept(subtitles: SubtitleFilter) -> None:
    frames = panned(landscape(8))
    frames[:4] = with_text(frames[:4], ["and this is what we did next"], centre=(0.5, 0.9))
    assert judged(subtitles, frames).kept


def test_a_picture_without_text_costs_two_looks(subtitles: SubtitleFilter) -> None:
    clip = judged(subtitles, panned(landscape(9)))
    assert clip.kept
    assert clip.scores["subtitle_num_keyframes"] == 2
    assert clip.scores["subtitle_persistence"] == 0
    assert clip.scores["subtitle_overlays"] is None


def test_a_clip_without_keyframes_is_kept(subtitles: SubtitleFilter) -> None:
    clip = judged(subtitles, panned(landscape(9)))
    assert subtitles(replace(clip, keyframes=())).kept


@pytest.mark.parametrize("wrong", [{"num_keyframes": 1}, {"min_width": 0.0}, {"max_angle_deg": 50.0}])
def test_a_nonsensical_setting_is_named(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SubtitleConfig(**wrong)  # type: ignore[arg-type]


def test_an_unknown_backend_names_the_known() -> None:
    with pytest.raises(ValueError, match="rapidocr"):
        SubtitleFilter(SubtitleConfig(backend="tesseract"))


@pytest.mark.clips
@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "start_s", "end_s"),
    [
        ("derived-subs_heavy.mp4", 0.0, 5.0),
        ("data-juicer-video2.mp4", 5.0, 10.0),
        ("data-juicer-video3.mp4", 9.0, 13.8),
        ("data-juicer-video3.mp4", 34.0, 39.0),
        ("pyscenedetect-testvideo.mp4", 1.1, 5.9),
    ],
)
def test_heavy_text_of_real_clips_is_rejected(
    subtitles: SubtitleFilter, shared: Path, file: str, start_s: float, end_s: float
) -> None:
    clip = subtitles(clip_from_video(str(shared / "clips" / "video" / file), start_s, end_s))
    assert clip.rejection is not None
    assert clip.rejection.rule == "heavy_text"


@pytest.mark.clips
@pytest.mark.slow
@pytest.mark.parametrize("file", ["video-retalking-2.mp4", "wan2.2-video.mp4", "facenet-pytorch-video.mp4"])
def test_filmed_text_of_real_clips_is_kept(subtitles: SubtitleFilter, shared: Path, file: str) -> None:
    assert subtitles(clip_from_video(str(shared / "clips" / "video" / file), 0.0, 5.0)).kept
