"""The identity of a drawn face: random colours and shape; the colours of parts that touch differ clearly.

Colours are CIELAB (D65), L in 0 … 100.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

Lab: TypeAlias = tuple[float, float, float]

SKINS: Final[Mapping[str, Lab]] = {"pale": (82, 9, 14), "tan": (70, 14, 25), "brown": (57, 15, 26)}
HAIRS: Final[Mapping[str, Lab]] = {
    "black": (14, 1, 2),
    "brown": (30, 12, 18),
    "red": (42, 38, 34),
    "blond": (78, 4, 48),
    "grey": (62, 0, 0),
}
BACKGROUNDS: Final[Mapping[str, Lab]] = {
    "blue": (48, 2, -38),
    "green": (52, -36, 24),
    "purple": (40, 34, -34),
    "teal": (60, -28, -10),
    "grey": (45, 0, 0),
    "white": (92, 0, 2),
}
SHIRTS: Final[Mapping[str, Lab]] = {
    "red": (42, 52, 30),
    "yellow": (80, 2, 60),
    "navy": (22, 8, -32),
    "white": (92, 0, 2),
    "green": (40, -34, 28),
    "black": (14, 1, 2),
}
PARTS: Final = ("skin", "hair", "shirt", "background")

_SPREAD: Final = (4.0, 4.0, 4.0)
"""Colours of one name vary by this much (uniform, either way), so that a name says less than the picture does."""
_HAIR_LENGTHS: Final = ((6.0, 9.0), (20.0, 26.0))
"""Short hair and long hair."""
_NEIGHBOURS: Final = (
    ("skin", "hair", 30.0),
    ("skin", "background", 30.0),
    ("hair", "background", 30.0),
    ("skin", "shirt", 25.0),
    ("shirt", "background", 30.0),
)
"""Parts that touch, and the least distance of their colours."""


class Part(NamedTuple):
    """The colour of a part of the picture."""

    name: str
    """What the prompt calls it."""
    lab: Lab
    """What it is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Colours and shape of a face and of what is behind it."""

    skin: Part
    hair: Part
    shirt: Part
    background: Part
    half_width: float
    """Of the face, pixels of a 96-pixel picture."""
    half_height: float
    """Of the head with its hair, likewise."""
    hair_length: float
    """Half of how far the hair reaches down beside the face, likewise."""
    brow_height: float
    """Of the brows above the eyes, likewise."""

    def lab(self, part: str) -> Lab:
        """The colour of one of `PARTS`."""
        colour: Part = getattr(self, part)
        return colour.lab


def draw_identity(rng: np.random.Generator) -> Identity:
    """A random identity whose neighbouring parts differ clearly."""
    palettes = {"skin": SKINS, "hair": HAIRS, "shirt": SHIRTS, "background": BACKGROUNDS}
    while True:
        parts = {name: _draw_part(palette, rng) for name, palette in palettes.items()}
        if all(colour_distance(parts[a].lab, parts[b].lab) >= least for a, b, least in _NEIGHBOURS):
            return Identity(
                **parts,
                half_width=float(rng.uniform(23.5, 27.5)),
                half_height=float(rng.uniform(28.0, 31.0)),
                hair_length=float(rng.uniform(*_HAIR_LENGTHS[int(rng.integers(len(_HAIR_LENGTHS)))])),
                brow_height=float(rng.uniform(4.6, 6.0)),
            )


def colour_distance(first: Lab | npt.ArrayLike, second: Lab | npt.ArrayLike) -> float:
    """ΔE of CIE 1976: the Euclidean distance of two colours in CIELAB; about 2.3 can just be seen."""
    return float(np.linalg.norm(np.asarray(first, np.float64) - np.asarray(second, np.float64)))


def rgb_of(lab: Lab) -> tuple[int, int, int]:
    """The nearest 8-bit sRGB colour."""
    rgb = cv2.cvtColor(np.array([[lab]], np.float32), cv2.COLOR_Lab2RGB)[0, 0]
    red, green, blue = np.clip(np.round(rgb * 255), 0, 255).astype(int).tolist()
    return red, green, blue


def lab_of(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """CIELAB of sRGB pixels (..., 3)."""
    flat = np.ascontiguousarray(pixels.reshape(-1, 1, 3)).astype(np.float32) / 255
    lab: npt.NDArray[np.float32] = cv2.cvtColor(flat, cv2.COLOR_RGB2Lab).reshape(pixels.shape)
    return lab


def _draw_part(palette: Mapping[str, Lab], rng: np.random.Generator) -> Part:
    name = list(palette)[int(rng.integers(len(palette)))]
    offset = rng.uniform(-1, 1, 3) * _SPREAD
    light, green_red, blue_yellow = (float(c + o) for c, o in zip(palette[name], offset, strict=True))
    return Part(name=name, lab=(light, green_red, blue_yellow))
