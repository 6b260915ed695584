"""Brightness, contrast and colour temperature of a picture, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from curation.clip.observations import Keyframe

SIDE_PX = 64
"""Pictures are averaged down to this side: only their overall light matters."""
DARK_BELOW, BRIGHT_FROM = 30.0, 62.0
"""Mean CIE L*, 0 to 100; about the lowest and highest tenth of 35 real shots, which look dark and bright."""
LOW_CONTRAST_BELOW, HIGH_CONTRAST_FROM = 14.0, 24.0
"""Standard deviation of L*; about the lowest and highest fifth of the same shots."""
WARM_BELOW_K, COOL_FROM_K = 4500.0, 7500.0
"""Correlated colour temperature; daylight white, to which sRGB is balanced, is 6500 K."""

_XYZ_FROM_RGB = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
"""IEC 61966-2-1 (sRGB), linear light."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Light:
    """The light of a clip."""

    brightness: str
    """`low`, `medium` or `high`, as the contrast."""
    contrast: str
    tone: str | None
    """`warm`, `neutral` or `cool`; None where it is too dark to tell."""

    def __str__(self) -> str:
        if self.tone is None:
            return f"{self.brightness} brightness and {self.contrast} contrast"
        return f"{self.brightness} brightness, {self.contrast} contrast and {self.tone} colours"

    @property
    def adjectives(self) -> tuple[str, ...]:
        """What is unusual about it: of `bright` or `dark`, and `warm` or `cool`."""
        level = {"low": "dark", "high": "bright"}.get(self.brightness)
        return tuple(word for word in (level, self.tone if self.tone != "neutral" else None) if word)


def describe_light(keyframes: Sequence[Keyframe]) -> Light | None:
    """The light of a clip; None without keyframes."""
    if not keyframes:
        return None
    images = np.stack(
        [cv2.resize(k.image(), (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA) for k in keyframes]
    ).astype(np.float32) / np.float32(255)
    lightness = np.stack([cv2.cvtColor(image, cv2.COLOR_BGR2LAB)[..., 0] for image in images])
    kelvin = colour_temperature(images)
    levels = ("low", "medium", "high")
    return Light(
        brightness=_word(float(lightness.mean()), DARK_BELOW, BRIGHT_FROM, levels),
        contrast=_word(float(lightness.std(axis=(1, 2)).mean()), LOW_CONTRAST_BELOW, HIGH_CONTRAST_FROM, levels),
        tone=None if kelvin is None else _word(kelvin, WARM_BELOW_K, COOL_FROM_K, ("warm", "neutral", "cool")),
    )


def colour_temperature(images: npt.NDArray[np.float32]) -> float | None:
    """Correlated colour temperature in kelvin of the mean colour of `(..., 3)` sRGB pictures, BGR in [0, 1].

    McCamy's approximation (1992), good from 2,000 to 12,500 K. None for pictures too dark to have a colour.
    """
    linear = np.where(images <= 0.04045, images / 12.92, ((images + 0.055) / 1.055) ** 2.4)
    mean = linear.reshape(-1, 3).mean(axis=0)[::-1]
    xyz = _XYZ_FROM_RGB @ mean
    if xyz[1] < 0.005:
        return None
    x, y = xyz[:2] / xyz.sum()
    n = (x - 0.3320) / (0.1858 - y)
    return float(449 * n**3 + 3525 * n**2 + 6823.3 * n + 5520.33)


def _word(value: float, low: float, high: float, words: tuple[str, str, str]) -> str:
    return words[0] if value < low else words[1] if value < high else words[2]
