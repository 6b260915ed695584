from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from curation.backends.text.detector import TextBox
from curation.backends.text.overlay import Band, Motion
from curation.clip.observations import Box
from curation.clip.schema import Clip, Decision
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
    bare = subtitles(replace(clip, keyframes=(), scores={}))
    assert bare.kept
    assert dict(bare.scores) == {
        "subtitle_lasting_width": 0.0,
        "subtitle_possible_width": None,
        "subtitle_persistence": 0.0,
        "subtitle_width": 0.0,
        "subtitle_text_area": 0.0,
        "subtitle_motion": None,
        "subtitle_overlays": None,
        "subtitle_num_keyframes": 0.0,
    }


@pytest.mark.parametrize("wrong", [{"min_width": 0.0}, {"max_angle_deg": 50.0}])
def test_a_nonsensical_setting_is_named(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SubtitleConfig(**wrong)  # type: ignore[arg-type]


def test_an_unknown_backend_names_the_known() -> None:
    with pytest.raises(ValueError, match="rapidocr"):
        SubtitleFilter(SubtitleConfig(backend="tesseract"))


FRACTIONS = [
    name for name, value in asdict(SubtitleConfig()).items() if isinstance(value, float) and name != "max_angle_deg"
]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"num_keyframes": 1}, "subtitles.num_keyframes must be at least 2, not 1"),
        *(
            ({name: value}, f"subtitles.{name} must be in (0, 1], not {value}")
            for name in FRACTIONS
            for value in (0, 1.1)
        ),
        ({"max_angle_deg": -0.1}, "subtitles.max_angle_deg must be in [0, 45], not -0.1"),
        ({"max_angle_deg": 45.1}, "subtitles.max_angle_deg must be in [0, 45], not 45.1"),
    ],
)
def test_a_setting_beyond_its_limits_is_refused(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        SubtitleConfig(**wrong)  # type: ignore[arg-type]


def test_the_limits_of_the_settings_are_allowed() -> None:
    SubtitleConfig(num_keyframes=2, max_angle_deg=0, **dict.fromkeys(FRACTIONS, 1.0))  # type: ignore[arg-type]
    SubtitleConfig(max_angle_deg=45)


def line(y0: float, width: float, *, x: float = 0.5, height: float = 0.0625, angle_deg: float = 0.0) -> TextBox:
    """A line of text whose middle is at `x`."""
    box = Box(x0=x - width / 2, y0=y0, x1=x + width / 2, y1=y0 + height)
    return TextBox(box=box, confidence=1.0, angle_deg=angle_deg)


class Reader:
    """Finds on every keyframe what it is told; keeps the brightness of the pictures that it was shown."""

    def __init__(self, found: list[tuple[TextBox, ...]]) -> None:
        self.found = iter(found)
        self.shown: list[int] = []

    def detect(self, images: Sequence[Picture]) -> list[tuple[TextBox, ...]]:
        self.shown += [round(float(image.mean()) / 10) - 3 for image in images]
        return [next(self.found) for _ in images]


def read(
    found: list[tuple[TextBox, ...]], *, num_keyframes: int = 10, config: SubtitleConfig | None = None
) -> tuple[Clip, list[int]]:
    """A clip that brightens with each keyframe, these lines on it, judged; and which keyframes were looked at."""
    stage, reader = SubtitleFilter(config or SubtitleConfig()), Reader(found)
    stage.detector = reader
    noise = np.random.default_rng(0).integers(0, 61, (128, 128, 1)).repeat(3, axis=2)
    noise += 30 - round(float(noise.mean()))
    images = [(noise + 10 * number).astype(np.uint8) for number in range(num_keyframes)]
    return stage(clip_from_images(images, 2.0)), reader.shown


CAPTION = (line(0.875, 0.25),)


@pytest.mark.parametrize(
    ("num_keyframes", "asked_for", "order"),
    [(10, 3, [1, 8, 5]), (10, 5, [1, 9, 3, 5, 7]), (2, 3, [0, 1]), (1, 3, []), (10, 2, [2, 7])],
)
def test_the_outermost_keyframes_are_looked_at_first(num_keyframes: int, asked_for: int, order: list[int]) -> None:
    config = SubtitleConfig(num_keyframes=asked_for, min_persistence=1.0)
    clip, shown = read([CAPTION] * 10, num_keyframes=num_keyframes, config=config)
    # One keyframe is not enough for text to last, so a clip that has no more of them is not looked at.
    assert shown == order
    assert clip.scores["subtitle_num_keyframes"] == len(order)


def test_two_heavy_keyframes_of_three_are_enough() -> None:
    clip, shown = read([CAPTION, CAPTION, ()])
    assert len(shown) == 3
    assert clip.rejection == Decision(stage="subtitles", rule="heavy_text", value=0.25, threshold=0.25)
    assert dict(clip.scores) == {
        "subtitle_lasting_width": 0.25,
        "subtitle_possible_width": None,
        "subtitle_persistence": 2 / 3,
        "subtitle_width": pytest.approx(0.5 / 3),
        "subtitle_text_area": pytest.approx(0.5 * 0.0625 / 3),
        "subtitle_motion": "over_motion",
        "subtitle_overlays": json.dumps([["over_motion", 0.375, 0.875, 0.625, 0.9375]]),
        "subtitle_num_keyframes": 3.0,
    }


def test_a_caption_that_pauses_is_persistent_and_its_numbers_are_means() -> None:
    wide = (line(0.8125, 0.5), line(0.9, 0.375), line(0.4, 0.125))
    clip, shown = read([wide, (), wide])
    assert len(shown) == 3
    assert clip.rejection == Decision(stage="subtitles", rule="heavy_text", value=0.875, threshold=0.25)
    assert clip.scores["subtitle_persistence"] == 2 / 3
    # The sign in the middle is text, but was not laid over the picture.
    assert clip.scores["subtitle_width"] == pytest.approx(2 * 0.875 / 3)
    assert clip.scores["subtitle_text_area"] == pytest.approx(2 * 0.0625 * (0.5 + 0.375 + 0.125) / 3)
    assert len(json.loads(str(clip.scores["subtitle_overlays"]))) == 2


@pytest.mark.parametrize(
    ("found", "asked_for", "persistence", "looks", "kept"),
    [
        ([CAPTION, (), ()], 3, 0.5, 3, True),
        ([(), (), ()], 3, 0.5, 2, True),
        ([(), CAPTION, CAPTION], 3, 0.5, 3, False),
        ([CAPTION, CAPTION, ()], 3, 0.7, 3, True),
        ([CAPTION, (), CAPTION], 3, 0.7, 2, True),
        # A clip that will be rejected is looked at to the end: by a higher limit it might not be.
        ([CAPTION, CAPTION, (), ()], 4, 0.5, 4, False),
        ([(), CAPTION, CAPTION, CAPTION, ()], 5, 0.6, 5, False),
        ([CAPTION, (), (), CAPTION, ()], 5, 0.1, 5, False),
        ([(line(0.875, 0.249),)] * 3, 3, 0.5, 2, True),
    ],
)
def test_looking_ends_once_the_clip_cannot_be_rejected(
    found: list[tuple[TextBox, ...]], asked_for: int, persistence: float, looks: int, kept: bool
) -> None:
    clip, shown = read(found, config=SubtitleConfig(num_keyframes=asked_for, min_persistence=persistence))
    assert (len(shown), clip.kept) == (looks, kept)


def test_two_short_lines_are_together_as_wide_as_one() -> None:
    halves = (line(0.8125, 0.125), line(0.9, 0.125))
    clip, _ = read([halves] * 3)
    assert not clip.kept
    assert clip.scores["subtitle_width"] == 0.25


@pytest.mark.parametrize(
    ("motion", "text", "overlay"),
    [
        (Motion.MOVED, line(0.9, 0.5), False),
        (Motion.CHANGED, line(0.9, 0.5, angle_deg=3.0), True),
        (Motion.CHANGED, line(0.9, 0.5, angle_deg=-3.1), False),
        # Between the zones: 0.25 and 0.5625 of the height.
        (Motion.CHANGED, line(0.21875, 0.5), True),
        (Motion.CHANGED, line(0.25, 0.5), False),
        (Motion.CHANGED, line(0.51, 0.5), False),
        (Motion.CHANGED, line(0.53125, 0.5), True),
        (Motion.OVER_MOTION, line(0.21875, 0.1), True),
        (Motion.OVER_MOTION, line(0.53125, 0.1), True),
        (Motion.OVER_MOTION, line(0.375, 0.39), False),
        (Motion.OVER_MOTION, line(0.375, 0.5), True),
        # Still text counts where it is centred, or at the rim.
        (Motion.STILL, line(0.625, 0.25), True),
        (Motion.STILL, line(0.53125, 0.25, x=0.53125), True),
        (Motion.STILL, line(0.625, 0.25, x=0.4375), False),
        (Motion.STILL, line(0.375, 0.25), False),
        (Motion.STILL, line(0.125, 0.25, x=0.3), True),
        (Motion.STILL, line(0.13, 0.25, x=0.3), False),
        (Motion.STILL, line(0.75, 0.25, x=0.3, height=0.125), True),
        (Motion.STILL, line(0.71875, 0.25, x=0.3), False),
    ],
)
def test_which_text_was_laid_over_the_picture(
    monkeypatch: pytest.MonkeyPatch, motion: Motion, text: TextBox, overlay: bool
) -> None:
    band = Band(lines=((0, text), (1, text)), motion=motion)
    monkeypatch.setattr("curation.stages.subtitles.find_bands", lambda lines, images: (band,) if lines[1:] else ())
    settings = SubtitleConfig(
        min_width=0.05, lower_zone=0.5625, title_width=0.5, centred_tolerance=0.03125, still_margin=0.125
    )
    clip, _ = read([CAPTION] * 3, config=settings)
    assert clip.scores["subtitle_motion"] == (motion.value if overlay else None)
    assert clip.scores["subtitle_width"] == (pytest.approx(2 * text.box.width / 3) if overlay else 0.0)


def test_the_widest_overlay_tells_the_motion(monkeypatch: pytest.MonkeyPatch) -> None:
    bands = tuple(
        Band(lines=((0, line(0.9, width)), (1, line(0.9, width))), motion=motion)
        for width, motion in ((0.25, Motion.STILL), (0.5, Motion.CHANGED), (0.375, Motion.OVER_MOTION))
    )
    monkeypatch.setattr("curation.stages.subtitles.find_bands", lambda lines, images: bands if lines[1:] else ())
    clip, _ = read([CAPTION] * 3)
    assert clip.scores["subtitle_motion"] == "changed"
    assert clip.scores["subtitle_width"] == 0.75


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
