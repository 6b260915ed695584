from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from bench.metrics.appearance import Appearance, AppearanceConfig, by_second, flicker, longest_stretch_s
from bench.metrics.metric import VideoInput
from bench.samples.samples import Sample
from tests.worlds.moving_mouth import write_video

SAMPLE = Sample(id="0001_human_talk_en_male", prompt="")
Images = list[npt.NDArray[np.uint8]]


def measured(path: Path, images: Images, config: AppearanceConfig | None = None) -> dict[str, float]:
    outcome = Appearance(config)(VideoInput(path=write_video(path, images, None), sample=SAMPLE))
    assert outcome.reason is None
    return dict(outcome.values)


def drifting(num_frames: int = 75, side: int = 160) -> Images:
    """A textured picture moving a little on every frame."""
    coarse = np.random.default_rng(0).integers(40, 215, (side // 8, side // 8, 3)).astype(np.uint8)
    picture = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    return [np.roll(picture, index, axis=1) for index in range(num_frames)]


def tinted(images: Images, levels: list[float]) -> Images:
    return [
        np.asarray(np.clip(image + level * np.array([1.0, 0.0, -1.0]), 0, 255), np.uint8)
        for image, level in zip(images, levels, strict=True)
    ]


def test_a_steady_video_does_not_drift_flicker_or_freeze(tmp_path: Path) -> None:
    values = measured(tmp_path / "steady.mp4", drifting())
    assert values["colour_drift_max"] < 0.5
    assert values["sharpness_kept"] == pytest.approx(1, abs=0.1)
    assert values["frozen"] == values["longest_freeze"] == 0
    assert "seam_jump" not in values


def test_colour_that_drifts_is_seen_at_the_end(tmp_path: Path) -> None:
    values = measured(tmp_path / "drift.mp4", tinted(drifting(), list(np.linspace(0, 30, 75))))
    back = measured(tmp_path / "back.mp4", tinted(drifting(), [*np.linspace(0, 30, 40), *np.linspace(30, 0, 35)]))
    assert values["colour_drift"] == values["colour_drift_max"] > 5
    assert back["colour_drift"] < back["colour_drift_max"] / 2


def test_detail_that_is_lost_over_time(tmp_path: Path) -> None:
    images = [cv2.GaussianBlur(image, (0, 0), 0.1 + index / 25) for index, image in enumerate(drifting())]
    assert measured(tmp_path / "blur.mp4", [np.asarray(i, np.uint8) for i in images])["sharpness_kept"] < 0.75


def test_a_step_counts_at_the_seam_only(tmp_path: Path) -> None:
    step = tinted(drifting(), [0.0] * 40 + [20.0] * 35)
    at = measured(tmp_path / "at.mp4", step, AppearanceConfig(first_seam=40, clip_frames=20))
    beside = measured(tmp_path / "beside.mp4", step, AppearanceConfig(first_seam=45, clip_frames=100))
    assert at["seam_jump"] > 3
    assert abs(beside["seam_jump"]) < 0.3


def test_flicker_is_going_to_and_fro_and_not_a_fade(tmp_path: Path) -> None:
    to_and_fro = np.array([0, 8, 0, 8, 0, 8], np.float64)[:, None]
    assert flicker(to_and_fro) == 8
    assert flicker(np.arange(6.0)[:, None] * 8) == 0
    assert flicker(np.array([0, 0, 90, 90, 90.0])[:, None]) == 0
    images = drifting()
    blinking = [np.asarray(image * (0.9 if index % 2 else 1.0), np.uint8) for index, image in enumerate(images)]
    assert measured(tmp_path / "blink.mp4", blinking)["flicker"] > 5 * measured(tmp_path / "ok.mp4", images)["flicker"]


def test_a_freeze_is_found_and_timed(tmp_path: Path) -> None:
    images = drifting()
    frozen = [*images[:20], *[images[20]] * 40, *images[20:35]]
    values = measured(tmp_path / "freeze.mp4", frozen)
    assert values["frozen"] == pytest.approx(40 / 74, abs=0.16)
    assert values["longest_freeze"] == pytest.approx(1.6, abs=0.5)


def test_seconds_and_runs() -> None:
    times = np.arange(60) / 25
    assert by_second(times[:, None], times)[:, 0] == pytest.approx([0.48, 1.68])
    assert len(by_second(np.zeros((63, 1)), np.arange(63) / 25)) == 2
    assert len(by_second(np.zeros((64, 1)), np.arange(64) / 25)) == 3
    lengths_s = np.array([0.5, 0.1, 0.2, 0.1, 0.1])
    assert longest_stretch_s(np.array([True, False, True, True, False]), lengths_s) == 0.5
    assert longest_stretch_s(np.array([False, False, True, True, True]), lengths_s) == pytest.approx(0.4)
    assert longest_stretch_s(np.array([], np.bool_), np.array([])) == 0


def test_bad_videos_have_a_reason(tmp_path: Path) -> None:
    short = write_video(tmp_path / "short.mp4", drifting(2), None)
    (tmp_path / "broken.mp4").write_bytes(b"nothing" * 99)
    assert Appearance()(VideoInput(path=short, sample=SAMPLE)).reason == "too short"
    assert Appearance()(VideoInput(path=tmp_path / "broken.mp4", sample=SAMPLE)).reason == "unreadable"
