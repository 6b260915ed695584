"""The video's size, and fitting the portrait to it."""

import math
import os
from typing import TYPE_CHECKING, Final

import numpy as np
from einops import rearrange
from PIL import Image

if TYPE_CHECKING:
    from torch import Tensor

SIZE_MULTIPLE: Final = 32
"""Sides are divisible by this: the autoencoder's 16 times the network's patch of 2."""

MAX_SIDE: Final = 1024 * SIZE_MULTIPLE
"""The network has positions for 1,024 tokens a side."""

CLIP_FRAMES: Final = 109
"""Pixel frames of a clip (paper)."""

AREAS: Final = {"720p": 704 * 1280, "1080p": 1088 * 1920}
"""The paper's resolutions, in pixels; videos of other shapes have (nearly) the same area."""


def size_for_area(width: int, height: int, area: int) -> tuple[int, int]:
    """The (height, width) nearest to a picture's shape and to an area in pixels, both sides divisible by 32.

    "Nearest" is the smallest sum of the errors of shape and area, as ratios.
    """
    if area < SIZE_MULTIPLE**2:
        raise ValueError(f"area must be at least {SIZE_MULTIPLE}×{SIZE_MULTIPLE} pixels, got {area}")
    shape = height / width
    ideal_height, ideal_width = math.sqrt(area * shape), math.sqrt(area / shape)
    candidates = [(h, w) for h in _neighbours(ideal_height) for w in _neighbours(ideal_width)]
    return min(candidates, key=lambda s: abs(math.log(s[0] / s[1] / shape)) + abs(math.log(s[0] * s[1] / area)))


def choose_size(
    image: Image.Image, *, height: int | None, width: int | None, area: int | None, default_area: int
) -> tuple[int, int]:
    """The video's (height, width): as asked for, or from the image's shape and an area.

    Raises:
        ValueError: one side without the other, sides and an area, a side that is not divisible by 32, or a size that
            this machine cannot hold.
    """
    if (height is None) != (width is None):
        raise ValueError("give height and width together, or neither")
    if height is None or width is None:
        height, width = size_for_area(image.width, image.height, default_area if area is None else area)
    elif area is not None:
        raise ValueError("give height and width, or an area, not both")
    check_size(height, width)
    check_fits(height, width)
    return height, width


def check_size(height: int, width: int) -> None:
    """Raise a ValueError that names the nearest valid side if a side is not a positive multiple of 32 up to 32,768."""
    for name, side in (("height", height), ("width", width)):
        if side < SIZE_MULTIPLE or side % SIZE_MULTIPLE:
            nearest = max(round(side / SIZE_MULTIPLE), 1) * SIZE_MULTIPLE
            raise ValueError(f"{name} {side} is not divisible by {SIZE_MULTIPLE}, the nearest that is: {nearest}")
        if side > MAX_SIDE:
            raise ValueError(f"{name} {side} is more than the network has positions for: at most {MAX_SIDE}")


def check_fits(height: int, width: int) -> None:
    """Raise a ValueError if this machine cannot hold the frames of one clip twice: joining them takes a copy."""
    needed = 2 * CLIP_FRAMES * height * width * 3
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > memory:
        raise ValueError(
            f"{width}x{height} is too large: the frames of one clip take {needed / 2**30:.0f} GiB, "
            f"this machine has {memory / 2**30:.0f}"
        )


def fit_image(image: Image.Image, height: int, width: int) -> "Tensor":
    """The picture as pixels (1, 3, H, W) in [-1, 1], fitted by `cover`."""
    # Sizes are checked before anything is loaded, torch included.
    import torch  # noqa: PLC0415

    from model.codecs.levels import pixels_of  # noqa: PLC0415

    levels = torch.from_numpy(np.array(cover(image, height, width)))
    return rearrange(pixels_of(levels), "h w c -> 1 c h w")


def cover(image: Image.Image, height: int, width: int) -> Image.Image:
    """The picture scaled to cover a size, then cropped at the centre.

    It is never stretched: equal parts are cut off on two opposite sides.
    """
    check_size(height, width)
    scale = max(height / image.height, width / image.width)
    # Rounding must not carry the box over the edge by 1e-14, which Pillow refuses.
    left = max((image.width - width / scale) / 2, 0.0)
    top = max((image.height - height / scale) / 2, 0.0)
    box = (left, top, image.width - left, image.height - top)
    return image.resize((width, height), Image.Resampling.LANCZOS, box=box)


def _neighbours(side: float) -> set[int]:
    below = max(int(side // SIZE_MULTIPLE), 1) * SIZE_MULTIPLE
    return {below, below + SIZE_MULTIPLE}
