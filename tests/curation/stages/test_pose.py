"""Shot types, people and crops of drawn figures with known proportions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from curation.clip.observations import Box, FaceTrack
from curation.clip.schema import Clip, Pool, ShotType, Source
from curation.stages.pose import PoseConfig, PoseStage
from tests.worlds.people_clips import make_clip, make_track

WIDTH, HEIGHT = 1080, 1920
NUM_KEYFRAMES = 10


def face(head_px: float, crown_px: float, x_px: float, width: int = WIDTH, height: int = HEIGHT) -> Box:
    """The face box of a head `head_px` high with its crown at `crown_px`, in source pixels."""
    size = head_px / 1.5
    chin = crown_px + head_px
    return Box(
        x0=(x_px - size / 2) / width,
        y0=(chin - size) / height,
        x1=(x_px + size / 2) / width,
        y1=chin / height,
    )


def clip_of(*tracks: FaceTrack, width: int = WIDTH, height: int = HEIGHT, pool: Pool = Pool.HUMAN) -> Clip:
    images = [np.full((height // 4, width // 4, 3), 90, np.uint8)] * NUM_KEYFRAMES
    return make_clip(images, tracks, size=(width, height), pool=pool)


def label(clip: Clip, config: PoseConfig | None = None) -> list[Clip]:
    source = Source(uri="made.mp4", clips=(clip,))
    return list(PoseStage(config or PoseConfig())(source).clips)


@pytest.mark.parametrize(
    ("heads", "shot_type"),
    [
        (1.3, ShotType.PORTRAIT),
        (1.9, ShotType.PORTRAIT),
        (2.1, ShotType.UPPER_BODY),
        (4.0, ShotType.UPPER_BODY),
        (6.0, ShotType.UPPER_BODY),
        (7.5, ShotType.FULL_BODY),
        (8.0, ShotType.FULL_BODY),
    ],
)
def test_the_shot_type_is_where_the_picture_ends(heads: float, shot_type: ShotType) -> None:
    crown = 100.0
    box = face((HEIGHT - crown) / heads, crown, WIDTH / 2)
    clip = label(clip_of(make_track([box] * NUM_KEYFRAMES)))[0]
    assert clip.shot_type is shot_type
    assert clip.num_people == 1
    assert clip.scores["pose_visible_heads"] == pytest.approx(heads)


def test_nobody() -> None:
    (clip,) = label(clip_of())
    assert (clip.shot_type, clip.num_people) == (ShotType.NONE, 0)
    assert clip.scores["pose_visible_heads"] is None
    assert clip.kept


def test_people_are_counted_once_and_false_faces_not_at_all() -> None:
    left, right = face(300, 400, 300), face(280, 420, 800)
    broken = (make_track([left] * 4), make_track([left] * 4, first=6))
    steady = make_track([right] * NUM_KEYFRAMES)
    false = make_track([face(200, 1500, 900)])
    (clip,) = label(clip_of(*broken, steady, false))
    assert clip.num_people == 2


def test_two_who_follow_each_other_are_two() -> None:
    first = make_track([face(300, 400, 250)] * 5)
    later = make_track([face(300, 400, 850)] * 5, first=5)
    (clip,) = label(clip_of(first, later))
    assert clip.num_people == 2


def test_the_main_person_decides_not_a_bystander() -> None:
    main = make_track([face(500, 200, 500)] * NUM_KEYFRAMES)
    bystander = make_track([face(120, 300, 900)] * NUM_KEYFRAMES)
    clip = label(clip_of(bystander, main))[0]
    assert clip.scores["pose_visible_heads"] == pytest.approx((HEIGHT - 200) / 500)


def full_body(head_px: float = 210.0) -> FaceTrack:
    return make_track([face(head_px, 150.0, WIDTH / 2)] * NUM_KEYFRAMES)


def test_a_full_body_clip_gains_an_upper_body_crop() -> None:
    whole, crop = label(clip_of(full_body()).with_scores(quality_sharpness=2.0))
    assert whole.shot_type is ShotType.FULL_BODY
    assert whole.crop is None
    assert (crop.key, crop.parent_key) == (f"{whole.key}-crop", whole.key)
    assert crop.shot_type is ShotType.UPPER_BODY
    assert crop.num_people == 1
    assert crop.scores["quality_sharpness"] == 2.0
    # Half a head above the crown to four below it, and square: 4.5 heads of 210 pixels.
    assert crop.width == pytest.approx(4.5 * 210, abs=2)
    assert crop.height == crop.width
    assert whole.scores["pose_crop_short_edge_px"] == crop.width
    assert crop.crop is not None
    assert crop.crop.y0 * HEIGHT == pytest.approx(150 - 105, abs=2)
    for edge, length in (("x0", WIDTH), ("x1", WIDTH), ("y0", HEIGHT), ("y1", HEIGHT)):
        pixels = getattr(crop.crop, edge) * length
        assert pixels == pytest.approx(round(pixels))
        assert round(pixels) % 2 == 0
    assert crop.scores["pose_visible_heads"] == pytest.approx(4.0, abs=0.05)
    assert 2.0 < float(crop.scores["pose_visible_heads"] or 0) < 7.0
    assert crop.tracks[0].faces[0].box.centre[0] == pytest.approx(0.5, abs=0.01)


def test_the_crop_follows_the_person() -> None:
    walk = make_track([face(200, 150, x) for x in np.linspace(400, 700, NUM_KEYFRAMES)])
    _, crop = label(clip_of(walk))
    assert crop.crop is not None
    assert len(crop.tracks[0].faces) == NUM_KEYFRAMES
    assert crop.crop.x0 * WIDTH <= 400 - 1.6 * 200 + 2
    assert crop.crop.x1 * WIDTH >= 700 + 1.6 * 200 - 2


def test_a_crop_must_be_above_480_pixels() -> None:
    # 7.5 heads visible in each; 4.5 heads are the crop's side.
    for height, made in ((790, False), (840, True)):
        head = (height - 10) / 7.5
        track = make_track([face(head, 10.0, 360, 720, height)] * NUM_KEYFRAMES)
        clips = label(clip_of(track, width=720, height=height))
        # Above the crown there are only 10 pixels, which does not make the square smaller.
        assert len(clips) == 1 + made
        short_edge = clips[0].scores["pose_crop_short_edge_px"]
        assert short_edge == pytest.approx(4.5 * head, abs=60)
        assert (float(short_edge or 0) > 480) is made


def test_a_narrow_picture_keeps_its_width() -> None:
    track = make_track([face(200, 100, 250, 500, 1700)] * NUM_KEYFRAMES)
    _, crop = label(clip_of(track, width=500, height=1700))
    assert crop.width == 500
    assert crop.height == pytest.approx(900, abs=2)


def test_no_crop_of_general_videos_nor_of_rejected_clips() -> None:
    assert len(label(clip_of(full_body(), pool=Pool.GENERAL))) == 1
    rejected = clip_of(full_body()).reject("quality", "blurred")
    (clip,) = label(rejected)
    assert clip is rejected


def test_no_crop_of_somebody_who_roams_the_picture() -> None:
    climb = make_track([face(120, crown, WIDTH / 2) for crown in np.linspace(50, 900, NUM_KEYFRAMES)])
    clips = label(clip_of(climb))
    assert clips[0].shot_type is ShotType.FULL_BODY
    assert len(clips) == 1


def test_a_crop_of_a_crop_is_not_made() -> None:
    """The crop's own label is fixed, so running the stage again over its result adds nothing new to it."""
    whole, crop = label(clip_of(full_body()))
    again = label(crop)
    assert [clip.key for clip in again] == [crop.key]
    assert replace(again[0], scores=crop.scores) == crop
    assert whole.key != crop.key


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"min_person_share": 0.0}, "min_person_share must be in"),
        ({"portrait_below_heads": 7.5}, "must rise within 1 to 8"),
        ({"crop_to_heads": 7.5}, "crop_to_heads must be that of an upper body"),
        ({"crop_from_heads": -1.0}, "must not be negative"),
        ({"backend": "openpose"}, "unknown pose backend"),
    ],
)
def test_bad_configuration_is_one_clear_line(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PoseStage(PoseConfig(**changes))  # type: ignore[arg-type]
