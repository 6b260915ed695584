from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from bench.metrics.av_align import AvAlign, AvAlignConfig, alignment, find_onsets, find_peaks, flow_length
from bench.metrics.metric import VideoInput
from bench.samples.samples import Sample
from tests.worlds.bench_samples import portrait
from tests.worlds.moving_mouth import RATE_HZ, write_video

SAMPLE = Sample(id="0001_human_talk_en_male", prompt="")
JERKS = (12, 27, 41, 60, 78)
"""Frames on which the picture moves."""


def clicks(frames: tuple[int, ...], num_frames: int) -> npt.NDArray[np.int16]:
    rng = np.random.default_rng(0)
    sound = rng.normal(0, 100, num_frames * 640)
    for frame in frames:
        start = frame * 640
        length = min(2000, len(sound) - start)
        sound[start : start + length] += rng.normal(0, 6000, length) * np.exp(-np.arange(length) / 500)
    return sound.astype(np.int16)


def jerking(frames: tuple[int, ...], num_frames: int, side: int = 128) -> list[npt.NDArray[np.uint8]]:
    coarse = np.random.default_rng(1).integers(0, 255, (side // 8, side // 8, 3)).astype(np.uint8)
    picture = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    return [np.roll(picture, 2 * sum(frame <= index for frame in frames), axis=1) for index in range(num_frames)]


def shown(path: Path) -> VideoInput:
    return VideoInput(path=path, sample=SAMPLE)


def test_peaks_are_strict_local_maxima_of_enough_motion() -> None:
    motion = np.array([0.5, 0.0, 0.3, 0.0, 0.05, 0.0, 0.2, 0.2, 0.0, 0.1, 0.0, 0.9])
    assert find_peaks(motion, 10.0, 0.1) == [0.2, 0.9]


def test_a_pair_matches_when_closer_than_a_frame() -> None:
    assert alignment([1.0], [1.03125], 1 / 25, reuse=False) == 1.0
    assert alignment([1.0], [1.0625], 1 / 16, reuse=False) == 0.0
    assert alignment([1.0, 2.0, 3.0], [2.0, 5.0], 0.04, reuse=False) == 1 / 4
    assert alignment([], [1.0], 0.04, reuse=False) == alignment([1.0], [], 0.04, reuse=False) == 0.0
    with pytest.raises(ValueError, match="nothing to align"):
        alignment([], [], 0.04, reuse=False)


def test_a_peak_that_serves_two_onsets_takes_the_original_above_one() -> None:
    assert alignment([1.0, 1.01], [1.0], 0.04, reuse=True) == 2.0
    assert alignment([1.0, 1.01], [1.0], 0.04, reuse=False) == 0.5


def test_matching_is_at_most_one_for_any_peaks() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        onsets, peaks = (sorted(rng.uniform(0, 2, rng.integers(1, 60)).tolist()) for _ in range(2))
        fixed, original = (alignment(onsets, peaks, 0.04, reuse=reuse) for reuse in (False, True))
        assert 0 <= fixed <= min(1.0, original)


def test_onsets_are_found_where_clicks_are() -> None:
    onsets = np.array(find_onsets(clicks(JERKS, 100), RATE_HZ))
    gaps = np.abs(onsets[:, None] - np.array(JERKS) / 25)
    assert gaps.min(0).max() < 0.05
    assert np.sort(gaps.min(1))[len(onsets) // 2] < 0.05


def test_motion_with_the_sound_scores_and_motion_beside_it_does_not(tmp_path: Path) -> None:
    jerks = JERKS[:3]
    images = jerking(jerks, 55)
    together = write_video(tmp_path / "together.mp4", images, clicks(jerks, 55))
    beside = write_video(tmp_path / "beside.mp4", images, clicks(tuple(frame + 7 for frame in jerks), 55))
    metric = AvAlign(AvAlignConfig(short_edge=128))
    outcome = metric(shown(together))
    assert outcome.reason is None
    assert np.allclose(outcome.detail["peaks_s"], np.array(jerks) / 25)
    assert outcome.values["av_align"] >= 0.6
    assert metric(shown(beside)).values == {"av_align": 0.0, "av_align_reuse": 0.0}


def test_the_same_motion_counts_the_same_at_every_size_unless_native_is_asked_for(tmp_path: Path) -> None:
    standard, native = AvAlign(), AvAlign(AvAlignConfig(fps=0, short_edge=0))
    assert standard.protocol != native.protocol
    # Each picture is measured five times: one jerk in few frames.
    images, motion = jerking((4,), 8, 384), {}
    for side in (192, 384, 576):
        scaled = [cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC) for image in images]
        video = shown(write_video(tmp_path / f"{side}.mp4", scaled, clicks((4,), 8)))
        motion[side] = max(standard(video).detail["motion"]), max(native(video).detail["motion"])
    assert motion[384][0] == motion[384][1], "at 384 the two are the same"
    for side in (192, 576):
        assert motion[side][0] == pytest.approx(motion[384][0], rel=0.15)
        assert motion[side][1] == pytest.approx(motion[384][0] * side / 384, rel=0.3)


def test_the_flow_of_a_picture_into_itself_is_nothing() -> None:
    picture = np.asarray(cv2.cvtColor(portrait(), cv2.COLOR_BGR2GRAY), np.uint8)
    flow = cv2.calcOpticalFlowFarneback(picture, picture, None, 0.5, 3, 15, 3, 5, 1.2, 0)
    assert float(np.abs(flow).mean()) < 1e-3, "far below the 0.1 of a peak"
    assert flow_length(picture, picture.copy()) == 0


def test_degenerate_videos_have_a_reason_and_stillness_scores_nothing(tmp_path: Path) -> None:
    images, still = jerking(JERKS, 25), jerking((), 25)
    metric = AvAlign()
    cases = {
        "silent": (images, np.zeros(25 * 640, np.int16)),
        "no sound": (images, None),
        "too short": (images[:2], clicks((0,), 2)),
    }
    for reason, (pictures, sound) in cases.items():
        outcome = metric(shown(write_video(tmp_path / f"{reason}.mp4", pictures, sound)))
        assert (outcome.reason, dict(outcome.values)) == (reason, {})
    frozen = metric(shown(write_video(tmp_path / "frozen.mp4", still, clicks((5, 15), 25))))
    assert frozen.values == {"av_align": 0.0, "av_align_reuse": 0.0}
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "broken.mp4").write_bytes(b"nothing" * 100)
    assert metric(shown(tmp_path / "empty.mp4")).reason == "empty file"
    assert metric(shown(tmp_path / "broken.mp4")).reason == "unreadable"
    assert metric(shown(tmp_path / "absent.mp4")).reason == "missing"
