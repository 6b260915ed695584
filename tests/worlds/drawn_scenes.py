"""Drawn moving pictures whose text, bars and logos are known, because the test put them there."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Picture = npt.NDArray[np.uint8]

WIDTH, HEIGHT = 640, 480
FPS = 4.0
NUM_FRAMES = 16
NOISE_REACH = 64
"""Every frame takes its noise from another place of one field: drawing noise for each frame took most of the time."""
FONTS = Path(mpl.get_data_path()) / "fonts" / "ttf"


@cache
def landscape(seed: int, width: int = 3 * WIDTH, height: int = HEIGHT) -> Picture:
    """`(height, width, 3)` BGR: soft clouds, grain and filled shapes, sharp edges at every scale."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3), np.float32)
    for cells in (4, 16, 64):
        coarse = rng.normal(0, 22, (cells, cells * width // height, 3)).astype(np.float32)
        picture += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    picture += 120
    for _ in range(width // 12):
        centre = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        colour = tuple(float(value) for value in rng.integers(30, 225, 3))
        axes = (int(rng.integers(4, 40)), int(rng.integers(4, 40)))
        cv2.ellipse(picture, centre, axes, float(rng.integers(0, 180)), 0, 360, colour, -1, cv2.LINE_AA)
    return np.clip(picture + rng.normal(0, 2, picture.shape), 0, 255).astype(np.uint8)


def panned(scene: Picture, speed_px: float = 37.0, num_frames: int = NUM_FRAMES) -> list[Picture]:
    """A camera that pans over `scene`; `speed_px` a frame, 0 for a fixed camera with sensor noise."""
    noise, rng = _noise(), np.random.default_rng(8)
    frames = []
    for index in range(num_frames):
        shift = np.array([[1, 0, -speed_px * index - 100], [0, 1, 0]], np.float32)
        frame = cv2.warpAffine(scene, shift, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR).astype(np.float32)
        offset = int(rng.integers(0, NOISE_REACH))
        frames.append(np.clip(frame + noise[offset : offset + HEIGHT], 0, 255).astype(np.uint8))
    return frames


@cache
def _noise() -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(7)
    return rng.normal(0, 1.5, (HEIGHT + NOISE_REACH, WIDTH, 3)).astype(np.float32)


def write(
    picture: Picture,
    text: str,
    *,
    centre: tuple[float, float],
    size: float = 0.055,
    font: str = "DejaVuSans-Bold",
    colour: tuple[int, int, int] = (255, 255, 255),
    outline: int = 2,
) -> Picture:
    """A copy with `text` in the middle of `centre`; place and type size are fractions of 640 × 480."""
    image = Image.fromarray(np.ascontiguousarray(picture[..., ::-1]))
    face = ImageFont.truetype(str(FONTS / f"{font}.ttf"), round(size * HEIGHT))
    ImageDraw.Draw(image).text(
        (centre[0] * WIDTH, centre[1] * HEIGHT),
        text,
        font=face,
        fill=colour,
        anchor="mm",
        stroke_width=outline,
        stroke_fill=(0, 0, 0),
    )
    return np.ascontiguousarray(np.asarray(image, np.uint8)[..., ::-1])


def with_text(frames: list[Picture], texts: list[str], **style: object) -> list[Picture]:
    """Burn `texts` in, one after the other, each for its share of the frames."""
    return [
        write(frame, texts[index * len(texts) // len(frames)], **style)  # type: ignore[arg-type]
        for index, frame in enumerate(frames)
    ]
