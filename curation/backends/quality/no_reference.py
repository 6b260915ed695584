"""Quality from formulas: sharpness, exposure, contrast, noise, blockiness and freeze, no weights needed.

Measured on keyframes (short edge at most 480 pixels) and on the brightness of every frame. Each measure gets a grade u
from 0 (worthless) to 1 (flawless), by its scale in `SCALES`; the score is

    100 · exp(Σ wᵢ ln max(uᵢ, 0.01) / Σ wᵢ),

a weighted geometric mean: good parts do not make up for one bad part, as they would in an arithmetic mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from curation.backends.defects.stillness import FROZEN_CHANGE
from curation.backends.quality.scorer import QualityScore
from curation.clip.observations import FrameStats
from curation.clip.schema import Clip

Grey = npt.NDArray[np.float32]

NUM_KEYFRAMES = 4
"""Keyframes that are measured, spread over the clip; decoding and measuring one takes 10 to 20 ms."""
TILES = 8
"""Sharpness and noise are measured on a grid of this many tiles a side."""
CODEC_BLOCK_PX = 8
"""Side of a transform block of JPEG and MPEG-4, and of the grid on which H.264 deblocks, in pixels of the source."""
MIN_VISIBLE_BLOCK_PX = 3.0
"""In keyframes shrunk so far that blocks are smaller than this, their grid cannot be seen."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """How a measure turns into a grade: linear from `worthless` (0) to `flawless` (1), clipped."""

    worthless: float
    flawless: float
    weight: float

    def grade(self, value: float) -> float:
        """The grade in [0, 1]."""
        return float(np.clip((value - self.worthless) / (self.flawless - self.worthless), 0.0, 1.0))


SCALES: Mapping[str, Scale] = {
    "sharpness": Scale(worthless=0.37, flawless=0.65, weight=2.0),
    "exposure": Scale(worthless=0.1, flawless=0.9, weight=1.0),
    "contrast": Scale(worthless=0.02, flawless=0.2, weight=1.0),
    "noise": Scale(worthless=10.0, flawless=0.5, weight=1.0),
    "blockiness": Scale(worthless=2.0, flawless=0.3, weight=1.0),
    "freeze": Scale(worthless=1.0, flawless=0.0, weight=0.5),
}
"""The ends come from measurements on labelled web video, with good clips at the flawless end. The weights are ours:
sharpness is what a generator that is trained on the clips inherits first."""


class NoReferenceScorer:
    """Combines the measures of this file into one score."""

    def score(self, clip: Clip) -> QualityScore:
        """The score of `clip`, its raw measures as parts."""
        wanted = min(NUM_KEYFRAMES, len(clip.keyframes))
        chosen = [clip.keyframes[int(len(clip.keyframes) * (i + 0.5) / wanted)] for i in range(wanted)]
        greys = [cv2.cvtColor(frame.image(), cv2.COLOR_BGR2GRAY).astype(np.float32) for frame in chosen]
        if not greys:
            return QualityScore(score=0.0, parts={})
        short_edge = min(greys[0].shape)
        block_px = CODEC_BLOCK_PX * short_edge / max(clip.media.info.short_edge, short_edge)
        measures: dict[str, Callable[[Grey], float]] = {
            "sharpness": sharpness,
            "exposure": exposure,
            "contrast": contrast,
            "noise": noise,
            "blockiness": lambda grey: blockiness(grey, block_px),
        }
        parts = {name: float(np.median([measure(grey) for grey in greys])) for name, measure in measures.items()}
        parts["freeze"] = freeze(clip.stats)
        return QualityScore(score=combine(parts), parts=parts)


def combine(parts: Mapping[str, float]) -> float:
    """Score in [0, 100] of measures by name: the formula at the top of this file."""
    weights = np.array([SCALES[name].weight for name in parts])
    grades = np.array([max(SCALES[name].grade(value), 0.01) for name, value in parts.items()])
    return float(100 * np.exp((weights * np.log(grades)).sum() / weights.sum()))


def sharpness(grey: Grey) -> float:
    """1 − blur after Crété et al., "The blur effect" (SPIE 6492, 2007), of the sharpest tiles; in [0, 1].

    Blur the picture along one axis by an 11-tap mean, b; with neighbour differences d of the picture and d_b
    of b, blur = 1 − Σ max(0, |d| − |d_b|) / Σ |d|: what is blurred already loses little by blurring. The
    worse axis counts in each tile; the value is the 95th percentile over tiles with any texture, because a
    portrait before a defocused background is sharp where it matters.
    """
    kept, total = [], []
    for axis, kernel in ((1, (11, 1)), (0, (1, 11))):
        edges = _steps(grey, axis)
        lost = cv2.subtract(edges, _steps(cv2.blur(grey, kernel), axis))
        total.append(_tiles(edges))
        kept.append(_tiles(cv2.max(lost, 0.0)))
    # A tile below half a luma level of mean difference holds only codec noise, which is not sharpness.
    textured = np.minimum(*total) > 0.5
    if not textured.any():
        return 0.0
    share = np.minimum(kept[0][textured] / total[0][textured], kept[1][textured] / total[1][textured])
    return float(np.percentile(share, 95))


def exposure(grey: Grey) -> float:
    """Share of unclipped pixels times how central the brightness is; in [0, 1].

    exp(−(m − 0.5)² / (2·0.25²)) with the mean luma m in [0, 1]: the well-exposedness of Mertens et al.,
    "Exposure Fusion" (Pacific Graphics 2007), on the mean instead of each pixel and with a wider bell (they
    take 0.2), because a dark suit before a dark wall is no fault. Clipped means below 4 or above 251.
    """
    unclipped = cv2.countNonZero(cv2.inRange(grey, 4.0, 251.0)) / grey.size
    return float(unclipped * np.exp(-((grey.mean() / 255 - 0.5) ** 2) / (2 * 0.25**2)))


def contrast(grey: Grey) -> float:
    """Root mean square contrast, luma's deviation over 255 (Peli, JOSA A 7(10), 1990); in [0, 0.5]."""
    return float(grey.std() / 255)


