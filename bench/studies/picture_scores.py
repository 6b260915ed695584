"""How clean generated faces look, beside the same faces as they were drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.studies.generation import Generated, Scene
from bench.studies.talking_faces.measure import block_edges, sharpness


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureScores:
    """Means over videos; the first frame, which is the given portrait, counts like the others."""

    sharpness_ratio: float
    """Variance of the Laplacian over the truth's."""
    block_edges: float
    """Of the generated videos, see `block_edges`."""
    block_edges_of_truth: float
    """Of the same people as they were drawn."""


def picture_scores(scenes: Sequence[Scene], videos: Sequence[Generated]) -> PictureScores:
    """Compare videos with the drawn truth of their scenes."""
    return PictureScores(
        sharpness_ratio=float(
            np.mean([sharpness(v.frames).mean() / sharpness(s.take.frames).mean() for s, v in _pairs(scenes, videos)])
        ),
        block_edges=float(np.mean([block_edges(video.frames) for video in videos])),
        block_edges_of_truth=float(np.mean([block_edges(scene.take.frames) for scene in scenes])),
    )


def _pairs(scenes: Sequence[Scene], videos: Sequence[Generated]) -> zip[tuple[Scene, Generated]]:
    return zip(scenes, videos, strict=True)
