"""What is done to good frames so that a stage has something to reject."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
import numpy.typing as npt

from curation.sample.scenery import write

Image = npt.NDArray[np.uint8]

LINES = (
    "Good evening, and welcome back\nto our little programme",
    "Tonight we are going to look\nat the night sky together",
    "First find the brightest star\nabove the southern horizon",
    "Then follow the line of three\nuntil you reach the hunter",
    "If the air is clear enough\nyou will see a faint cloud",
)


def subtitle(frames: Iterable[Image], *, fps: int, every_s: float = 1.5) -> Iterator[Image]:
    """Two outlined white lines at the bottom, changing every `every_s` seconds."""
    layers: dict[int, tuple[Image, npt.NDArray[np.bool_]]] = {}
    for index, frame in enumerate(frames):
        line = int(index / fps / every_s) % len(LINES)
        if line not in layers:
            layer = np.full_like(frame, 128)
            height, width = frame.shape[:2]
            write(layer, LINES[line], (width // 2, int(height * 0.87)), size=width // 21, outline=width // 240)
            layers[line] = layer, np.any(layer != 128, axis=2)
        layer, drawn = layers[line]
        frame[drawn] = layer[drawn]
        yield frame


def stamp_logo(frames: Iterable[Image]) -> Iterator[Image]:
    """A channel's logo in the upper right corner."""
    for frame in frames:
        height, width = frame.shape[:2]
        x1, y0 = width - width // 40, height // 24
        x0, y1 = x1 - width // 7, y0 + height // 11
        cv2.rectangle(frame, (x0, y0), (x1, y1), (40, 30, 190), -1)
        patch = frame[y0:y1, x0:x1]
        write(patch, "NEWS 24", ((x1 - x0) // 2, (y1 - y0) // 2), size=width // 40)
        yield frame


def letterbox(frames: Iterable[Image], *, share: float = 0.16) -> Iterator[Image]:
    """Black bars, each `share` of the height; the picture moves down and loses its lower part."""
    for frame in frames:
        bar = round(len(frame) * share)
        frame[bar:-bar] = frame[: -2 * bar].copy()
        frame[:bar] = 0
        frame[-bar:] = 0
        yield frame


def blur(frames: Iterable[Image], *, sigma: float) -> Iterator[Image]:
    """Far out of focus: a Gaussian of `sigma` pixels."""
    for frame in frames:
        small = cv2.resize(frame, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
        soft = cv2.GaussianBlur(small, (0, 0), sigma / 4)
        yield np.asarray(cv2.resize(soft, frame.shape[1::-1], interpolation=cv2.INTER_CUBIC), np.uint8)


def coarsen(frames: Iterable[Image], *, cell: int) -> Iterator[Image]:
    """Flat squares of `cell` pixels, as from a codec that has too few bits."""
    for frame in frames:
        height, width = frame.shape[:2]
        cells = cv2.resize(frame, (width // cell, height // cell), interpolation=cv2.INTER_AREA)
        yield np.asarray(cv2.resize(cells, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)


def darken(frames: Iterable[Image], *, gain: float) -> Iterator[Image]:
    """Badly underexposed."""
    table = np.clip(np.arange(256) * gain, 0, 255).astype(np.uint8)
    for frame in frames:
        yield np.asarray(cv2.LUT(frame, table), np.uint8)


def make_noisy(frames: Iterable[Image], *, sigma: float, seed: int = 0) -> Iterator[Image]:
    """Sensor noise on every pixel, from a few pictures of noise in turn."""
    rng = np.random.default_rng(seed)
    bank: list[npt.NDArray[np.int16]] = []
    for index, frame in enumerate(frames):
        if len(bank) < 6:
            height, width = frame.shape[:2]
            bank.append(rng.normal(0, sigma, (height, width, 1)).astype(np.int16))
        shown = bank[index % len(bank)]
        yield np.clip(frame.astype(np.int16) + shown, 0, 255).astype(np.uint8)


def freeze(frames: Iterable[Image], num_frames: int) -> Iterator[Image]:
    """The first frame, over and over."""
    first = next(iter(frames))
    for _ in range(num_frames):
        yield first


def tint(frames: Iterable[Image], gains_bgr: tuple[float, float, float]) -> Iterator[Image]:
    """Another white balance, as from another camera."""
    table = np.stack([np.clip(np.arange(256) * gain, 0, 255) for gain in gains_bgr], axis=-1)
    for frame in frames:
        yield np.asarray(cv2.LUT(frame, table[None].astype(np.uint8)), np.uint8)