def noise(grey: Grey) -> float:
    """Standard deviation of noise in luma levels, after Immerkær (CVIU 64(2), 1996), in the flattest tiles.

    With the mask N = [[1, −2, 1], [−2, 4, −2], [1, −2, 1]], which is blind to planes and straight edges:
    σ = √(π/2) / 6 · mean |grey ∗ N|. Texture counts as noise in that formula, so it is evaluated by tile and the 10th
    percentile over the tiles is taken: a tenth of every picture is flat.
    """
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    return float(np.percentile(_tiles(cv2.absdiff(cv2.filter2D(grey, -1, mask), 0.0)), 10) * np.sqrt(np.pi / 2) / 6)


def blockiness(grey: Grey, block_px: float = CODEC_BLOCK_PX) -> float:
    """How much stronger steps are on the codec's block grid than beside it; 0 without a grid.

    After Wang, Sheikh and Bovik, "No-reference perceptual quality assessment of JPEG compressed images" (ICIP 2002):
    mean |difference| between neighbours across block borders over that inside the blocks, less one; mean of both axes.
    Their blocks have sides of 8 pixels; `block_px` is that side in a scaled picture. Differences are capped at 24
    levels: real edges that happen to lie on the grid are not blocks.
    """
    if block_px < MIN_VISIBLE_BLOCK_PX:
        return 0.0
    ratios = []
    for axis in (0, 1):
        steps = cv2.min(_steps(grey, axis), 24.0).mean(axis=1 - axis)
        borders = np.round(np.arange(block_px, len(steps), block_px)).astype(int) - 1
        on_grid = np.zeros(len(steps), bool)
        on_grid[borders] = True
        ratios.append(steps[on_grid].mean() / max(float(steps[~on_grid].mean()), 0.1) - 1)
    return max(0.0, float(np.mean(ratios)))


def freeze(stats: FrameStats | None) -> float:
    """Share of frames that change by no more than `FROZEN_CHANGE`; in [0, 1], 0 without frames."""
    if stats is None or len(stats.change) < 2:
        return 0.0
    return float(np.mean(stats.change[1:] <= FROZEN_CHANGE))


def _steps(grey: Grey, axis: int) -> Grey:
    """Absolute differences between neighbours along `axis`; one shorter than `grey` there."""
    if axis == 0:
        return np.asarray(cv2.absdiff(grey[1:], grey[:-1]), np.float32)
    return np.asarray(cv2.absdiff(grey[:, 1:], grey[:, :-1]), np.float32)


def _tiles(values: Grey) -> Grey:
    """Mean of `values` on a `TILES` × `TILES` grid."""
    return np.asarray(cv2.resize(values, (TILES, TILES), interpolation=cv2.INTER_AREA), np.float32)
