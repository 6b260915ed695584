"""Fingerprints: what changes them and what does not."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from curation.clip.fingerprint import (
    COLUMNS,
    IN_A_LOOK,
    IS_MIRRORED,
    MOST_STEPS,
    fingerprint,
    look,
    motion_course,
    sound_course,
)
from curation.clip.observations import Keyframe
from tests.worlds.recorded_clips import course, recorded, scene, sound, unit


def keyframes(*pictures: npt.NDArray[np.uint8]) -> list[Keyframe]:
    made = []
    for number, picture in enumerate(pictures):
        ok, jpeg = cv2.imencode(".jpg", picture)
        assert ok
        made.append(Keyframe(time_s=0.5 * number, jpeg=jpeg.tobytes()))
    return made


def look_of(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    found = look(keyframes(picture))
    assert found is not None
    return found / np.linalg.norm(found.astype(np.float64))


def test_a_clip_has_all_prints_in_a_few_hundred_bytes() -> None:
    prints = fingerprint(recorded(unit("a"), 0, 1, 0.0))
    assert set(prints) == set(COLUMNS)
    assert prints["embedding_print"] is None
    assert len(prints["content_hash"]) == 32
    assert (len(prints["look_print"]), len(prints["motion_print"]), len(prints["sound_print"])) == (42, 3 * 56, 56)


def test_the_hash_is_of_the_exported_picture_alone() -> None:
    first, other = (recorded(unit(name), 0, 1, 0.0, mp4=b"the same") for name in "ab")
    assert fingerprint(first)["content_hash"] == fingerprint(other)["content_hash"]
    assert fingerprint(replace(first, payload=None))["content_hash"] is None
    assert fingerprint(first)["content_hash"] != fingerprint(recorded(unit("c"), 0, 1, 0.0))["content_hash"]


@pytest.mark.parametrize("seed", range(5))
def test_a_look_outlasts_scaling_cropping_and_bars_but_is_another_in_another_scene(seed: int) -> None:
    picture = scene(seed)
    own = look_of(picture)
    assert own @ look_of(cv2.resize(picture, (240, 134))) > 0.97
    assert own @ look_of(picture[7:-7, 12:-12]) > 0.85
    assert own @ look_of(cv2.copyMakeBorder(picture, 40, 40, 0, 0, cv2.BORDER_CONSTANT)) > 0.97
    assert own @ look_of(scene(seed + 100)) < 0.55


def test_mirroring_changes_the_sign_of_the_odd_frequencies() -> None:
    own, mirrored = look_of(scene(1)), look_of(np.ascontiguousarray(scene(1)[:, ::-1]))
    assert own[~IS_MIRRORED] @ mirrored[~IS_MIRRORED] > 0
    assert own[IS_MIRRORED] @ mirrored[IS_MIRRORED] < 0
    assert IS_MIRRORED.sum() < IN_A_LOOK.sum() == len(own)


def test_a_blank_picture_has_no_look() -> None:
    assert look(keyframes(np.zeros((270, 480, 3), np.uint8))) is None
    assert look(keyframes(np.full((270, 480, 3), 200, np.uint8))) is None
    assert look([]) is None


def test_a_course_does_not_depend_on_where_the_clip_lies_in_its_file() -> None:
    stats = course(3, 10.0, 14.5)
    later = replace(stats, times_s=stats.times_s + 20)
    one, other = motion_course(stats, 10.0, 14.5), motion_course(later, 30.0, 34.5)
    assert one is not None
    assert other is not None
    assert np.array_equal(one, other)


def test_what_is_too_short_slow_or_long_for_a_course() -> None:
    assert motion_course(None, 0.0, 4.0) is None
    assert motion_course(course(3, 0.0, 0.8), 0.0, 0.8) is None
    slow = course(3, 0.0, 10.0)
    every = slice(None, None, 25)
    thin = replace(
        slow,
        times_s=slow.times_s[every],
        luma_mean=slow.luma_mean[every],
        luma_std=slow.luma_std[every],
        change=slow.change[every],
    )
    assert motion_course(thin, 0.0, 10.0) is None
    long = motion_course(course(3, 0.0, 30.0), 0.0, 30.0)
    assert long is not None
    assert long.shape == (3, MOST_STEPS)


def test_sound_that_is_louder_or_resampled_goes_the_same_way() -> None:
    whole = sound_course(sound(2, 0.0, 4.5))
    assert whole is not None
    assert whole.shape == (1, 56)
    other = sound_course(sound(3, 0.0, 4.5))
    assert other is not None
    assert np.corrcoef(whole[0], other[0])[0, 1] < 0.5


def test_silence_and_broken_sound_have_no_course() -> None:
    assert sound_course(b"RIFFwave") is None
    assert sound_course(sound(2, 0.0, 0.5)) is None
