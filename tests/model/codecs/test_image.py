import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from model.codecs.image import AREAS, check_size, fit_image, size_for_area
from model.media.portrait import load_image


@pytest.mark.parametrize(
    ("width", "height", "area", "expected"),
    [
        (1920, 1080, AREAS["720p"], (704, 1280)),
        (1080, 1920, AREAS["720p"], (1280, 704)),
        (1920, 1080, AREAS["1080p"], (1088, 1920)),
        (1000, 1000, 256 * 256, (256, 256)),
    ],
)
def test_sizes_of_the_paper(width: int, height: int, area: int, expected: tuple[int, int]) -> None:
    assert size_for_area(width, height, area) == expected


@given(st.integers(200, 4000), st.floats(0.4, 2.5), st.sampled_from(sorted(AREAS.values())))
def test_sizes_keep_area_and_shape_and_divide_by_32(width: int, shape: float, area: int) -> None:
    height = round(width * shape)
    out_height, out_width = size_for_area(width, height, area)
    assert out_height % 32 == out_width % 32 == 0
    assert abs(math.log(out_height * out_width / area)) < 0.06
    assert abs(math.log(out_height / out_width * width / height)) < 0.06


def circle(width: int, height: int) -> Image.Image:
    """A white disc of radius 40 in the middle of black."""
    y, x = np.mgrid[0:height, 0:width]
    inside = (x - (width - 1) / 2) ** 2 + (y - (height - 1) / 2) ** 2 < 40**2
    return Image.fromarray(np.repeat((inside * 255).astype(np.uint8)[..., None], 3, axis=2))


@pytest.mark.parametrize(("width", "height"), [(300, 100), (100, 300), (120, 120)])
def test_a_circle_stays_a_circle(width: int, height: int) -> None:
    pixels = fit_image(circle(width, height), 128, 96)
    assert pixels.shape == (1, 3, 128, 96)
    white = pixels[0, 0] > 0
    assert abs(int(white.any(0).sum()) - int(white.any(1).sum())) <= 2 or white.any(0).all()
    centre = torch.nonzero(white).float().mean(0)
    torch.testing.assert_close(centre, torch.tensor([63.5, 47.5]), rtol=0, atol=0.6)


@given(st.integers(1, 700), st.integers(1, 700), st.integers(1, 4), st.integers(1, 4))
def test_any_image_fits_any_size(width: int, height: int, rows: int, columns: int) -> None:
    pixels = fit_image(Image.new("RGB", (width, height), "white"), 32 * rows, 32 * columns)
    assert pixels.shape == (1, 3, 32 * rows, 32 * columns)
    assert float(pixels.min()) == 1


def test_an_image_of_the_size_is_untouched() -> None:
    values = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    pixels = fit_image(Image.fromarray(values), 64, 96)
    restored = ((pixels[0] + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    assert np.array_equal(restored, values)


def test_exif_rotation_and_transparency(tmp_path: Path) -> None:
    upright = Image.new("RGB", (40, 20), "red")
    exif = upright.getexif()
    exif[0x0112] = 6
    upright.save(tmp_path / "turned.jpg", exif=exif)
    assert load_image(tmp_path / "turned.jpg").size == (20, 40)
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert load_image(tmp_path / "clear.png").getpixel((0, 0)) == (255, 255, 255)


def test_bad_images_and_sizes_give_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such image"):
        load_image(tmp_path / "absent.png")
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(ValueError, match="not an image"):
        load_image(tmp_path / "text.png")
    Image.new("RGB", (64, 64)).save(tmp_path / "whole.png")
    cut = (tmp_path / "whole.png").read_bytes()[:60]
    (tmp_path / "cut.png").write_bytes(cut)
    with pytest.raises(ValueError, match="not an image"):
        load_image(tmp_path / "cut.png")
    with pytest.raises(ValueError, match="width 100 is not divisible by 32, the nearest that is: 96"):
        check_size(64, 100)
    with pytest.raises(ValueError, match="area"):
        size_for_area(10, 10, 5)
