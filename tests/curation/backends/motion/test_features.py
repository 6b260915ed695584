"""Known pans, tilts, zooms and rolls over real pictures are recovered; a moving subject is kept apart."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest
import skimage.data

from curation.backends.motion.features import FeatureCamera
from curation.backends.motion.paths import camera_motion, mean_fit, subject_motion
from curation.clip.motion import CameraMotion, SubjectMotion
from curation.clip.observations import Box, FaceTrack
from curation.clip.schema import Clip
from tests.worlds.people_clips import KEYFRAME_PERIOD_S, Image, make_clip, make_track

WIDTH, HEIGHT = 640, 360
NUM_KEYFRAMES = 10
PICTURES = ("astronaut", "coffee", "rocket", "chelsea")


@cache
def scene(name: str) -> Image:
    image = getattr(skimage.data, name)()[:, :, ::-1]
    scale = 2400 / image.shape[1]
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), np.uint8)


def view(picture: Image, x: float, y: float, scale: float = 1.0, roll_deg: float = 0.0) -> Image:
    """What a camera at `(x, y)` (pixels from the middle) sees, magnified and turned clockwise."""
    cos, sin = np.cos(np.radians(roll_deg)) / scale, np.sin(np.radians(roll_deg)) / scale
    middle_x, middle_y = picture.shape[1] / 2 + x, picture.shape[0] / 2 + y
    to_picture = np.array(
        [
            [cos, -sin, middle_x - cos * WIDTH / 2 + sin * HEIGHT / 2],
            [sin, cos, middle_y - sin * WIDTH / 2 - cos * HEIGHT / 2],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    seen = cv2.warpAffine(picture, to_picture, (WIDTH, HEIGHT), flags=flags, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(seen, np.uint8)


def moving_camera(name: str, pan: float = 0.0, tilt: float = 0.0, zoom: float = 0.0, roll: float = 0.0) -> list[Image]:
    """Keyframes under constant rates per second, the movement centred on the picture's middle."""
    times = (np.arange(NUM_KEYFRAMES) - (NUM_KEYFRAMES - 1) / 2) * KEYFRAME_PERIOD_S
    return [
        # The camera goes up when it tilts up, and y points down.
        view(scene(name), pan * WIDTH * t, -tilt * HEIGHT * t, float(np.exp(zoom * t)), roll * t)
        for t in times
    ]


def measure(clip: Clip) -> tuple[CameraMotion | None, SubjectMotion | None, float]:
    pairs = FeatureCamera().pairs(clip)
    times_s = [keyframe.time_s for keyframe in clip.keyframes]
    subject = subject_motion(clip.tracks[0], pairs, times_s) if clip.tracks else None
    return camera_motion(pairs, times_s), subject, mean_fit(pairs)


MOTIONS: tuple[dict[str, float], ...] = (
    {},
    {"pan": 0.02},
    {"pan": -0.1},
    {"pan": 0.3},
    {"tilt": 0.1},
    {"tilt": -0.2},
    {"zoom": 0.1},
    {"zoom": -0.2},
    {"roll": 8.0},
    {"pan": 0.05, "tilt": -0.05, "zoom": 0.05},
)


@pytest.mark.parametrize(
    ("name", "motion"),
    [
        # Every motion over one of the pictures by default.
        pytest.param(name, motion, id=f"{motion}-{name}", marks=[] if (number + place) % 2 == 0 else [pytest.mark.slow])
        for number, motion in enumerate(MOTIONS)
        for place, name in enumerate(("astronaut", "rocket"))
    ],
)
def test_a_known_motion_is_recovered(name: str, motion: dict[str, float]) -> None:
    camera, _, fit = measure(make_clip(moving_camera(name, **motion)))
    assert camera is not None
    assert fit > 0.5
    # A panning camera that also zooms pans by what it then sees: 5 % a second changes the rate by 2 %.
    slack = 0.12 * abs(motion.get("zoom", 0.0))
    assert camera.pan_per_s == pytest.approx(motion.get("pan", 0.0), abs=0.002 + slack, rel=0.02)
    assert camera.tilt_per_s == pytest.approx(motion.get("tilt", 0.0), abs=0.002 + slack, rel=0.02)
    assert camera.zoom_per_s == pytest.approx(motion.get("zoom", 0.0), abs=0.004)
    assert camera.roll_deg_per_s == pytest.approx(motion.get("roll", 0.0), abs=0.2)
    assert camera.shake_per_s < 0.005
    assert (camera.speed_per_s < 0.001) == (not motion)


def test_going_back_and_forth_is_speed_and_shake_but_no_pan() -> None:
    images = [view(scene("coffee"), 16.0 * (i % 2), 0.0) for i in range(11)]
    camera, _, _ = measure(make_clip(images))
    assert camera is not None
    assert camera.pan_per_s == pytest.approx(0.0, abs=0.001)
    per_s = 16.0 / np.hypot(WIDTH, HEIGHT) / KEYFRAME_PERIOD_S
    assert camera.speed_per_s == pytest.approx(per_s, rel=0.03)
    assert camera.shake_per_s == pytest.approx(2 * per_s, rel=0.03)


def test_a_plain_wall_gives_no_motion() -> None:
    rng = np.random.default_rng(0)
    wall = np.full((HEIGHT, WIDTH, 3), 180, np.uint8)
    images = [np.clip(wall + rng.normal(0, 2, wall.shape), 0, 255).astype(np.uint8) for _ in range(6)]
    camera, _, fit = measure(make_clip(images))
    assert camera is None
    assert fit == 0.0


