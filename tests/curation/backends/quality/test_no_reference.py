from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from curation.backends.quality.no_reference import (
    SCALES,
    blockiness,
    combine,
    contrast,
    exposure,
    freeze,
    noise,
    sharpness,
)
from curation.clip.observations import FrameStats
from tests.worlds.drawn_scenes import landscape

Grey = npt.NDArray[np.float32]


@pytest.fixture(scope="module", params=[11, 12, 13])
def grey(request: pytest.FixtureRequest) -> Grey:
    picture = cv2.GaussianBlur(landscape(request.param)[:, :640], (0, 0), 0.6)
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.float32)


def strictly(values: list[float], direction: int) -> bool:
    return all((after - before) * direction > 0 for before, after in pairwise(values))


def test_blur_lowers_sharpness(grey: Grey) -> None:
    values = [sharpness(cv2.GaussianBlur(grey, (0, 0), sigma) if sigma else grey) for sigma in (0, 1, 2, 4, 8)]
    assert strictly(values, -1)
    assert values[0] > 0.5
    assert values[-1] < 0.3


def test_a_sharp_face_before_a_defocused_wall_is_sharp(grey: Grey) -> None:
    mixed = cv2.GaussianBlur(grey, (0, 0), 8)
    mixed[120:360, 200:440] = grey[120:360, 200:440]
    blurred, sharp = sharpness(cv2.GaussianBlur(grey, (0, 0), 8)), sharpness(grey)
    assert sharpness(mixed) > blurred + 0.6 * (sharp - blurred)


def test_a_blank_picture_is_not_sharp() -> None:
    assert sharpness(np.full((480, 640), 90, np.float32)) == 0


@pytest.mark.parametrize("sigma", [2.0, 5.0, 10.0, 20.0])
def test_noise_is_measured_in_luma_levels(grey: Grey, sigma: float) -> None:
    rng = np.random.default_rng(0)
    soft = cv2.GaussianBlur(grey, (0, 0), 3)
    measured = noise(soft + rng.normal(0, sigma, soft.shape).astype(np.float32))
    assert measured == pytest.approx(sigma, rel=0.2)


def test_texture_is_not_taken_for_noise(grey: Grey) -> None:
    stripes = grey.copy()
    stripes[:, :400] += 40 * np.sign(np.sin(np.arange(400) * 0.9)).astype(np.float32)
    assert noise(stripes) < noise(grey) + 1


def test_compression_raises_blockiness(grey: Grey) -> None:
    values = [blockiness(grey)]
    for jpeg_quality in (40, 15, 5):
        _, jpeg = cv2.imencode(".jpg", grey.astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality])
        values.append(blockiness(np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE), np.float32)))
    assert strictly(values, 1)
    assert values[0] < 0.1
    assert values[-1] > 1


def test_blocks_are_found_on_the_scaled_grid_of_a_larger_source(grey: Grey) -> None:
    big = cv2.resize(grey, (960, 720), interpolation=cv2.INTER_CUBIC)
    _, jpeg = cv2.imencode(".jpg", np.clip(big, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 5])
    decoded = np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE), np.float32)
    small = np.asarray(cv2.resize(decoded, (640, 480), interpolation=cv2.INTER_AREA), np.float32)
    on_grid = blockiness(small, 8 * 480 / 720)
    assert on_grid > 0.3
    assert on_grid > blockiness(small, 7.0) + 0.2


def test_blocks_too_small_to_see_are_not_claimed(grey: Grey) -> None:
    assert blockiness(grey, 2.9) == 0


def test_exposure_falls_to_both_sides_and_with_clipping(grey: Grey) -> None:
    centred = grey - grey.mean() + 128
    darker = [exposure(np.clip(centred * gain, 0, 255)) for gain in (1.0, 0.6, 0.3, 0.1)]
    brighter = [exposure(np.clip(centred + shift, 0, 255)) for shift in (0, 40, 80, 120)]
    assert strictly(darker, -1)
    assert strictly(brighter, -1)
    half_black = centred.copy()
    half_black[:240] = 0
    assert exposure(half_black) < 0.5


def test_contrast_is_proportional_to_the_spread(grey: Grey) -> None:
    halved = grey.mean() + (grey - grey.mean()) / 2
    assert contrast(halved) == pytest.approx(contrast(grey) / 2, rel=1e-3)


def test_freeze_is_the_share_of_repeated_frames() -> None:
    change = np.array([0.0, 0.0, 1.0, 0.01, 2.0], np.float32)
    stats = FrameStats(times_s=np.arange(5) / 25, luma_mean=change, luma_std=change, change=change)
    assert freeze(stats) == pytest.approx(0.5)
    assert freeze(None) == 0


def test_one_worthless_part_cannot_be_bought_back() -> None:
    flawless = {name: scale.flawless for name, scale in SCALES.items()}
    assert combine(flawless) == pytest.approx(100)
    for name, scale in SCALES.items():
        spoilt = combine({**flawless, name: scale.worthless})
        assert spoilt < (71 if name == "freeze" else 50), name
