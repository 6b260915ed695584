from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from einops import rearrange
from PIL import Image

from curation.encoding.frames import choose_window, read_pictures
from curation.media import MediaError, frame_times
from model.codecs.image import fit_image
from tests.worlds.curated_shards import video
from tests.worlds.videos import frame_number, picture, write_video


def times(num_frames: int, fps: float) -> list[float]:
    return [index / fps for index in range(num_frames)]


@pytest.mark.parametrize(
    ("num_frames", "fps", "start", "shown"),
    [
        (125, 25, 8, 109),
        (110, 25, 0, 109),
        (111, 25, 1, 109),
        (100, 25, 1, 97),
        (109, 25, 0, 109),
        (250, 50, 8, 109),
        (135, 30, 1, 109),
        (108, 24, 1, 109),
        (81, 25, 0, 81),
        (84, 25, 1, 81),
    ],
)
def test_the_window_is_as_long_as_can_be_and_in_the_middle(num_frames: int, fps: int, start: int, shown: int) -> None:
    window = choose_window(times(num_frames, fps), fps=25, clip_frames=109, min_frames=81)
    assert (window.start, len(window.shown)) == (start, shown)
    moments = (window.start + np.arange(shown)) / 25
    assert np.abs(np.array(window.shown) / fps - moments).max() <= 0.5 / fps + 1e-9


def test_frames_of_uneven_timing_are_the_nearest() -> None:
    rng = np.random.default_rng(0)
    own = np.cumsum(rng.uniform(0.01, 0.09, 120)) - 0.01
    own -= own[0]
    window = choose_window(own.tolist(), fps=25, clip_frames=81, min_frames=81)
    for place, shown in enumerate(window.shown):
        assert shown == int(np.abs(own - (window.start + place) / 25).argmin())


@pytest.mark.parametrize("num_frames", [0, 1, 80])
def test_a_clip_that_is_too_short_is_told(num_frames: int) -> None:
    with pytest.raises(MediaError, match="too_short"):
        choose_window(times(num_frames, 25), fps=25, clip_frames=109, min_frames=81)


@pytest.mark.parametrize("fps", [25, 50, 30])
def test_the_frames_shown_are_those_asked_for(tmp_path: Path, fps: int) -> None:
    path = str(write_video(tmp_path / "a.mp4", size=(320, 256), fps=fps, seconds=2))
    own = frame_times(path)
    window = choose_window(own, fps=25, clip_frames=33, min_frames=33)
    with ThreadPoolExecutor(2) as pool:
        read = read_pictures(path, own, shown=window.shown, singles=[0, 7], size=(160, 192), pool=pool)
    assert [frame_number(image) for image in read.window] == list(window.shown)
    assert {number: frame_number(image) for number, image in read.singles.items()} == {0: 0, 7: 7}


def test_frames_are_fitted_as_a_portrait_is(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(video(lambda index: picture(index, 320, 256)[..., ::-1].copy(), 2))
    with ThreadPoolExecutor(1) as pool:
        read = read_pictures(str(path), frame_times(str(path)), shown=(0,), singles=(), size=(96, 160), pool=pool)
    portrait = fit_image(Image.fromarray(picture(0, 320, 256)[..., ::-1].copy()), 96, 160)
    pixels = rearrange(torch.from_numpy(read.window).float() / 127.5 - 1, "f h w c -> f c h w")
    # Equal but for the loss of H.264.
    assert (pixels - portrait).abs().mean() < 0.02


def test_a_file_with_missing_frames_is_undecodable(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(video(lambda index: picture(index, 320, 256), 50))
    own = frame_times(str(path))
    with ThreadPoolExecutor(1) as pool, pytest.raises(MediaError, match="undecodable: 1 of 2 frames"):
        read_pictures(str(path), [*own, 99.0], shown=(0, 50), singles=(), size=(96, 160), pool=pool)