def test_unrelated_pictures_give_no_motion() -> None:
    images = [view(scene(name), 0.0, 0.0) for name in (*PICTURES, "astronaut", "coffee")]
    _, _, fit = measure(make_clip(images))
    assert fit < 0.2


FACE_PX = 60.0


def with_person(images: list[Image], xs: list[float], face_px: list[float]) -> tuple[list[Image], FaceTrack]:
    """Paste a figure (a picture of its own) whose face is at `x` pixels, a third down, on each keyframe."""
    out, boxes = [], []
    figure = scene("astronaut")[200:1800, 400:1600]
    for image, x, size in zip(images, xs, face_px, strict=True):
        y, half = HEIGHT / 3, size / 2
        boxes.append(Box(x0=(x - half) / WIDTH, y0=(y - half) / HEIGHT, x1=(x + half) / WIDTH, y1=(y + half) / HEIGHT))
        x0, x1 = max(0, round(x - 2 * size)), min(WIDTH, round(x + 2 * size))
        y0 = max(0, round(y - size))
        pasted = image.copy()
        pasted[y0:, x0:x1] = cv2.resize(figure, (x1 - x0, HEIGHT - y0), interpolation=cv2.INTER_AREA)
        out.append(pasted)
    return out, make_track(boxes)


@pytest.mark.parametrize(
    ("pan", "walk"), [(0.0, 0.08), (0.1, 0.0), (0.08, 0.08), (0.06, -0.03)], ids=lambda v: f"{v:+}"
)
def test_pan_and_subject_are_told_apart(pan: float, walk: float) -> None:
    """`walk` in widths per second through the scene; a camera that follows keeps the walker in the
    picture."""
    start = WIDTH * (0.5 - (walk - pan) * (NUM_KEYFRAMES - 1) * KEYFRAME_PERIOD_S / 2)
    xs = [start + WIDTH * (walk - pan) * i * KEYFRAME_PERIOD_S for i in range(NUM_KEYFRAMES)]
    images, track = with_person(moving_camera("coffee", pan=pan), xs, [FACE_PX] * NUM_KEYFRAMES)
    camera, subject, _ = measure(make_clip(images, (track,)))
    assert camera is not None
    assert subject is not None
    assert camera.pan_per_s == pytest.approx(pan, abs=0.003)
    assert subject.dx_per_s == pytest.approx(walk, abs=0.005)
    assert subject.dy_per_s == pytest.approx(0.0, abs=0.003)
    assert subject.scale_per_s == pytest.approx(0.0, abs=0.005)
    heads = abs(walk) * WIDTH * 4.5 / (1.5 * FACE_PX)
    # The median of three takes a step off each end.
    assert subject.travel_heads == pytest.approx(heads, abs=0.25 * max(heads, 0.2))
    assert subject.coverage == 1.0


def test_coming_closer_and_zooming_are_told_apart() -> None:
    grow = np.exp(0.12 * KEYFRAME_PERIOD_S * np.arange(NUM_KEYFRAMES))
    sizes, xs = [float(40 * g) for g in grow], [WIDTH / 2] * NUM_KEYFRAMES
    images, track = with_person(moving_camera("coffee"), xs, sizes)
    _, walks, _ = measure(make_clip(images, (track,)))
    assert walks is not None
    assert walks.scale_per_s == pytest.approx(0.12, abs=0.01)
    # The same sizes, but the whole scene grows: the camera zooms on somebody who stands.
    images, track = with_person(moving_camera("coffee", zoom=0.12), xs, sizes)
    camera, stands, _ = measure(make_clip(images, (track,)))
    assert stands is not None
    assert camera is not None
    assert camera.zoom_per_s == pytest.approx(0.12, abs=0.01)
    assert stands.scale_per_s == pytest.approx(0.0, abs=0.01)


def test_one_false_box_is_no_journey() -> None:
    xs = [WIDTH / 2] * NUM_KEYFRAMES
    images, track = with_person(moving_camera("coffee"), xs, [FACE_PX] * NUM_KEYFRAMES)
    astray = replace(track.faces[4], box=Box(x0=0.05, y0=0.1, x1=0.12, y1=0.25))
    track = replace(track, faces=(*track.faces[:4], astray, *track.faces[5:]))
    _, subject, _ = measure(make_clip(images, (track,)))
    assert subject is not None
    assert subject.travel_heads < 0.05
    assert subject.dx_per_s == pytest.approx(0.0, abs=0.001)


def test_a_short_path_is_unknown() -> None:
    xs = [WIDTH / 2] * NUM_KEYFRAMES
    images, track = with_person(moving_camera("coffee"), xs, [FACE_PX] * NUM_KEYFRAMES)
    short = FaceTrack(times_s=track.times_s[:3], faces=track.faces[:3])
    _, subject, _ = measure(make_clip(images, (short,)))
    assert subject is None


def test_it_is_deterministic_whatever_ran_before() -> None:
    clip = make_clip(moving_camera("astronaut", pan=0.05, zoom=0.03))
    first = FeatureCamera().pairs(clip)
    FeatureCamera().pairs(make_clip(moving_camera("rocket", roll=5.0)))
    for a, b in zip(first, FeatureCamera().pairs(clip), strict=True):
        np.testing.assert_array_equal(a.matrix, b.matrix)


def test_clips_without_pairs() -> None:
    clip = make_clip(moving_camera("coffee")[:1])
    assert FeatureCamera().pairs(clip) == ()
    assert FeatureCamera().pairs(replace(clip, keyframes=())) == ()
    assert camera_motion((), ()) is None
    assert mean_fit(()) == 0.0
