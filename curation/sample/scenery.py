"""Pictures without people, drawn: a landscape, a room, a street with a shop sign; a seed fixes each."""

from __future__ import annotations

from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

FONT = Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"


def landscape(width: int, height: int, *, seed: int) -> Image:
    """Sky with clouds over three wooded ridges, `(height, width, 3)` BGR."""
    rng = np.random.default_rng(seed)
    rows = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    sky = np.array([225, 160, 90], np.float32) + rows * np.array([10, 55, 110], np.float32)
    clouds = np.clip(_noise(height, width, rng, coarsest=3) * 1.6 - 0.7, 0, 1)[..., None]
    picture = sky + clouds * (245 - sky)
    grain = _noise(height, width, rng, coarsest=24)[..., None]
    picture = picture.astype(np.float32)
    line = np.arange(width) / width
    for depth, colour in enumerate(((150, 120, 95), (95, 105, 70), (50, 95, 60))):
        ridge = np.zeros(width)
        for wave in (1, 2, 3, 7, 13):
            height_of_wave = float(rng.uniform(0.3, 1.0)) / wave
            ridge += height_of_wave * np.sin(2 * np.pi * (wave * line + rng.uniform()))
        horizon = height * (0.45 + 0.14 * depth + 0.07 * ridge)
        below = (np.arange(height)[:, None] > horizon[None, :])[..., None]
        ground = np.array(colour, np.float32) * (0.55 + 0.9 * grain)
        picture = np.where(below, ground, picture)
        _plant_firs(picture, horizon, size=height * (0.02 + 0.02 * depth), colour=colour, rng=rng)
    return _finish(picture + rng.normal(0, 3, picture.shape))


def room(width: int, height: int, *, seed: int) -> Image:
    """A papered wall with a window, frames and a shelf of books, slightly out of focus."""
    rng = np.random.default_rng(seed)
    light = np.linspace(1.08, 0.88, width, dtype=np.float32)[None, :, None]
    texture = 0.92 + 0.16 * _noise(height, width, rng, coarsest=40)[..., None]
    wall = np.full((height, width, 3), (172, 186, 178), np.float32) * light * texture
    picture = np.clip(wall, 0, 255).astype(np.uint8)
    step = max(width // 6, 120)
    for number, left in enumerate(range(step // 4, width - step // 2, step)):
        right = left + int(step * 0.68)
        top = int(height * float(rng.uniform(0.06, 0.14)))
        bottom = top + int(height * 0.3)
        if number % 3 == 1:
            _bookshelf(picture, (left, top, right, int(height * 0.62)), rng)
            continue
        view = landscape(right - left, bottom - top, seed=seed + number)
        cv2.rectangle(picture, (left - 8, top - 8), (right + 7, bottom + 7), (70, 92, 120), -1)
        picture[top:bottom, left:right] = view
    cv2.rectangle(picture, (0, int(height * 0.78)), (width, int(height * 0.8)), (90, 104, 112), -1)
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 1.2), np.uint8)


def street(width: int, height: int, *, sign: str, sign_x: int, seed: int) -> Image:
    """A brick wall with a shop window and one modest painted sign, its left edge at `sign_x`."""
    rng = np.random.default_rng(seed)
    picture = np.full((height, width, 3), (150, 162, 170), np.uint8)
    for row, y in enumerate(range(0, height, 26)):
        for x in range(-60 + 30 * (row % 2), width, 60):
            shade = rng.uniform(0.8, 1.1)
            colour = (80 * shade, 98 * shade, 158 * shade)
            cv2.rectangle(picture, (x, y), (x + 56, y + 22), colour, -1)
    window = (sign_x - 30, int(height * 0.34), sign_x + 290, int(height * 0.8))
    cv2.rectangle(picture, window[:2], window[2:], (62, 70, 74), -1)
    cv2.rectangle(
        picture, (window[0] + 12, window[1] + 12), (window[2] - 12, window[3] - 12), (140, 128, 104), -1
    )
    board = (sign_x - 50, int(height * 0.2), sign_x + 310, int(height * 0.2) + 66)
    cv2.rectangle(picture, board[:2], board[2:], (52, 84, 40), -1)
    write(picture, sign, (sign_x + 130, board[1] + 33), size=34, colour=(205, 232, 240))
    grain = 0.9 + 0.2 * _noise(height, width, rng, coarsest=40)[..., None]
    return np.asarray(cv2.GaussianBlur(_finish(picture * grain), (0, 0), 0.8), np.uint8)


def write(
    picture: Image,
    text: str,
    centre: tuple[int, int],
    *,
    size: int,
    colour: tuple[int, int, int] = (255, 255, 255),
    outline: int = 0,
) -> None:
    """Draw centred lines of text in place; `outline` is the width of a black border in pixels."""
    font = ImageFont.truetype(str(FONT), size)
    canvas = PillowImage.fromarray(picture)
    ImageDraw.Draw(canvas).multiline_text(
        centre,
        text,
        fill=colour,
        font=font,
        anchor="mm",
        align="center",
        stroke_width=outline,
        stroke_fill=(0, 0, 0),
    )
    picture[:] = np.asarray(canvas)


def _plant_firs(
    picture: Floats,
    horizon: npt.NDArray[np.floating],
    *,
    size: float,
    colour: tuple[int, int, int],
    rng: np.random.Generator,
) -> None:
    """Dark triangles along and below a ridge: edges that make the picture sharp, farther ones smaller."""
    width = len(horizon)
    for _ in range(width // 6):
        x = int(rng.integers(width))
        foot = int(horizon[x] + rng.uniform(0, 6) * size)
        tall, shade = size * float(rng.uniform(0.7, 1.3)), float(rng.uniform(0.3, 0.7))
        triangle = np.array([(x - tall * 0.25, foot), (x, foot - tall), (x + tall * 0.25, foot)])
        fill = tuple(channel * shade for channel in colour)
        cv2.fillPoly(picture, [np.round(triangle).astype(np.int32)], fill, lineType=cv2.LINE_8)


def _bookshelf(picture: Image, box: tuple[int, int, int, int], rng: np.random.Generator) -> None:
    left, top, right, bottom = box
    cv2.rectangle(picture, (left, top), (right, bottom), (48, 70, 96), -1)
    shelf = (bottom - top) // 3
    for level in range(3):
        floor = top + (level + 1) * shelf - 8
        x = left + 6
        while x < right - 20:
            thick = int(rng.integers(9, 22))
            tall = int(shelf * rng.uniform(0.55, 0.85))
            colour = rng.integers(40, 200, 3).tolist()
            cv2.rectangle(picture, (x, floor - tall), (x + thick - 2, floor), colour, -1)
            x += thick


def _noise(height: int, width: int, rng: np.random.Generator, *, coarsest: int) -> Floats:
    """Fractal noise in [0, 1]: octaves of random grids, each twice as fine and half as strong."""
    total = np.zeros((height, width), np.float32)
    cells, weight = coarsest, 1.0
    while cells < min(height, width) // 2:
        grid = rng.uniform(0, 1, (cells, max(2, cells * width // height))).astype(np.float32)
        total += weight * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        cells, weight = cells * 2, weight * 0.6
    low, high = float(total.min()), float(total.max())
    return np.asarray((total - low) / max(high - low, 1e-6), np.float32)


def _finish(picture: npt.NDArray[np.floating]) -> Image:
    return np.asarray(np.clip(picture, 0, 255), np.uint8)
