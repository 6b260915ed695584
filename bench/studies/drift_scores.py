"""How far a long video moves away from its beginning, clip by clip, and whether a treatment slows that down.

Letters: V vectors, C latent channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from einops import rearrange

from bench.studies.intervals import bootstrap_mean
from bench.studies.talking_faces.identity import lab_of
from bench.studies.talking_faces.measure import sharpness
from model.generation.clips import GeneratedClip
from model.generation.codebook import Codebook

BEYOND_PERCENTILE = 99.0
"""A latent vector counts as unusual beyond this percentile of the training latents' distances."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipStatistics:
    """What a clip's new frames and latents look like."""

    lab_mean: tuple[float, float, float]
    """Of all pixels, CIELAB."""
    lab_std: tuple[float, float, float]
    """Likewise."""
    sharpness: float
    """Variance of the Laplacian, mean over frames."""
    latent_norm: float
    """Mean Euclidean norm of the latent vectors."""
    codebook_distance: float
    """Mean distance of the latent vectors to their centroid, over the threshold at `BEYOND_PERCENTILE`."""
    beyond: float
    """Share of latent vectors beyond that threshold."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Drift:
    """A video's distance from its first clip: the mean over its last quarter of clips."""

    colour: float
    """ΔE between the mean colours of a clip and of the first."""
    contrast: float
    """Euclidean distance between their standard deviations of L, a and b."""
    detail: float
    """|ln| of the ratio of their sharpness."""
    latents: float
    """|ln| of the ratio of their latent norms."""


DRIFTS = ("colour", "contrast", "detail", "latents")


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """A treatment compared with none, over the same people with the same noise."""

    treatment: str
    drift: dict[str, tuple[float, float, float]] = field(repr=False)
    """Mean and 95 % interval of each of `DRIFTS`."""
    reduction: dict[str, tuple[float, float, float]] | None = field(repr=False)
    """Drift without the treatment minus drift with it, paired by person: mean and 95 % interval. None for no
    treatment."""


def clip_statistics(clip: GeneratedClip, codebook: Codebook) -> ClipStatistics:
    """Measure the frames and latents that a clip adds to its video."""
    lab = lab_of(clip.frames).reshape(-1, 3)
    first = 1 if clip.plan.index == 0 else clip.plan.num_clean
    vectors = rearrange(clip.latents[:, :, first:], "1 c f h w -> (f h w) c").float().cpu()
    nearest = codebook.centroids[codebook.nearest(vectors)]
    distances = torch.linalg.vector_norm(vectors - nearest, dim=1)
    threshold = codebook.threshold_at(BEYOND_PERCENTILE)
    return ClipStatistics(
        lab_mean=_triple(lab.mean(axis=0)),
        lab_std=_triple(lab.std(axis=0)),
        sharpness=float(sharpness(clip.frames).mean()),
        latent_norm=float(torch.linalg.vector_norm(vectors, dim=1).mean()),
        codebook_distance=float(distances.mean()) / threshold,
        beyond=float((distances > threshold).float().mean()),
    )


def drift_of(clips: Sequence[ClipStatistics]) -> Drift:
    """How far the last quarter of a video is from its first clip.

    Raises:
        ValueError: fewer than two clips.
    """
    if len(clips) < 2:
        raise ValueError("drift needs at least two clips")
    first, last = clips[0], clips[-max(1, len(clips) // 4) :]
    return Drift(
        colour=float(np.mean([_distance(clip.lab_mean, first.lab_mean) for clip in last])),
        contrast=float(np.mean([_distance(clip.lab_std, first.lab_std) for clip in last])),
        detail=float(np.mean([_log_ratio(clip.sharpness, first.sharpness) for clip in last])),
        latents=float(np.mean([_log_ratio(clip.latent_norm, first.latent_norm) for clip in last])),
    )


def compare(videos: dict[str, list[list[ClipStatistics]]], untreated: str) -> list[Comparison]:
    """Drift under each treatment; `videos` holds each treatment's statistics, people in the same order."""
    drifts = {name: [drift_of(clips) for clips in people] for name, people in videos.items()}
    comparisons = []
    for name, people in drifts.items():
        pairs = list(zip(drifts[untreated], people, strict=True))
        reduction = {
            measure: bootstrap_mean(
                [getattr(without, measure) - getattr(treated, measure) for without, treated in pairs]
            )
            for measure in DRIFTS
        }
        comparisons.append(
            Comparison(
                treatment=name,
                drift={measure: bootstrap_mean([getattr(d, measure) for d in people]) for measure in DRIFTS},
                reduction=None if name == untreated else reduction,
            )
        )
    return comparisons


def verdict(comparison: Comparison, untreated: Comparison) -> str:
    """What the numbers say, in one sentence a measure."""
    assert comparison.reduction is not None
    parts = []
    for measure, (mean, low, high) in comparison.reduction.items():
        before = untreated.drift[measure][0]
        share = f"{abs(mean) / before:.0%}" if before > 0 else "by an unknown share"
        numbers = f"difference {mean:+.3g} [{low:+.3g}, {high:+.3g}]"
        if low > 0:
            parts.append(f"reduces drift of {measure} by {share} ({numbers})")
        elif high < 0:
            parts.append(f"increases drift of {measure} by {share} ({numbers})")
        else:
            parts.append(f"does not measurably change drift of {measure} ({numbers})")
    return f"Clamping at {comparison.treatment}: " + "; ".join(parts) + "."


def _triple(values: npt.NDArray[np.floating]) -> tuple[float, float, float]:
    first, second, third = values.tolist()
    return first, second, third


def _distance(first: Sequence[float], second: Sequence[float]) -> float:
    return float(np.linalg.norm(np.subtract(first, second)))


def _log_ratio(value: float, first: float) -> float:
    return abs(float(np.log(max(value, 1e-12) / max(first, 1e-12))))
