"""Shot types, people and crops of drawn figures with known proportions."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from curation.backends.pose.estimator import Pose, TrackedPerson
from curation.backends.pose.found_person import FoundPerson
from curation.backends.pose.people_of_clip import people_of_clip
from curation.clip.observations import Box, FaceTrack
from curation.clip.people import Joint
from curation.clip.schema import Clip, Pool, ShotType, Source
from curation.stages.pose import PoseConfig, PoseStage, join_fragments
from tests.worlds.figures import FACE, figure
from tests.worlds.people_clips import make_clip, make_track

WIDTH, HEIGHT = 1080, 1920
NUM_KEYFRAMES = 10

MUST_RISE = "portrait_below_heads and full_body_from_heads must rise within 1 to 8, not"
MUST_NOT_BE_NEGATIVE = "the room around a crop and its least size must not be negative"


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
    heads = crop.scores["pose_visible_heads"]
    assert isinstance(heads, float)
    assert 2.0 < heads < 7.0
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
        assert isinstance(short_edge, float)
        assert (short_edge > 480) is made


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
        ({"min_person_share": 0.0}, "min_person_share must be in (0, 1], not 0.0"),
        ({"min_person_share": 1.1}, "min_person_share must be in (0, 1], not 1.1"),
        ({"portrait_below_heads": 7.0}, f"{MUST_RISE} 7.0 and 7.0"),
        ({"portrait_below_heads": 0.9}, f"{MUST_RISE} 0.9 and 7.0"),
        ({"full_body_from_heads": 8.1}, f"{MUST_RISE} 2.0 and 8.1"),
        ({"crop_to_heads": 7.0}, "crop_to_heads must be that of an upper body, not 7.0"),
        ({"crop_to_heads": 1.9}, "crop_to_heads must be that of an upper body, not 1.9"),
        ({"crop_from_heads": -1.0}, MUST_NOT_BE_NEGATIVE),
        ({"crop_half_width_heads": 0.0}, MUST_NOT_BE_NEGATIVE),
        ({"min_short_edge_px": -1}, MUST_NOT_BE_NEGATIVE),
        ({"backend": "openpose"}, "unknown pose backend 'openpose'; known: face_geometry, rtmo, rtmpose"),
    ],
)
def test_bad_configuration_is_one_clear_line(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        PoseStage(PoseConfig(**changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {"min_person_share": 1.0},
        {"portrait_below_heads": 1.0, "full_body_from_heads": 8.0},
        {"crop_to_heads": 2.0, "crop_from_heads": 0.0, "crop_half_width_heads": 0.5, "min_short_edge_px": 0},
    ],
)
def test_the_limits_of_the_configuration_are_allowed(changes: dict[str, float]) -> None:
    PoseConfig(**changes)  # type: ignore[arg-type]


def person(*heads: Box, first: int = 0, visible_heads: float = 7.5) -> TrackedPerson:
    """Somebody with these heads on consecutive keyframes, the first of them number `first`."""
    times_s = tuple((first + i) * 0.5 for i in range(len(heads)))
    return TrackedPerson(
        times_s=times_s, poses=tuple(Pose(box=head, head=head, visible_heads=visible_heads) for head in heads)
    )


def head_at(x: float, y: float, size: float = 0.125) -> Box:
    """A head whose middle is at `(x, y)`."""
    return Box(x0=x - size / 2, y0=y - size / 2, x1=x + size / 2, y1=y + size / 2)


def crop_px(crowns_px: list[float], x_px: float, head_px: float, size: tuple[int, int]) -> tuple[int, ...] | None:
    """The upper-body crop in pixels: x0, y0, x1, y1."""
    width, height = size
    half = head_px / 2
    heads = [
        Box(
            x0=(x_px - half) / width,
            y0=crown_px / height,
            x1=(x_px + half) / width,
            y1=(crown_px + head_px) / height,
        )
        for crown_px in crowns_px
    ]
    box = PoseStage(PoseConfig()).upper_body(person(*heads), width, height)
    if box is None:
        return None
    edges = (box.x0 * width, box.y0 * height, box.x1 * width, box.y1 * height)
    assert edges == pytest.approx([round(edge) for edge in edges])
    return tuple(round(edge) for edge in edges)


@pytest.mark.parametrize(
    ("crown_px", "x_px", "size", "crop"),
    [
        (1000, 512, (1024, 2048), (288, 950, 738, 1400)),
        (10, 60, (1081, 1921), (0, 0, 450, 450)),  # at the left and the upper edge
        (1600, 1050, (1081, 1921), (630, 1470, 1080, 1920)),  # at the right and the lower edge
        (100, 150, (303, 1921), (0, 50, 302, 500)),  # wider than the picture
    ],
)
def test_a_crop_is_a_square_of_even_pixels_within_the_picture(
    crown_px: float, x_px: float, size: tuple[int, int], crop: tuple[int, ...]
) -> None:
    assert crop_px([crown_px], x_px, 100, size) == crop


def test_a_crop_that_ends_seven_heads_below_a_crown_shows_the_full_body() -> None:
    assert crop_px([256, 638], 512, 128, (1024, 2048)) is not None
    assert crop_px([256, 640], 512, 128, (1024, 2048)) is None


def test_a_shot_type_begins_at_its_limit() -> None:
    stage = PoseStage(PoseConfig())
    assert [stage.shot_type(heads) for heads in (1.99, 2.0, 6.99, 7.0)] == [
        ShotType.PORTRAIT,
        ShotType.UPPER_BODY,
        ShotType.UPPER_BODY,
        ShotType.FULL_BODY,
    ]


@pytest.mark.parametrize(("keyframes", "people"), [(2, 0), (3, 1)])
def test_somebody_on_three_keyframes_of_ten_counts(keyframes: int, people: int) -> None:
    assert label(clip_of(make_track([face(300, 400, 300)] * keyframes)))[0].num_people == people


def test_a_crop_is_an_upper_body_whatever_the_estimator_makes_of_it() -> None:
    class AlwaysFullBody:
        def people(self, clip: Clip) -> tuple[TrackedPerson, ...]:
            return (person(*[head_at(0.5, 0.125, 0.1)] * NUM_KEYFRAMES),)

    stage = PoseStage(PoseConfig())
    stage.estimator = AlwaysFullBody()
    whole, crop = stage(Source(uri="made.mp4", clips=(clip_of(),))).clips
    assert (whole.shot_type, crop.shot_type) == (ShotType.FULL_BODY, ShotType.UPPER_BODY)


def test_a_short_edge_at_the_limit_makes_no_crop() -> None:
    track = make_track([face(208, 150, 512, 1024, 2048)] * NUM_KEYFRAMES)
    side_px = round(4.5 * 208)
    for limit_px, num_clips in ((side_px - 1, 2), (side_px, 1)):
        made = label(clip_of(track, width=1024, height=2048), PoseConfig(min_short_edge_px=limit_px))
        assert len(made) == num_clips
        assert made[0].scores["pose_crop_short_edge_px"] == side_px


AT = head_at(0.25, 0.75)


@pytest.mark.parametrize(
    ("later", "same"),
    [
        (AT, True),
        (head_at(0.375, 0.75), True),  # one head to the side
        (head_at(0.376, 0.75), False),
        (head_at(0.25, 0.625), True),  # one head up
        (head_at(0.25, 0.624), False),
        (head_at(0.25, 0.75, 0.1875), True),  # half as large again
        (head_at(0.25, 0.75, 0.188), False),
        (head_at(0.25, 0.75, 0.083), False),
    ],
)
def test_a_track_goes_on_at_most_a_head_away_and_of_like_size(later: Box, same: bool) -> None:
    one, other = person(AT), person(later, first=2)
    joined = TrackedPerson(times_s=(0.0, 1.0), poses=one.poses + other.poses)
    assert join_fragments((other, one)) == ([joined] if same else [one, other])


def test_a_track_goes_on_where_it_ended() -> None:
    """The last head of one and the first of the next count, not where either was before or after."""
    walk = [head_at(x, 0.5) for x in (0.125, 0.375, 0.625, 0.875)]
    assert len(join_fragments((person(*walk[:2]), person(*walk[1:], first=3)))) == 1
    assert len(join_fragments((person(*walk[:3]), person(*walk[2:], first=4)))) == 1
    assert len(join_fragments((person(*walk[1:]), person(walk[0], walk[3], first=4)))) == 2


@pytest.mark.parametrize(("first", "people"), [(1, 2), (2, 2), (3, 2), (4, 1)])
def test_two_tracks_at_the_same_time_are_two_people(first: int, people: int) -> None:
    assert len(join_fragments((person(*[AT] * 4), person(*[AT] * 4, first=first)))) == people


class Figures:
    """Finds the figures that it is given, in pixels of the source, on every keyframe; nobody in a crop."""

    def __init__(self, *people: FoundPerson) -> None:
        self.found = people

    def people(self, clip: Clip) -> tuple[TrackedPerson, ...]:
        if clip.crop is not None:
            return ()
        pictures = [np.zeros((HEIGHT, WIDTH, 3), np.uint8)] * NUM_KEYFRAMES
        tracks = [[(index, person) for index in range(NUM_KEYFRAMES)] for person in self.found]
        return people_of_clip(clip, pictures, tracks, 0.3)


def label_figures(*people: FoundPerson) -> list[Clip]:
    stage = PoseStage(PoseConfig())
    stage.estimator = Figures(*people)
    return list(stage(Source(uri="made.mp4", clips=(clip_of(),))).clips)


LEGS = (Joint.LEFT_KNEE, Joint.RIGHT_KNEE, Joint.LEFT_ANKLE, Joint.RIGHT_ANKLE)
X, CROWN, HEAD = WIDTH / 2, 150.0, 210.0


@pytest.mark.parametrize("unseen", [(), FACE])
def test_a_person_without_a_visible_face_counts(unseen: tuple[Joint, ...]) -> None:
    """The clip has no face tracks at all."""
    whole, crop = label_figures(figure(X, CROWN, HEAD, unseen=unseen), figure(150, 300, 60, unseen=FACE))
    assert whole.tracks == ()
    assert (whole.shot_type, whole.num_people) == (ShotType.FULL_BODY, 2)
    assert crop.shot_type is ShotType.UPPER_BODY


def test_the_clip_keeps_people_with_joints_and_hands_the_main_one_first() -> None:
    clip = label_figures(figure(150, 300, 60), figure(X, CROWN, HEAD))[0]
    main, other = clip.people
    assert main.times_s == other.times_s == tuple(keyframe.time_s for keyframe in clip.keyframes)
    assert main.boxes[0].height > other.boxes[0].height
    hip = main.keypoints[0][Joint.LEFT_HIP]
    assert (hip.x * WIDTH, hip.y * HEIGHT) == pytest.approx((X + 0.45 * HEAD, CROWN + 3.7 * HEAD))
    hand = main.hands[0].left
    assert hand is not None
    assert hand.y1 * HEIGHT > CROWN + 4.5 * HEAD


def test_a_backend_without_joints_leaves_no_people_on_the_clip() -> None:
    assert [clip.people for clip in label(clip_of(full_body()))] == [(), ()]


def test_an_upper_body_crop_ends_at_the_hips_that_are_seen() -> None:
    """Hips half a head higher than on the figure: the crop ends as much higher."""
    high = {joint: (x, 3.2) for joint, x in ((Joint.LEFT_HIP, 0.45), (Joint.RIGHT_HIP, -0.45))}
    sides = {}
    for name, moved in (("figure", {}), ("high", high)):
        _, crop = label_figures(figure(X, CROWN, HEAD, moved=moved))
        assert crop.crop is not None
        sides[name] = crop.height
    assert sides["figure"] == pytest.approx(4.5 * HEAD, abs=0.05 * HEAD)
    assert sides["figure"] - sides["high"] == pytest.approx(0.43 * HEAD, abs=4)


def test_an_upper_body_crop_holds_elbows_that_are_spread() -> None:
    spread = {Joint.LEFT_ELBOW: (1.9, 1.6), Joint.RIGHT_ELBOW: (-1.9, 1.6)}
    _, crop = label_figures(figure(X, CROWN, 200, moved=spread))
    assert crop.crop is not None
    assert crop.crop.x0 * WIDTH <= X - (1.9 + 0.5) * 200 + 2
    assert crop.crop.x1 * WIDTH >= X + (1.9 + 0.5) * 200 - 2


def test_no_crop_that_shows_the_ankles() -> None:
    """Somebody who is folded up: the ankles are beside the hips."""
    folded = dict.fromkeys(LEGS, (0.4, 3.6))
    clips = label_figures(figure(X, CROWN, HEAD, moved=folded))
    assert clips[0].shot_type is ShotType.FULL_BODY
    assert len(clips) == 1
